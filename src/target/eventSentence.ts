/** Events in sentences, for stops, the event log and reports. */
import type { MachineEvent } from "../machine/events";
import type { Places } from "./places";
import { causeInWords } from "./staleCause";
import { hex, hex64, plural } from "./values";

/** An event in one sentence. */
export function eventSentence(event: MachineEvent, places: Places): string {
  const table = (physical: number) => places.table(physical);
  switch (event.event) {
    case "page-fault":
      return `#PF ${event.reason}`;
    case "exception":
      return `${event.name} ${event.reason}`;
    case "reset":
      return `${table(event.root)} lost ${event.cleared} ${event.cleared === 1 ? "entry" : "entries"} and was loaded into CR3 again`;
    case "switchover":
      return `CR3 goes from ${table(event.from)} to ${table(event.to)}`;
    case "cr3-load":
      return event.from === event.to
        ? `CR3 is loaded with ${table(event.to)} again`
        : `CR3 is loaded with ${table(event.to)} in place of ${table(event.from)}`;
    case "paging-mode":
      return `${[...event.set.map((name) => `+${name}`), ...event.cleared.map((name) => `-${name}`)].join(" ")}: paging is now ${event.mode}`;
    case "table-write":
      return `entry ${hex(event.entry)} of level ${event.level}, for ${hex64(event.address)}: ${hex64(event.old)} -> ${hex64(event.new)}`;
    case "tlb-flush":
      return event.address === undefined
        ? `${event.cause} flushes the TLB${event.global ? ", global entries too" : ""}`
        : `${event.cause} flushes ${hex64(event.address)}`;
    case "triple-fault":
      return `Triple fault: ${event.reasons.join("; then ")}`;
    case "unimplemented":
      return `${event.text} (${event.bytes}): ${event.reason}`;
    case "milestone":
      return event.text;
    case "hypercall":
      return `${event.name}${event.what === "" ? "" : ` ${event.what}`} -> ${event.result}`;
    case "hypercall-rejected":
      return `${event.name} is refused with ${event.errno}: ${event.reason}`;
    case "pin":
      return `${table(event.table)} is ${event.pinned ? "pinned" : "no longer pinned"} as an L${event.level} table`;
    case "base-pointer":
      return `The ${event.user ? "user" : "kernel"} base pointer goes from ${table(event.from)} to ${table(event.to)}`;
    case "p2m-free":
      return `The P->M list at ${hex64(event.address)} (${plural(event.frames, "frame")}) is mapped no more`;
    case "serial":
      return event.text;
    case "stale-tlb":
      return event.cause === undefined
        ? event.reason
        : `${event.reason}; ${causeInWords(event.cause, places)}`;
    case "exit":
      return `The guest exited with status ${event.status}`;
    default:
      return event.reason;
  }
}
