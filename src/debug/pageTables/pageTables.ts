/** The page tables as the tree asks for them: rows below a row, and the way to a place. */
import { MODE_NAMES } from "../../paging/ranges";
import { listTables, type TablePage } from "../../paging/tables";
import type { Target } from "../../target/target";
import { hex64 } from "../../target/values";
import { RequestError } from "../dispatcher";
import type { TableRows as Answer, Filter, TableRow } from "../protocol/tables";
import { toHex } from "../protocol/values";
import { TableChanges } from "./changes";
import { placeText } from "./names";
import { type Span, type TablePlace, TableRows } from "./rows";

export class PageTables {
  private readonly changes: TableChanges;
  private tables: readonly TablePage[] | undefined;

  constructor(private readonly target: Target) {
    this.changes = new TableChanges(target);
  }

  /** The debuggee goes on: what its tables are now, the next stop is compared with. */
  onResume(): void {
    this.changes.onResume();
    this.tables = undefined;
  }

  onStop(): void {
    this.changes.onStop();
    this.tables = undefined;
  }

  /** Memory was changed from outside. */
  invalidate(): void {
    this.tables = undefined;
  }

  /**
   * Rows below a row; the root's own row without a parent.
   * @param watched physical addresses of watched entries
   * @throws RequestError where the parent is no row
   */
  rows(
    {
      parent,
      start,
      count,
      filter,
    }: { parent?: string | undefined; start: number; count: number; filter: Filter },
    watched: ReadonlySet<number>,
  ): Answer {
    const rows = this.reader(filter, watched);
    if (parent === undefined) return { rows: [this.rootRow()], total: 1 };
    if (this.target.pagingState.levels === 0) return { rows: [], total: 0 };
    const { table, spans } = this.spansBelow(rows, parent);
    return {
      rows: spans.slice(start, start + count).map((span) => rows.row(table, span)),
      total: spans.length,
    };
  }

  /** The rows from the root to the deepest entry that translates an address. */
  reveal(address: bigint, filter: Filter, watched: ReadonlySet<number>): TableRow[] {
    const { levels } = this.target.pagingState;
    const found = [this.rootRow()];
    if (levels === 0) return found;
    const rows = this.reader(filter, watched);
    let table: TablePlace | undefined = rows.root();
    while (table !== undefined) {
      const place: TablePlace = table;
      const index = indexOf(address, place.level, levels);
      const span: Span | undefined = rows
        .spans(place)
        .find(({ first, last }) => index >= first && index <= last);
      if (span === undefined) break;
      found.push(rows.row(place, span));
      if (span.last > span.first) found.push(rows.row(place, rows.entries(place, index, index)[0]));
      table = rows.below(place, index);
    }
    return found;
  }

  /** The linear address at which a table is reached first; undefined where the root does not reach it. */
  addressOfTable(physical: number): bigint | undefined {
    return this.all().find((table) => table.physical === physical)?.address;
  }

  /** The levels at which a page serves as a table. */
  levelsOf(physical: number): number[] {
    return this.all()
      .filter((table) => table.physical === physical)
      .map(({ level }) => level);
  }

  private all(): readonly TablePage[] {
    this.tables ??= listTables(this.target.pagingState, this.target.memory);
    return this.tables;
  }

  private reader(filter: Filter, watched: ReadonlySet<number>): TableRows {
    return new TableRows(this.target, this.changes, this.all(), watched, filter);
  }

  private rootRow(): TableRow {
    const { target, changes } = this;
    const { pagingState: state, machine } = target;
    const mode = MODE_NAMES[state.levels];
    const name = placeText(target, state.root);
    if (state.levels === 0) {
      return {
        id: "root",
        kind: "root",
        label: "Paging is off",
        description: `CR3 holds ${toHex(machine.cpu.cr3)}`,
        tooltip: "Linear addresses are physical ones until the guest sets CR0.PG.",
        expandable: false,
      };
    }
    const lost = changes.tooMany ? "\n\nChanges are not marked: there are too many tables to compare." : "";
    return {
      id: "root",
      kind: "root",
      label: `CR3 → ${name}`,
      description: `${mode} paging · ${this.all().length} tables`,
      tooltip: `CR3 = \`${hex64(machine.cpu.cr3)}\`, ${mode} paging${lost}`,
      expandable: true,
      ...(changes.within(state.root, state.levels) ? { changedBelow: true } : {}),
      entry: toHex(state.root),
      physical: toHex(state.root),
    };
  }

  /** Follows an ID down from the root. */
  private spansBelow(rows: TableRows, id: string): { table: TablePlace; spans: Span[] } {
    const [first, ...path] = id.split("/");
    let table: TablePlace | undefined = first === "root" ? rows.root() : undefined;
    for (const part of path) {
      const run = /^(\d{1,4})-(\d{1,4})$/.exec(part);
      if (table === undefined) break;
      if (run !== null) {
        const [from, to] = [Number(run[1]), Number(run[2])];
        if (to > 1023 || from > to) break;
        return { table, spans: rows.entries(table, from, to) };
      }
      table = /^\d{1,4}$/.test(part) ? rows.below(table, Number(part)) : undefined;
    }
    if (table === undefined) throw new RequestError(`there is no row "${id}" in the page tables now`);
    return { table, spans: rows.spans(table) };
  }
}

function indexOf(address: bigint, level: number, levels: number): number {
  if (levels === 2) return Number((address >> BigInt(level === 2 ? 22 : 12)) & 0x3ffn);
  const mask = levels === 3 && level === 3 ? 3n : 0x1ffn;
  return Number((address >> BigInt(12 + 9 * (level - 1))) & mask);
}
