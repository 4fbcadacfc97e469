/** Attribute forms (DWARF 5, 7.5.5 and 7.5.6): the value that a form encodes, by class. */
import { DW_FORM } from "./constants";
import type { DwarfReader, OffsetSize } from "./reader";

/** What the encoding of values depends on: fixed for a unit. */
export interface Encoding {
  /** DWARF version, 2 to 5. */
  readonly version: number;
  readonly offsetSize: OffsetSize;
  /** 4 or 8. */
  readonly addressSize: number;
}

/** A value as it is encoded; indexes and offsets are resolved by whoever knows the unit's bases. */
export type FormValue =
  | { readonly class: "address"; readonly value: bigint }
  | { readonly class: "address-index"; readonly index: number }
  /** Data of 1 to 8 bytes is unsigned here; sdata and implicit_const are signed. */
  | { readonly class: "constant"; readonly value: bigint }
  | { readonly class: "flag"; readonly value: boolean }
  | { readonly class: "string"; readonly value: string }
  | {
      readonly class: "string-offset";
      readonly section: ".debug_str" | ".debug_line_str";
      readonly offset: number;
    }
  | { readonly class: "string-index"; readonly index: number }
  | { readonly class: "section-offset"; readonly offset: number }
  | { readonly class: "range-list-index"; readonly index: number }
  | { readonly class: "location-list-index"; readonly index: number }
  | { readonly class: "block"; readonly bytes: Uint8Array }
  /** An offset from the unit's header, or from the start of .debug_info. */
  | { readonly class: "reference"; readonly offset: number; readonly of: "unit" | "section" }
  | { readonly class: "signature"; readonly value: bigint }
  /** Something in a supplementary file, which is not read. */
  | { readonly class: "supplementary"; readonly offset: number };

type Read = (reader: DwarfReader, encoding: Encoding) => FormValue;

const constant = (value: bigint | number): FormValue => ({ class: "constant", value: BigInt(value) });
const addressIndex = (index: number): FormValue => ({ class: "address-index", index });
const stringIndex = (index: number): FormValue => ({ class: "string-index", index });
const block = (bytes: Uint8Array): FormValue => ({ class: "block", bytes });
const reference = (offset: number): FormValue => ({ class: "reference", offset, of: "unit" });

const FORMS: Readonly<Record<number, Read>> = {
  [DW_FORM.addr]: (reader, { addressSize }) => ({ class: "address", value: reader.address(addressSize) }),
  [DW_FORM.addrx]: (reader) => addressIndex(reader.uleb()),
  [DW_FORM.addrx1]: (reader) => addressIndex(reader.u8()),
  [DW_FORM.addrx2]: (reader) => addressIndex(reader.u16()),
  [DW_FORM.addrx3]: (reader) => addressIndex(reader.u24()),
  [DW_FORM.addrx4]: (reader) => addressIndex(reader.u32()),
  [DW_FORM.block1]: (reader) => block(reader.bytes(reader.u8())),
  [DW_FORM.block2]: (reader) => block(reader.bytes(reader.u16())),
  [DW_FORM.block4]: (reader) => block(reader.bytes(reader.u32())),
  [DW_FORM.block]: (reader) => block(reader.bytes(reader.uleb())),
  [DW_FORM.exprloc]: (reader) => block(reader.bytes(reader.uleb())),
  [DW_FORM.data1]: (reader) => constant(reader.u8()),
  [DW_FORM.data2]: (reader) => constant(reader.u16()),
  [DW_FORM.data4]: (reader) => constant(reader.u32()),
  [DW_FORM.data8]: (reader) => constant(reader.u64()),
  [DW_FORM.data16]: (reader) => block(reader.bytes(16)),
  [DW_FORM.udata]: (reader) => constant(reader.uleb64()),
  [DW_FORM.sdata]: (reader) => constant(reader.sleb64()),
  [DW_FORM.flag]: (reader) => ({ class: "flag", value: reader.u8() !== 0 }),
  [DW_FORM.flag_present]: () => ({ class: "flag", value: true }),
  [DW_FORM.string]: (reader) => ({ class: "string", value: reader.string() }),
  [DW_FORM.strp]: (reader, { offsetSize }) => ({
    class: "string-offset",
    section: ".debug_str",
    offset: reader.offset(offsetSize),
  }),
  [DW_FORM.line_strp]: (reader, { offsetSize }) => ({
    class: "string-offset",
    section: ".debug_line_str",
    offset: reader.offset(offsetSize),
  }),
  [DW_FORM.strx]: (reader) => stringIndex(reader.uleb()),
  [DW_FORM.strx1]: (reader) => stringIndex(reader.u8()),
  [DW_FORM.strx2]: (reader) => stringIndex(reader.u16()),
  [DW_FORM.strx3]: (reader) => stringIndex(reader.u24()),
  [DW_FORM.strx4]: (reader) => stringIndex(reader.u32()),
  [DW_FORM.sec_offset]: (reader, { offsetSize }) => ({
    class: "section-offset",
    offset: reader.offset(offsetSize),
  }),
  [DW_FORM.rnglistx]: (reader) => ({ class: "range-list-index", index: reader.uleb() }),
  [DW_FORM.loclistx]: (reader) => ({ class: "location-list-index", index: reader.uleb() }),
  [DW_FORM.ref1]: (reader) => reference(reader.u8()),
  [DW_FORM.ref2]: (reader) => reference(reader.u16()),
  [DW_FORM.ref4]: (reader) => reference(reader.u32()),
  [DW_FORM.ref8]: (reader) => reference(reader.offset(8)),
  [DW_FORM.ref_udata]: (reader) => reference(reader.uleb()),
  // DWARF 2 encoded it like an address (its 7.5.4), later versions like an offset.
  [DW_FORM.ref_addr]: (reader, { version, addressSize, offsetSize }) => ({
    class: "reference",
    offset: reader.offset(version <= 2 && addressSize === 8 ? 8 : version <= 2 ? 4 : offsetSize),
    of: "section",
  }),
  [DW_FORM.ref_sig8]: (reader) => ({ class: "signature", value: reader.u64() }),
  [DW_FORM.ref_sup4]: (reader) => ({ class: "supplementary", offset: reader.u32() }),
  [DW_FORM.ref_sup8]: (reader) => ({ class: "supplementary", offset: reader.offset(8) }),
  [DW_FORM.strp_sup]: (reader, { offsetSize }) => ({
    class: "supplementary",
    offset: reader.offset(offsetSize),
  }),
  [DW_FORM.GNU_ref_alt]: (reader, { offsetSize }) => ({
    class: "supplementary",
    offset: reader.offset(offsetSize),
  }),
  [DW_FORM.GNU_strp_alt]: (reader, { offsetSize }) => ({
    class: "supplementary",
    offset: reader.offset(offsetSize),
  }),
};

/**
 * Reads one value.
 * @param implicit the value of DW_FORM_implicit_const, from the abbreviation
 * @throws DwarfError for a form that the standard does not have, or a value beyond the end
 */
export function readForm(reader: DwarfReader, form: number, encoding: Encoding, implicit = 0n): FormValue {
  const at = reader.position;
  const actual = form === DW_FORM.indirect ? reader.uleb() : form;
  if (actual === DW_FORM.implicit_const && form === actual) return { class: "constant", value: implicit };
  const read = FORMS[actual];
  if (read === undefined) throw reader.error(`there is no attribute form 0x${actual.toString(16)}`, at);
  return read(reader, encoding);
}
