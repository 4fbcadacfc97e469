/**
 * The rows of one table: an entry that leads to a table is a row, and so is a run of pages that continue each other
 * with the same size and flags, or of equal entries. A row's ID is its path of entry indexes, so that it means the
 * same at each stop.
 */
import { entrySize } from "../../paging/layout";
import { type TablePage, tableKey } from "../../paging/tables";
import type { Target } from "../../target/target";
import { grouped, plural } from "../../target/values";
import { FILTERS, type Filter, type TableRow } from "../protocol/tables";
import { toHex } from "../protocol/values";
import type { TableChanges } from "./changes";
import { LeafFilter, SEARCH_BUDGET } from "./leafFilter";
import { domainAddress, entryName } from "./names";
import { type Span, type TablePlace, TablePlaces } from "./places";
import { descriptionOf, labelOf, type RowFacts, tooltipOf } from "./rowText";

/** Physical memory that somebody watches. */
export interface WatchedRange {
  readonly physical: number;
  readonly length: number;
}

/** What of a tree is the same for all its rows. */
export interface TreeView {
  readonly target: Target;
  readonly changes: TableChanges;
  /** The tables that the root reaches, by `tableKey`. */
  readonly tables: ReadonlyMap<string, TablePage>;
  readonly watched: readonly WatchedRange[];
  readonly filter: Filter;
}

export class TableRows {
  readonly places: TablePlaces;
  private readonly leaves: LeafFilter;

  constructor(private readonly view: TreeView) {
    const { pagingState, memory } = view.target;
    this.places = new TablePlaces(pagingState, memory, (physical) => domainAddress(view.target, physical));
    this.leaves = new LeafFilter(view.filter, pagingState, memory);
  }

  /** The spans of a table that have a row: what is present and wanted, and what has changed. */
  spans(table: TablePlace): Span[] {
    const { changes } = this.view;
    const changed = (index: number) =>
      changes.any && changes.of(this.places.entryAddress(table, index), table.level) !== undefined;
    return this.places.spans(table, changed, (_, index) => this.leaves.wants(table, index));
  }

  /** What is to be said of a table behind its rows. */
  remarks(table: TablePlace, spans: readonly Span[]): TableRow[] {
    const { places, leaves } = this;
    const shown = spans.reduce(
      (sum, { first, last, decoded }) => sum + (decoded.present ? last - first + 1 : 0),
      0,
    );
    if (!leaves.active) {
      const absent = places.count(table) - shown;
      return absent === 0
        ? []
        : [remark(table, "absent", `${plural(absent, "entry", "entries")} not present`, ABSENT)];
    }
    const name = FILTERS[this.view.filter].toLowerCase();
    if (leaves.gaveUp) {
      const text = `The search stopped after ${grouped(SEARCH_BUDGET)} entries`;
      return [remark(table, "message", text, `Tables that were not looked into are shown: ${name} or not.`)];
    }
    return spans.length > 0
      ? []
      : [remark(table, "message", `Nothing here passes the filter: ${name}`, NOTHING)];
  }

  row(table: TablePlace, span: Span): TableRow {
    const { target, changes, watched } = this.view;
    const { places } = this;
    const { decoded, first, last } = span;
    const run = last > first;
    const kind = kindOf(span);
    const facts = this.facts(table, span);
    const entry = places.entryAddress(table, first);
    const size = entrySize(places.state.levels);
    const bytes = (last - first + 1) * size;
    const mark = markOf(facts, last - first + 1);
    const below =
      (mark === undefined && facts.changes.length > 0) ||
      (decoded.kind === "table" && changes.within(decoded.address, table.level - 1));
    const isWatched = watched.some(
      ({ physical, length }) => physical < entry + bytes && entry < physical + length,
    );
    return {
      id: `${table.id}/${run ? `${first}-${last}` : first}`,
      kind,
      label: labelOf(table, span),
      name: entryName(target, table.physical, first) + (run ? `–[${last}]` : ""),
      description: descriptionOf(target, places, facts),
      tooltip: tooltipOf(target, places, facts),
      expandable: kind === "table" || kind === "run",
      ...(mark === undefined ? {} : { mark }),
      ...(below ? { changedBelow: true } : {}),
      ...(isWatched ? { watched: true } : {}),
      entry: toHex(entry),
      entrySize: bytes,
      value: toHex(decoded.value),
      start: toHex(facts.start),
      end: toHex(facts.end),
      ...(decoded.present ? { physical: toHex(decoded.address) } : {}),
    };
  }

  private facts(table: TablePlace, span: Span): RowFacts {
    const { places } = this;
    const { first, last } = span;
    const start = places.canonical(places.addressOf(table, first));
    const length = places.spanSize(table) * BigInt(last - first + 1);
    return {
      table,
      span,
      start,
      end: BigInt.asUintN(places.state.levels >= 4 ? 64 : 32, start + length),
      aliases: this.aliases(table, span),
      changes: this.view.changes.between(places.entryAddress(table, first), table.level, last - first + 1),
      unloaded: this.unloaded(table, span),
    };
  }

  /** Entries outside of the span that lead to its table. */
  private aliases(table: TablePlace, { first, last, decoded }: Span): string[] {
    if (decoded.kind !== "table" || decoded.reserved.length > 0) return [];
    const { target, tables } = this.view;
    const { places } = this;
    const [from, to] = [places.entryAddress(table, first), places.entryAddress(table, last)];
    const parents = tables.get(tableKey(decoded.address, table.level - 1))?.parents ?? [];
    const size = entrySize(places.state.levels);
    return parents
      .filter((entry) => entry < from || entry > to)
      .map((entry) => {
        const page = table.level === places.state.levels ? places.state.root : entry - (entry % 4096);
        return entryName(target, page, (entry - page) / size);
      });
  }

  private unloaded(table: TablePlace, { first, decoded }: Span): bigint | undefined {
    const { state } = this.places;
    if (state.levels !== 3 || table.level !== 3) return undefined;
    const inMemory = this.view.target.memory.read64(this.places.entryAddress(table, first));
    return inMemory === decoded.value ? undefined : inMemory;
  }
}

const ABSENT = "Entries with P = 0 translate nothing: an access through one is a page fault.";
const NOTHING =
  "Rights are those that the whole path leaves: of each table above, and of the page's own entry.";

function remark(table: TablePlace, kind: "absent" | "message", label: string, tooltip: string): TableRow {
  return { id: `${table.id}/${kind}`, kind, label, description: "", tooltip, expandable: false };
}

function kindOf({ first, last, decoded }: Span): TableRow["kind"] {
  if (!decoded.present) return "not-present";
  if (decoded.reserved.length > 0) return "malformed";
  if (last > first) return "run";
  return decoded.kind === "table" ? "table" : "page";
}

/** What happened to all entries of a row; undefined where they differ in that. */
function markOf({ changes }: RowFacts, count: number): TableRow["mark"] {
  if (changes.length !== count) return undefined;
  const [{ kind }] = changes;
  return changes.every((change) => change.kind === kind) ? kind : "changed";
}
