import { describe, expect, test } from "vitest";
import { Budget } from "../../src/symbols/dwarf/budget";
import { DW_AT, DW_FORM, DW_RLE, DW_TAG, DW_UT } from "../../src/symbols/dwarf/constants";
import { DwarfError } from "../../src/symbols/dwarf/reader";
import { dwarfSections } from "../../src/symbols/dwarf/sections";
import { type Unit, UnitReader, unitHeaders } from "../../src/symbols/dwarf/unit";
import { bytes, u32, uleb } from "./dwarfWriter";

const text = (value: string) => [...new TextEncoder().encode(value), 0];
const u64 = (value: number) => [...u32(value), 0, 0, 0, 0];

interface Attribute {
  at: number;
  form: number;
  value: readonly number[];
}

/** A unit of version 5 with one entry. */
function unit5(
  attributes: readonly Attribute[],
  contents: Record<string, readonly number[]> = {},
  type: number = DW_UT.compile,
) {
  const declaration = attributes.flatMap(({ at, form }) => [...uleb(BigInt(at)), ...uleb(BigInt(form))]);
  const abbrev = [1, DW_TAG.compile_unit, 0, ...declaration, 0, 0, 0];
  const more = type === DW_UT.skeleton ? u64(0) : [];
  const body = [5, 0, type, 8, ...u32(0), ...more, 1, ...attributes.flatMap(({ value }) => [...value])];
  const all: Record<string, readonly number[]> = {
    ".debug_info": [...u32(body.length), ...body],
    ".debug_abbrev": abbrev,
    ...contents,
  };
  return dwarfSections((name) => (all[name] === undefined ? undefined : bytes(...all[name])));
}

function read(sections: ReturnType<typeof dwarfSections>): Unit {
  const [header] = [...unitHeaders(sections)];
  return new UnitReader(sections, new Budget(1000)).read(header);
}

const ranges = (unit: Unit) => unit.ranges.map(({ start, end }) => [Number(start), Number(end)]);

describe("a unit's top entry", () => {
  test("gives low_pc and a high_pc that is a length", () => {
    const unit = read(
      unit5([
        { at: DW_AT.low_pc, form: DW_FORM.addr, value: u64(0x1000) },
        { at: DW_AT.high_pc, form: DW_FORM.data4, value: u32(0x20) },
      ]),
    );
    expect(ranges(unit)).toEqual([[0x1000, 0x1020]]);
  });

  test("gives a high_pc that is an address", () => {
    const unit = read(
      unit5([
        { at: DW_AT.low_pc, form: DW_FORM.addr, value: u64(0x1000) },
        { at: DW_AT.high_pc, form: DW_FORM.addr, value: u64(0x1020) },
      ]),
    );
    expect(ranges(unit)).toEqual([[0x1000, 0x1020]]);
  });

  test("finds strings and addresses by index behind their bases, wherever those stand", () => {
    const sections = unit5(
      [
        { at: DW_AT.name, form: DW_FORM.strx1, value: [1] },
        { at: DW_AT.comp_dir, form: DW_FORM.line_strp, value: u32(2) },
        { at: DW_AT.low_pc, form: DW_FORM.addrx1, value: [1] },
        { at: DW_AT.high_pc, form: DW_FORM.udata, value: [0x10] },
        { at: DW_AT.str_offsets_base, form: DW_FORM.sec_offset, value: u32(8) },
        { at: DW_AT.addr_base, form: DW_FORM.sec_offset, value: u32(8) },
      ],
      {
        ".debug_str": text("a").concat(text("main.c")),
        ".debug_line_str": text("x").concat(text("/build")),
        ".debug_str_offsets": [...u64(0), ...u32(0), ...u32(2)],
        ".debug_addr": [...u64(0), ...u64(0x500), ...u64(0x1000)],
      },
    );
    const unit = read(sections);
    expect([unit.text(DW_AT.name), unit.text(DW_AT.comp_dir)]).toEqual(["main.c", "/build"]);
    expect(ranges(unit)).toEqual([[0x1000, 0x1010]]);
  });

  test("reads every kind of range list entry", () => {
    const list = [
      ...[DW_RLE.offset_pair, 0x10, 0x20],
      ...[DW_RLE.base_address, ...u64(0x2000)],
      ...[DW_RLE.offset_pair, 0x10, 0x20],
      ...[DW_RLE.base_addressx, 0],
      ...[DW_RLE.offset_pair, 1, 2],
      ...[DW_RLE.startx_endx, 0, 1],
      ...[DW_RLE.startx_length, 1, 8],
      ...[DW_RLE.start_end, ...u64(0x7000), ...u64(0x7004)],
      ...[DW_RLE.start_length, ...u64(0x8000), 4],
      ...[DW_RLE.start_length, ...u64(0x9000), 0],
      DW_RLE.end_of_list,
    ];
    const sections = unit5(
      [
        { at: DW_AT.low_pc, form: DW_FORM.addr, value: u64(0x1000) },
        { at: DW_AT.ranges, form: DW_FORM.rnglistx, value: [1] },
        { at: DW_AT.rnglists_base, form: DW_FORM.sec_offset, value: u32(12) },
      ],
      {
        ".debug_rnglists": [...Array(12).fill(0), ...u32(0), ...u32(8), ...list],
        ".debug_addr": [...u64(0), ...u64(0x5000), ...u64(0x6000)],
      },
    );
    expect(ranges(read(sections))).toEqual([
      [0x1010, 0x1020],
      [0x2010, 0x2020],
      [0x5001, 0x5002],
      [0x5000, 0x6000],
      [0x6000, 0x6008],
      [0x7000, 0x7004],
      [0x8000, 0x8004],
    ]);
  });

  test("of a skeleton unit stands behind its id", () => {
    const attributes = [{ at: DW_AT.low_pc, form: DW_FORM.addr, value: u64(0x1000) }];
    expect(read(unit5(attributes, {}, DW_UT.skeleton)).tag).toBe(DW_TAG.compile_unit);
  });

  test("may hold an implicit constant and an indirect form", () => {
    const declaration = [DW_AT.low_pc, DW_FORM.indirect, DW_AT.high_pc, DW_FORM.implicit_const, 0x10];
    const all: Record<string, readonly number[]> = {
      ".debug_abbrev": [1, DW_TAG.compile_unit, 0, ...declaration, 0, 0, 0],
      ".debug_info": [...u32(18), 5, 0, DW_UT.compile, 8, ...u32(0), 1, DW_FORM.addr, ...u64(0x1000)],
    };
    expect(ranges(read(dwarfSections((name) => (all[name] ? bytes(...all[name]) : undefined))))).toEqual([
      [0x1000, 0x1010],
    ]);
  });
});

describe("malformed units are named errors", () => {
  const low = { at: DW_AT.low_pc, form: DW_FORM.addr, value: u64(0x1000) };
  const infoOnly = (info: Uint8Array) => dwarfSections((name) => (name === ".debug_info" ? info : undefined));
  const failing: [string, ReturnType<typeof dwarfSections>, RegExp][] = [
    ["a header that is cut off", infoOnly(bytes(20, 0, 0, 0, 5)), /\.debug_info\+0x4: 20 bytes are needed/],
    ["an unknown version", infoOnly(bytes(7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 8)), /DWARF version 9 is not known/],
    ["an address size of 2", infoOnly(bytes(7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 2)), /an address size of 2 bytes/],
    [
      "abbreviations beyond their section",
      infoOnly(bytes(8, 0, 0, 0, 4, 0, 9, 0, 0, 0, 8, 1)),
      /\.debug_abbrev\+0x9: lies outside/,
    ],
    [
      "a code without abbreviation",
      unit5([low], { ".debug_abbrev": [2, 0x11, 0, 0, 0, 0] }),
      /the unit has no abbreviation 1/,
    ],
    [
      "a form that does not exist",
      unit5([{ at: 3, form: 0x7f, value: [] }]),
      /there is no attribute form 0x7f/,
    ],
    [
      "a range list beyond its section",
      unit5([{ at: DW_AT.ranges, form: DW_FORM.sec_offset, value: u32(99) }]),
      /\.debug_rnglists\+0x63: lies outside/,
    ],
    [
      "a range list entry of no known kind",
      unit5([{ at: DW_AT.ranges, form: DW_FORM.sec_offset, value: u32(0) }], { ".debug_rnglists": [9] }),
      /there is no range list entry of kind 9/,
    ],
    [
      "an address index beyond its section",
      unit5([{ at: DW_AT.low_pc, form: DW_FORM.addrx, value: [5] }]),
      /\.debug_addr\+0x30: lies outside/,
    ],
  ];
  test.each(failing)("%s", (_, sections, message) => {
    expect(() => read(sections)).toThrow(DwarfError);
    expect(() => read(sections)).toThrow(message);
  });
});
