/**
 * Units of .debug_info (DWARF 5, 3.1 and 7.5.1): their headers, and of each the entry at its top, which says where
 * its code, its line numbers and its strings are. Entries below the top are not read here.
 */
import { type Abbreviation, AbbreviationTable } from "./abbrev";
import { addressOf } from "./addr";
import type { Budget } from "./budget";
import { DW_AT, DW_UT } from "./constants";
import { type Encoding, type FormValue, readForm } from "./form";
import { DwarfReader } from "./reader";
import { type AddressRange, type RangeContext, rangeList, rangeListAtIndex } from "./rnglists";
import type { DwarfSections } from "./sections";
import { stringOf } from "./str";

/** A unit's header; offsets are of .debug_info, `abbrevOffset` of .debug_abbrev. */
export interface UnitHeader {
  readonly offset: number;
  /** Where its first entry begins. */
  readonly entries: number;
  readonly end: number;
  readonly encoding: Encoding;
  /** DW_UT; `compile` for the versions before 5, which do not tell. */
  readonly type: number;
  readonly abbrevOffset: number;
}

/** What a unit's top entry says about its code. */
export interface Unit {
  readonly header: UnitHeader;
  readonly tag: number;
  /** Its line number program in .debug_line. */
  readonly lineOffset: number | undefined;
  readonly ranges: readonly AddressRange[];
  /** Where range and location lists count from, and the unit's indexes. */
  readonly context: UnitContext;
  /** How its entries are laid out. */
  readonly abbreviations: AbbreviationTable;
  /** The text of DW_AT.name or DW_AT.comp_dir, read when asked for. @throws DwarfError */
  text(attribute: number): string | undefined;
}

/** What the values of a unit's entries are resolved by. */
export interface UnitContext extends RangeContext {
  readonly strOffsetsBase: number;
  readonly loclistsBase: number;
}

/** The headers of all units, in file order; the units themselves are stepped over. @throws DwarfError */
export function* unitHeaders(sections: DwarfSections): Generator<UnitHeader> {
  for (let at = 0; at < sections.info.bytes.length; ) {
    const header = readHeader(new DwarfReader(sections.info, at));
    yield header;
    at = header.end;
  }
}

function readHeader(reader: DwarfReader): UnitHeader {
  const offset = reader.position;
  const { length, offsetSize } = reader.initialLength();
  const body = reader.sub(length);
  const version = body.u16();
  if (version < 2 || version > 5) throw reader.error(`DWARF version ${version} is not known`, offset);
  const type = version >= 5 ? body.u8() : DW_UT.compile;
  const early = version >= 5 ? body.u8() : 0;
  const abbrevOffset = body.offset(offsetSize);
  const addressSize = version >= 5 ? early : body.u8();
  if (addressSize !== 4 && addressSize !== 8) {
    throw reader.error(`an address size of ${addressSize} bytes is none of x86`, offset);
  }
  if (type === DW_UT.skeleton || type === DW_UT.split_compile) body.skip(8);
  if (type === DW_UT.type || type === DW_UT.split_type) body.skip(8 + offsetSize);
  return {
    offset,
    entries: body.position,
    end: body.end,
    encoding: { version, offsetSize, addressSize },
    type,
    abbrevOffset,
  };
}

/** Reads units' top entries; keeps the abbreviation tables that they share. */
export class UnitReader {
  private readonly abbreviations = new Map<number, AbbreviationTable>();

  constructor(
    private readonly sections: DwarfSections,
    private readonly budget: Budget,
  ) {}

  /** @throws DwarfError */
  read(header: UnitHeader): Unit {
    const reader = new DwarfReader(this.sections.info, header.entries, header.end);
    const abbreviations = this.abbreviationsOf(header);
    const abbreviation = this.abbreviation(reader, abbreviations);
    const values = this.attributes(reader, abbreviation, header.encoding);
    const { encoding } = header;
    const bases = basesOf(values, encoding);
    const low = addressOf(this.sections, values.get(DW_AT.low_pc), encoding, bases.addrBase);
    const context: UnitContext = { encoding, base: low ?? 0n, ...bases };
    return {
      header,
      tag: abbreviation.tag,
      lineOffset: offsetOf(values.get(DW_AT.stmt_list)),
      ranges: rangesOf(this.sections, values, context, this.budget),
      context,
      abbreviations,
      text: (attribute) => stringOf(this.sections, values.get(attribute), encoding, bases.strOffsetsBase),
    };
  }

  private abbreviationsOf(header: UnitHeader): AbbreviationTable {
    let table = this.abbreviations.get(header.abbrevOffset);
    if (table === undefined) {
      table = new AbbreviationTable(this.sections.abbrev, header.abbrevOffset, this.budget);
      this.abbreviations.set(header.abbrevOffset, table);
    }
    return table;
  }

  private abbreviation(reader: DwarfReader, table: AbbreviationTable): Abbreviation {
    const at = reader.position;
    const code = reader.uleb();
    const abbreviation = table.get(code);
    if (abbreviation === undefined) throw reader.error(`the unit has no abbreviation ${code}`, at);
    return abbreviation;
  }

  private attributes(
    reader: DwarfReader,
    abbreviation: Abbreviation,
    encoding: Encoding,
  ): Map<number, FormValue> {
    const values = new Map<number, FormValue>();
    for (const { attribute, form, implicit } of abbreviation.attributes) {
      this.budget.spend(reader);
      values.set(attribute, readForm(reader, form, encoding, implicit));
    }
    return values;
  }
}

/** The code of an entry: its range list, or from DW_AT.low_pc to DW_AT.high_pc (2.17). @throws DwarfError */
export function rangesOf(
  sections: DwarfSections,
  values: ReadonlyMap<number, FormValue>,
  context: RangeContext,
  budget: Budget,
): readonly AddressRange[] {
  const list = values.get(DW_AT.ranges);
  if (list?.class === "range-list-index") return rangeListAtIndex(sections, list.index, context, budget);
  const offset = offsetOf(list);
  if (offset !== undefined) return rangeList(sections, offset, context, budget);
  const low = addressOf(sections, values.get(DW_AT.low_pc), context.encoding, context.addrBase);
  const high = values.get(DW_AT.high_pc);
  if (low === undefined || high === undefined) return [];
  // A constant is the length (2.17.2).
  const end =
    high.class === "constant"
      ? BigInt.asUintN(64, low + high.value)
      : addressOf(sections, high, context.encoding, context.addrBase);
  return end === undefined || end <= low ? [] : [{ start: low, end }];
}

/** Where the unit's indexes count from; without the attributes behind the header of the section's first table. */
function basesOf(values: ReadonlyMap<number, FormValue>, { offsetSize }: Encoding) {
  const short = offsetSize === 4;
  return {
    addrBase: offsetOf(values.get(DW_AT.addr_base)) ?? (short ? 8 : 16),
    strOffsetsBase: offsetOf(values.get(DW_AT.str_offsets_base)) ?? (short ? 8 : 16),
    rnglistsBase: offsetOf(values.get(DW_AT.rnglists_base)) ?? (short ? 12 : 20),
    loclistsBase: offsetOf(values.get(DW_AT.loclists_base)) ?? (short ? 12 : 20),
  };
}

/** An offset into another section: DW_FORM_sec_offset, or data4 and data8 before DWARF 4. */
export function offsetOf(value: FormValue | undefined): number | undefined {
  if (value?.class === "section-offset") return value.offset;
  return value?.class === "constant" ? Number(value.value) : undefined;
}
