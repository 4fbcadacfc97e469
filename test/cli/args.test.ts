import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/boot/boot";
import { parseCommandLine, type RunRequest } from "../../src/cli/args";
import { helpText } from "../../src/cli/help";
import { RUN_OPTIONS } from "../../src/cli/options";
import { EVENT_KINDS } from "../../src/machine/events";
import { grouped, parseCount, tryParseAddress } from "../../src/target/values";

const run = (...args: string[]) => parseCommandLine(["run", "early-fault", ...args]) as RunRequest;
const message = (...argv: string[]) => {
  try {
    parseCommandLine(argv);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  return "no error";
};

describe("run", () => {
  test("without options leaves everything to the program", () => {
    expect(run()).toEqual({
      command: "run",
      program: "early-fault",
      settings: new Map(),
      entry: "auto",
      maxInstructions: Number.POSITIVE_INFINITY,
      events: new Set(EVENT_KINDS.filter((kind) => kind.byDefault).map((kind) => kind.kind)),
      print: [],
      tlb: "max",
      json: false,
    });
  });

  test("takes every option", () => {
    const request = run(
      ...["--memory", "8G", "--cpu", "max,-nx", "--set", "pool=4", "--set", "revision=prototype"],
      ...[
        "--cmdline=-x y=z",
        "--initrd",
        "rd.img",
        "--symbols",
        "vmlinux",
        "--entry",
        "pvh",
        "--until",
        "page-fault:3",
      ],
      ...["--max-instructions", "40M", "--events", "serial, reset", "--print", "tables"],
      ...["--print", "walk:0xffff888000000000", "--print", "walk:init_task", "--json", "--tlb", "64"],
    );
    expect(request).toEqual({
      command: "run",
      program: "early-fault",
      memory: 8 * 2 ** 30,
      cpu: "max,-nx",
      settings: new Map([
        ["pool", "4"],
        ["revision", "prototype"],
      ]),
      cmdline: "-x y=z",
      initrd: "rd.img",
      symbols: "vmlinux",
      entry: "pvh",
      until: { kind: "event", event: "page-fault", count: 3 },
      maxInstructions: 40_000_000,
      events: new Set(["exit", "serial", "reset"]),
      print: [
        { what: "tables" },
        { what: "walk", place: "0xffff888000000000" },
        { what: "walk", place: "init_task" },
      ],
      json: true,
      tlb: 64,
    });
  });

  test("--events all takes them all, and --events with nothing only exit", () => {
    expect(run("--events", "all").events.size).toBe(EVENT_KINDS.length);
    expect([...run("--events", "").events]).toEqual(["exit"]);
  });

  test.each([
    ["switchover", { kind: "event", event: "switchover", count: 1 }],
    ["symbol:startup_64", { kind: "symbol", place: "startup_64" }],
    ["return:init_mem_mapping", { kind: "return", place: "init_mem_mapping" }],
  ])("--until %s", (text, until) => {
    expect(run("--until", text).until).toEqual(until);
  });
});

describe("what is asked wrongly gets one sentence", () => {
  test.each([
    [["walk"], 'there is no command "walk"; use: pagewalk run PROGRAM [options], or pagewalk --help'],
    [
      ["run"],
      "run wants the name of a bundled program or an image file (pagewalk list shows the bundled ones)",
    ],
    [["run", "a", "b"], "run wants one program, but was given 2: a, b"],
    [["run", "a", "--nope"], "there is no option --nope; pagewalk --help lists them"],
    [["run", "a", "--memory"], "--memory wants a value"],
    [
      ["run", "a", "--cmdline", "-x"],
      '--cmdline wants a value; write --cmdline=VALUE where it starts with "-"',
    ],
    [["run", "a", "--memory", "lots"], '--memory wants a size such as 512M or 8G, not "lots"'],
    [["run", "a", "--set", "pool"], '--set wants NAME=VALUE, not "pool"'],
    [
      ["run", "a", "--max-instructions", "0"],
      '--max-instructions wants a count such as 1000 or 40M, not "0"',
    ],
    [["run", "a", "--until", "symbol:"], "--until symbol: wants a name behind the colon"],
    [["run", "a", "--until", "reset:x"], '--until reset: wants a count such as 1000 or 40M, not "x"'],
    [["run", "a", "--print", "memory"], '--print takes tables, registers or walk:ADDRESS, not "memory"'],
    [
      ["run", "a", "--print", "walk:0x10000000000000000"],
      '--print walk: wants an address of at most 64 bits or a symbol, not "0x10000000000000000"',
    ],
    [["run", "a", "--tlb", "0"], '--tlb takes max, off or a number of entries from 1 on, not "0"'],
  ])("%j", (argv, expected) => {
    expect(message(...argv)).toBe(expected);
  });

  test("unknown entry methods and events name the known ones", () => {
    expect(message("run", "a", "--entry", "bios")).toMatch(
      /^--entry takes auto, pvh, linux64,.* not "bios"$/,
    );
    for (const option of ["--events", "--until"]) {
      const text = message("run", "a", option, "fault");
      expect(text).toMatch(
        new RegExp(`^${option} does not know the event "fault"; it takes page-fault, reset, `),
      );
      for (const { kind } of EVENT_KINDS) expect(text).toContain(kind);
    }
  });
});

test("help names every option and every event, in lines that fit a terminal", () => {
  const help = helpText();
  for (const option of RUN_OPTIONS) expect(help).toContain(`--${option.name}`);
  for (const { kind } of EVENT_KINDS) expect(help).toContain(kind);
  expect(Math.max(...help.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(parseCommandLine(["--help"])).toEqual({ command: "help" });
  expect(parseCommandLine(["run", "-h"])).toEqual({ command: "help" });
  expect(parseCommandLine([])).toEqual({ command: "help" });
});

test("counts are read exactly", () => {
  expect(["1", "1000", "1_000", "2k", "1.5M", "3G", "1e9"].map((text) => parseCount(text, "N"))).toEqual([
    1, 1000, 1000, 2000, 1_500_000, 3_000_000_000, 1e9,
  ]);
  for (const text of ["", "-1", "1.5", "0.1k1", "1e99", "1e16"])
    expect(() => parseCount(text, "N")).toThrow(UsageError);
});

test("addresses are read exactly in all 64 bits or not at all", () => {
  expect(tryParseAddress("0xffffffff80001234")).toBe(0xffffffff80001234n);
  expect(tryParseAddress("0xffff_8880_0000_0000")).toBe(0xffff888000000000n);
  expect(tryParseAddress("18446744073709551615")).toBe(2n ** 64n - 1n);
  for (const text of ["18446744073709551616", "0x", "ffff", "0x1g", ""])
    expect(tryParseAddress(text)).toBeUndefined();
});

test("long numbers are grouped by thousands", () => {
  expect([0, 999, 1000, 1234567].map(grouped)).toEqual(["0", "999", "1,000", "1,234,567"]);
});
