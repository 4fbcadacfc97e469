import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FrameContext } from "../../src/symbols/debugInfo";
import { DwarfDebugInfo } from "../../src/symbols/dwarf/debugInfo";
import { evaluate, locate } from "../../src/symbols/dwarf/expression";
import { DwarfError } from "../../src/symbols/dwarf/reader";
import { type DwarfSections, dwarfSections } from "../../src/symbols/dwarf/sections";
import { Units } from "../../src/symbols/dwarf/units";
import { parseElf } from "../../src/symbols/elf";
import { Symbols } from "../../src/symbols/symbols";
import { bareType, declaration, typeName } from "../../src/symbols/types";
import { EarlyFault } from "../support/earlyFault";

const ENCODING = [0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];

describe("the boot program's debugging information", () => {
  test("unwinds from the handler through the exception to the code that faulted", () => {
    const guest = new EarlyFault();
    guest.runUntil(({ event }) => event === "page-fault");
    guest.runTo("early_make_pgtable");
    const { cpu, memory } = guest.machine;
    let registers: ReadonlyMap<number, bigint> = new Map<number, bigint>([
      ...ENCODING.map((index, number): [number, bigint] => [number, cpu.getRegister(index)]),
      [16, cpu.rip],
    ]);
    const chain: [string | undefined, boolean][] = [];
    for (;;) {
      const frame = guest.symbols.debug?.unwind(registers, (at, length) =>
        memory.readBytes(guest.physicalOf(at), length),
      );
      const rip = frame?.registers.get(16);
      if (frame === undefined || rip === undefined || rip === 0n) break;
      chain.push([guest.symbols.nameOf(rip)?.name, frame.signalFrame]);
      registers = frame.registers;
    }
    expect(chain).toEqual([
      ["early_exception", false],
      ["memcpy", true],
      ["copy_bootdata", false],
      ["x86_64_start_kernel", false],
    ]);
  });

  test("knows functions, what is inlined into them, and their variables", () => {
    const { symbols } = new EarlyFault();
    const { debug, lines } = symbols;
    const start = symbols.addressOf("x86_64_start_kernel") ?? 0n;
    const inlined = new Set<string>();
    for (let at = start; at < start + (symbols.sizeOf("x86_64_start_kernel") ?? 0n); at++) {
      for (const scope of debug?.functionsAt(at) ?? []) if (scope.inlined) inlined.add(scope.name);
    }
    expect([...inlined].length).toBeGreaterThan(0);
    const make = symbols.addressOf("early_make_pgtable") ?? 0n;
    const [scope] = debug?.functionsAt(make) ?? [];
    expect(scope).toMatchObject({ name: "early_make_pgtable", inlined: false, low: make });
    expect(scope.declared?.file).toBe("/pagewalk/guests/early-fault/tables.c");
    const names = debug?.variablesAt(make, scope).map(({ name, kind, type }) => [name, kind, typeName(type)]);
    expect(names).toContainEqual(["address", "parameter", "u64"]);
    expect(names).toContainEqual(["pgd", "local", "u64 *"]);
    expect(lines?.files()).toContain("/pagewalk/guests/common/paging.h");
    const line = lines?.rowOf(make)?.line ?? 0;
    expect(
      lines?.rowsOf("/pagewalk/guests/early-fault/tables.c", line).map(({ address }) => address),
    ).toContain(make);
    expect(lines?.rowsOf("tables.c", line).length).toBeGreaterThan(0);
  });

  test("sections that are loaded are known with their rights", () => {
    const { symbols } = new EarlyFault();
    expect(symbols.sections.find(({ name }) => name === ".text")).toMatchObject({
      executable: true,
      writable: false,
    });
    expect(symbols.names("early_level", 5)).toEqual(["early_level4_pgt"]);
  });
});

const SOURCE = `
typedef unsigned long u64;
enum color { RED, GREEN = 5, BLUE = -1 };
struct inner { char letter; u64 value; };
struct outer {
  int number;
  unsigned low : 3, high : 5;
  union { struct inner in; u64 raw[2]; };
  struct outer *next;
  enum color paint;
  int (*function)(struct inner *, char);
  char text[3][4];
};
struct outer thing = { 7, 1, 2 };
static u64 counter = 3;
int sum(int count, const char *text) {
  int total = 0;
  for (int i = 0; i < count; i++) { int step = text[i]; total += step; counter++; }
  return total;
}
int main_entry(void) { return sum(thing.number, "abc"); }
`;

const compilers = (() => {
  try {
    execFileSync("gcc", ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
})();
if (!compilers) console.warn("SKIPPED: debugging information of compiled programs: there is no gcc");

function compile(...flags: string[]): Symbols {
  const folder = mkdtempSync(join(tmpdir(), "pagewalk-dwarf-"));
  try {
    const [source, image] = [join(folder, "program.c"), join(folder, "program.elf")];
    writeFileSync(source, SOURCE);
    const common = [
      "-ffreestanding",
      "-nostdlib",
      "-static",
      "-fno-pic",
      "-no-pie",
      "-Wl,-e,main_entry",
      "-Wl,--build-id=none",
    ];
    execFileSync("gcc", [...common, ...flags, "-o", image, source], { stdio: "pipe" });
    return Symbols.fromElf(parseElf(readFileSync(image)), { loadDelta: 0 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.skipIf(!compilers).each([
  ["-gdwarf-4", "-O0", "-m64"],
  ["-gdwarf-5", "-O0", "-m64"],
  ["-gdwarf-5", "-O2", "-m64"],
  ["-gdwarf-4", "-O2", "-m32"],
  ["-gdwarf-5", "-O0", "-m32"],
])("a program compiled with %s %s %s", (...flags) => {
  const word = flags[2] === "-m32" ? 4 : 8;

  test("has its types, with bit-fields, anonymous members and declarators", () => {
    const { debug } = compile(...flags);
    const outer = bareType(debug?.type("struct outer"));
    if (outer?.kind !== "struct") throw new Error("struct outer is not there");
    const shown = outer.members.map((member) => declaration(member.type, member.name ?? ""));
    expect(shown).toEqual([
      "int number",
      "unsigned int low",
      "unsigned int high",
      "union {...}",
      "struct outer *next",
      "enum color paint",
      "int (*function)(struct inner *, char)",
      "char text[3][4]",
    ]);
    const [, low, high] = outer.members;
    const bit = ({ offset, bitOffset = 0 }: typeof low) => 8 * offset + bitOffset;
    expect([bit(low), low.bitSize, bit(high), high.bitSize]).toEqual([32, 3, 35, 5]);
    const paint = bareType(outer.members[5].type);
    expect(paint?.kind === "enum" && paint.enumerators).toEqual([
      { name: "RED", value: 0n },
      { name: "GREEN", value: 5n },
      { name: "BLUE", value: -1n },
    ]);
    expect(debug?.enumerator("GREEN")).toBe(5n);
    expect(debug?.addressSize).toBe(word);
  });

  test("has its globals where the symbol table has them", () => {
    const symbols = compile(...flags);
    const frame: FrameContext = { pc: 0n, cfa: undefined, register: () => undefined, read: () => undefined };
    const thing = symbols.debug?.global("thing");
    expect(thing?.locate(frame)).toEqual({ kind: "memory", address: symbols.addressOf("thing") });
    expect([thing?.kind, typeName(thing?.type)]).toEqual(["global", "struct outer"]);
    expect(symbols.debug?.global("counter")?.kind).toBe("static");
    expect(symbols.debug?.globalNames("t", 5)).toEqual(["thing"]);
    expect(symbols.problems).toEqual([]);
  });

  test("has variables in scope, inner blocks first", () => {
    const all = compile(...flags);
    const [row] = all.lines?.rowsOf("program.c", 19) ?? [];
    const scopes = all.debug?.functionsAt(row.address) ?? [];
    expect(scopes.map(({ name }) => name)).toContain("sum");
    const names = all.debug?.variablesAt(row.address, scopes[0]).map(({ name }) => name) ?? [];
    expect(names).toEqual(expect.arrayContaining(["count", "text", "total"]));
  });
});

describe("location expressions", () => {
  const context = (bytes: Record<number, bigint> = {}) => ({
    sections: dwarfSections(() => undefined),
    encoding: { version: 5, offsetSize: 4 as const, addressSize: 8 },
    addrBase: 0,
    frame: {
      pc: 0n,
      cfa: 0x1000n,
      register: (number: number) => bytes[number],
      read: (address: bigint, length: number) =>
        address === 0x2000n ? new Uint8Array(length).fill(1) : undefined,
    },
    frameBase: () => ({ kind: "memory" as const, address: 0x800n }),
  });

  test.each([
    ["a register", [0x53], { kind: "register", register: 3 }],
    ["a place in the frame", [0x91, 0x70], { kind: "memory", address: 0x7f0n }],
    ["the frame's own address", [0x9c], { kind: "memory", address: 0x1000n }],
    [
      "a computed value",
      [0x35, 0x33, 0x22, 0x9f],
      { kind: "value", bytes: Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0) },
    ],
    ["nothing", [], { kind: "unavailable", reason: "it was optimized away" }],
    [
      "pieces",
      [0x50, 0x93, 4, 0x93, 4],
      {
        kind: "pieces",
        pieces: [
          { location: { kind: "register", register: 0 }, size: 4 },
          { location: { kind: "unavailable", reason: "this part of it was optimized away" }, size: 4 },
        ],
      },
    ],
  ])("%s", (_, bytes, expected) => {
    expect(locate(Uint8Array.from(bytes), context())).toEqual(expected);
  });

  test.each([
    ["an unknown register", [0x73, 0], /register 3 of this frame is not known/],
    ["memory that is not mapped", [0x35, 0x06], /0x5 is not mapped/],
    ["a stack that is empty", [0x22], /stack is empty/],
    ["a loop without end", [0x2f, 0xfd, 0xff], /does not end/],
    ["an operation that there is none of", [0xe9], /not supported/],
    ["a value from the function's entry", [0xa3, 1, 0x55, 0x9f], /at the function's entry/],
  ])("%s is unavailable, with the reason", (_, bytes, reason) => {
    const location = locate(Uint8Array.from(bytes), context());
    expect(location.kind === "unavailable" && location.reason).toMatch(reason);
  });

  test("any bytes have a location, at once", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        locate(bytes, context({ 0: 5n, 7: 0x2000n }));
        evaluate(bytes, context());
      }),
      { seed: 20130124, numRuns: 5000 },
    );
  });
});

test("mutated debugging information never throws and always ends", () => {
  const image = parseElf(
    readFileSync(new URL("../../guests/early-fault/early-fault-merged.elf", import.meta.url)),
  );
  const sections = dwarfSections((name) => image.sectionData(name));
  const symbols = Symbols.fromElf(image, { loadDelta: 0 });
  const places = ["early_make_pgtable", "x86_64_start_kernel", "early_idt_handlers", "memcmp"].map(
    (name) => symbols.addressOf(name) ?? 0n,
  );
  const keys = ["info", "abbrev", "str", "loclists", "rnglists", "frame", "line"] as const;
  const mutation = fc.record({
    key: fc.constantFrom(...keys),
    place: fc.nat(),
    value: fc.integer({ min: 0, max: 255 }),
  });
  const frame: FrameContext = {
    pc: places[0] + 8n,
    cfa: 0x1000n,
    register: () => 1n,
    read: (_, length) => new Uint8Array(length),
  };
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 8 }), (mutations) => {
      const copy: DwarfSections = { ...sections };
      for (const { key, place, value } of mutations) {
        const bytes = copy[key].bytes.slice();
        bytes[place % bytes.length] = value;
        (copy as unknown as Record<string, unknown>)[key] = { name: copy[key].name, bytes };
      }
      const units = new Units(copy);
      const info = new DwarfDebugInfo(units, 8, 0n);
      for (const place of places) {
        for (const scope of info.functionsAt(place + 8n)) {
          for (const variable of info.variablesAt(place + 8n, scope)) {
            variable.locate(frame);
            typeName(variable.type);
          }
        }
        info.unwind(
          new Map([
            [16, place + 8n],
            [7, 0x1000n],
            [6, 0x1000n],
          ]),
          (_, length) => new Uint8Array(length),
        );
      }
      info.globalNames("", 100);
      const type = bareType(info.type("struct boot_settings"));
      if (type?.kind === "struct") for (const member of type.members) typeName(member.type);
      info.enumerator("none");
      expect(units.problems.every((problem) => problem instanceof DwarfError)).toBe(true);
    }),
    { seed: 20130124, numRuns: 300 },
  );
}, 60_000);
