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
}

export interface EventRows {
  /** The latest first. */
  readonly rows: readonly EventRow[];
  /** Events so far, those that are no longer kept too. */
  readonly total: number;
}

/** The latest events. */
export const EVENTS = request<EventRows>()(
  "pagewalk/events",
  v.object({ count: v.optional(v.pipe(count, v.maxValue(10_000)), 500) }),
);
