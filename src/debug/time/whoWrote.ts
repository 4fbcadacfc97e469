/** Who gave bytes of memory the value that they have, and when an address was mapped as it is. */
import { sameBytes } from "../../bytes/sameBytes";
import type { History, Part, Work } from "../../machine/checkpoints/history";
import { comparePositions, type Position } from "../../machine/checkpoints/position";
import type { DataBreakpoint } from "../../machine/dataBreakpoints";
import type { EventKind } from "../../machine/events";
import { Walk } from "../../paging/walk";
import { translates } from "../../target/linear";
import type { Target } from "../../target/target";
import type { Debuggee } from "../debuggee";
import { listenTo, mayHaveEvent, mayHaveWritten } from "./search";

/** A change of bytes. */
export interface Change {
  /** The moment before it; of a change of the user's, the moment itself. */
  readonly before: Position;
  readonly by: "instruction" | "exception" | "user";
  readonly old: Uint8Array;
  readonly new: Uint8Array;
}

interface Hit {
  readonly user: boolean;
  readonly old: Uint8Array;
  readonly new: Uint8Array;
}

/** The last change of one of some ranges before a moment. @param ranges physical, not empty */
export function* lastChange(
  debuggee: Debuggee,
  history: History,
  before: Position,
  ranges: readonly DataBreakpoint[],
): Work<Change | undefined> {
  const { machine } = debuggee.target;
  listenTo(debuggee, new Set(), [], () => false);
  machine.setDataBreakpoints(ranges);
  const contents = () => join(ranges.map(({ address, length }) => machine.memory.readBytes(address, length)));
  const found = yield* history.lastBefore<Hit>(before, {
    mayHit: (part) => mayHaveWritten(part, ranges),
    hit: (result) =>
      result.reason === "data" ? { user: false, old: result.change.old, new: result.change.new } : undefined,
    edited: (make) => {
      const old = contents();
      make();
      const now = contents();
      return sameBytes(old, now) ? undefined : { user: true, old, new: now };
    },
  });
  machine.setDataBreakpoints([]);
  if (found === undefined) return undefined;
  const { user, ...values } = found.hit;
  if (user) return { before: found.position, by: "user", ...values };
  const moment = (yield* history.momentsBefore(found.position, 1, () => undefined)).at(-1);
  const position = moment?.position ?? found.position;
  const retires = found.position.instruction > position.instruction;
  return { before: position, by: retires ? "instruction" : "exception", ...values };
}

/** What made a translation. */
export interface Mapping {
  /** The moment before. */
  readonly before: Position;
  readonly by: "write" | "root";
  /** Where the change was made, of a write: the entry. */
  readonly entry?: number;
}

const ROOT_EVENTS: ReadonlySet<EventKind> = new Set<EventKind>(["cr3-load", "paging-mode"]);
/** Changes of tables that leave the translation as it is, before the search is given up. */
const MOST_CHANGES = 256;

/**
 * The last moment before the present one at which the translation of an address was another: the change of an entry
 * that it goes through, or of the root or paging mode. Undefined where it was as it is from the start.
 */
export function* lastMapping(
  debuggee: Debuggee,
  history: History,
  address: bigint,
): Work<Mapping | undefined> {
  const { target } = debuggee;
  const { machine } = target;
  const present = translationOf(target, address);
  let before = history.position;
  for (let made = 0; made < MOST_CHANGES; made++) {
    const entries = entriesOf(target, address);
    const events = listenTo(debuggee, ROOT_EVENTS, [], () => true);
    machine.setDataBreakpoints(entries);
    const mayHit = (part: Part) =>
      mayHaveWritten(part, entries) || [...ROOT_EVENTS].some((kind) => mayHaveEvent(debuggee, kind, part));
    const found = yield* history.lastBefore<DataBreakpoint | "root">(before, {
      mayHit,
      hit: (result) => {
        if (events.take().length > 0) return "root";
        return result.reason === "data" ? result.change.breakpoint : undefined;
      },
      edited: (make) => {
        make();
        return "root";
      },
    });
    machine.setDataBreakpoints([]);
    if (found === undefined) return undefined;
    yield* history.travel(found.position);
    const moments = yield* history.momentsBefore(found.position, 1, () => translationOf(target, address));
    const last = moments.findLast(({ position }) => comparePositions(position, found.position) < 0);
    if (last === undefined) return undefined;
    if (last.seen !== present) {
      const { hit } = found;
      return hit === "root"
        ? { before: last.position, by: "root" }
        : { before: last.position, by: "write", entry: hit.address };
    }
    before = last.position;
    yield* history.travel(before);
  }
  return undefined;
}

/** The page that an address is in, in words that can be compared. */
function translationOf(target: Target, address: bigint): string {
  if (target.pagingState.levels === 0) return "off";
  const walk = new Walk();
  return translates(target, address, walk) ? `${walk.frame}:${walk.pageShift}` : "none";
}

/** The entries that a walk of an address reads. */
function entriesOf(target: Target, address: bigint): DataBreakpoint[] {
  const { levels } = target.pagingState;
  if (levels === 0) return [];
  const walk = new Walk();
  translates(target, address, walk);
  return Array.from({ length: walk.stepCount }, (_, step) => ({
    address: walk.entryAddresses[step],
    length: levels === 2 ? 4 : 8,
  }));
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
