/** The adapter over stdio, by the protocol's own test client: what `pagewalk dap` is for editors. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { DebugClient } from "@vscode/debugadapter-testsupport";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CAPABILITIES } from "../../src/debug/requests/lifecycle";
import { ROOT } from "../support/dapClient";

const CLI = `${ROOT}/dist/cli.js`;
const TABLES = `${ROOT}/guests/early-fault/tables.c`;

let client: DebugClient;

beforeAll(() => {
  if (!existsSync(CLI)) execFileSync("node", ["scripts/build.mjs"], { cwd: ROOT });
});
beforeEach(async () => {
  client = new DebugClient("node", CLI, "pagewalk");
  // The client starts `node <file>`; the command needs its argument.
  (client as unknown as { _runtime: string; _executable: string })._executable = CLI;
  await startDap(client);
});
afterEach(async () => {
  await client.stop().catch(() => {});
});

/** Like `DebugClient.start`, with the argument `dap`. */
async function startDap(dap: DebugClient): Promise<void> {
  const child = spawn(process.execPath, [CLI, "dap"], { stdio: ["pipe", "pipe", "inherit"] });
  const inner = dap as unknown as {
    _adapterProcess: typeof child;
    _enableStderr: boolean;
    connect(readable: NodeJS.ReadableStream, writable: NodeJS.WritableStream): void;
  };
  inner._adapterProcess = child;
  inner.connect(child.stdout, child.stdin);
}

async function launched(filters: string[] = []): Promise<void> {
  await client.initializeRequest();
  const initialized = client.waitForEvent("initialized");
  await client.launchRequest({ program: "early-fault" } as DebugProtocol.LaunchRequestArguments);
  await initialized;
  await client.setExceptionBreakpointsRequest({ filters });
  const stopped = client.waitForEvent("stopped");
  await client.configurationDoneRequest();
  await stopped;
}

describe("the adapter over stdio", () => {
  test("announces what it can do", async () => {
    const { body } = await client.initializeRequest();
    expect(body).toEqual(JSON.parse(JSON.stringify(CAPABILITIES)));
  });

  test("an unknown request gets an error response, and the session lives", async () => {
    await client.initializeRequest();
    await expect(client.customRequest("no-such-request")).rejects.toThrow(/not supported/);
    await launchedAfterInitialize();
    expect((await client.threadsRequest()).body.threads).toEqual([{ id: 1, name: "CPU 0" }]);
  });

  test("requests out of order get an error response", async () => {
    await expect(client.stackTraceRequest({ threadId: 1 })).rejects.toThrow("nothing has been launched yet");
    await expect(client.continueRequest({ threadId: 1 })).rejects.toThrow("nothing has been launched yet");
    await client.initializeRequest();
    await launchedAfterInitialize();
    await expect(client.configurationDoneRequest()).rejects.toThrow("the configuration is done already");
    await expect(client.pauseRequest({ threadId: 1 })).rejects.toThrow("the debuggee is not running");
    await expect(client.scopesRequest({ frameId: 99 })).rejects.toThrow("there is no frame 99 at this stop");
    await expect(client.variablesRequest({ variablesReference: 7 })).rejects.toThrow(
      "not valid at this stop",
    );
  });

  test("steps back, and runs backwards to where it was", async () => {
    await launched(["page-fault"]);
    const stop = () => client.waitForEvent("stopped", 20_000);
    const rip = async () => (await client.evaluateRequest({ expression: "$rip,x" })).body.result;
    const entry = await rip();
    await Promise.all([stop(), client.continueRequest({ threadId: 1 })]);
    const fault = await rip();
    await Promise.all([stop(), client.stepInRequest({ threadId: 1, granularity: "instruction" })]);
    expect(await rip()).not.toBe(fault);
    await Promise.all([stop(), client.stepBackRequest({ threadId: 1, granularity: "instruction" })]);
    expect(await rip()).toBe(fault);
    await Promise.all([stop(), client.reverseContinueRequest({ threadId: 1 })]);
    expect(await rip()).toBe(entry);
  });

  test("malformed arguments get an error response that names them", async () => {
    await client.initializeRequest();
    await expect(client.customRequest("variables", { variablesReference: "one" })).rejects.toThrow(
      /"variablesReference"/,
    );
    await expect(client.customRequest("setBreakpoints", { breakpoints: 3 })).rejects.toThrow(/"source"/);
  });

  test("bytes that are no message do not end the session", async () => {
    const { outputStream } = client as unknown as { outputStream: NodeJS.WritableStream };
    outputStream.write("Content-Length: 5\r\n\r\n{oops");
    outputStream.write("Content-Length: 4\r\n\r\nnull");
    expect((await client.initializeRequest()).success).toBe(true);
  });

  test.each([
    [{}, "program is missing"],
    [{ program: "no-such-program" }, 'neither a bundled program nor a file "no-such-program"'],
    [{ program: "early-fault", memory: "lots" }, "memory"],
    [{ program: "early-fault", settings: { pool: 3 } }, "pool takes 4 to 64"],
    [{ program: "early-fault", speed: 3 }, 'no attribute "speed"'],
    [{ program: "early-fault", entry: "floppy" }, "entry must be one of"],
    [{ program: `${ROOT}/package.json` }, "ELF"],
  ])("the launch configuration %j is refused with a sentence", async (launch, sentence) => {
    await client.initializeRequest();
    await expect(client.launchRequest(launch as never)).rejects.toThrow(sentence);
  });

  test("a session from breakpoint to end", async () => {
    await launched(["switchover"]);
    const set = await client.setBreakpointsRequest({ source: { path: TABLES }, breakpoints: [{ line: 92 }] });
    expect(set.body.breakpoints[0]).toMatchObject({ verified: true, line: 92 });
    const [, stopped] = await Promise.all([
      client.continueRequest({ threadId: 1 }),
      client.waitForEvent("stopped"),
    ]);
    expect(stopped.body.reason).toBe("breakpoint");
    const { body } = await client.stackTraceRequest({ threadId: 1 });
    expect(body.stackFrames.map(({ name }) => name)).toContain("#PF read 0xffff880000010000");
    await client.setBreakpointsRequest({ source: { path: TABLES }, breakpoints: [] });
    await Promise.all([client.continueRequest({ threadId: 1 }), client.waitForEvent("stopped")]);
    const [exited] = await Promise.all([
      client.waitForEvent("exited"),
      client.waitForEvent("terminated"),
      client.continueRequest({ threadId: 1 }),
    ]);
    expect(exited.body).toEqual({ exitCode: 0 });
  });

  test("every capability that is announced is there", async () => {
    await launched();
    const [frame] = (await client.stackTraceRequest({ threadId: 1 })).body.stackFrames;
    const here = frame.instructionPointerReference ?? "";
    const ask = async (command: string, args: unknown) => (await client.customRequest(command, args)).body;
    expect(
      (await ask("breakpointLocations", { source: { path: TABLES }, line: 60, endLine: 110 })).breakpoints,
    ).toContainEqual({ line: 92 });
    expect(
      (
        await ask("disassemble", {
          memoryReference: here,
          instructionOffset: -2,
          instructionCount: 8,
          resolveSymbols: true,
        })
      ).instructions,
    ).toHaveLength(8);
    const { data } = await ask("readMemory", { memoryReference: "physical:0x1000000", count: 16 });
    expect(Buffer.from(data, "base64")).toHaveLength(16);
    expect(await ask("writeMemory", { memoryReference: "physical:0x3000", data: "AQID" })).toEqual({
      bytesWritten: 3,
    });
    expect((await ask("readMemory", { memoryReference: "physical:0x3000", count: 3 })).data).toBe("AQID");
    expect((await ask("completions", { text: "early_l", column: 8, frameId: 1 })).targets[0].label).toBe(
      "early_level4_pgt",
    );
    expect((await ask("loadedSources", {})).sources.map(({ name }: { name: string }) => name)).toContain(
      "tables.c",
    );
    expect((await ask("source", { source: { path: TABLES }, sourceReference: 0 })).content).toContain(
      "early_make_pgtable",
    );
    expect((await ask("modules", {})).modules).toHaveLength(1);
    expect(
      (await ask("evaluate", { expression: "boot_settings.pool", frameId: 1, context: "hover" })).result,
    ).toBe("64");
    expect(
      (await ask("setExpression", { expression: "boot_settings.pool", value: "8", frameId: 1 })).value,
    ).toBe("8");
    expect((await ask("evaluate", { expression: "boot_settings.pool", frameId: 1 })).result).toBe("8");
    const { scopes } = await ask("scopes", { frameId: 1 });
    const general = scopes.find(({ name }: { name: string }) => name === "General registers");
    expect(
      await ask("setVariable", {
        variablesReference: general.variablesReference,
        name: "rax",
        value: "0x1234",
      }),
    ).toEqual({ value: "0x0000000000001234" });
    const { targets } = await ask("gotoTargets", {
      source: { path: `${ROOT}/guests/early-fault/head.S` },
      line: 42,
    });
    expect(targets).toHaveLength(1);
    const gone = client.waitForEvent("stopped");
    await ask("goto", { threadId: 1, targetId: targets[0].id });
    expect((await gone).body.reason).toBe("goto");
    await expect(ask("exceptionInfo", { threadId: 1 })).rejects.toThrow("did not stop on an event");
    await Promise.all([ask("terminate", {}), client.waitForEvent("terminated")]);
  });
});

async function launchedAfterInitialize(): Promise<void> {
  const initialized = client.waitForEvent("initialized");
  await client.launchRequest({ program: "early-fault" } as DebugProtocol.LaunchRequestArguments);
  await initialized;
  const stopped = client.waitForEvent("stopped");
  await client.configurationDoneRequest();
  await stopped;
}
