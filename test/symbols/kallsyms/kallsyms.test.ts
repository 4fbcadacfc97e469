import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseElf, SHT_SYMTAB } from "../../../src/symbols/elf";
import { findKallsyms, kernelSymbols } from "../../../src/symbols/kallsyms/kallsyms";
import { Symbols } from "../../../src/symbols/symbols";
import { writeElf } from "../../support/elfWriter";
import { FLAVOURS, skipReason, systemMapOf, vmlinuxOf } from "../../support/linux/kernels";
import { type KallsymsLayout, type WrittenSymbol, writeKallsyms } from "./writer";

const KERNEL = { 4: 0xc1000000n, 8: 0xffffffff81000000n } as const;
const CODE = 0x20000;

/** Code, then some bytes that mean nothing, then the table. */
function imageOf(symbols: readonly WrittenSymbol[], layout: KallsymsLayout): Uint8Array {
  const base = KERNEL[layout.pointer];
  const table = writeKallsyms(symbols, layout, base + BigInt(CODE));
  const bytes = new Uint8Array(CODE + table.length + 64);
  for (let i = 0; i < CODE; i++) bytes[i] = (i * 7919) >> 5;
  bytes.set(table, CODE);
  return writeElf({
    class: layout.pointer === 8 ? 64 : 32,
    machine: layout.pointer === 8 ? 62 : 3,
    entry: 0x1000000n,
    segments: [{ virtualAddress: base, physicalAddress: 0x1000000n, bytes }],
  });
}

function someSymbols(pointer: 4 | 8, count: number, perCpu: boolean): WrittenSymbol[] {
  const symbols: WrittenSymbol[] = [];
  for (let i = 0; perCpu && i < 10; i++)
    symbols.push({ type: "A", name: `pcpu_${i}`, address: BigInt(i * 64) });
  for (let i = 0; i < count; i++) {
    const type = "TtDdBbRrWV"[i % 10];
    const name = `early_${"page_".repeat(i % 90)}init_table${i}`;
    symbols.push({ type, name, address: KERNEL[pointer] + BigInt(i * 16) });
  }
  return symbols;
}

const LAYOUTS: readonly [string, KallsymsLayout][] = [
  ["Linux 6.1", { pointer: 8, addresses: "per-cpu", behind: false, marker: 4, sequence: true }],
  ["Linux 5.4", { pointer: 8, addresses: "per-cpu", behind: false, marker: 4, sequence: false }],
  ["Linux 4.14", { pointer: 8, addresses: "per-cpu", behind: false, marker: 8, sequence: false }],
  ["Linux 4.4", { pointer: 8, addresses: "absolute", behind: false, marker: 8, sequence: false }],
  ["Linux 6.6", { pointer: 8, addresses: "per-cpu", behind: true, marker: 4, sequence: false }],
  ["Linux 6.15", { pointer: 8, addresses: "unsigned", behind: true, marker: 4, sequence: false }],
  [
    "offsets from where they lie",
    { pointer: 8, addresses: "relative", behind: true, marker: 4, sequence: false },
  ],
  ["32 bits, with a base", { pointer: 4, addresses: "unsigned", behind: false, marker: 4, sequence: true }],
  ["32 bits, absolute", { pointer: 4, addresses: "absolute", behind: false, marker: 4, sequence: false }],
];

describe("the symbol table that a kernel carries", () => {
  test.each(LAYOUTS)("is found and read in the layout of %s", (_, layout) => {
    const symbols = someSymbols(layout.pointer, 1500, layout.addresses === "per-cpu");
    const table = findKallsyms(parseElf(imageOf(symbols, layout)));
    expect(table).toBeDefined();
    expect(table && [...kernelSymbols(table)]).toEqual(symbols);
  });

  test("names addresses of an image without a symbol table", () => {
    const [, layout] = LAYOUTS[0];
    const elf = parseElf(imageOf(someSymbols(8, 1500, true), layout));
    const symbols = Symbols.fromElf(elf, { loadDelta: 0 });
    const address = KERNEL[8] + 7n * 16n;
    const name = `early_${"page_".repeat(7)}init_table7`;
    expect(symbols.addressOf(name)).toBe(address);
    expect(symbols.nameOf(address + 3n)).toEqual({ name, offset: 3 });
    expect(symbols.nameOfPhysical(0x1000000 + 7 * 16)).toEqual({ name, offset: 0 });
    expect(symbols.names("early_init", 3)).toEqual([
      "early_init_table0",
      "early_init_table1080",
      "early_init_table1170",
    ]);
    expect(symbols.addressOf("pcpu_1")).toBe(64n);
    expect(symbols.problems).toEqual([]);
  });

  test("is not looked for where there is a symbol table", () => {
    const [, layout] = LAYOUTS[0];
    const bytes = imageOf(someSymbols(8, 1500, true), layout);
    const elf = parseElf(bytes);
    const named = writeElf({
      segments: [{ virtualAddress: KERNEL[8], bytes: elf.segmentData(elf.segments[0]) }],
      symbols: [{ name: "only", value: KERNEL[8] }],
    });
    expect(parseElf(named).sections.some(({ type }) => type === SHT_SYMTAB)).toBe(true);
    expect(Symbols.fromElf(parseElf(named), { loadDelta: 0 }).addressOf("early_init_table0")).toBeUndefined();
  });

  test("where it is damaged is not found, or read without harm", () => {
    const [, layout] = LAYOUTS[0];
    const sound = imageOf(someSymbols(8, 300, true), layout);
    const [{ offset, fileSize }] = parseElf(sound).segments;
    const damage = fc.array(
      fc.record({
        at: fc.integer({ min: offset + CODE, max: offset + fileSize - 1 }),
        value: fc.integer({ min: 0, max: 255 }),
      }),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = sound.slice();
        for (const { at, value } of changes) bytes[at] = value;
        const symbols = Symbols.fromElf(parseElf(bytes), { loadDelta: 0 });
        symbols.addressOf("early_init_table0");
        symbols.nameOf(KERNEL[8] + 100n);
      }),
      { numRuns: 300 },
    );
  });

  test("in bytes of nothing, of rising numbers and of garbage is not there", () => {
    const size = 300_000;
    const fillings: ((i: number) => number)[] = [
      () => 0,
      (i) => (i % 2 === 0 ? i >> 1 : i >> 9),
      (i) => (i % 4 === 2 ? 2 : 0),
      (i) => (i % 512 === 0 ? 0 : i % 2 === 0 ? (i % 512) >> 0 : (i % 512) >> 8),
      (i) => Math.imul(i, 0x9e3779b1) >>> 24,
    ];
    for (const filling of fillings) {
      const bytes = Uint8Array.from({ length: size }, (_, i) => filling(i));
      const elf = parseElf(writeElf({ segments: [{ virtualAddress: KERNEL[8], bytes }] }));
      expect(findKallsyms(elf)).toBeUndefined();
    }
  });
});

describe.each(FLAVOURS)("of Debian's kernel %s", (flavour) => {
  const file = vmlinuxOf(flavour);
  const map = systemMapOf(flavour);

  test.skipIf(file === undefined || map === undefined)(
    file === undefined ? skipReason(flavour) : "every name, address and type is that of the linker's map",
    () => {
      const elf = parseElf(readFileSync(file ?? ""));
      const table = findKallsyms(elf);
      const found = table === undefined ? [] : [...kernelSymbols(table)];
      const perCpu = elf.sections.find(({ name }) => name === ".data..percpu")?.size ?? 0;
      // The build calls per-CPU symbols absolute, which they are to the kernel.
      const keyOf = (address: bigint, type: string, name: string) =>
        `${address.toString(16)} ${address <= BigInt(perCpu) ? "A" : type} ${name}`;
      const mapped = readFileSync(map ?? "", "utf8")
        .trim()
        .split("\n")
        .map((line) => line.split(" "))
        .map(([address, type, name]) => keyOf(BigInt(`0x${address}`), type, name));
      const own = found.map(({ address, type, name }) => keyOf(address, type, name));
      const known = new Set(mapped);
      expect(own.filter((key) => !known.has(key))).toEqual([]);
      const there = new Set(own);
      const missing = mapped.filter((key) => !there.has(key)).map((key) => key.split(" "));
      // The table cannot list itself; and it leaves out numbers that are no addresses.
      expect(missing.filter(([, type, name]) => type !== "A" && !name.startsWith("kallsyms_"))).toEqual([]);
      expect(missing.length).toBeLessThan(30);
      expect(own.length).toBeGreaterThan(80_000);
    },
    60_000,
  );
});
