/** Messages between the extension and the Memory Map page, declared once; each side checks what it gets. */
import * as v from "valibot";
import {
  MARKS,
  type Mappings,
  type MemoryMapAnswer,
  OWNER_KINDS,
  SLOT_STATES,
  SPACES,
} from "../src/debug/protocol/memoryMap";
import type { TimelineAnswer } from "../src/debug/protocol/time";

const hex = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const level = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(5));
/** The end is exclusive, and "0x0" for the top of the address space. */
const linearRange = { start: hex, end: hex };

const owner = v.object({
  kind: v.picklist(OWNER_KINDS),
  label: v.string(),
  start: hex,
  end: hex,
  level: v.optional(level),
  linear: v.optional(hex),
  machine: v.optional(hex),
  use: v.optional(v.string()),
  changed: v.optional(v.boolean()),
});

const mapped = v.object({
  ...linearRange,
  physical: hex,
  machine: v.optional(hex),
  pageSize: v.string(),
  flags: v.array(v.string()),
  pages: count,
});

const change = v.object({ ...linearRange, mark: v.picklist(MARKS) });

const pool = v.object({
  name: v.string(),
  start: hex,
  slots: v.array(
    v.object({
      state: v.picklist(SLOT_STATES),
      level: v.optional(level),
      changed: v.optional(v.boolean()),
    }),
  ),
  limit: count,
  next: count,
});

const mappings = { mapped: v.array(mapped), unexplored: v.array(v.object(linearRange)) };

/** What a `window` has asked for. */
const windowSchema = v.object({ type: v.literal("window"), ...linearRange, ...mappings });

/** What the map draws. */
export const mapSchema = v.object({
  mode: v.string(),
  root: hex,
  rootName: v.optional(v.string()),
  space: v.optional(v.picklist(SPACES)),
  instructions: count,
  ...mappings,
  owners: v.array(owner),
  moreTables: v.boolean(),
  changes: v.array(change),
  pools: v.array(pool),
  pointers: v.array(
    v.object({
      name: v.picklist(["RIP", "RSP", "CR2"]),
      linear: hex,
      physical: v.optional(hex),
      machine: v.optional(hex),
    }),
  ),
});
export type MapData = v.InferOutput<typeof mapSchema>;
export type OwnerData = v.InferOutput<typeof owner>;
export type MappedData = v.InferOutput<typeof mapped>;
export type ChangeData = v.InferOutput<typeof change>;
export type SlotData = v.InferOutput<typeof pool>["slots"][number];
export type LinearRangeData = MapData["unexplored"][number];
export type WindowData = v.InferOutput<typeof windowSchema>;

/** What the timeline draws. */
const timelineSchema = v.object({
  now: count,
  start: count,
  end: count,
  lookingBack: v.boolean(),
  looking: v.boolean(),
  canGoBack: v.boolean(),
  edits: v.array(count),
  kinds: v.array(v.object({ kind: v.string(), label: v.string(), count })),
  from: count,
  to: count,
  total: count,
  events: v.array(v.object({ instruction: count, kind: v.string(), text: v.string() })),
  counts: v.array(
    v.object({ kind: v.string(), label: v.string(), count, width: count, buckets: v.array(count) }),
  ),
});
export type TimelineData = v.InferOutput<typeof timelineSchema>;

/** How far the debuggee has come on its way to another moment. */
const progressSchema = v.object({ title: v.string(), percentage: v.number() });
export type Progress = v.InferOutput<typeof progressSchema>;

/** To the page. */
export const toPage = v.variant("type", [
  v.object({ type: v.literal("map"), map: mapSchema }),
  windowSchema,
  v.object({ type: v.literal("state"), state: v.picklist(["none", "starting", "running", "stopped"]) }),
  v.object({ type: v.literal("problem"), text: v.string() }),
  v.object({ type: v.literal("select"), physical: v.optional(hex), linear: v.optional(hex) }),
  v.object({
    type: v.literal("timeline"),
    timeline: timelineSchema,
    /** The instruction that the next comparison begins with. */
    firstMoment: v.optional(count),
  }),
  /** Without `progress` it has arrived. */
  v.object({ type: v.literal("progress"), progress: v.optional(progressSchema) }),
]);
export type ToPage = v.InferInput<typeof toPage>;

/** The adapter's answer is what the page takes, but for what only types say: that it does not change. */
export function mapMessage(map: MemoryMapAnswer): ToPage {
  return { type: "map", map: map as unknown as MapData };
}

/** The answer to a `window`. */
export function windowMessage(range: LinearRangeData, found: Mappings): ToPage {
  return { type: "window", ...range, ...(found as unknown as Pick<MapData, keyof Mappings>) };
}

/** The timeline; see `mapMessage`. */
export function timelineMessage(timeline: TimelineAnswer, firstMoment: number | undefined): ToPage {
  return {
    type: "timeline",
    timeline: timeline as unknown as TimelineData,
    ...(firstMoment === undefined ? {} : { firstMoment }),
  };
}

/** What the page may have the extension do. */
export const PAGE_COMMANDS = ["debugProgram", "goToTable", "viewMemory", "walkAddress"] as const;
export type PageCommand = (typeof PAGE_COMMANDS)[number];

/** From the page. */
export const fromPage = v.variant("type", [
  v.object({ type: v.literal("ready") }),
  v.object({ type: v.literal("command"), command: v.picklist(PAGE_COMMANDS), argument: v.optional(hex) }),
  /** The mappings of a part that the map has left unexplored. */
  v.object({ type: v.literal("window"), ...linearRange }),
  /** The map in other addresses. */
  v.object({ type: v.literal("space"), space: v.picklist(SPACES) }),
  /** The events of a part of the run. */
  v.object({ type: v.literal("timeline"), from: count, to: count }),
  /** Looks at a moment. */
  v.object({ type: v.literal("travel"), to: count }),
  v.object({ type: v.literal("cancelTravel") }),
  v.object({ type: v.literal("continueHere") }),
  v.object({ type: v.literal("present") }),
  /** A moment of a comparison: the first one, or the one to compare that with. */
  v.object({ type: v.literal("moment"), role: v.picklist(["first", "compare"]), instruction: count }),
]);
export type FromPage = v.InferOutput<typeof fromPage>;
