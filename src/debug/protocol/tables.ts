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
  readonly kind: "root" | "table" | "page" | "run" | "not-present" | "malformed" | "message";
  readonly label: string;
  readonly description: string;
  /** Markdown. */
  readonly tooltip: string;
  readonly expandable: boolean;
  /** What happened to the entry, or to one of the run, since the last stop. */
  readonly mark?: "added" | "changed" | "cleared";
  /** Something below changed since the last stop. */
  readonly changedBelow?: boolean;
  /** Somebody watches the entry. */
  readonly watched?: boolean;
  /** Physical address of the entry and its value; of the first one of a run. */
  readonly entry?: string;
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

/** The rows from the root down to the deepest entry for a place. */
export const REVEAL = request<{ readonly rows: readonly TableRow[] }>()(
  "pagewalk/reveal",
  v.object({ address: v.optional(hexValue), symbol: v.optional(v.string()), filter }),
);

/** The machine in a few figures. */
export interface MachineSummary {
  readonly running: boolean;
  readonly instructions: number;
  /** "off", "32-bit", "PAE", "4-level", "5-level". */
  readonly mode: string;
  readonly root: string;
  readonly rootName: string | undefined;
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
export const UNWATCH = request<undefined>()(
  "pagewalk/unwatch",
  v.object({ physical: physicalAddress, length: v.pipe(count, v.minValue(1), v.maxValue(4096)) }),
);

/** A page walk in words. */
export interface WalkAnswer {
  readonly steps: readonly { readonly text: string; readonly entry: string }[];
  readonly outcome: string;
  readonly physical?: string;
}
/** Walks the value of an expression: an address, a symbol, a register. */
export const WALK = request<WalkAnswer>()("pagewalk/walk", v.object({ expression: v.string() }));

/** What a text under the cursor stands for, as markdown; null where it is nothing. */
export const HOVER = request<{ readonly markdown: string } | null>()(
  "pagewalk/hover",
  v.object({ text: v.pipe(v.string(), v.maxLength(1000)), frameId: v.optional(v.number()) }),
);

/** A page of memory as words, with decoded entries where a table lies. */
export interface MemoryPage {
  readonly title: string;
  readonly text: string;
}
export const MEMORY_PAGE = request<MemoryPage>()(
  "pagewalk/memoryPage",
  v.object({ physical: physicalAddress }),
);
