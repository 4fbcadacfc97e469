/** Requests about other moments of the run: who wrote this, when was this mapped, what happened when, go there. */
import * as v from "valibot";
import { request } from "./declare";
import { count, hexValue, physicalAddress } from "./values";

/** An instruction, and where it stands. */
export interface MomentAnswer {
  /** Instructions retired before it. */
  readonly instruction: number;
  readonly rip: string;
  readonly symbol?: string;
  readonly path?: string;
  readonly line?: number;
}

/** Whether the stop that follows has the protocol's `preserveFocusHint`. */
const preserveFocus = v.optional(v.boolean(), false);

/** Who gave bytes the value that they have. */
export interface WhoWroteAnswer {
  /** "loader": never written since the boot began; the loader, or the hypervisor's domain builder, put it there. */
  readonly by: "instruction" | "exception" | "user" | "loader" | "cancelled";
  /** One sentence. */
  readonly text: string;
  /** Where the debuggee stands now: at what wrote it, before it does. */
  readonly moment?: MomentAnswer;
  /**
   * The bytes before and after, in hexadecimal, the highest address first; where the place has more than 16, those that
   * changed, at most 16.
   */
  readonly old?: string;
  readonly new?: string;
}

/**
 * Goes to what last changed bytes of memory before the present moment: an instruction, or the delivery of an
 * exception. Accessed and dirty bits that the CPU sets do not count, nor does a store of what is there already.
 */
export const WHO_WROTE = request<WhoWroteAnswer>()(
  "pagewalk/whoWrote",
  v.pipe(
    v.object({
      physical: v.optional(physicalAddress),
      address: v.optional(hexValue),
      /** A variable, or any expression for a place in memory. */
      expression: v.optional(v.string()),
      frameId: v.optional(count),
      variablesReference: v.optional(count),
      name: v.optional(v.string()),
      /** A row of the tree, by its ID. */
      row: v.optional(v.string()),
      length: v.optional(v.pipe(count, v.minValue(1), v.maxValue(4096))),
      /** What the answer calls the place. */
      label: v.optional(v.string()),
    }),
    v.check(
      ({ physical, address, expression, name, row }) =>
        [physical, address, expression, name, row].filter((place) => place !== undefined).length === 1,
      "give one of physical, address, expression, name and row",
    ),
  ),
);

export interface WhenMappedAnswer {
  readonly by: "write" | "root" | "start" | "cancelled";
  readonly text: string;
  readonly moment?: MomentAnswer;
}

/** Goes to the moment at which the present translation of a linear address came to be. */
export const WHEN_MAPPED = request<WhenMappedAnswer>()(
  "pagewalk/whenMapped",
  v.pipe(
    v.object({
      address: v.optional(hexValue),
      expression: v.optional(v.string()),
      frameId: v.optional(count),
    }),
    v.check(
      ({ address, expression }) => (address === undefined) !== (expression === undefined),
      "give one of address and expression",
    ),
  ),
);

export interface TimelineEvent {
  readonly instruction: number;
  /** One of the event vocabulary. */
  readonly kind: string;
  /** One sentence. */
  readonly text: string;
}

/** Events of one kind, too many to be listed. */
export interface TimelineCounts {
  readonly kind: string;
  readonly label: string;
  readonly count: number;
  /** Instructions of a bucket. */
  readonly width: number;
  /** How many there were in each, from the start of the window on. */
  readonly buckets: readonly number[];
}

/** How often events of a kind came. */
export interface TimelineKind {
  readonly kind: string;
  readonly label: string;
  readonly count: number;
}

export interface TimelineAnswer {
  /** Instructions retired at the present moment, at the first one that can be gone to, and at the last that is known. */
  readonly now: number;
  readonly start: number;
  readonly end: number;
  readonly lookingBack: boolean;
  /** Whether there are checkpoints at all. */
  readonly canGoBack: boolean;
  /** The instructions at which the user changed memory or registers. */
  readonly edits: readonly number[];
  /** What is shown is read-only (see `pagewalk/travel`). */
  readonly looking: boolean;
  /** Every kind that came in the whole run that is known, and how often. */
  readonly kinds: readonly TimelineKind[];
  /** The window. */
  readonly from: number;
  readonly to: number;
  /** Events in it. */
  readonly total: number;
  /** Each of them; none where there are more than were asked for. */
  readonly events: readonly TimelineEvent[];
  /** Where there are more. */
  readonly counts: readonly TimelineCounts[];
}

/** The events from one instruction up to another. */
export const TIMELINE = request<TimelineAnswer>()(
  "pagewalk/timeline",
  v.object({
    from: v.optional(count, 0),
    to: v.optional(count, Number.MAX_SAFE_INTEGER),
    count: v.optional(v.pipe(count, v.maxValue(10_000)), 1000),
  }),
);

export interface TravelAnswer {
  readonly moment?: MomentAnswer;
  /** The user stopped it: the debuggee stands where it stood. */
  readonly cancelled: boolean;
}

/**
 * Goes to an instruction, or to the first or last known moment. The future stays known until something is changed in
 * the past.
 */
export const TRAVEL = request<TravelAnswer>()(
  "pagewalk/travel",
  v.object({
    to: v.union([count, v.picklist(["start", "end"])]),
    /** Only to look, where it is in the past: until the debuggee goes on, nothing of it can be changed. */
    look: v.optional(v.boolean(), false),
    preserveFocus,
  }),
);

/** Makes the moment at which the debuggee stands the present: what is known of its future is forgotten. */
export const CONTINUE_HERE = request<void>()(
  "pagewalk/continueHere",
  v.optional(v.object({ preserveFocus }), {}),
);
