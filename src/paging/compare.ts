/**
 * Two moments of page tables compared along the paths of linear addresses, so that trees with different roots can be
 * compared: an entry is the same entry where the same indexes lead to it. (`diff.ts` compares the contents of frames.)
 */
import { canonicalAddress } from "./canonical";
import { join64 } from "./halves";
import { entryCount, entrySize, levelShift } from "./layout";
import type { PagingState, TableMemory } from "./state";
import { readTableEntry, tableKey, tableOf } from "./tables";
import { isPage } from "./walk";

/** The tables that a root reached, as they were. */
export interface TreeImage {
  readonly state: PagingState;
  /** Entries as low, high pairs, by `tableKey`. */
  readonly tables: ReadonlyMap<string, Int32Array>;
  /** Whether these are all of them. */
  readonly complete: boolean;
}

/** A table and what led to it, from the root down. */
export interface TreeStep {
  /** Physical address of the table; undefined where the moment has none on this path. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  readonly level: number;
  /** The lowest linear address that it translates, not sign-extended. */
  readonly address: bigint;
  /** The table above, and the index there; undefined for the root. */
  readonly above: { readonly step: TreeStep; readonly index: number } | undefined;
}

/** "moved": leads to another table, whose contents are those that the old one had. */
export type PathChangeKind = "added" | "changed" | "cleared" | "moved";

/** An entry that is another one at the later moment. */
export interface PathChange {
  readonly kind: PathChangeKind;
  /** Its table. */
  readonly step: TreeStep;
  readonly index: number;
  /** The lowest linear address that the entry translates; canonical. */
  readonly address: bigint;
  /** 0 where the moment has no table on this path. */
  readonly old: bigint;
  readonly new: bigint;
}

/** What a comparison comes across; "accessed": only the bits that the CPU sets differ. "table": one more was compared. */
export type Compared = PathChange | { readonly kind: "accessed" } | { readonly kind: "table" };

const ACCESSED = 0x20;
const DIRTY = 0x40;

/** Copies the tables that the root reaches; yields after each. @param most tables to copy; further ones are left out */
export function* copyTree(
  live: PagingState,
  memory: TableMemory,
  most: number,
): Generator<number, TreeImage, void> {
  const state = { ...live, pdpte: live.pdpte.slice() };
  const tables = new Map<string, Int32Array>();
  const left = state.levels === 0 ? [] : [{ physical: state.root, level: state.levels as number }];
  const met = new Set(left.map(({ physical, level }) => tableKey(physical, level)));
  let complete = true;
  for (let table = left.pop(); table !== undefined; table = left.pop()) {
    if (tables.size >= most) {
      complete = false;
      break;
    }
    const words = readWords(state, memory, table.physical, table.level);
    tables.set(tableKey(table.physical, table.level), words);
    for (let i = 0; i < words.length; i += 2) {
      const next = tableOf(state, table.level, words[i], words[i + 1]);
      if (next < 0 || met.has(tableKey(next, table.level - 1))) continue;
      met.add(tableKey(next, table.level - 1));
      left.push({ physical: next, level: table.level - 1 });
    }
    yield tables.size;
  }
  return { state, tables, complete };
}

/**
 * What differs, from the root down, in the order of linear addresses. A pair of tables that several paths lead to is
 * compared once, on the first of them. Trees of different depth have no path in common: all of one is cleared, all of
 * the other added.
 */
export function* compareTrees(before: TreeImage, after: TreeImage): Generator<Compared> {
  const start = (levels: number, hasBefore: boolean, hasAfter: boolean): TreeStep => ({
    before: hasBefore ? before.state.root : undefined,
    after: hasAfter ? after.state.root : undefined,
    level: levels,
    address: 0n,
    above: undefined,
  });
  const compared = new Set<string>();
  const [old, now] = [before.state.levels, after.state.levels];
  if (old === now && old !== 0) yield* compareTables(before, after, start(old, true, true), compared);
  else {
    if (old !== 0) yield* compareTables(before, after, start(old, true, false), compared);
    if (now !== 0) yield* compareTables(before, after, start(now, false, true), compared);
  }
}

function* compareTables(
  before: TreeImage,
  after: TreeImage,
  step: TreeStep,
  compared: Set<string>,
): Generator<Compared> {
  const key = `${step.level}:${step.before}:${step.after}`;
  if (compared.has(key)) return;
  compared.add(key);
  yield { kind: "table" };
  const { level } = step;
  const [old, now] = [wordsOf(before, step.before, level), wordsOf(after, step.after, level)];
  // Nothing is known of tables that were left out.
  if ((old === undefined && step.before !== undefined) || (now === undefined && step.after !== undefined))
    return;
  const { levels } = step.after === undefined ? before.state : after.state;
  for (let index = 0; index < entryCount(levels, level); index++) {
    const [oldLow, oldHigh] = [old?.[2 * index] ?? 0, old?.[2 * index + 1] ?? 0];
    const [newLow, newHigh] = [now?.[2 * index] ?? 0, now?.[2 * index + 1] ?? 0];
    if (((oldLow | newLow) & 1) === 0) continue;
    const address = step.address + (BigInt(index) << BigInt(levelShift(levels, level)));
    const [oldTable, newTable] = [
      tableOf(before.state, level, oldLow, oldHigh),
      tableOf(after.state, level, newLow, newHigh),
    ];
    if (oldLow !== newLow || oldHigh !== newHigh) {
      const kind = kindOf(before, after, level, { oldLow, oldHigh, newLow, newHigh, oldTable, newTable });
      yield kind === "accessed"
        ? { kind }
        : {
            kind,
            step,
            index,
            address: canonicalAddress(address, levels),
            old: join64(oldLow, oldHigh),
            new: join64(newLow, newHigh),
          };
    }
    if (oldTable < 0 && newTable < 0) continue;
    const below: TreeStep = {
      before: oldTable < 0 ? undefined : oldTable,
      after: newTable < 0 ? undefined : newTable,
      level: level - 1,
      address,
      above: { step, index },
    };
    yield* compareTables(before, after, below, compared);
  }
}

interface EntryPair {
  readonly oldLow: number;
  readonly oldHigh: number;
  readonly newLow: number;
  readonly newHigh: number;
  readonly oldTable: number;
  readonly newTable: number;
}

function kindOf(
  before: TreeImage,
  after: TreeImage,
  level: number,
  { oldLow, oldHigh, newLow, newHigh, oldTable, newTable }: EntryPair,
): PathChangeKind | "accessed" {
  if ((oldLow & 1) === 0) return "added";
  if ((newLow & 1) === 0) return "cleared";
  const page = isPage(after.state, level, newLow);
  const ignored = page ? ACCESSED | DIRTY : ACCESSED;
  if (((oldLow ^ newLow) & ~ignored) === 0 && oldHigh === newHigh) return "accessed";
  if (oldTable < 0 || newTable < 0 || oldTable === newTable) return "changed";
  // Bits 12 to 51 are the address.
  const sameFlags =
    ((oldLow ^ newLow) & 0xfff & ~ACCESSED) === 0 && ((oldHigh ^ newHigh) & 0xfff0_0000) === 0;
  return sameFlags && sameContents(before, after, level - 1, oldTable, newTable) ? "moved" : "changed";
}

/** Whether two tables have the same entries, but for what the CPU sets. */
export function sameContents(
  before: TreeImage,
  after: TreeImage,
  level: number,
  oldTable: number,
  newTable: number,
): boolean {
  const [old, now] = [wordsOf(before, oldTable, level), wordsOf(after, newTable, level)];
  if (old === undefined || now === undefined || old.length !== now.length) return false;
  for (let i = 0; i < old.length; i += 2) {
    const ignored =
      (old[i] & 1) === 0 ? 0 : isPage(before.state, level, old[i]) ? ACCESSED | DIRTY : ACCESSED;
    if (((old[i] ^ now[i]) & ~ignored) !== 0 || old[i + 1] !== now[i + 1]) return false;
  }
  return true;
}

/** Physical address of an entry; undefined where it is a register (the PDPTEs of PAE paging). */
export function entryAddressOf(state: PagingState, table: number, level: number, index: number) {
  if (state.levels === 3 && level === 3) return undefined;
  return table + index * entrySize(state.levels);
}

function wordsOf(image: TreeImage, table: number | undefined, level: number): Int32Array | undefined {
  return table === undefined ? undefined : image.tables.get(tableKey(table, level));
}

function readWords(state: PagingState, memory: TableMemory, table: number, level: number): Int32Array {
  const count = entryCount(state.levels, level);
  const words = new Int32Array(2 * count);
  const entry = { low: 0, high: 0 };
  for (let index = 0; index < count; index++) {
    readTableEntry(state, memory, table, level, index, entry);
    words[2 * index] = entry.low;
    words[2 * index + 1] = entry.high;
  }
  return words;
}
