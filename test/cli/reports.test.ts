import { describe, expect, test } from "vitest";
import { JsonReport } from "../../src/cli/jsonReport";
import type { Report, Stop } from "../../src/cli/report";
import { TextReport } from "../../src/cli/textReport";
import { EVENT_KINDS, type MachineEvent } from "../../src/machine/events";
import { parseElf } from "../../src/symbols/elf";
import { Symbols } from "../../src/symbols/symbols";
import { Places } from "../../src/target/places";
import { readImage } from "../symbols/fixtures";
import { expectGolden } from "./golden";

const symbols = Symbols.fromElf(parseElf(readImage("dwarf5")), { loadDelta: 0 });
const places = new Places(symbols);
const rip = symbols.addressOf("_start")! + 4n;
const root = Number(symbols.addressOf("table")!);
const here = (instruction: number) => ({ instruction, rip });

/** One event of each kind, as a boot might bring them. */
const EVENTS: readonly MachineEvent[] = [
  { event: "paging-mode", ...here(10), set: ["PG", "PAE"], cleared: [], mode: "4-level" },
  { event: "cr3-load", ...here(12), value: BigInt(root), from: 0x1000, to: root },
  { event: "reset", ...here(12), root, cleared: 3 },
  {
    event: "page-fault",
    ...here(1234),
    address: 0xffff880000090000n,
    error: 2,
    reason: "write to 0xffff880000090000: PML4E 272 of table is not present",
    repeats: 0,
  },
  {
    event: "table-write",
    ...here(1300),
    entry: root + 8,
    level: 4,
    address: 0xffff880000000000n,
    old: 0n,
    new: 0x63n,
  },
  { event: "tlb-flush", ...here(1301), cause: "invlpg", address: 0xffff880000090000n, global: true },
  { event: "tlb-flush", ...here(1302), cause: "mov-cr3", global: false },
  {
    event: "stale-tlb",
    ...here(1400),
    address: 0x5000n,
    cached: 0x1000,
    tables: 0x2000,
    reason: "the TLB says otherwise",
  },
  {
    event: "stale-tlb",
    ...here(1401),
    address: 0x5000n,
    cached: 0x1000,
    reason: "not present in the tables",
  },
  {
    event: "exception",
    ...here(1500),
    vector: 13,
    name: "#GP",
    error: 0,
    reason: "the address is not canonical",
  },
  { event: "exception", ...here(1501), vector: 0x80, name: "INT 0x80", reason: "software interrupt" },
  { event: "switchover", ...here(2000), from: root, to: 0x3000 },
  { event: "cr3-load", ...here(2000), value: 0x3000n, from: root, to: 0x3000 },
  { event: "cr3-load", ...here(2100), value: 0x3000n, from: 0x3000, to: 0x3000 },
  { event: "milestone", ...here(2110), text: "The direct map is built" },
  { event: "hypercall", ...here(2120), number: 26, name: "mmuext_op", what: "1 operation", result: -22 },
  {
    event: "hypercall-rejected",
    ...here(2120),
    name: "mmuext_op",
    errno: "-EINVAL (22)",
    reason: "mfn 0x10003 is not pinned",
  },
  { event: "pin", ...here(2130), pinned: true, table: root, level: 4 },
  { event: "base-pointer", ...here(2140), from: 0x3000, to: root, user: false },
  { event: "p2m-free", ...here(2150), address: 0x8000000000n, frames: 32 },
  { event: "serial", ...here(2200), text: "ok\x1b[31m" },
  { event: "triple-fault", instruction: 2300, rip: 0x10n, reasons: ["first", "second", "third"] },
  { event: "unimplemented", ...here(2301), bytes: "0f 0b", text: "ud2", reason: "why not" },
  { event: "halt", ...here(2302), reason: "HLT with interrupts disabled" },
  { event: "exit", ...here(1234567), status: 0 },
];
const STOP: Stop = { stopped: "exit", instructions: 1234568, seconds: 0.125, rip, status: 0 };
const COUNTS = new Map([
  ["page-fault", 1],
  ["reset", 1],
] as const);

function textOf(tell: (report: Report) => void): string {
  let text = "";
  tell(new TextReport((more) => (text += more), places));
  return text;
}

function jsonOf(tell: (report: Report) => void): Record<string, unknown>[] {
  let text = "";
  tell(new JsonReport((more) => (text += more), places));
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function tellAll(report: Report): void {
  report.begin({ program: "fixture", details: "4 GiB of RAM", rip: symbols.addressOf("_start")! });
  for (const event of EVENTS) report.event(event);
  report.end(STOP, COUNTS);
}

test("the fixture has every kind of event", () => {
  expect(new Set(EVENTS.map(({ event }) => event)).size).toBe(EVENT_KINDS.length);
});

test("text tells every event in aligned columns", () => {
  expectGolden(__dirname, "reports-every-event", textOf(tellAll));
});

test("JSON tells every event with its own data", () => {
  const lines = jsonOf(tellAll);
  expectGolden(
    __dirname,
    "reports-every-event-json",
    lines.map((line) => `${JSON.stringify(line)}\n`).join(""),
  );
});

describe("the stable form of JSON", () => {
  const ofKind = (kind: string) => jsonOf(tellAll).find((line) => line.event === kind);

  test("a page fault", () => {
    expect(ofKind("page-fault")).toEqual({
      event: "page-fault",
      instruction: 1234,
      rip: "0x401024",
      symbol: "_start+0x4",
      source: "src/start.c:8",
      address: "0xffff880000090000",
      error: "0x2",
      reason: "write to 0xffff880000090000: PML4E 272 of table is not present",
    });
  });

  test("a reset, a switchover and an exit", () => {
    const common = { rip: "0x401024", symbol: "_start+0x4", source: "src/start.c:8" };
    const table = `0x${root.toString(16)}`;
    expect(ofKind("reset")).toEqual({
      event: "reset",
      instruction: 12,
      ...common,
      root: table,
      rootSymbol: "table",
      cleared: 3,
    });
    expect(ofKind("switchover")).toEqual({
      event: "switchover",
      instruction: 2000,
      ...common,
      from: table,
      to: "0x3000",
      fromSymbol: "table",
    });
    expect(ofKind("exit")).toEqual({ event: "exit", instruction: 1234567, ...common, status: 0 });
  });

  test("the last line is the stop", () => {
    expect(jsonOf(tellAll).at(-1)).toEqual({ stopped: "exit", instructions: 1234568, seconds: 0.125 });
  });
});

describe("text", () => {
  const fault = (instruction: number, address = 0x1000n): MachineEvent => ({
    event: "page-fault",
    ...here(instruction),
    address,
    error: 0,
    reason: "not present",
    repeats: 0,
  });

  const told = (tell: (report: Report) => void) =>
    textOf((report) => {
      tell(report);
      report.end(STOP, new Map());
    }).split("\nStopped")[0];
  const nothing = { address: 0x1000n, run: undefined };
  const reset = (instruction: number): MachineEvent => ({
    event: "reset",
    ...here(instruction),
    root,
    cleared: 1,
  });

  test("tells a fault that repeats for ever once, and how often", () => {
    const text = told((report) => {
      for (let i = 0; i < 1235; i++) {
        report.event(fault(100 + i));
        report.mapped(nothing);
      }
      report.event(fault(5000, 0x2000n));
    });
    expect(text.match(/page fault/g)).toHaveLength(2);
    expect(text).toContain("page fault 1236");
    expect(text.match(/nothing is mapped there/g)).toHaveLength(1);
    expect(text).toContain("repeated 1,234 times\n");
  });

  test("counts resets between repetitions, and tells one that comes after them", () => {
    const text = told((report) => {
      for (let i = 0; i < 10; i++) {
        report.event(fault(100 + 10 * i));
        report.mapped(nothing);
        if (i % 2 === 0) continue;
        report.event({ event: "cr3-load", ...here(101 + 10 * i), value: BigInt(root), from: root, to: root });
        report.event(reset(101 + 10 * i));
      }
    });
    expect(text).toContain("repeated 9 times, with 4 resets in between\n");
    expect(text.match(/ reset {12}/g)).toHaveLength(1);
    expect(text).not.toContain("cr3 load");
    expect(text).toContain("          191  reset");
  });

  test("tells a fault again that had been resolved in between", () => {
    const run = { start: 0x1000n, end: 0x2000n, physical: 0, pageSize: "4K", flags: ["RW"], pages: 1 };
    const text = told((report) => {
      for (const instruction of [100, 200]) {
        report.event(fault(instruction));
        report.mapped({ address: 0x1000n, run });
      }
    });
    expect(text.match(/page fault/g)).toHaveLength(2);
    expect(text.match(/-> 4 KiB mapped at 0x0000000000001000, 1 x 4K, phys 0x0-0x1000 RW\n/g)).toHaveLength(
      2,
    );
  });

  test("does not tell a CR3 load beside the reset or switchover that it is, whichever comes first", () => {
    const load: MachineEvent = { event: "cr3-load", ...here(7), value: 0x3000n, from: root, to: 0x3000 };
    const switchover: MachineEvent = { event: "switchover", ...here(7), from: root, to: 0x3000 };
    for (const order of [
      [load, switchover],
      [switchover, load],
    ]) {
      const text = textOf((report) => {
        for (const event of order) report.event(event);
        report.end(STOP, COUNTS);
      });
      expect(text).toContain("switchover");
      expect(text).not.toContain("cr3 load");
    }
  });

  test("tells a CR3 load on its own, also as the last event", () => {
    const load: MachineEvent = { event: "cr3-load", ...here(7), value: 0x3000n, from: 0x3000, to: 0x3000 };
    expect(
      textOf((report) => {
        report.event(load);
        report.end(STOP, COUNTS);
      }),
    ).toMatch(/^ {12}7 {2}cr3 load {9}0x3000 again/);
  });
});
