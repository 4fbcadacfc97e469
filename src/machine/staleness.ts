/**
 * Whether what the TLB and the paging-structure caches hold agrees with the tables, and what ended that. Looks only:
 * no flag is set in the tables, and the marks of the entries stay (SDM vol. 3A, 4.10.2 and 4.10.3; keeping both in
 * agreement is software's duty, 4.10.4).
 */
import type { PagingState, TableMemory } from "../paging/state";
import {
  FAULT_NOT_PRESENT,
  FAULT_RESERVED,
  isPage,
  rightsBelow,
  tableAddress,
  type Walk,
  walkLinear,
} from "../paging/walk";
import type { TableChange, TableChanges } from "./tableChanges";
import type { StructureEntry, TlbEntry } from "./tlb";

/** What a walk of the tables gives in place of a cached translation. */
export type Agreement =
  | "agrees"
  /** An entry on the way is not present. */
  | "not-present"
  /** An entry on the way has a reserved bit set. */
  | "reserved"
  /** Another page; of a structure entry another table, or a page in its place. */
  | "elsewhere"
  /** The same memory, in pages of another size. */
  | "size"
  /** The same page with other rights, or another protection key. */
  | "rights";

/** Something cached: both kinds of it can be compared with tables. */
export interface Cached {
  /** Compares it with tables; `walk` then holds the walk of them. */
  compare(state: PagingState, memory: TableMemory, walk: Walk): Agreement;
}

/** A TLB entry, compared at its first address. */
export function cachedTranslation(entry: TlbEntry): Cached {
  const { low, high } = halvesOf(entry.page * 2 ** (entry.pageShift - 12));
  return {
    compare: (state, memory, walk) => compareTranslation(entry, low, high, state, memory, walk),
  };
}

/**
 * A paging-structure cache entry.
 * @param spanShift log2 of its linear span, less 12
 */
export function cachedStructure(entry: StructureEntry, spanShift: number): Cached {
  const { low, high } = halvesOf(entry.prefix * 2 ** spanShift);
  return {
    compare: (state, memory, walk) => compareStructure(entry, low, high, state, memory, walk),
  };
}

function compareTranslation(
  entry: TlbEntry,
  low: number,
  high: number,
  state: PagingState,
  memory: TableMemory,
  walk: Walk,
): Agreement {
  const fault = walkLinear(state, memory, low, high, 0, walk);
  if (fault === FAULT_NOT_PRESENT) return "not-present";
  if (fault === FAULT_RESERVED) return "reserved";
  if (walk.frame + (low & ((1 << walk.pageShift) - 1)) !== entry.frame) return "elsewhere";
  if (walk.pageShift !== entry.pageShift) return "size";
  return walk.rights === entry.rights && walk.key === entry.key ? "agrees" : "rights";
}

function compareStructure(
  cached: StructureEntry,
  low: number,
  high: number,
  state: PagingState,
  memory: TableMemory,
  walk: Walk,
): Agreement {
  const fault = walkLinear(state, memory, low, high, 0, walk);
  let rights = ALL_RIGHTS;
  for (let step = 0; step < walk.stepCount; step++) {
    const level = walk.levels[step];
    const [entryLow, entryHigh] = [walk.entryLow[step], walk.entryHigh[step]];
    const failed = step === walk.stepCount - 1 && (fault === FAULT_NOT_PRESENT || fault === FAULT_RESERVED);
    if (failed) return fault === FAULT_RESERVED ? "reserved" : "not-present";
    rights = rightsBelow(state, level, rights, entryLow, entryHigh);
    if (level > cached.level + 1 && !isPage(state, level, entryLow)) continue;
    if (level !== cached.level + 1 || isPage(state, level, entryLow)) return "elsewhere";
    if (tableAddress(state, entryLow, entryHigh) !== cached.table) return "elsewhere";
    return rights === cached.rights ? "agrees" : "rights";
  }
  return "elsewhere";
}

/** RIGHT_WRITE and RIGHT_USER: what a walk starts with. */
const ALL_RIGHTS = 6;
/** Changes of the entries on the way that are gone through at most. */
const MOST_CHANGES = 1000;

/**
 * The change since which something cached no longer agrees with the tables: found by taking the changes of the entries
 * on its way back, the latest first, until it agrees.
 * @returns undefined where it agrees, and where the change is no longer kept
 */
export function whatMadeStale(
  cached: Cached,
  changes: TableChanges,
  state: PagingState,
  memory: TableMemory,
  walk: Walk,
): TableChange | undefined {
  if (cached.compare(state, memory, walk) === "agrees") return undefined;
  let before = changes.end;
  for (let made = 0; made < MOST_CHANGES; made++) {
    const entries = Array.from(walk.entryAddresses.subarray(0, walk.stepCount));
    before = changes.latest(entries, before);
    if (before < 0) return undefined;
    const then = changes.before(before, state, memory);
    if (cached.compare(then.state, then.memory, walk) === "agrees") return changes.at(before);
  }
  return undefined;
}

/** The linear address of a 4 KiB page number, as int32 halves. */
function halvesOf(page4K: number): { low: number; high: number } {
  return { low: ((page4K % 0x100000) * 4096) | 0, high: Math.floor(page4K / 0x100000) | 0 };
}
