/** What changed in a table tree between two moments. */
import { canonicalAddress } from "./canonical";
import { join64 } from "./halves";
import { entryCount, entrySize, levelShift } from "./layout";
import type { PagingState, TableMemory } from "./state";
import { listTables, readTableEntry, type TablePage, tableKey } from "./tables";

/** The contents of every table that a root reached. */
export interface TableSnapshot {
  readonly levels: PagingState["levels"];
  readonly root: number;
  readonly tables: ReadonlyMap<string, TableContents>;
}

interface TableContents {
  readonly page: TablePage;
  /** Entries as low, high pairs. */
  readonly words: Int32Array;
}

/** A change of one entry. */
export interface EntryChange {
  readonly kind: "added" | "changed" | "cleared";
  readonly level: number;
  /** Physical address of the table and index of the entry. */
  readonly table: number;
  readonly index: number;
  /** The lowest linear address that the entry translates; canonical. */
  readonly address: bigint;
  readonly old: bigint;
  readonly new: bigint;
}

/** Copies the tables that the root reaches now. */
export function snapshot(state: PagingState, memory: TableMemory): TableSnapshot {
  const tables = new Map<string, TableContents>();
  for (const page of listTables(state, memory)) {
    tables.set(tableKey(page.physical, page.level), { page, words: tableWords(state, memory, page) });
  }
  return { levels: state.levels, root: state.root, tables };
}

/** The entries of a table as low, high pairs. */
export function tableWords(
  state: PagingState,
  memory: TableMemory,
  { physical, level }: Pick<TablePage, "physical" | "level">,
): Int32Array {
  const count = entryCount(state.levels, level);
  const words = new Int32Array(2 * count);
  const entry = { low: 0, high: 0 };
  for (let index = 0; index < count; index++) {
    readTableEntry(state, memory, physical, level, index, entry);
    words[2 * index] = entry.low;
    words[2 * index + 1] = entry.high;
  }
  return words;
}

/**
 * The entries that differ, table by table in the order of the later snapshot, then of tables that are gone. `added`:
 * present now and not before; `cleared`: the reverse. A table that was not reached before counts as empty before.
 * Changes of entries that are not present in either are left out.
 */
export function* diffSnapshots(before: TableSnapshot, after: TableSnapshot): Generator<EntryChange> {
  for (const [key, contents] of after.tables) {
    yield* diffTable(after.levels, contents.page, before.tables.get(key)?.words, contents.words);
  }
  for (const [key, contents] of before.tables) {
    if (!after.tables.has(key)) yield* diffTable(before.levels, contents.page, contents.words, undefined);
  }
}

function* diffTable(
  levels: PagingState["levels"],
  page: TablePage,
  old: Int32Array | undefined,
  now: Int32Array | undefined,
): Generator<EntryChange> {
  const length = (old ?? now)!.length;
  const shift = BigInt(levelShift(levels, page.level));
  for (let i = 0; i < length; i += 2) {
    const [oldLow, oldHigh, newLow, newHigh] = [
      old?.[i] ?? 0,
      old?.[i + 1] ?? 0,
      now?.[i] ?? 0,
      now?.[i + 1] ?? 0,
    ];
    if (((oldLow | newLow) & 1) === 0 || (oldLow === newLow && oldHigh === newHigh)) continue;
    yield {
      kind: (oldLow & 1) === 0 ? "added" : (newLow & 1) === 0 ? "cleared" : "changed",
      level: page.level,
      table: page.physical,
      index: i / 2,
      address: canonicalAddress(page.address + (BigInt(i / 2) << shift), levels),
      old: join64(oldLow, oldHigh),
      new: join64(newLow, newHigh),
    };
  }
}

/** Physical address of the entry that changed. */
export function entryOf(change: EntryChange, levels: PagingState["levels"]): number {
  return change.table + change.index * entrySize(levels);
}
