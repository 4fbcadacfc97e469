import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readLineTable } from "../../src/symbols/dwarf/line";
import { joinPath } from "../../src/symbols/dwarf/lineHeader";
import { DwarfLines } from "../../src/symbols/dwarf/lines";
import { DwarfError } from "../../src/symbols/dwarf/reader";
import { type DwarfSections, dwarfSections } from "../../src/symbols/dwarf/sections";
import { bytes, lineProgram, uleb } from "./dwarfWriter";
import { IMAGES, recordedLines, sectionsOf } from "./fixtures";

const CONTEXT = { addressSize: 8, directory: "/build" };

function tableOf(section: Uint8Array) {
  return readLineTable(
    dwarfSections((name) => (name === ".debug_line" ? section : undefined)),
    0,
    CONTEXT,
  );
}

/** `address file line flags` of each row. */
function rowsOf(section: Uint8Array): string[] {
  const table = tableOf(section);
  const rows = Array.from({ length: table.count }, (_, index) => table.row(index));
  return rows.map((row) => `${row.address.toString(16)} ${table.path(row)} ${row.line} ${row.flags}`);
}

describe("source lines of real images", () => {
  test.each(IMAGES)("every instruction of %s has the line that addr2line gives it", (name) => {
    const lines = new DwarfLines(sectionsOf(name));
    const found = recordedLines(name).map(([address]) => {
      const place = lines.lineOf(address);
      return [address, place === undefined ? undefined : `${place.file}:${place.line}`];
    });
    expect(found).toEqual(recordedLines(name));
    expect(lines.problems).toEqual([]);
  });

  test("an address outside of all units has no line", () => {
    const lines = new DwarfLines(sectionsOf("dwarf5"));
    expect(lines.lineOf(0n)).toBeUndefined();
    expect(lines.lineOf(0xffffffffffffffffn)).toBeUndefined();
  });
});

describe("line number programs", () => {
  const setAddress = (address: number) => bytes(0, 9, 2, address, 0, 0, 0, 0, 0, 0, 0);
  const endSequence = bytes(0, 1, 1);

  test("standard opcodes move address and line, copy adds a row", () => {
    const program = [
      setAddress(0x40),
      bytes(3, 9),
      bytes(1),
      bytes(2, 0x10),
      bytes(3, 0x7f),
      bytes(1),
      bytes(2, 4),
      endSequence,
    ];
    expect(rowsOf(lineProgram(program))).toEqual([
      "40 /build/main.c 10 1",
      "50 /build/main.c 9 1",
      "54 /build/main.c 9 5",
    ]);
  });

  test("special opcodes move both and add a row", () => {
    // Line base -5, line range 14, opcode base 13: opcode 13 + 5 + 1 + 14 * 3 is 3 bytes and 1 line on.
    expect(rowsOf(lineProgram([setAddress(0x40), bytes(61), endSequence]))[0]).toBe("43 /build/main.c 2 1");
  });

  test("const_add_pc advances as special opcode 255 would, fixed_advance_pc by its operand", () => {
    expect(rowsOf(lineProgram([setAddress(0), bytes(8), bytes(1), bytes(9, 0x34, 0x12), bytes(1)]))).toEqual([
      "11 /build/main.c 1 1",
      "1245 /build/main.c 1 1",
    ]);
  });

  test("prologue_end holds for one row, negate_stmt until the next", () => {
    expect(rowsOf(lineProgram([bytes(10), bytes(1), bytes(6), bytes(1)])).map((row) => row.at(-1))).toEqual([
      "3",
      "0",
    ]);
  });

  test("unknown standard and extended opcodes are stepped over by their lengths", () => {
    const program = [bytes(12, 0x80, 0x01), bytes(0, 4, 0x80, 1, 2, 3), bytes(1)];
    expect(rowsOf(lineProgram(program))).toEqual(["0 /build/main.c 1 1"]);
  });

  test("a row holds up to the next one, the last one up to the end of its sequence", () => {
    const table = tableOf(
      lineProgram([setAddress(0x40), bytes(1), bytes(3, 1), bytes(2, 8), bytes(1), bytes(2, 8), endSequence]),
    );
    expect([0x3fn, 0x40n, 0x47n, 0x48n, 0x4fn, 0x50n].map((address) => table.find(address)?.line)).toEqual([
      undefined,
      1,
      1,
      2,
      2,
      undefined,
    ]);
  });

  test("of several rows at one address the last one holds", () => {
    const table = tableOf(
      lineProgram([setAddress(0x40), bytes(1), bytes(3, 1), bytes(1), bytes(2, 8), endSequence]),
    );
    expect(table.find(0x40n)?.line).toBe(2);
  });

  test("sequences may come in any order", () => {
    const sequence = (address: number, line: number) => [
      setAddress(address),
      bytes(3, line - 1),
      bytes(1),
      bytes(2, 4),
      endSequence,
    ];
    const table = tableOf(lineProgram([...sequence(0x60, 6), ...sequence(0x40, 4), ...sequence(0x50, 5)]));
    expect([0x40n, 0x50n, 0x60n].map((address) => table.find(address)?.line)).toEqual([4, 5, 6]);
  });
});

describe("malformed line number programs are named errors", () => {
  const failing: [string, Uint8Array, RegExp][] = [
    [
      "a length beyond the section",
      lineProgram([], { length: 0x1000 }),
      /\.debug_line\+0x4: 4096 bytes are needed/,
    ],
    [
      "a reserved length",
      bytes(0xf5, 0xff, 0xff, 0xff),
      /\.debug_line\+0x0: the length 0xfffffff5 is reserved/,
    ],
    ["an unknown version", lineProgram([], { version: 6 }), /line number program version 6 is not known/],
    ["a header length beyond the unit", lineProgram([], { headerLength: 0x1000 }), /4096 bytes are needed/],
    [
      "a special opcode with a line range of 0",
      lineProgram([bytes(61)], { lineRange: 0 }),
      /a line range of 0/,
    ],
    ["an opcode base of 0", lineProgram([], { opcodeBase: 0 }), /has a zero where none can be/],
    ["an extended opcode of no length", lineProgram([bytes(0, 0)]), /an extended opcode of no length/],
    [
      "an extended opcode beyond the program",
      lineProgram([bytes(0, 100, 1)]),
      /100 bytes are needed, but 1 are left/,
    ],
    ["an address of 3 bytes", lineProgram([bytes(0, 4, 2, 1, 2, 3)]), /an address size of 3 bytes/],
    [
      "a LEB128 that does not end",
      lineProgram([bytes(2, ...Array(11).fill(0x80))]),
      /a LEB128 of more than 10 bytes/,
    ],
    ["a number beyond 2^53", lineProgram([bytes(4, ...uleb(2n ** 60n))]), /the number is too large here/],
    [
      "a name that does not end",
      lineProgram([], { names: bytes(0, 0x61, 0x62) }),
      /does not end within its section/,
    ],
  ];
  test.each(failing)("%s", (_, section, message) => {
    expect(() => tableOf(section)).toThrow(DwarfError);
    expect(() => tableOf(section)).toThrow(message);
  });

  test("a count of files that cannot fit is refused before anything is allocated", () => {
    const names = bytes(1, 1, 0x08, 0, /* files: */ 1, 1, 0x08, ...uleb(2n ** 40n));
    expect(() => tableOf(lineProgram([], { version: 5, names }))).toThrow(/1099511627776 entries do not fit/);
  });
});

describe("hostile debugging information", () => {
  const keys = ["info", "abbrev", "line", "str", "lineStr", "ranges", "rnglists"] as const;

  test.each(IMAGES)("mutated sections of %s never throw and always end", (name) => {
    const sections = sectionsOf(name);
    const addresses = recordedLines(name).map(([address]) => address);
    const mutation = fc.record({
      key: fc.constantFrom(...keys),
      place: fc.nat(),
      value: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        fc.option(fc.nat()),
        (mutations, cut) => {
          const lines = new DwarfLines(mutate(sections, mutations, cut));
          for (const address of addresses) lines.lineOf(address);
          expect(lines.problems.every((problem) => problem instanceof DwarfError)).toBe(true);
        },
      ),
      { seed: 20130124, numRuns: 400 },
    );
  });

  function mutate(
    sections: DwarfSections,
    mutations: readonly { key: keyof DwarfSections; place: number; value: number }[],
    cut: number | null,
  ): DwarfSections {
    const copy = { ...sections };
    for (const { key, place, value } of mutations) {
      const contents = copy[key].bytes.slice();
      if (contents.length > 0) contents[place % contents.length] = value;
      const length = cut === null ? contents.length : cut % (contents.length + 1);
      copy[key] = { name: copy[key].name, bytes: contents.subarray(0, length) };
    }
    return copy;
  }

  test("units that all point to one long list run out of their budget instead of time", () => {
    const list = new Uint8Array(16 * 20_000).fill(1);
    list.fill(0, -16);
    const abbrev = bytes(1, 0x11, 0, 0x55, 0x17, 0, 0, 0);
    const unit = bytes(12, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0, 0);
    const info = new Uint8Array(unit.length * 5000);
    for (let i = 0; i < 5000; i++) info.set(unit, i * unit.length);
    const contents: Record<string, Uint8Array> = {
      ".debug_info": info,
      ".debug_abbrev": abbrev,
      ".debug_ranges": list,
    };
    const lines = new DwarfLines(
      dwarfSections((name) => contents[name]),
      100_000,
    );
    expect(lines.lineOf(1n)).toBeUndefined();
    expect(lines.problems[0].message).toMatch(/reading would take more than 100000 steps/);
  });
});

describe("paths", () => {
  test.each([
    ["/a/b", "c.c", "/a/b/c.c"],
    ["/a/b", "../c.c", "/a/c.c"],
    ["/a", "/c.c", "/c.c"],
    ["", "./x//y.c", "x/y.c"],
    ["a", "../../c.c", "../c.c"],
    ["/", "../c.c", "/c.c"],
  ])("%s and %s give %s", (directory, name, path) => {
    expect(joinPath(directory, name)).toBe(path);
  });
});
