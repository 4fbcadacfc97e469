/** Addresses by index (DWARF 5, 7.27: .debug_addr). */
import type { Encoding, FormValue } from "./form";
import { DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";

/**
 * The address at an index of the unit's part of .debug_addr.
 * @throws DwarfError where the index leads out of the section
 */
export function indexedAddress(
  sections: DwarfSections,
  base: number,
  index: number,
  encoding: Encoding,
): bigint {
  return new DwarfReader(sections.addr, base + index * encoding.addressSize).address(encoding.addressSize);
}

/** The address that a value of class address gives; undefined for any other class. @throws DwarfError */
export function addressOf(
  sections: DwarfSections,
  value: FormValue | undefined,
  encoding: Encoding,
  addrBase: number,
): bigint | undefined {
  if (value?.class === "address") return value.value;
  if (value?.class === "address-index") return indexedAddress(sections, addrBase, value.index, encoding);
  return undefined;
}
