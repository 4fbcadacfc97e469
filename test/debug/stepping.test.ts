import { afterEach, describe, expect, test } from "vitest";
import { type StepContext, stepOver } from "../../src/debug/run/stepping";
import { DapClient, ROOT } from "../support/dapClient";

let client: DapClient;
afterEach(() => client.end());

const TABLES = { path: `${ROOT}/guests/early-fault/tables.c` };

describe("a boot under the debugger", () => {
  test("stops at its first instruction, with its source line", async () => {
    client = new DapClient();
    expect((await client.start()).reason).toBe("entry");
    const [frame] = await client.frames();
    expect(frame).toMatchObject({ name: "startup_64", line: 33, instructionPointerReference: "0x1000000" });
    expect(frame.source?.path).toBe(`${ROOT}/guests/early-fault/head.S`);
  });

  test("stops on a page fault before its delivery, and says why with the walk", async () => {
    client = new DapClient();
    await client.start({}, ["page-fault"]);
    const stopped = await client.go("continue");
    expect(stopped).toMatchObject({ reason: "exception", description: "Page fault" });
    expect(await client.here()).toBe("memcpy:16");
    const info = await client.ask("exceptionInfo", { threadId: 1 });
    expect(info).toMatchObject({
      exceptionId: "#PF read 0xffff880000010000",
      details: { stackTrace: "PML4E 272 of early_level4_pgt (0x1002000): 0x0000000000000000" },
    });
  });

  test("step into a fault enters its handler, through the exception the stack shows what faulted", async () => {
    client = new DapClient();
    await client.start({}, ["page-fault"]);
    await client.go("continue");
    await client.go("stepIn");
    const frames = await client.frames();
    expect(frames.map(({ name, line }) => [name, line])).toEqual([
      ["early_idt_handlers+0xe0", 44],
      ["#PF read 0xffff880000010000", 0],
      ["memcpy", 16],
      ["copy_bootdata", 42],
      ["x86_64_start_kernel", 107],
    ]);
    expect(frames[1].presentationHint).toBe("label");
  });

  test("step out of the handler comes back to the access, which is tried again", async () => {
    client = new DapClient();
    await client.start({}, ["page-fault"]);
    await client.go("continue");
    const at = await client.evaluate("$rip");
    await client.go("stepIn");
    await client.go("stepOut");
    expect(await client.here()).toBe("memcpy:16");
    expect(await client.evaluate("$rip")).toBe(at);
    expect(await client.evaluate("early_pgt_faults")).toBe("1");
  });

  test("step over a faulting line runs the handler to its end and completes the line", async () => {
    client = new DapClient();
    await client.start({}, ["page-fault"]);
    await client.go("continue");
    await client.go("next");
    expect(await client.here()).toBe("memcpy:17");
    expect(await client.evaluate("early_pgt_faults")).toBe("1");
  });

  test("steps by instruction deliver a fault in a step of its own", async () => {
    client = new DapClient();
    await client.start({}, ["page-fault"]);
    await client.go("continue");
    await client.go("stepIn", { granularity: "instruction" });
    expect(await client.here()).toBe("early_idt_handlers+0xe0:44");
    const before = BigInt(await client.evaluate("$rip,x"));
    await client.go("stepIn", { granularity: "instruction" });
    expect(BigInt(await client.evaluate("$rip,x"))).not.toBe(before);
  });

  test("step over a call stays in the caller; step into it lands behind the prologue", async () => {
    client = new DapClient();
    await client.start();
    await client.ask("setFunctionBreakpoints", { breakpoints: [{ name: "x86_64_start_kernel" }] });
    await client.go("continue");
    const [start] = await client.frames();
    expect(start.name).toBe("x86_64_start_kernel");
    await client.go("next");
    const [after] = await client.frames();
    expect(after.name).toBe("x86_64_start_kernel");
    expect(after.line).toBeGreaterThan(start.line);
    for (let i = 0; i < 20; i++) {
      await client.go("stepIn");
      if ((await client.frames()).length > 1) break;
    }
    const frames = await client.frames();
    expect(frames.at(-1)?.name).toBe("x86_64_start_kernel");
    expect(frames.length).toBeGreaterThan(1);
  });

  test("stops on the reset and on the switchover, whose tables have names", async () => {
    client = new DapClient();
    await client.start({}, ["reset", "switchover"]);
    expect((await client.go("continue")).text).toBe(
      "early_level4_pgt (0x1002000) lost 2 entries and was loaded into CR3 again",
    );
    expect((await client.go("continue")).text).toBe(
      "CR3 goes from early_level4_pgt (0x1002000) to init_level4_pgt (0x1047000)",
    );
    expect((await client.ask("pagewalk/state")).rootName).toBe("init_level4_pgt");
  });

  test("an exception filter's condition is over the event's fields", async () => {
    client = new DapClient();
    await client.start();
    const set = await client.ask<{ breakpoints: { verified: boolean; message?: string }[] }>(
      "setExceptionBreakpoints",
      {
        filters: [],
        filterOptions: [
          { filterId: "page-fault", condition: "address >= 0xffff880080000000 && !write" },
          { filterId: "reset", condition: "hits ==" },
          { filterId: "exit", condition: "pages > 1" },
        ],
      },
    );
    expect(set.breakpoints[0].verified).toBe(true);
    expect(set.breakpoints[1].message).toContain("the expression ends too early");
    expect(set.breakpoints[2].message).toContain('there is no field "pages"');
    expect((await client.go("continue")).text).toMatch(/^#PF read from 0xffff8800bffd0000/);
  });

  test("pauses a run that does not end by itself", async () => {
    client = new DapClient();
    await client.start({ memory: "1T", settings: { ramdisk: "512G", checksum: true } });
    await client.ask("continue", { threadId: 1 });
    await new Promise((done) => setTimeout(done, 150));
    await client.ask("pause", { threadId: 1 });
    expect((await client.event("stopped")).reason).toBe("pause");
    expect((await client.frames()).length).toBeGreaterThan(1);
  });

  test("restart stands at the entry again, with breakpoints kept", async () => {
    client = new DapClient();
    await client.start();
    const { breakpoints } = await client.ask<{ breakpoints: { id: number }[] }>("setBreakpoints", {
      source: TABLES,
      breakpoints: [{ line: 92 }],
    });
    await client.go("continue");
    expect(await client.here()).toBe("early_make_pgtable:92");
    await client.ask("restart", {});
    expect((await client.event("stopped")).reason).toBe("entry");
    const again = await client.go("continue");
    expect(again).toMatchObject({ reason: "breakpoint", hitBreakpointIds: [breakpoints[0].id] });
  });

  test("a failure of the machine ends the session with a message, and nothing else", async () => {
    client = new DapClient();
    await client.start();
    const { machine } = client.connection.session.debuggee.target;
    machine.run = () => {
      throw new Error("a wheel came off");
    };
    await client.ask("continue", { threadId: 1 });
    await client.event("terminated");
    const said = client.messages.flatMap((message) => {
      const { event, body } = message as { event?: string; body?: { category?: string; output?: string } };
      return event === "output" && body?.category === "important" ? [body.output] : [];
    });
    expect(said).toEqual(["Pagewalk failed: a wheel came off. The session ends.\n"]);
  });

  test("the end of the guest stops where asked, and ends the session with its status else", async () => {
    client = new DapClient();
    await client.start({}, ["exit"]);
    expect((await client.go("continue")).text).toBe("The guest exited with status 0");
    await client.ask("continue", { threadId: 1 });
    expect(await client.event("exited")).toEqual({ exitCode: 0 });
    await client.event("terminated");
  });
});

test("a loop within one line goes on at full speed after a while, up to another line or the return of this very frame", () => {
  const row = (line: number, address: bigint) => ({
    address,
    end: address + 16n,
    file: "loop.c",
    line,
    column: 1,
    statement: true,
    prologueEnd: false,
  });
  let frame = 0x8000n;
  const place: StepContext = {
    rip: 0x1004n,
    stackPointer: 0x7ff0n,
    row: () => row(5, 0x1000n),
    function: () => undefined,
    statements: () => [row(5, 0x1000n), row(6, 0x1010n)],
    frameAddress: () => frame,
    caller: () => ({ rip: 0x2000n, stackPointer: 0x8000n, interrupted: false }),
    returnAddress: () => undefined,
    bodyOf: () => undefined,
  };
  const motions = stepOver(place, "line");
  let next = motions.next({});
  let instructions = 0;
  for (; next.value?.move === "instruction"; next = motions.next({})) instructions++;
  expect(instructions).toBe(1000);
  if (next.value?.move !== "to") throw new Error("the step does not go on at full speed");
  expect(next.value.addresses).toEqual([0x1010n, 0x2000n]);
  expect(next.value.accept()).toBe(true);
  // A deeper call of the same code is not the frame that was stepped in.
  frame = 0x7000n;
  expect(next.value.accept()).toBe(false);
});
