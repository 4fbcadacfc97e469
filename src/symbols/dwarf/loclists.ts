/**
 * Location lists: where an object is, by the addresses of the code that runs. .debug_loclists since DWARF 5 (2.6.2
 * and 7.7.3), .debug_loc up to DWARF 4 (its 2.6.2).
 */
import { indexedAddress } from "./addr";
import type { Budget } from "./budget";
import { DW_LLE } from "./constants";
import type { FormValue } from "./form";
import { DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";
import { offsetOf, type UnitContext } from "./unit";

/**
 * The expression that an attribute of class exprloc or loclist gives at an address; undefined where it gives none.
 * @throws DwarfError
 */
export function expressionAt(
  sections: DwarfSections,
  value: FormValue | undefined,
  pc: bigint,
  context: UnitContext,
  budget: Budget,
): Uint8Array | undefined {
  if (value?.class === "block") return value.bytes;
  const { encoding } = context;
  if (value?.class === "location-list-index") {
    const { loclistsBase } = context;
    const index = new DwarfReader(sections.loclists, loclistsBase + value.index * encoding.offsetSize);
    const offset = loclistsBase + index.offset(encoding.offsetSize);
    return inList5(sections, new DwarfReader(sections.loclists, offset), pc, context, budget);
  }
  const offset = offsetOf(value);
  if (offset === undefined) return undefined;
  return encoding.version >= 5
    ? inList5(sections, new DwarfReader(sections.loclists, offset), pc, context, budget)
    : inList4(new DwarfReader(sections.loc, offset), pc, context, budget);
}

function inList4(
  reader: DwarfReader,
  pc: bigint,
  context: UnitContext,
  budget: Budget,
): Uint8Array | undefined {
  const size = context.encoding.addressSize;
  const selectsBase = size === 8 ? 0xffffffffffffffffn : 0xffffffffn;
  for (let base = context.base; ; ) {
    budget.spend(reader);
    const first = reader.address(size);
    const second = reader.address(size);
    if (first === 0n && second === 0n) return undefined;
    if (first === selectsBase) {
      base = second;
      continue;
    }
    const bytes = reader.bytes(reader.u16());
    if (pc >= base + first && pc < base + second) return bytes;
  }
}

function inList5(
  sections: DwarfSections,
  reader: DwarfReader,
  pc: bigint,
  context: UnitContext,
  budget: Budget,
): Uint8Array | undefined {
  const { encoding, addrBase } = context;
  const indexed = () => indexedAddress(sections, addrBase, reader.uleb(), encoding);
  const direct = () => reader.address(encoding.addressSize);
  const holds = (start: bigint, end: bigint) => {
    const bytes = reader.bytes(reader.uleb());
    return pc >= BigInt.asUintN(64, start) && pc < BigInt.asUintN(64, end) ? bytes : undefined;
  };
  let otherwise: Uint8Array | undefined;
  for (let base = context.base; ; ) {
    budget.spend(reader);
    const at = reader.position;
    let found: Uint8Array | undefined;
    const kind = reader.u8();
    switch (kind) {
      case DW_LLE.end_of_list:
        return otherwise;
      case DW_LLE.base_addressx:
        base = indexed();
        break;
      case DW_LLE.base_address:
        base = direct();
        break;
      case DW_LLE.startx_endx:
        found = holds(indexed(), indexed());
        break;
      case DW_LLE.start_end:
        found = holds(direct(), direct());
        break;
      case DW_LLE.startx_length: {
        const start = indexed();
        found = holds(start, start + reader.uleb64());
        break;
      }
      case DW_LLE.start_length: {
        const start = direct();
        found = holds(start, start + reader.uleb64());
        break;
      }
      case DW_LLE.offset_pair:
        found = holds(base + reader.uleb64(), base + reader.uleb64());
        break;
      case DW_LLE.default_location:
        otherwise = reader.bytes(reader.uleb());
        break;
      case DW_LLE.GNU_view_pair:
        reader.uleb64();
        reader.uleb64();
        break;
      default:
        throw reader.error(`there is no location list entry of kind ${kind}`, at);
    }
    if (found !== undefined) return found;
  }
}
