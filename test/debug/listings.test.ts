import type { DebugProtocol } from "@vscode/debugprotocol";
import { afterEach, describe, expect, test } from "vitest";
import { DapClient } from "../support/dapClient";

let client: DapClient;
afterEach(() => client.end());

const ELSEWHERE = { sourceFileMap: { "/pagewalk/guests": "/nowhere/to be found" } };

async function textOf(frame: DebugProtocol.StackFrame): Promise<string[]> {
  const { sourceReference } = frame.source ?? {};
  const { content } = await client.ask<{ content: string }>("source", {
    source: frame.source,
    sourceReference,
  });
  return content.split("\n");
}

describe("a frame whose source file is not on this machine", () => {
  test("shows the disassembly of its function, says why, and how to find the source", async () => {
    client = new DapClient();
    await client.start(ELSEWHERE, ["page-fault"]);
    await client.go("continue");
    for (const frame of await client.frames()) {
      expect(frame.source?.name).toBe(`${frame.name}.s`);
      expect(frame.source?.path).toBeUndefined();
      const text = await textOf(frame);
      expect(text[0]).toMatch(
        new RegExp(
          `^# /nowhere/to be found/.*\\.[cS] is not on this machine; this is the disassembly of ${frame.name}.$`,
        ),
      );
      expect(text.slice(0, 4).join("\n")).toMatch(
        /"sourceFileMap": \{ "\/pagewalk\/guests.*": "\/path\/to\/the\/sources" \}/,
      );
      const shown = BigInt(/^0x[0-9a-f]+/.exec(text[frame.line - 1])?.[0] ?? "0");
      const rip = BigInt(frame.instructionPointerReference ?? "0");
      // A caller's line is that of its call.
      if (frame.id === 1) expect(shown).toBe(rip);
      else expect(rip - shown).toBeGreaterThan(0n);
      expect(rip - shown).toBeLessThanOrEqual(15n);
      const before = text.slice(0, frame.line).findLast((line) => line.startsWith("# /"));
      expect(before).toMatch(/^# \/pagewalk\/guests\/.*:\d+$/);
    }
  });

  test("steps by the lines that it does not have", async () => {
    client = new DapClient();
    await client.start();
    const there: string[] = [];
    for (let i = 0; i < 4; i++) {
      await client.go("next");
      there.push((await client.frames())[0].instructionPointerReference ?? "");
    }
    client.end();
    client = new DapClient();
    await client.start(ELSEWHERE);
    const here: string[] = [];
    for (let i = 0; i < 4; i++) {
      await client.go("next");
      const [frame] = await client.frames();
      here.push(frame.instructionPointerReference ?? "");
      expect((await textOf(frame))[frame.line - 1].startsWith(`${frame.instructionPointerReference} `)).toBe(
        true,
      );
    }
    expect(here).toEqual(there);
  });

  test("takes breakpoints on the instructions that are shown", async () => {
    client = new DapClient();
    await client.start(ELSEWHERE, ["page-fault"]);
    await client.go("continue");
    const [, caller] = await client.frames();
    const text = await textOf(caller);
    const next = text.findIndex((line, index) => index >= caller.line && line.startsWith("0x"));
    const { breakpoints } = await client.ask<{ breakpoints: DebugProtocol.Breakpoint[] }>("setBreakpoints", {
      source: caller.source,
      breakpoints: [{ line: next + 1 }, { line: 100_000 }],
    });
    expect(breakpoints[0]).toMatchObject({ verified: true, line: next + 1 });
    expect(breakpoints[1]).toMatchObject({
      verified: false,
      message: "there is no instruction at or behind this line",
    });
    await client.ask("setExceptionBreakpoints", { filters: [] });
    expect(await client.go("continue")).toMatchObject({ reason: "breakpoint" });
    const [frame] = await client.frames();
    expect(text[next].startsWith(`${frame.instructionPointerReference} `)).toBe(true);
  });

  test("has no text under a number that was never given", async () => {
    client = new DapClient();
    await client.start(ELSEWHERE);
    expect(await client.raw("source", { sourceReference: 99 })).toMatchObject({
      success: false,
      message: "there is no text 99 any more",
    });
  });
});
