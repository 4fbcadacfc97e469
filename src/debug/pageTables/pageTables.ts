/** The page tables as the tree asks for them: rows below a row, and the way to a place. */
import { entrySize, levelShift } from "../../paging/layout";
import { MODE_NAMES } from "../../paging/ranges";
import { listTables, type TablePage, tableKey } from "../../paging/tables";
import { entryIndex } from "../../paging/walk";
import type { Target } from "../../target/target";
import { grouped, hex64, plural } from "../../target/values";
import { RequestError } from "../dispatcher";
import type { TableRows as Answer, Filter, RevealAnswer, TableRow } from "../protocol/tables";
import { toHex } from "../protocol/values";
import { MOST_COMPARED, TableChanges } from "./changes";
import { nameOfTable, placeText } from "./names";
import { OTHER_FORMAT_ID, otherFormatRow, otherFormatRows } from "./otherFormat";
import type { Span, TablePlace } from "./places";
import { TableRows, type WatchedRange } from "./rows";

/** Tables that are listed for aliases and counts: what more there are is still shown when its row is opened. */
const MOST_LISTED = 16_384;

/** Which rows are asked for. */
export interface RowsQuery {
  /** A row's ID; the root's own row without one. */
  readonly parent?: string | undefined;
  readonly start: number;
  readonly count: number;
  readonly filter: Filter;
}

export class PageTables {
  private readonly changes: TableChanges;
  private listed: ReadonlyMap<string, TablePage> | undefined;

  constructor(private readonly target: Target) {
    this.changes = new TableChanges(target);
  }

  /** The debuggee goes on: what its tables are now, the next stop is compared with. */
  onResume(): void {
    this.changes.onResume();
    this.listed = undefined;
  }

  onStop(): void {
    this.changes.onStop();
    this.listed = undefined;
  }

  /** Memory or registers were changed from outside. */
  invalidate(): void {
    this.changes.invalidate();
    this.listed = undefined;
  }

  /**
   * Rows below a row.
   * @throws RequestError where the parent is no row now
   */
  rows({ parent, start, count, filter }: RowsQuery, watched: readonly WatchedRange[]): Answer {
    if (parent === undefined) return { rows: [this.rootRow()], total: 1 };
    if (this.target.pagingState.levels === 0) return { rows: [], total: 0 };
    if (parent === OTHER_FORMAT_ID) {
      const all = otherFormatRows(this.target, this.changes);
      return { rows: all.slice(start, start + count), total: all.length };
    }
    const rows = this.reader(filter, watched);
    const { table, spans, whole } = this.spansBelow(rows, parent);
    const remarks = whole ? rows.remarks(table, spans) : [];
    const other = parent === "root" && filter === "none" ? otherFormatRow(this.target) : undefined;
    if (other !== undefined) remarks.push(other);
    return {
      rows: [
        ...spans.slice(start, start + count).map((span) => rows.row(table, span)),
        ...remarks.slice(Math.max(0, start - spans.length), Math.max(0, start + count - spans.length)),
      ],
      total: spans.length + remarks.length,
    };
  }

  /**
   * The rows from the root to the deepest entry that translates a linear address.
   * @param lowest the level at which to end: 1 for all the way
   */
  reveal(address: bigint, filter: Filter, watched: readonly WatchedRange[], lowest = 1): RevealAnswer {
    const { pagingState: state } = this.target;
    const found: { row: TableRow; position: number }[] = [{ row: this.rootRow(), position: 0 }];
    const rows = state.levels === 0 ? undefined : this.reader(filter, watched);
    let table: TablePlace | undefined = rows?.places.root();
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    while (rows !== undefined && table !== undefined && table.level >= lowest) {
      const place: TablePlace = table;
      const index = entryIndex(state, place.level, low, high);
      const spans = rows.spans(place);
      const position = spans.findIndex(({ first, last }) => index >= first && index <= last);
      if (position < 0) break;
      const span = spans[position];
      found.push({ row: rows.row(place, span), position });
      if (span.last > span.first) {
        const [single] = rows.places.single(place, index, index);
        found.push({ row: rows.row(place, single), position: index - span.first });
      }
      table = rows.places.below(place, index);
    }
    return { rows: found.map(({ row }) => row), positions: found.map(({ position }) => position) };
  }

  /**
   * The rows down to an entry, by its physical address; to the row that leads to a table, by the table's own.
   * @throws RequestError where no table that the root reaches is there
   */
  revealPhysical(
    physical: number,
    what: "entry" | "table",
    filter: Filter,
    watched: readonly WatchedRange[],
  ): RevealAnswer {
    const { levels } = this.target.pagingState;
    const table = this.tableAt(physical);
    if (table === undefined) {
      throw new RequestError(`${toHex(physical)} lies in no page table that CR3 leads to`);
    }
    if (what === "table") return this.reveal(table.address, filter, watched, table.level + 1);
    const index = Math.floor((physical - table.physical) / entrySize(levels));
    const address = table.address + (BigInt(index) << BigInt(levelShift(levels, table.level)));
    return this.reveal(address, filter, watched, table.level);
  }

  /** The table that a physical address lies in, the highest one where it serves at several levels. */
  tableAt(physical: number): TablePage | undefined {
    const { levels, root } = this.target.pagingState;
    if (levels === 3 && physical >= root && physical < root + 32) return this.all().get(tableKey(root, 3));
    const page = physical - (physical % 4096);
    for (let level: number = levels; level > 0; level--) {
      const table = this.all().get(tableKey(page, level));
      if (table !== undefined) return table;
    }
    return undefined;
  }

  /** The levels at which a page serves as a table. */
  levelsOf(physical: number): number[] {
    return [5, 4, 3, 2, 1].filter((level) => this.all().has(tableKey(physical, level)));
  }

  /** Tables that the root reaches; `most` where there are more. */
  counts(): { tables: number; more: boolean } {
    const { size } = this.all();
    return { tables: Math.min(size, MOST_LISTED), more: size > MOST_LISTED };
  }

  private all(): ReadonlyMap<string, TablePage> {
    const { pagingState, memory } = this.target;
    this.listed ??= new Map(
      listTables(pagingState, memory, MOST_LISTED).map((table) => [
        tableKey(table.physical, table.level),
        table,
      ]),
    );
    return this.listed;
  }

  private reader(filter: Filter, watched: readonly WatchedRange[]): TableRows {
    const { target, changes } = this;
    return new TableRows({ target, changes, tables: this.all(), watched, filter });
  }

  private rootRow(): TableRow {
    const { target, changes } = this;
    const { pagingState: state, machine } = target;
    const mode = MODE_NAMES[state.levels];
    if (state.levels === 0) {
      return {
        id: "root",
        kind: "root",
        label: "Paging is off",
        description: `CR3 holds ${placeText(target, state.root)}`,
        tooltip: "Linear addresses are physical ones until the guest sets CR0.PG.",
        expandable: false,
      };
    }
    const { tables, more } = this.counts();
    const count = `${more ? "more than " : ""}${plural(tables, "table")}`;
    const lost = changes.tooMany ? " · changes are not marked" : "";
    const name = nameOfTable(target, state.root);
    return {
      id: "root",
      kind: "root",
      label: `CR3 → ${placeText(target, state.root)}`,
      ...(name === undefined ? {} : { name }),
      description: `${mode} paging · ${count}${lost}`,
      tooltip: [
        `CR3 = \`${hex64(machine.cpu.cr3)}\`, ${mode} paging, ${count}`,
        ...(changes.tooMany
          ? [`Changes are not marked: there are more than ${grouped(MOST_COMPARED)} tables to compare.`]
          : []),
      ].join("\n\n"),
      expandable: true,
      ...(changes.within(state.root, state.levels) ? { changedBelow: true } : {}),
      entry: toHex(state.root),
      physical: toHex(state.root),
    };
  }

  /** Follows an ID down from the root. */
  private spansBelow(rows: TableRows, id: string): { table: TablePlace; spans: Span[]; whole: boolean } {
    const [first, ...path] = id.split("/");
    let table: TablePlace | undefined = first === "root" ? rows.places.root() : undefined;
    for (const [at, part] of path.entries()) {
      const run = /^(\d{1,4})-(\d{1,4})$/.exec(part);
      if (table === undefined) break;
      if (run === null) {
        table = /^\d{1,4}$/.test(part) ? rows.places.below(table, Number(part)) : undefined;
        continue;
      }
      // A run ends the path: the rows below it have the IDs of their entries.
      const [from, to] = [Number(run[1]), Number(run[2])];
      if (at !== path.length - 1 || to >= rows.places.count(table) || from > to) break;
      return { table, spans: rows.places.single(table, from, to), whole: false };
    }
    if (table === undefined || path.some((part) => part.includes("-"))) {
      throw new RequestError(`there is no row "${id}" in the page tables now`);
    }
    return { table, spans: rows.spans(table), whole: true };
  }
}
