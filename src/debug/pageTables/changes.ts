/** What changed in the tables since the last stop: a snapshot when the debuggee goes, a comparison when it stops. */
import { diffSnapshots, type EntryChange, entryOf, snapshot, type TableSnapshot } from "../../paging/diff";
import { listTables, tableKey } from "../../paging/tables";
import type { Target } from "../../target/target";

/** Table pages of a snapshot at most: 16 MiB. More would make each step slow. */
const MOST_TABLES = 4096;

export class TableChanges {
  /** By the entry's physical address and level. */
  private changed = new Map<string, EntryChange>();
  /** Tables, as `tableKey`, with a change in them or below. */
  private above = new Set<string>();
  private before: TableSnapshot | undefined;
  /** The root was loaded since, so that other tables are compared than before. */
  tooMany = false;

  constructor(private readonly target: Target) {}

  /** The debuggee goes on. */
  onResume(): void {
    const { pagingState, memory } = this.target;
    this.tooMany = listTables(pagingState, memory).length > MOST_TABLES;
    this.before = this.tooMany ? undefined : snapshot(pagingState, memory);
  }

  /** It has stopped. */
  onStop(): void {
    this.changed = new Map();
    this.above = new Set();
    const { before, target } = this;
    const { pagingState, memory } = target;
    if (before === undefined || this.tooMany) return;
    const tables = listTables(pagingState, memory);
    if (tables.length > MOST_TABLES) {
      this.tooMany = true;
      return;
    }
    // Tables of another format have nothing that could be compared.
    if (before.levels !== pagingState.levels) return;
    for (const change of diffSnapshots(before, snapshot(pagingState, memory))) {
      this.changed.set(entryKey(entryOf(change, pagingState.levels), change.level), change);
      this.above.add(tableKey(change.table, change.level));
    }
    for (let grew = true; grew; ) {
      grew = false;
      for (const { physical, level, parents } of tables) {
        if (!this.above.has(tableKey(physical, level))) continue;
        for (const parent of parents) {
          const key = tableKey(parent - (parent % 4096), level + 1);
          if (this.above.has(key)) continue;
          this.above.add(key);
          grew = true;
        }
      }
    }
  }

  /** What happened to an entry. */
  of(entry: number, level: number): EntryChange | undefined {
    return this.changed.get(entryKey(entry, level));
  }

  /** Whether a table, or one below it, has a change. */
  within(table: number, level: number): boolean {
    return this.above.has(tableKey(table, level));
  }
}

function entryKey(entry: number, level: number): string {
  return `${level}:${entry}`;
}
