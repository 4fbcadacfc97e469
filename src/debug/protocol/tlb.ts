/** What the TLB view asks: cached translations beside the tables, and the next use of a stale one. */
import * as v from "valibot";
import { request } from "./declare";
import { count } from "./values";

/** Which entries the view shows. */
export const TLB_FILTERS = {
  none: "All entries",
  stale: "Stale: the tables say something else now",
  global: "Global",
  user: "User",
} as const;
export type TlbFilter = keyof typeof TLB_FILTERS;

/** What ended the agreement of an entry with the tables. */
export interface StaleCause {
  /** One sentence. */
  readonly text: string;
  readonly instruction: number;
  /** Of the instruction; of a change by the user, of the one at which it stood. */
  readonly rip: string;
  readonly symbol?: string;
  readonly path?: string;
  readonly line?: number;
}

/** A row of the view. Addresses are hexadecimal. */
export interface TlbRow {
  /** Stable from stop to stop: kind, tag, page size and first linear address. */
  readonly id: string;
  readonly kind: "group" | "page" | "run" | "structure";
  readonly label: string;
  readonly description: string;
  /** Markdown. */
  readonly tooltip: string;
  readonly expandable: boolean;
  /** The tables say something else. */
  readonly stale?: boolean;
  /** Of a stale entry, the first of a run: undefined where it is not known. */
  readonly cause?: StaleCause;
  /** The linear addresses; end exclusive. */
  readonly start?: string;
  readonly end?: string;
  /** The first page, or the table that a structure entry leads to. */
  readonly physical?: string;
}

export interface TlbRows {
  readonly rows: readonly TlbRow[];
  /** Of the parent, before paging. */
  readonly total: number;
  /** Why there is nothing, in one sentence. */
  readonly empty?: string;
  /** What is to be said of all of it, in one line. */
  readonly summary: string;
  /** PCIDs that have entries, ascending. */
  readonly pcids: readonly number[];
}

/** The rows below one; the groups without a parent. */
export const TLB = request<TlbRows>()(
  "pagewalk/tlb",
  v.object({
    parent: v.optional(v.string()),
    start: v.optional(count, 0),
    count: v.optional(v.pipe(count, v.maxValue(10_000)), 200),
    filter: v.optional(v.picklist(Object.keys(TLB_FILTERS) as TlbFilter[]), "none"),
    /** Only what was made under this PCID, or answers for all. */
    pcid: v.optional(v.pipe(count, v.maxValue(4095))),
    /** Only what translates this place: an address, a symbol, a register or any expression. */
    at: v.optional(v.string()),
  }),
);

/**
 * Goes on until a stale entry is used, whatever the breakpoints say; one that this has stopped at already is passed.
 * Events `continued` and `stopped` tell the rest.
 */
export const FIND_STALE_USE = request<undefined>()("pagewalk/findStaleUse", v.object({}));
