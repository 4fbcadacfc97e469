import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DebugProtocol } from "@vscode/debugprotocol";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { KERNEL_MAP, kernel } from "../boot/images";
import { DapClient } from "../support/dapClient";
import type { ElfToWrite } from "../support/elfWriter";

let client: DapClient;
afterEach(() => client.end());

const folder = mkdtempSync(join(tmpdir(), "pagewalk-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a kernel without debugging information that begins with code at 0x1000000. */
function written(code: string, changes: ElfToWrite = {}): string {
  const program = join(folder, "kernel");
  writeFileSync(program, kernel(changes, Buffer.from(code.replaceAll(" ", ""), "hex")));
  return program;
}

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

describe("a frame in code of which nothing is known", () => {
  /** nop; nop; nop; mov byte [rip + 1], clc; nop; nop, which becomes clc; hlt; and back to it */
  const CODE = "90 90 90 c6 05 01 00 00 00 f8 90 90 f4 eb fd";
  const top = async () => (await client.frames())[0];
  const step = () => client.go("next", { granularity: "instruction" });

  test("shows the disassembly around it, in one text as long as the code stays as it is", async () => {
    client = new DapClient();
    await client.start({ program: written(CODE), entry: "linux64" });
    const first = await top();
    expect(first).toMatchObject({
      name: "0x1000000",
      source: { name: "0x1000000.s", origin: "disassembly: no symbol covers this code" },
    });
    const text = await textOf(first);
    expect(text[0]).toBe("# No symbol covers this code; this is the disassembly around the place.");
    expect(text[first.line - 1]).toBe("0x1000000  nop");
    // Behind it are zeros only.
    expect(text.filter((line) => line.startsWith("0x"))).toHaveLength(8);
    for (let i = 1; i <= 3; i++) {
      await step();
      expect(await top()).toMatchObject({ line: first.line + i, source: first.source });
    }
    // The code is changed here.
    await step();
    const changed = await top();
    expect(changed.source?.sourceReference).not.toBe(first.source?.sourceReference);
    const after = await textOf(changed);
    expect(after.slice(changed.line - 1, changed.line + 1)).toEqual(["0x100000a  nop", "0x100000b  clc"]);
  });

  test("goes up to where memory is not mapped", async () => {
    client = new DapClient();
    // The last five bytes that the start tables map: nop, nop, nop, jmp to itself
    await client.start({ program: written(CODE), entry: "linux64" });
    await client.ask("writeMemory", {
      memoryReference: "0x11ffffb",
      data: Buffer.from("909090ebfe", "hex").toString("base64"),
    });
    await client.ask("evaluate", { expression: "$rip = 0x11ffffb", context: "repl" });
    const text = await textOf(await top());
    expect(text.filter((line) => line.startsWith("0x")).slice(-4)).toEqual([
      "0x11ffffb  nop",
      "0x11ffffc  nop",
      "0x11ffffd  nop",
      "0x11ffffe  jmp short 0x00000000011ffffe",
    ]);
  });

  test("takes breakpoints in it", async () => {
    client = new DapClient();
    await client.start({ program: written(CODE), entry: "linux64" });
    const { source, line } = await top();
    await client.ask("setBreakpoints", { source, breakpoints: [{ line: line + 3 }] });
    expect(await client.go("continue")).toMatchObject({ reason: "breakpoint" });
    expect((await top()).instructionPointerReference).toBe("0x1000003");
  });

  test("with a symbol shows what the symbol covers, and how lines can be had", async () => {
    client = new DapClient();
    const symbols = [
      { name: "first", value: KERNEL_MAP + 0x1000000n },
      { name: "second", value: KERNEL_MAP + 0x100000an },
    ];
    await client.start({ program: written(CODE, { symbols }), entry: "linux64" });
    const frame = await top();
    expect(frame).toMatchObject({ name: "first", source: { name: "first.s" } });
    const text = await textOf(frame);
    expect(text.slice(0, 2)).toEqual([
      "# There is no line information for first; this is its disassembly.",
      expect.stringMatching(/^# Debugging information is read from an ELF file .*"symbols"/),
    ]);
    expect(text.filter((line) => line.startsWith("0x"))).toEqual([
      "0x1000000  nop",
      "0x1000001  nop",
      "0x1000002  nop",
      expect.stringMatching(/^0x1000003 {2}mov byte ptr \[.*\], 0xf8/),
    ]);
    expect(text[frame.line - 1]).toBe("0x1000000  nop");
  });
});
