/** What changed in the tables since the last stop: contents when the debuggee goes, compared when it stops. */
import { diffSnapshots, type EntryChange, entryOf, snapshot, type TableSnapshot } from "../../paging/diff";
import { entrySize } from "../../paging/layout";
import { listTables, tableKey } from "../../paging/tables";
import type { Target } from "../../target/target";

/** Tables that are compared at most: 16 MiB. More would make each step slow. */
export const MOST_COMPARED = 4096;

export class TableChanges {
  /** By the entry's physical address and level. */
  private changed = new Map<string, EntryChange>();
  /** Tables, as `tableKey`, with a change in them or below. */
  private above = new Set<string>();
  private before: TableSnapshot | undefined;
  /** What the tables held when the debuggee stopped, until somebody may have changed them. */
  private present: TableSnapshot | undefined;
  private lost = false;

  constructor(private readonly target: Target) {}

  /** Whether there were too many tables to compare, so that nothing is marked. */
  get tooMany(): boolean {
    return this.lost;
  }

  /** Whether anything changed. */
  get any(): boolean {
    return this.changed.size > 0;
  }

  /** The debuggee goes on. */
  onResume(): void {
    this.before = this.present ?? this.read();
    this.present = undefined;
  }

  /** It has stopped. */
  onStop(): void {
    this.changed = new Map();
    this.above = new Set();
    const { before, target } = this;
    this.before = undefined;
    this.present = this.read();
    this.lost = this.present === undefined;
    // Tables of another format have nothing that could be compared.
    if (before === undefined || this.present === undefined || before.levels !== target.pagingState.levels)
      return;
    for (const change of diffSnapshots(before, this.present)) {
      this.changed.set(entryKey(entryOf(change, before.levels), change.level), change);
      this.above.add(tableKey(change.table, change.level));
    }
    if (this.any) this.climb(this.present);
  }

  /** Memory was changed from outside: what is compared at the next stop has to be read again. */
  invalidate(): void {
    this.present = undefined;
  }

  /** What happened to an entry. */
  of(entry: number, level: number): EntryChange | undefined {
    return this.changed.get(entryKey(entry, level));
  }

  /** What happened to entries that follow each other, in their order. */
  between(entry: number, level: number, count: number): EntryChange[] {
    if (!this.any) return [];
    const size = entrySize(this.target.pagingState.levels);
    return Array.from({ length: count }, (_, i) => this.of(entry + i * size, level)).filter(
      (change) => change !== undefined,
    );
  }

  /** Whether a table, or one below it, has a change. */
  within(table: number, level: number): boolean {
    return this.above.has(tableKey(table, level));
  }

  private read(): TableSnapshot | undefined {
    const { pagingState, memory } = this.target;
    if (listTables(pagingState, memory, MOST_COMPARED).length > MOST_COMPARED) return undefined;
    return snapshot(pagingState, memory);
  }

  /** Adds the tables above those that have a change. */
  private climb({ tables, levels, root }: TableSnapshot): void {
    const parentsOf = (key: string) => tables.get(key)?.page.parents ?? [];
    const open = [...this.above];
    for (let key = open.pop(); key !== undefined; key = open.pop()) {
      const level = Number(key.slice(0, key.indexOf(":")));
      for (const parent of parentsOf(key)) {
        const table = level + 1 === levels ? root : parent - (parent % 4096);
        const above = tableKey(table, level + 1);
        if (this.above.has(above)) continue;
        this.above.add(above);
        open.push(above);
      }
    }
  }
}

function entryKey(entry: number, level: number): string {
  return `${level}:${entry}`;
}
