/** When a run is to stop: the `--until` option. */

import { UsageError } from "../boot/boot";
import { EVENT_KINDS, type EventKind } from "../machine/events";
import { parseCount } from "../target/values";

export type Until =
  | { kind: "event"; event: EventKind; count: number }
  /** At the first instruction of a function. */
  | { kind: "symbol"; place: string }
  /** Just after a function has returned. */
  | { kind: "return"; place: string };

/** The names of all events, for messages. */
export const EVENT_NAMES: readonly EventKind[] = EVENT_KINDS.map((description) => description.kind);

export function isEventKind(name: string): name is EventKind {
  return (EVENT_NAMES as readonly string[]).includes(name);
}

/** @throws UsageError */
export function parseUntil(text: string): Until {
  const place = /^(symbol|return):(.*)$/.exec(text);
  if (place !== null) {
    if (place[2] === "") throw new UsageError(`--until ${place[1]}: wants a name behind the colon`);
    return { kind: place[1] as "symbol" | "return", place: place[2] };
  }
  const [name, count] = splitOnce(text, ":");
  if (!isEventKind(name)) throw new UsageError(unknownEvent(name, "--until"));
  return {
    kind: "event",
    event: name,
    count: count === undefined ? 1 : parseCount(count, `--until ${name}:`),
  };
}

export function unknownEvent(name: string, option: string): string {
  const more = option === "--until" ? ", symbol:NAME or return:NAME" : " or all";
  return `${option} does not know the event "${name}"; it takes ${EVENT_NAMES.join(", ")}${more}`;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
