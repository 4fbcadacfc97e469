/**
 * Range lists: the addresses of a unit's code where it is not contiguous. .debug_rnglists since DWARF 5 (2.17.3
 * and 7.25), .debug_ranges up to DWARF 4 (its 2.17.3).
 */
import { indexedAddress } from "./addr";
import type { Budget } from "./budget";
import { DW_RLE } from "./constants";
import type { Encoding } from "./form";
import { DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";

/** A half-open range of linear addresses. */
export interface AddressRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** What a unit gives to its range lists. */
export interface RangeContext {
  readonly encoding: Encoding;
  /** DW_AT_low_pc of the unit, or 0. */
  readonly base: bigint;
  readonly addrBase: number;
  readonly rnglistsBase: number;
}

/** The list at an index of the unit's part of .debug_rnglists. @throws DwarfError */
export function rangeListAtIndex(
  sections: DwarfSections,
  index: number,
  context: RangeContext,
  budget: Budget,
): AddressRange[] {
  const { offsetSize } = context.encoding;
  const reader = new DwarfReader(sections.rnglists, context.rnglistsBase + index * offsetSize);
  return rangeList(sections, context.rnglistsBase + reader.offset(offsetSize), context, budget);
}

/** The list at an offset of the section that the unit's version uses. Empty ranges are left out. @throws DwarfError */
export function rangeList(
  sections: DwarfSections,
  offset: number,
  context: RangeContext,
  budget: Budget,
): AddressRange[] {
  return context.encoding.version >= 5
    ? listOfVersion5(sections, new DwarfReader(sections.rnglists, offset), context, budget)
    : listOfVersion4(new DwarfReader(sections.ranges, offset), context, budget);
}

function listOfVersion4(reader: DwarfReader, context: RangeContext, budget: Budget): AddressRange[] {
  const size = context.encoding.addressSize;
  const selectsBase = size === 8 ? 0xffffffffffffffffn : 0xffffffffn;
  const ranges: AddressRange[] = [];
  for (let base = context.base; ; ) {
    budget.spend(reader);
    const first = reader.address(size);
    const second = reader.address(size);
    if (first === 0n && second === 0n) return ranges;
    if (first === selectsBase) base = second;
    else add(ranges, base + first, base + second);
  }
}

function listOfVersion5(
  sections: DwarfSections,
  reader: DwarfReader,
  context: RangeContext,
  budget: Budget,
): AddressRange[] {
  const { encoding, addrBase } = context;
  const indexed = () => indexedAddress(sections, addrBase, reader.uleb(), encoding);
  const direct = () => reader.address(encoding.addressSize);
  const ranges: AddressRange[] = [];
  for (let base = context.base; ; ) {
    budget.spend(reader);
    const at = reader.position;
    const kind = reader.u8();
    if (kind === DW_RLE.end_of_list) return ranges;
    if (kind === DW_RLE.base_addressx) base = indexed();
    else if (kind === DW_RLE.base_address) base = direct();
    else if (kind === DW_RLE.startx_endx) add(ranges, indexed(), indexed());
    else if (kind === DW_RLE.start_end) add(ranges, direct(), direct());
    else if (kind === DW_RLE.startx_length) addLength(ranges, indexed(), reader.uleb64());
    else if (kind === DW_RLE.start_length) addLength(ranges, direct(), reader.uleb64());
    else if (kind === DW_RLE.offset_pair) add(ranges, base + reader.uleb64(), base + reader.uleb64());
    else throw reader.error(`there is no range list entry of kind ${kind}`, at);
  }
}

function add(ranges: AddressRange[], start: bigint, end: bigint): void {
  const from = BigInt.asUintN(64, start);
  const to = BigInt.asUintN(64, end);
  if (from < to) ranges.push({ start: from, end: to });
}

function addLength(ranges: AddressRange[], start: bigint, length: bigint): void {
  add(ranges, start, start + length);
}
