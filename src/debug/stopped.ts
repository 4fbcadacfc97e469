/** A stop in the protocol's words, and in people's: the reason, and what exactly happened. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { EVENT_KINDS, type MachineEvent } from "../machine/events";
import { explainWalk } from "../paging/explain";
import { ACCESS_FETCH, ACCESS_USER, ACCESS_WRITE } from "../paging/state";
import { eventSentence } from "../target/eventSentence";
import type { Target } from "../target/target";
import { hex64 } from "../target/values";
import type { Debuggee } from "./debuggee";
import type { Stop } from "./run/stop";
import { exceptionText } from "./stack/exceptions";
import { THREAD_ID } from "./thread";

const ERROR_WRITE = 1 << 1;
const ERROR_USER = 1 << 2;
const ERROR_FETCH = 1 << 4;

/** The body of the `stopped` event. */
export function stoppedBody(
  stop: Stop,
  { target }: Debuggee,
  data: { ids: readonly number[]; labels: readonly string[] } | undefined,
): DebugProtocol.StoppedEvent["body"] {
  const base = { threadId: THREAD_ID, allThreadsStopped: true };
  switch (stop.kind) {
    case "breakpoint":
      return { ...base, reason: "breakpoint", hitBreakpointIds: [...stop.ids] };
    case "data":
      return {
        ...base,
        reason: "data breakpoint",
        description: `Changed: ${data?.labels.join(", ") ?? ""}`,
        text: changeText(stop.change.old, stop.change.new),
        hitBreakpointIds: [...(data?.ids ?? [])],
      };
    case "event":
      return { ...base, reason: "exception", ...eventText(stop.events[0], target) };
    case "end":
      return { ...base, reason: "exception", ...eventText(stop.event, target) };
    case "moment":
      return {
        ...base,
        reason: stop.reason,
        description: stop.description,
        ...(stop.preserveFocus === true ? { preserveFocusHint: true } : {}),
      };
    case "failure":
      return { ...base, reason: "exception", description: "The machine cannot go on", text: stop.message };
    default:
      return { ...base, reason: stop.kind };
  }
}

/** Why the debuggee stands still, with all there is to say: for `exceptionInfo`. Undefined for stops by the user. */
export function exceptionInfo(
  stop: Stop | undefined,
  target: Target,
): DebugProtocol.ExceptionInfoResponse["body"] | undefined {
  if (stop?.kind === "failure") {
    return { exceptionId: "Machine limit", description: stop.message, breakMode: "always" };
  }
  const events = stop?.kind === "event" ? stop.events : stop?.kind === "end" ? [stop.event] : [];
  if (events.length === 0) return undefined;
  const [event] = events;
  const { description, text } = eventText(event, target);
  return {
    exceptionId: exceptionText(event) ?? description,
    description: events.map((each) => eventText(each, target).text).join("\n"),
    breakMode: "always",
    details: { message: text, typeName: event.event, stackTrace: detailsOf(event, target) },
  };
}

interface EventText {
  /** A few words. */
  readonly description: string;
  /** A sentence. */
  readonly text: string;
}

function eventText(event: MachineEvent, target: Target): EventText {
  const description = EVENT_KINDS.find(({ kind }) => kind === event.event)?.label ?? event.event;
  return { description, text: eventSentence(event, target.places) };
}

/** The walk of a page fault, step by step. */
function detailsOf(event: MachineEvent, target: Target): string {
  if (event.event !== "page-fault" || target.pagingState.levels === 0) return "";
  const { error } = event;
  const access =
    ((error & ERROR_WRITE) !== 0 ? ACCESS_WRITE : 0) |
    ((error & ERROR_USER) !== 0 ? ACCESS_USER : 0) |
    ((error & ERROR_FETCH) !== 0 ? ACCESS_FETCH : 0);
  const walk = explainWalk(target.pagingState, target.memory, event.address, access, (physical) =>
    target.places.physical(physical),
  );
  const steps = walk.steps.map(
    ({ name, index, table, value }) => `${name} ${index} of ${target.places.table(table)}: ${hex64(value)}`,
  );
  return steps.join("\n");
}

function changeText(old: Uint8Array, now: Uint8Array): string {
  return `${valueText(old)} -> ${valueText(now)}`;
}

function valueText(bytes: Uint8Array): string {
  if (bytes.length > 8) return `${bytes.length} bytes`;
  const digits = [...bytes].reverse().map((byte) => byte.toString(16).padStart(2, "0"));
  return `0x${digits.join("")}`;
}
