/**
 * The rows of one table: an entry that leads to a table is a row, and so is a run of pages that continue each other
 * with the same size and flags. A row's ID is its path of entry indexes, so that it means the same at each stop.
 */
import { canonicalAddress } from "../../paging/canonical";
import { type DecodedEntry, decodeEntry, describeEntry } from "../../paging/entry";
import { ENTRY_NAMES, entryCount, entrySize, levelShift } from "../../paging/layout";
import type { PagingState } from "../../paging/state";
import { type RawEntry, readTableEntry, type TablePage, tableKey, tableOf } from "../../paging/tables";
import type { Target } from "../../target/target";
import { hex64 } from "../../target/values";
import type { Filter, TableRow } from "../protocol/tables";
import { toHex } from "../protocol/values";
import type { TableChanges } from "./changes";
import { nameOfTable, placeText, sizeText } from "./names";

/** A table as the tree reached it. */
export interface TablePlace {
  readonly id: string;
  readonly physical: number;
  readonly level: number;
  /** The lowest linear address that it translates, without sign extension. */
  readonly address: bigint;
}

/** Entries of one table, from `first` to `last`, that make a row. */
export interface Span {
  readonly first: number;
  readonly last: number;
  readonly decoded: DecodedEntry;
}

/** Entries that a search for leaves of a filter looks at, for one answer. */
const SEARCH_BUDGET = 200_000;

export class TableRows {
  private aliases: ReadonlyMap<string, TablePage>;
  private searched = 0;
  private readonly matches = new Map<string, boolean>();

  constructor(
    private readonly target: Target,
    private readonly changes: TableChanges,
    tables: readonly TablePage[],
    private readonly watched: ReadonlySet<number>,
    private readonly filter: Filter,
  ) {
    this.aliases = new Map(tables.map((table) => [tableKey(table.physical, table.level), table]));
  }

  private get state(): PagingState {
    return this.target.pagingState;
  }

  /** The root's table. */
  root(): TablePlace {
    const { root, levels } = this.state;
    return { id: "root", physical: root, level: levels, address: 0n };
  }

  /** The table that a row leads to; undefined where it leads to none now. */
  below(table: TablePlace, index: number): TablePlace | undefined {
    const { state, target } = this;
    if (index >= entryCount(state.levels, table.level)) return undefined;
    const entry: RawEntry = { low: 0, high: 0 };
    readTableEntry(state, target.memory, table.physical, table.level, index, entry);
    const next = tableOf(state, table.level, entry.low, entry.high);
    if (next < 0) return undefined;
    return {
      id: `${table.id}/${index}`,
      physical: next,
      level: table.level - 1,
      address: this.addressOf(table, index),
    };
  }

  /** The spans of a table that have a row. */
  spans(table: TablePlace): Span[] {
    const spans: Span[] = [];
    for (let index = 0; index < entryCount(this.state.levels, table.level); index++) {
      const decoded = this.decoded(table, index);
      const changed = this.changes.of(this.entryAddress(table, index), table.level) !== undefined;
      if (!decoded.present && !changed) continue;
      if (!this.wanted(table, decoded, changed)) continue;
      const last = spans.at(-1);
      if (last !== undefined && continues(last, index, decoded))
        spans[spans.length - 1] = { ...last, last: index };
      else spans.push({ first: index, last: index, decoded });
    }
    return spans;
  }

  /** Single entries of a run. */
  entries(table: TablePlace, first: number, last: number): Span[] {
    return Array.from({ length: last - first + 1 }, (_, i) => ({
      first: first + i,
      last: first + i,
      decoded: this.decoded(table, first + i),
    }));
  }

  row(table: TablePlace, span: Span): TableRow {
    const { decoded, first, last } = span;
    const entry = this.entryAddress(table, first);
    const start = this.canonical(this.addressOf(table, first));
    const end = BigInt.asUintN(
      this.state.levels >= 4 ? 64 : 32,
      start + this.spanSize(table) * BigInt(last - first + 1),
    );
    const change = this.changeOf(table, span);
    const run = last > first;
    const bad = decoded.reserved.length > 0;
    const kind = !decoded.present
      ? "not-present"
      : bad
        ? "malformed"
        : decoded.kind === "table"
          ? "table"
          : run
            ? "run"
            : "page";
    const below = kind === "table" && this.changes.within(decoded.address, table.level - 1);
    const name = ENTRY_NAMES[table.level];
    return {
      id: `${table.id}/${run ? `${first}-${last}` : first}`,
      kind,
      label: run ? `${name} ${first}–${last}` : `${name} ${first}`,
      description: this.description(table, span, start),
      tooltip: this.tooltip(table, span, start, end, change),
      expandable: kind === "table" || kind === "run",
      ...(change === undefined ? {} : { mark: change }),
      ...(below ? { changedBelow: true } : {}),
      ...(this.watched.has(entry) ? { watched: true } : {}),
      entry: toHex(entry),
      entrySize: entrySize(this.state.levels),
      value: toHex(decoded.value),
      start: toHex(start),
      end: toHex(end),
      ...(decoded.present ? { physical: toHex(decoded.address) } : {}),
    };
  }

  private description(table: TablePlace, { first, last, decoded }: Span, start: bigint): string {
    const where = hex64(start);
    if (!decoded.present) return `${where} · ${decoded.value === 0n ? "empty" : "not present"}`;
    const flags = decoded.flags.join(" ");
    if (decoded.kind === "table") {
      const alias = this.aliasText(table, first, decoded.address);
      return `→ ${placeText(this.target, decoded.address)} ${flags} · ${where}${alias}`;
    }
    const count = last - first + 1;
    const size = this.spanSize(table) * BigInt(count);
    const pages = count === 1 ? decoded.pageSize : `${count} × ${decoded.pageSize}`;
    const to = `${toHex(decoded.address)}${count === 1 ? "" : `–${toHex(BigInt(decoded.address) + size)}`}`;
    return `${where} → ${to} · ${pages} ${flags}`;
  }

  private aliasText(table: TablePlace, index: number, physical: number): string {
    const others = this.otherParents(table, index, physical);
    return others.length === 0
      ? ""
      : ` · alias: also ${others.map((entry) => this.entryText(entry)).join(", ")}`;
  }

  private otherParents(table: TablePlace, index: number, physical: number): number[] {
    const own = this.entryAddress(table, index);
    const parents = this.aliases.get(tableKey(physical, table.level - 1))?.parents ?? [];
    return parents.filter((entry) => entry !== own);
  }

  /** "early_level4_pgt[0]" */
  private entryText(entry: number): string {
    const table = entry - (entry % 4096);
    return `${nameOfTable(this.target, table) ?? toHex(table)}[${(entry - table) / entrySize(this.state.levels)}]`;
  }

  private tooltip(
    table: TablePlace,
    { first, decoded, last }: Span,
    start: bigint,
    end: bigint,
    change: TableRow["mark"],
  ): string {
    const entry = this.entryAddress(table, first);
    const lines = [
      `**${ENTRY_NAMES[table.level]} ${first === last ? first : `${first} to ${last}`}** of ${placeText(this.target, table.physical)}`,
      `\`${hex64(decoded.value)}\` at \`${toHex(entry)}\`: ${describeEntry(decoded, (physical) => placeText(this.target, physical))}`,
      `translates \`${hex64(start)}\` to \`${hex64(BigInt.asUintN(64, end - 1n))}\`, ${sizeText(this.spanSize(table) * BigInt(last - first + 1))}`,
    ];
    if (change !== undefined) {
      const old = this.changes.of(entry, table.level);
      const was = old === undefined ? "" : `: was \`${hex64(old.old)}\``;
      lines.push(`*${change} since the last stop*${was}`);
    }
    if (decoded.kind === "table") {
      const others = this.otherParents(table, first, decoded.address);
      if (others.length > 0)
        lines.push(
          `*alias*: the table is also reached by ${others.map((each) => this.entryText(each)).join(", ")}`,
        );
    }
    return lines.join("\n\n");
  }

  private changeOf(table: TablePlace, { first, last }: Span): TableRow["mark"] {
    for (let index = first; index <= last; index++) {
      const change = this.changes.of(this.entryAddress(table, index), table.level);
      if (change !== undefined) return change.kind;
    }
    return undefined;
  }

  private wanted(table: TablePlace, decoded: DecodedEntry, changed: boolean): boolean {
    if (this.filter === "none") return true;
    if (!decoded.present) return changed;
    if (decoded.kind === "page") return this.leafMatches(decoded);
    return this.hasMatch(decoded.address, table.level - 1);
  }

  private leafMatches({ flags, pageSize }: DecodedEntry): boolean {
    switch (this.filter) {
      case "writable-executable":
        return flags.includes("RW") && !flags.includes("NX");
      case "user":
        return flags.includes("US");
      case "global":
        return flags.includes("G");
      case "large":
        return pageSize !== "4K";
      default:
        return true;
    }
  }

  /** Whether a table leads to a leaf of the filter; one that is not searched any more is taken to. */
  private hasMatch(physical: number, level: number): boolean {
    const key = tableKey(physical, level);
    const known = this.matches.get(key);
    if (known !== undefined) return known;
    this.matches.set(key, false);
    const place = { id: "", physical, level, address: 0n };
    let found = false;
    for (let index = 0; index < entryCount(this.state.levels, level) && !found; index++) {
      if (++this.searched > SEARCH_BUDGET) return true;
      const decoded = this.decoded(place, index);
      if (!decoded.present) continue;
      found = decoded.kind === "page" ? this.leafMatches(decoded) : this.hasMatch(decoded.address, level - 1);
    }
    this.matches.set(key, found);
    return found;
  }

  private decoded(table: TablePlace, index: number): DecodedEntry {
    const entry: RawEntry = { low: 0, high: 0 };
    readTableEntry(this.state, this.target.memory, table.physical, table.level, index, entry);
    const value = (BigInt(entry.high >>> 0) << 32n) | BigInt(entry.low >>> 0);
    return decodeEntry(value, table.level, this.state);
  }

  private entryAddress(table: TablePlace, index: number): number {
    return table.physical + index * entrySize(this.state.levels);
  }

  private addressOf(table: TablePlace, index: number): bigint {
    return table.address + BigInt(index) * this.spanSize(table);
  }

  private spanSize({ level }: TablePlace): bigint {
    return 1n << BigInt(levelShift(this.state.levels, level));
  }

  private canonical(address: bigint): bigint {
    return this.state.levels >= 4 ? canonicalAddress(address, this.state.levels) : address;
  }
}

/** Whether an entry makes a span longer: a page behind a page, with the same flags. A and D may differ. */
function continues({ first, last, decoded }: Span, index: number, next: DecodedEntry): boolean {
  if (index !== last + 1 || decoded.kind !== "page" || next.kind !== "page") return false;
  if (decoded.reserved.length + next.reserved.length > 0 || decoded.pageSize !== next.pageSize) return false;
  const size = PAGE_BYTES[decoded.pageSize ?? "4K"];
  return (
    next.address === decoded.address + (index - first) * size && decoded.flags.join() === next.flags.join()
  );
}

const PAGE_BYTES = { "4K": 2 ** 12, "2M": 2 ** 21, "4M": 2 ** 22, "1G": 2 ** 30 } as const;
