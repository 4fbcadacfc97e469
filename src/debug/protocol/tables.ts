/** What the Page Tables tree asks: rows of a table, the way to a place, walks, watched entries. */
import * as v from "valibot";
import { request } from "./declare";
import { count, hexValue, physicalAddress } from "./values";

/** Which leaves the tree shows; tables without any such leaf are left out. */
export const FILTERS = {
  none: "All entries",
  "writable-executable": "Writable and executable",
  user: "User",
  global: "Global",
  large: "Large pages",
} as const;
export type Filter = keyof typeof FILTERS;

const filter = v.optional(v.picklist(Object.keys(FILTERS) as Filter[]), "none");

/** One row of the tree. Addresses are hexadecimal. */
export interface TableRow {
  /** Stable from stop to stop: the path of entry indexes from the root, "root/511/510", a run as "root/0/3-17". */
  readonly id: string;
  readonly kind:
    | "root"
    | "table"
    | "page"
    | "run"
    | "not-present"
    | "malformed"
    | "absent"
    | "message"
    /** The root page, or an entry of it, as another paging mode would read it. */
    | "other-format";
  /** "PML4E 272", "PDE 0–511". */
  readonly label: string;
  /** The entry by its table: "early_level4_pgt[272]"; of the root the table. */
  readonly name?: string;
  readonly description: string;
  /** Markdown. */
  readonly tooltip: string;
  readonly expandable: boolean;
  /** What happened to the entry, or to all of the run, since the last stop. */
  readonly mark?: "added" | "changed" | "cleared";
  /** Something below, or in the run, changed since the last stop. */
  readonly changedBelow?: boolean;
  /** Somebody watches the entry. */
  readonly watched?: boolean;
  /** Physical address of the entry and its value; of the first one of a run. */
  readonly entry?: string;
  /** Bytes of the entry, or of all of the run. */
  readonly entrySize?: number;
  readonly value?: string;
  /** The linear addresses it translates; end exclusive. */
  readonly start?: string;
  readonly end?: string;
  /** What it leads to: the table, or the first page. */
  readonly physical?: string;
}

export interface TableRows {
  readonly rows: readonly TableRow[];
  /** Of the parent, before paging. */
  readonly total: number;
}

/** The rows below one; the root without a parent. */
export const TABLES = request<TableRows>()(
  "pagewalk/tables",
  v.object({
    parent: v.optional(v.string()),
    start: v.optional(count, 0),
    count: v.optional(count, 200),
    filter,
  }),
);

/** The way to a place. */
export interface RevealAnswer {
  /** From the root down; each is a row below the one before. */
  readonly rows: readonly TableRow[];
  /** Of each row: its place among the rows below its parent. */
  readonly positions: readonly number[];
}

/**
 * The rows from the root down to the deepest entry for a place: a linear address, a symbol or expression for one, the
 * physical address of an entry, or that of a table. A symbol that names a table leads to the table.
 */
export const REVEAL = request<RevealAnswer>()(
  "pagewalk/reveal",
  v.pipe(
    v.object({
      address: v.optional(hexValue),
      symbol: v.optional(v.string()),
      entry: v.optional(physicalAddress),
      table: v.optional(physicalAddress),
      filter,
    }),
    v.check(
      ({ address, symbol, entry, table }) =>
        [address, symbol, entry, table].filter((place) => place !== undefined).length === 1,
      "give one of address, symbol, entry and table",
    ),
  ),
);

/** The machine in a few figures. */
export interface MachineSummary {
  readonly running: boolean;
  readonly instructions: number;
  /** "off", "32-bit", "PAE", "4-level", "5-level". */
  readonly mode: string;
  readonly root: string;
  readonly rootName: string | undefined;
  /** Tables that the root reaches; more, where `moreTables`. */
  readonly tables: number;
  readonly moreTables: boolean;
}
export const STATE = request<MachineSummary>()("pagewalk/state", v.object({}));

/** Watches bytes of physical memory: stops when they change. */
export const WATCH = request<undefined>()(
  "pagewalk/watch",
  v.object({
    physical: physicalAddress,
    length: v.pipe(count, v.minValue(1), v.maxValue(4096)),
    label: v.string(),
  }),
);
/** Ends what watches any of these bytes. */
export const UNWATCH = request<undefined>()(
  "pagewalk/unwatch",
  v.object({ physical: physicalAddress, length: v.pipe(count, v.minValue(1), v.maxValue(4096)) }),
);

export interface Watch {
  readonly physical: string;
  readonly length: number;
  readonly label: string;
}
/** What `WATCH` has set. */
export const WATCHES = request<{ readonly watches: readonly Watch[] }>()("pagewalk/watches", v.object({}));

/** A page of memory as words, with decoded entries where a table lies. */
export interface MemoryPage {
  readonly title: string;
  readonly text: string;
}
export const MEMORY_PAGE = request<MemoryPage>()(
  "pagewalk/memoryPage",
  v.object({ physical: physicalAddress }),
);
