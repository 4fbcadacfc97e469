/** The fields of events, as conditions of exception filters name them. */
import type { EventKind, MachineEvent } from "../../machine/events";

export type FieldValue = bigint | boolean | string;

const ERROR_BITS = { present: 0, write: 1, user: 2, reserved: 3, fetch: 4, key: 5 } as const;

/** Which fields each kind has beside `instruction`, `rip` and `hits`; with an example for documentation. */
export const EVENT_FIELDS: Readonly<Record<EventKind, { fields: readonly string[]; example: string }>> = {
  "page-fault": {
    fields: ["address", "error", "repeats", ...Object.keys(ERROR_BITS)],
    example: "address >= 0x100000000 && write",
  },
  reset: { fields: ["root", "cleared"], example: "cleared > 1" },
  switchover: { fields: ["from", "to"], example: "to == 0x1047000" },
  "cr3-load": { fields: ["value", "from", "to"], example: "from != to" },
  "paging-mode": { fields: ["mode"], example: 'mode == "5-level"' },
  "table-write": { fields: ["entry", "level", "address", "old", "new"], example: "level == 4" },
  "tlb-flush": { fields: ["cause", "address", "global"], example: 'cause == "invlpg"' },
  "stale-tlb": { fields: ["address", "cached", "tables"], example: "address >= 0xffff800000000000" },
  exception: { fields: ["vector", "name", "error"], example: "vector == 13" },
  "triple-fault": { fields: [], example: "" },
  unimplemented: { fields: ["text"], example: "" },
  halt: { fields: [], example: "" },
  milestone: { fields: ["text"], example: "hits == 2" },
  hypercall: { fields: ["number", "name", "result"], example: 'name == "mmu_update"' },
  "hypercall-rejected": { fields: ["name", "errno"], example: 'name == "mmuext_op"' },
  pin: { fields: ["pinned", "table", "level"], example: "pinned && level == 4" },
  "base-pointer": { fields: ["from", "to", "user"], example: "!user" },
  "p2m-free": { fields: ["address", "frames"], example: "" },
  serial: { fields: ["text"], example: 'text == "done"' },
  exit: { fields: ["status"], example: "status != 0" },
};

/** A field's value; undefined where this event does not have it. Names are checked by `EVENT_FIELDS`. */
export function eventField(event: MachineEvent, name: string, hits: number): FieldValue | undefined {
  if (name === "hits") return BigInt(hits);
  if (event.event === "page-fault" && name in ERROR_BITS) {
    return ((event.error >> ERROR_BITS[name as keyof typeof ERROR_BITS]) & 1) !== 0;
  }
  const value = (event as unknown as Record<string, unknown>)[name];
  if (typeof value === "number") return BigInt(value);
  return typeof value === "bigint" || typeof value === "boolean" || typeof value === "string"
    ? value
    : undefined;
}

/** The names that a condition over a kind of event may use. */
export function fieldNames(kind: EventKind): string[] {
  return ["instruction", "rip", "hits", ...EVENT_FIELDS[kind].fields];
}
