import { describe, expect, test } from "vitest";
import { PT_LOAD, parseElf } from "../../src/symbols/elf";
import { ElfSymbols } from "../../src/symbols/elfSymbols";
import { Symbols } from "../../src/symbols/symbols";
import { readImage } from "./fixtures";

interface Entry {
  name: string;
  value: bigint;
  size?: bigint;
  /** NOTYPE 0, OBJECT 1, FUNC 2, SECTION 3, FILE 4. */
  type?: number;
  /** LOCAL 0, GLOBAL 1, WEAK 2. */
  binding?: number;
  section?: number;
}

/** A symbol table of ELFCLASS64; section 1 is at 0x1000-0x3000. */
function symbolTable(entries: readonly Entry[]): ElfSymbols {
  let strings = "\0";
  const symbols = new DataView(new ArrayBuffer(entries.length * 24));
  entries.forEach((entry, i) => {
    symbols.setUint32(i * 24, strings.length, true);
    strings += `${entry.name}\0`;
    symbols.setUint8(i * 24 + 4, ((entry.binding ?? 1) << 4) | (entry.type ?? 2));
    symbols.setUint16(i * 24 + 6, entry.section ?? 1, true);
    symbols.setBigUint64(i * 24 + 8, entry.value, true);
    symbols.setBigUint64(i * 24 + 16, entry.size ?? 0n, true);
  });
  return new ElfSymbols({
    symbols: new Uint8Array(symbols.buffer),
    strings: new TextEncoder().encode(strings),
    is64: true,
    sections: [
      { address: 0n, size: 0n },
      { address: 0x1000n, size: 0x2000n },
    ],
  });
}

const at = (symbols: ElfSymbols, address: bigint) => {
  const hit = symbols.find(address);
  return hit === undefined ? undefined : `${hit.name}+${hit.offset}`;
};

describe("the symbol of an address", () => {
  test("is the one whose size covers it, and none between two", () => {
    const symbols = symbolTable([
      { name: "first", value: 0x1000n, size: 0x10n },
      { name: "second", value: 0x1020n, size: 0x10n },
    ]);
    expect(
      [0xfffn, 0x1000n, 0x100fn, 0x1010n, 0x1020n, 0x1030n].map((address) => at(symbols, address)),
    ).toEqual([undefined, "first+0", "first+15", undefined, "second+0", undefined]);
  });

  test("without a size covers what follows up to the next symbol or the end of its section", () => {
    const symbols = symbolTable([
      { name: "label", value: 0x1000n, type: 0 },
      { name: "next", value: 0x1100n, size: 0x10n },
      { name: "last", value: 0x2000n, type: 0 },
    ]);
    expect([0x10ffn, 0x1110n, 0x2fffn, 0x3000n].map((address) => at(symbols, address))).toEqual([
      "label+255",
      undefined,
      "last+4095",
      undefined,
    ]);
  });

  test("is the function, not a label inside it", () => {
    const symbols = symbolTable([
      { name: "function", value: 0x1000n, size: 0x40n },
      { name: "inside", value: 0x1010n, type: 0, binding: 0 },
    ]);
    expect(at(symbols, 0x1018n)).toBe("function+24");
  });

  test("is the inner of two nested objects", () => {
    const symbols = symbolTable([
      { name: "outer", value: 0x1000n, size: 0x100n, type: 1 },
      { name: "inner", value: 0x1040n, size: 0x10n, type: 1 },
    ]);
    expect([0x1041n, 0x1050n].map((address) => at(symbols, address))).toEqual(["inner+1", "outer+80"]);
  });

  test("prefers functions and objects to labels, then global to weak to local, then the shorter name", () => {
    const all: Entry[] = [
      { name: "label", value: 0x1000n, size: 8n, type: 0 },
      { name: "local", value: 0x1000n, size: 8n, binding: 0 },
      { name: "weak", value: 0x1000n, size: 8n, binding: 2 },
      { name: "global_b", value: 0x1000n, size: 8n },
      { name: "global_a", value: 0x1000n, size: 8n },
      { name: "global_long", value: 0x1000n, size: 8n },
    ];
    const best = ["global_a", "global_b", "global_long", "weak", "local", "label"];
    for (
      let left = all;
      left.length > 0;
      left = left.filter((entry) => entry.name !== best[0]), best.shift()
    ) {
      expect(at(symbolTable(left), 0x1004n)).toBe(`${best[0]}+4`);
      expect(at(symbolTable([...left].reverse()), 0x1004n)).toBe(`${best[0]}+4`);
    }
  });

  test("is never a section, a file, an undefined or an absolute symbol", () => {
    const symbols = symbolTable([
      { name: "section", value: 0x1000n, type: 3, size: 8n },
      { name: "file.c", value: 0x1000n, type: 4, size: 8n },
      { name: "undefined", value: 0x1000n, section: 0, size: 8n },
      { name: "CONSTANT", value: 0x1000n, section: 0xfff1, size: 8n },
    ]);
    expect(at(symbols, 0x1000n)).toBeUndefined();
    expect(symbols.addressOf("CONSTANT")).toBe(0x1000n);
    expect(symbols.addressOf("undefined")).toBeUndefined();
  });

  test("that ends behind the last address covers the last page", () => {
    const symbols = symbolTable([{ name: "top", value: 0xfffffffffffff000n, size: 0x1000n }]);
    expect(at(symbols, 0xffffffffffffff00n)).toBe("top+3840");
  });

  test("with a name outside of the string table is harmless", () => {
    const symbols = new Uint8Array(24).fill(0xff);
    symbols[4] = 2;
    symbols.set([1, 0], 6);
    const table = new ElfSymbols({ symbols, strings: new Uint8Array(4), is64: true, sections: [] });
    expect(table.find(0xffffffffffffffffn)).toBeUndefined();
    expect(table.addressOf("x")).toBeUndefined();
  });
});

test("a global symbol is found by name before local ones", () => {
  const symbols = symbolTable([
    { name: "twice", value: 0x1000n, binding: 0 },
    { name: "twice", value: 0x1100n },
    { name: "twice", value: 0x1200n, binding: 0 },
  ]);
  expect(symbols.addressOf("twice")).toBe(0x1100n);
});

describe("symbols of a loaded image", () => {
  const image = parseElf(readImage("dwarf5"));

  test("functions, labels and lines of the fixture are found", () => {
    const symbols = Symbols.fromElf(image, { loadDelta: 0 });
    const start = symbols.addressOf("_start")!;
    expect(symbols.nameOf(start + 4n)).toEqual({ name: "_start", offset: 4 });
    expect(symbols.lineOf(start)).toEqual({ file: "/build/src/start.c", line: 8, directory: "/build" });
    expect(symbols.nameOf(symbols.addressOf("inside")!)?.name).toBe("sized");
    expect(symbols.nameOf(symbols.addressOf("inner")!)?.name).toBe("inner");
    expect(symbols.problems).toEqual([]);
  });

  test("a physical address is named by where the image was loaded", () => {
    const loadDelta = 0x1_0000_0000;
    const symbols = Symbols.fromElf(image, { loadDelta });
    const table = symbols.addressOf("table")!;
    expect(symbols.physicalOf(table)).toBe(Number(table) + loadDelta);
    expect(symbols.nameOfPhysical(Number(table) + loadDelta + 8)).toEqual({ name: "table", offset: 8 });
    expect(symbols.nameOfPhysical(Number(table))).toBeUndefined();
  });

  test("code that runs identity-mapped has the names and lines of its linked place", () => {
    const symbols = Symbols.fromElf(image, { loadDelta: 0x1_0000_0000 });
    const start = symbols.addressOf("_start")!;
    expect(symbols.nameOf(start + 0x1_0000_0000n)).toEqual({ name: "_start", offset: 0 });
    expect(symbols.lineOf(start + 0x1_0000_0000n)?.line).toBe(8);
  });

  test("an image with its symbols beyond the file's end has none, and says why", () => {
    const bytes = readImage("dwarf5").slice();
    const view = new DataView(bytes.buffer);
    const sections = Number(view.getBigUint64(0x28, true));
    for (let i = 0; i < view.getUint16(0x3c, true); i++) {
      if (view.getUint32(sections + i * 64 + 4, true) === 2)
        view.setBigUint64(sections + i * 64 + 24, 1n << 40n, true);
    }
    const symbols = Symbols.fromElf(parseElf(bytes), { loadDelta: 0 });
    expect(symbols.addressOf("_start")).toBeUndefined();
    expect(symbols.problems.map((problem) => problem.message)).toEqual([
      expect.stringMatching(/section \.symtab lies at .* it is truncated or corrupt/),
    ]);
  });
});

test("the contents of an image are those of its file, where the file has them", () => {
  const elf = parseElf(readImage("dwarf5"));
  const symbols = Symbols.fromElf(elf, { loadDelta: 0x1000 });
  const text = elf.section(".text")!;
  expect(symbols.contentsAt(text.address, text.size)).toEqual(elf.dataOf(text));
  expect(symbols.contentsAt(text.address + 1n, 4)).toEqual(elf.dataOf(text).subarray(1, 5));
  const loaded = elf.segments.filter(({ type }) => type === PT_LOAD);
  for (const { virtualAddress, fileSize, memorySize } of loaded) {
    const end = virtualAddress + BigInt(fileSize);
    expect(symbols.contentsAt(end - 1n, 1)).toHaveLength(1);
    expect(symbols.contentsAt(end - 1n, 2)).toBeUndefined();
    expect(symbols.contentsAt(virtualAddress + BigInt(memorySize) + 0x100000n, 1)).toBeUndefined();
  }
});

describe("a higher-half kernel with per-CPU data linked at 0", () => {
  const symbols = new Symbols({
    symbols: symbolTable([
      { name: "per_cpu_counter", value: 0x1000n, size: 8n, type: 1 },
      { name: "kernel_entry", value: 0xffffffff81000000n, size: 0x100n },
    ]),
    segments: [
      { linear: 0xffffffff81000000n, physical: 0x1000000n, size: 0x10000n },
      { linear: 0n, physical: 0x1010000n, size: 0x10000n },
    ],
    loadDelta: 0,
  });

  test("does not name low linear addresses after per-CPU offsets", () => {
    expect(symbols.nameOf(0x1000n)).toBeUndefined();
    expect(symbols.nameOf(0x1000010n)).toEqual({ name: "kernel_entry", offset: 16 });
  });

  test("has no contents of segments that nobody read", () => {
    expect(symbols.contentsAt(0xffffffff81000000n, 1)).toBeUndefined();
  });

  test("names the template by its physical address", () => {
    expect(symbols.nameOfPhysical(0x1011000)).toEqual({ name: "per_cpu_counter", offset: 0 });
  });
});
