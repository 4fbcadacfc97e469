/** What the event log asks. */
import * as v from "valibot";
import { request } from "./declare";
import { count } from "./values";

export interface EventRow {
  /** From 1 on, in the order in which they came. */
  readonly number: number;
  readonly instruction: number;
  /** One of the event vocabulary. */
  readonly kind: string;
  readonly label: string;
  readonly text: string;
  readonly rip: string;
  readonly symbol?: string;
  readonly path?: string;
  readonly line?: number;
  /** The linear address that it is about, of those that are about one. */
  readonly address?: string;
}

/** How many events of a kind there were. */
export interface EventCount {
  readonly kind: string;
  readonly label: string;
  readonly count: number;
}

export interface EventRows {
  /** The latest first. */
  readonly rows: readonly EventRow[];
  /** Events so far, those that are no longer kept too. */
  readonly total: number;
  /** There are older ones of these kinds. */
  readonly more: boolean;
  /** By kind, in the order of the vocabulary; kinds that never came are left out. */
  readonly counts: readonly EventCount[];
}

/** The latest events: of some kinds only, or older than one. */
export const EVENTS = request<EventRows>()(
  "pagewalk/events",
  v.object({
    count: v.optional(v.pipe(count, v.maxValue(10_000)), 500),
    before: v.optional(count),
    kinds: v.optional(v.array(v.string())),
  }),
);
