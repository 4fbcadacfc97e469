/** Names of tables and other places in physical memory, for rows and hovers. */
import type { Target } from "../../target/target";
import { toHex } from "../protocol/values";

const PAGE = 4096;

/** The symbol at a physical address; of an array of pages the element: "early_dynamic_pgts[3]". */
export function nameOfTable(target: Target, physical: number): string | undefined {
  const hit = target.symbols.nameOfPhysical(physical);
  if (hit === undefined) return undefined;
  const size = Number(target.symbols.sizeOf(hit.name) ?? 0n);
  if (size > PAGE && size % PAGE === 0 && hit.offset % PAGE === 0) return `${hit.name}[${hit.offset / PAGE}]`;
  return hit.offset === 0 ? hit.name : `${hit.name}+${toHex(hit.offset)}`;
}

/** A place in physical memory with its name: "early_level4_pgt (0x1002000)". */
export function placeText(target: Target, physical: number): string {
  const name = nameOfTable(target, physical);
  return name === undefined ? toHex(physical) : `${name} (${toHex(physical)})`;
}

/** An entry by its table and index: "early_level4_pgt[511]", "0x23fffd000[4]". */
export function entryName(target: Target, table: number, index: number): string {
  return `${nameOfTable(target, table) ?? toHex(table)}[${index}]`;
}
