/** Messages between the extension and the Memory Map page, declared once; each side checks what it gets. */
import * as v from "valibot";
import { OWNER_KINDS } from "../src/debug/protocol/memoryMap";

const hex = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/));

const owner = v.object({
  kind: v.picklist(OWNER_KINDS),
  label: v.string(),
  start: hex,
  end: hex,
  level: v.optional(v.number()),
  changed: v.optional(v.boolean()),
});

const mapped = v.object({
  start: hex,
  end: hex,
  physical: hex,
  pageSize: v.string(),
  flags: v.array(v.string()),
  pages: v.number(),
  changed: v.optional(v.boolean()),
});

const pool = v.object({
  name: v.string(),
  start: hex,
  slots: v.number(),
  limit: v.number(),
  next: v.number(),
  reached: v.array(v.number()),
});

/** What the map draws. */
export const mapSchema = v.object({
  mode: v.string(),
  root: hex,
  rootName: v.optional(v.string()),
  instructions: v.number(),
  owners: v.array(owner),
  mapped: v.array(mapped),
  cut: v.boolean(),
  pools: v.array(pool),
});
export type MapData = v.InferOutput<typeof mapSchema>;
export type OwnerData = v.InferOutput<typeof owner>;
export type MappedData = v.InferOutput<typeof mapped>;
export type PoolData = v.InferOutput<typeof pool>;

/** To the page. */
export const toPage = v.variant("type", [
  v.object({ type: v.literal("map"), map: mapSchema }),
  v.object({ type: v.literal("state"), state: v.picklist(["none", "starting", "running", "stopped"]) }),
  v.object({ type: v.literal("problem"), text: v.string() }),
  v.object({ type: v.literal("select"), physical: v.optional(hex), linear: v.optional(hex) }),
]);
export type ToPage = v.InferOutput<typeof toPage>;

/** What the page may have the extension do. */
export const PAGE_COMMANDS = ["debugProgram", "goToTable", "viewMemory", "walkAddress"] as const;

/** From the page. */
export const fromPage = v.variant("type", [
  v.object({ type: v.literal("ready") }),
  v.object({ type: v.literal("command"), command: v.picklist(PAGE_COMMANDS), argument: v.optional(hex) }),
]);
export type FromPage = v.InferOutput<typeof fromPage>;
