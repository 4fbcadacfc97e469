/** Events in words, for the text report: what happened, and where the code stood that did it. */
import type { MachineEvent, PageFaultEvent, PagingModeEvent, TableWriteEvent } from "../machine/events";
import { ACCESS_FETCH, ACCESS_USER, ACCESS_WRITE } from "../paging/state";
import { eventSentence } from "../target/eventSentence";
import type { Places } from "../target/places";
import { hex, hex64, plural } from "../target/values";

/** One event: the columns of its line, and lines that follow. */
export interface Described {
  readonly name: string;
  readonly what: string;
  /** Symbol and source line of the code; empty where it says nothing. */
  readonly where: string;
  readonly more: readonly string[];
}

/** @param fault the number of the page fault, where it is one */
export function describeEvent(event: MachineEvent, places: Places, fault: number): Described {
  const where = codePlace(event.rip, places);
  const line = (name: string, what: string, ...more: string[]): Described => ({ name, what, where, more });
  switch (event.event) {
    case "page-fault":
      return line(
        `page fault ${fault}`,
        `${hex64(event.address)} ${accessInWords(event).padEnd(12)}`,
        shortReason(event),
      );
    case "reset":
      return line("reset", `${places.table(event.root)} lost ${plural(event.cleared, "entry", "entries")}`);
    case "switchover":
      return line("switchover", `CR3 ${places.table(event.from)} -> ${places.table(event.to)}`);
    case "cr3-load":
      return line("cr3 load", loadInWords(event, places));
    case "paging-mode":
      return line("paging mode", modeInWords(event));
    case "table-write":
      return line("table write", tableWrite(event, places));
    case "tlb-flush":
      return line("tlb flush", flushInWords(event.cause, event.address, event.global));
    case "stale-tlb":
      return line("stale tlb", hex64(event.address), event.reason);
    case "exception":
      return line("exception", exceptionInWords(event.name, event.error), event.reason);
    case "triple-fault":
      return line(
        "triple fault",
        "the machine shut down",
        ...event.reasons.map((reason, i) => `${i + 1}. ${reason}`),
      );
    case "unimplemented":
      return line("unimplemented", `${event.text}  [${event.bytes}]`, event.reason);
    case "halt":
      return line("halt", event.reason);
    case "milestone":
    case "hypercall":
    case "hypercall-rejected":
    case "pin":
    case "base-pointer":
    case "p2m-free":
      return line(event.event.replace("-", " "), eventSentence(event, places));
    case "serial":
      return { name: "serial", what: `| ${printable(event.text)}`, where: "", more: [] };
    case "exit":
      return line("exit", `the guest exited with status ${event.status}`);
  }
}

/** The reason of a page fault without the access and the address, which its line tells already. */
function shortReason({ address, reason }: PageFaultEvent): string {
  const [head, ...rest] = reason.split(": ");
  const digits = address.toString(16);
  return rest.length > 0 && head.endsWith(digits) && !head.includes(",") ? rest.join(": ") : reason;
}

/** The access of a page fault by its error code (SDM vol. 3A, 4.7). */
export function accessInWords({ error }: Pick<PageFaultEvent, "error">): string {
  const kind = (error & ACCESS_FETCH) !== 0 ? "fetch" : (error & ACCESS_WRITE) !== 0 ? "write" : "read";
  return (error & ACCESS_USER) !== 0 ? `user ${kind}` : kind;
}

/** `symbol (file:line)` of an instruction, or its bare address. */
export function codePlace(rip: bigint, places: Places): string {
  const source = places.source(rip);
  return `${places.symbol(rip) ?? hex(rip)}${source === undefined ? "" : ` (${source})`}`;
}

/** Text of the guest as it may be written to a terminal: control characters are shown, not obeyed. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

function loadInWords({ from, to }: { from: number; to: number }, places: Places): string {
  return from === to ? `${places.table(to)} again` : `${places.table(from)} -> ${places.table(to)}`;
}

function modeInWords({ set, cleared, mode }: PagingModeEvent): string {
  const changes = [...set.map((name) => `+${name}`), ...cleared.map((name) => `-${name}`)].join(" ");
  return `${changes}: ${mode === "off" ? "paging off" : `${mode} paging`}`;
}

function tableWrite(event: TableWriteEvent, places: Places): string {
  return `level ${event.level} ${places.table(event.entry)}: ${hex(event.old)} -> ${hex(event.new)} for ${hex64(event.address)}`;
}

function flushInWords(cause: string, address: bigint | undefined, global: boolean): string {
  const what = address === undefined ? "all" : hex64(address);
  return `${what} by ${cause}${global ? ", global entries too" : ""}`;
}

function exceptionInWords(name: string, error: number | undefined): string {
  return error === undefined ? name : `${name} error ${hex(error)}`;
}
