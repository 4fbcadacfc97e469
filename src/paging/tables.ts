/** The tables that a root reaches, each once per level, with where else they are linked from. */
import { canonicalAddress } from "./canonical";
import { entryCount, entrySize, levelShift } from "./layout";
import type { PagingState, TableMemory } from "./state";
import { isPage, isReserved, tableAddress } from "./walk";

/** A page that serves as a table. The same page at another level is another one. */
export interface TablePage {
  readonly physical: number;
  /** 1 (PT) to 5 (PML5). */
  readonly level: number;
  /** The lowest linear address that it translates; canonical. */
  readonly address: bigint;
  /** Physical addresses of the entries that refer to it; more than one makes it an alias. Empty for the root. */
  readonly parents: number[];
}

/** An entry of a table as raw halves. */
export interface RawEntry {
  low: number;
  high: number;
}

/** Reads entry `index` of a table; the PDPT of PAE paging is the registers. */
export function readTableEntry(
  state: PagingState,
  memory: TableMemory,
  table: number,
  level: number,
  index: number,
  out: RawEntry,
): void {
  if (state.levels === 3 && level === 3) {
    out.low = state.pdpte[2 * index];
    out.high = state.pdpte[2 * index + 1];
    return;
  }
  const address = table + index * entrySize(state.levels);
  out.low = memory.read32(address);
  out.high = state.levels === 2 ? 0 : memory.read32(address + 4);
}

/** The table that an entry refers to, or -1: not present, a page, or malformed. */
export function tableOf(state: PagingState, level: number, low: number, high: number): number {
  if ((low & 1) === 0 || level === 1 || isPage(state, level, low)) return -1;
  if (isReserved(state, level, false, low, high)) return -1;
  return tableAddress(state, low, high);
}

/**
 * Every table that the root reaches, from the root down, in the order of linear addresses. Loops end, since each page
 * is visited once for a level.
 * @param most where there are more tables, at least one more than this is listed, and not all
 */
export function listTables(
  state: PagingState,
  memory: TableMemory,
  most = Number.POSITIVE_INFINITY,
): TablePage[] {
  if (state.levels === 0) return [];
  const found = new Map<string, TablePage>();
  const root = { physical: state.root, level: state.levels, address: 0n, parents: [] };
  collect(state, memory, root, found, most);
  return [...found.values()];
}

/** Adds a table and all below it; ends once there are more than `most`. */
export function collect(
  state: PagingState,
  memory: TableMemory,
  table: TablePage,
  found: Map<string, TablePage>,
  most = Number.POSITIVE_INFINITY,
): void {
  found.set(tableKey(table.physical, table.level), table);
  if (table.level === 1) return;
  const entry = { low: 0, high: 0 };
  const shift = BigInt(levelShift(state.levels, table.level));
  for (let index = 0; index < entryCount(state.levels, table.level) && found.size <= most; index++) {
    readTableEntry(state, memory, table.physical, table.level, index, entry);
    const next = tableOf(state, table.level, entry.low, entry.high);
    if (next < 0) continue;
    const parent = table.physical + index * entrySize(state.levels);
    const known = found.get(tableKey(next, table.level - 1));
    if (known !== undefined) {
      known.parents.push(parent);
      continue;
    }
    const address = canonicalAddress(table.address + (BigInt(index) << shift), state.levels);
    const below = { physical: next, level: table.level - 1, address, parents: [parent] };
    collect(state, memory, below, found, most);
  }
}

/** A key for a page at a level. */
export function tableKey(physical: number, level: number): string {
  return `${level}:${physical}`;
}
