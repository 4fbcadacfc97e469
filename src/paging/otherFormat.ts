/**
 * A root page that is about to be, or was, read in another format: the 2-level root of 32-bit paging and the four
 * entries of PAE paging may be the same page, since setting CR4.PAE while paging is on leaves CR3 as it is (SDM vol.
 * 3A, 4.1.2 and 4.4.1). What one mode writes there, the other reads as something else.
 */
import { type DecodedEntry, decodeEntry } from "./entry";
import { entryCount, entrySize, levelShift } from "./layout";
import type { PagingLevels, PagingState, TableMemory } from "./state";

/** Linear addresses; the end is exclusive, up to 2^32. */
export interface LinearRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** An entry of the root page as another mode reads it. */
export interface OtherEntry {
  readonly index: number;
  /** Physical address of the entry. */
  readonly address: number;
  /** What it says in the other mode, at the root's level. */
  readonly entry: DecodedEntry;
  /** What it translates in the other mode. */
  readonly translates: LinearRange;
  /** The entries of the present mode that its bytes are in, even in part; undefined where they are in none. */
  readonly takes: TakenEntries | undefined;
}

/** Adjacent root entries of the present mode. */
export interface TakenEntries {
  /** Indexes, both inclusive. */
  readonly first: number;
  readonly last: number;
  /** What they translate in the present mode. */
  readonly translates: LinearRange;
}

/** The other mode that a root page can be read in; undefined for modes whose roots are not shared. */
export function otherRootMode(levels: PagingLevels): 2 | 3 | undefined {
  return levels === 2 ? 3 : levels === 3 ? 2 : undefined;
}

/**
 * The entries of the present root page as the other mode of 32-bit paging would read them with the same CR3: 4 from a
 * 2-level root, 1024 from the page in which a PAE root lies. Read from memory: the PDPTE registers may hold older
 * values. Bits 5 to 11 of CR3, which a 2-level root has no use for, are taken to be 0.
 * @returns in the order of their addresses; none where the present mode shares no root with another
 */
export function rootInOtherFormat(state: PagingState, memory: TableMemory): OtherEntry[] {
  const levels = otherRootMode(state.levels);
  if (levels === undefined) return [];
  const other: PagingState = { ...state, levels, root: levels === 2 ? pageOf(state.root) : state.root };
  const size = entrySize(levels);
  return Array.from({ length: entryCount(levels, levels) }, (_, index) => {
    const address = other.root + index * size;
    return {
      index,
      address,
      entry: decodeEntry(readValue(memory, address, size), levels, other),
      translates: spanOf(levels, index, index),
      takes: takenBy(state, address, size),
    };
  });
}

/** A 2-level root is a page; that of PAE may lie anywhere in it, aligned to 32 bytes. */
function pageOf(address: number): number {
  return address - (address % 4096);
}

function readValue(memory: TableMemory, address: number, size: 4 | 8): bigint {
  const low = BigInt(memory.read32(address) >>> 0);
  return size === 4 ? low : (BigInt(memory.read32(address + 4) >>> 0) << 32n) | low;
}

function takenBy({ levels, root }: PagingState, address: number, size: number): TakenEntries | undefined {
  const own = entrySize(levels);
  const first = Math.floor((address - root) / own);
  const last = Math.floor((address + size - 1 - root) / own);
  if (first < 0 || last >= entryCount(levels, levels)) return undefined;
  return { first, last, translates: spanOf(levels, first, last) };
}

function spanOf(levels: PagingLevels, first: number, last: number): LinearRange {
  const shift = BigInt(levelShift(levels, levels));
  return { start: BigInt(first) << shift, end: BigInt(last + 1) << shift };
}
