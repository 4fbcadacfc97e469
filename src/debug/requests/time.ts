/** Backwards, and to other moments. */
import { entrySize } from "../../paging/layout";
import { tableOf } from "../../paging/tables";
import { RequestError } from "../dispatcher";
import type { CheckedOf } from "../protocol/declare";
import { CANCEL, RESTART_FRAME, REVERSE_CONTINUE, STEP_BACK } from "../protocol/standard";
import {
  CONTINUE_HERE,
  type MomentAnswer,
  TIMELINE,
  TRAVEL,
  WHEN_MAPPED,
  WHO_WROTE,
  type WhenMappedAnswer,
  type WhoWroteAnswer,
} from "../protocol/time";
import { toHex } from "../protocol/values";
import type { Session } from "../session";
import { momentAt } from "../time/moments";
import { restartMoment } from "../time/restartFrame";
import { stopProbe } from "../time/search";
import { stepBack } from "../time/stepBack";
import { type Change, lastChange, lastMapping } from "../time/whoWrote";

const NOTHING_BEFORE = "There is nothing before this: the history begins here";

/** Registers the handlers. */
export function registerTimeRequests(session: Session): void {
  const { dispatcher, time } = session;
  dispatcher.on(STEP_BACK, ({ granularity }) => {
    const { debuggee } = session;
    void time.history;
    const size = granularity ?? debuggee.settings.stepGranularity;
    session.afterResponse(() =>
      session.goBack(async () => {
        const gone = await time.go(
          "Stepping back",
          (history) => stepBack(debuggee, history, size),
          (to) => to,
        );
        if (gone === undefined) return { stop: { kind: "pause" } };
        return gone.result === undefined ? nothingBefore() : { stop: { kind: "step" } };
      }),
    );
    return undefined;
  });
  dispatcher.on(REVERSE_CONTINUE, () => {
    void time.history;
    session.afterResponse(() =>
      session.goBack(async () => {
        const gone = await time.go(
          "Running backwards",
          (history) => history.lastBefore(history.position, stopProbe(session)),
          (found) => found?.position ?? 0,
        );
        if (gone === undefined) return { stop: { kind: "pause" } };
        return gone.result === undefined ? nothingBefore() : gone.result.hit;
      }),
    );
    return undefined;
  });
  dispatcher.on(RESTART_FRAME, ({ frameId }) => {
    const { debuggee } = session;
    void time.history;
    const frame = debuggee.frame(frameId);
    if (frame === undefined) throw new RequestError(`there is no frame ${frameId} at this stop`);
    const moment = restartMoment(debuggee, frame);
    session.afterResponse(() =>
      session.goBack(async () => {
        const gone = await time.go("Going to where the frame began", moment, (found) => found?.position);
        if (gone === undefined) return { stop: { kind: "pause" } };
        const description =
          gone.result === undefined ? "The frame began before the history does" : "Where the frame began";
        return { stop: { kind: "moment", reason: "restart", description } };
      }),
    );
    return undefined;
  });
  dispatcher.on(CANCEL, () => {
    if (session.launched && session.isTravelling) session.debuggee.control.pause();
    return undefined;
  });
  dispatcher.on(WHO_WROTE, (args) => whoWrote(session, args));
  dispatcher.on(WHEN_MAPPED, (args) => whenMapped(session, args));
  dispatcher.on(TIMELINE, ({ from, to, count }) => {
    const { timeline, isLooking } = session.debuggee;
    return timeline.answer(from, to, count, isLooking);
  });
  dispatcher.on(CONTINUE_HERE, ({ preserveFocus }) => {
    void time.history;
    session.stopped.forgetFuture();
    session.afterResponse(() => session.standAtMoment("This is the present now", preserveFocus));
    return undefined;
  });
  dispatcher.on(TRAVEL, async ({ to, look, preserveFocus }) => {
    const { history } = time;
    const { start, end } = history;
    const goal = to === "start" ? start : to === "end" ? end : to;
    if (typeof goal === "number" && (goal < start.instruction || goal > end.instruction)) {
      throw new RequestError(
        `instruction ${goal} cannot be gone to: the run is known from ${start.instruction} to ${end.instruction}`,
      );
    }
    const gone = await session.travelling(() =>
      time.go(
        "Going to another moment",
        function* (history) {
          yield* history.travel(goal);
          return history.position;
        },
        (found) => found,
      ),
    );
    if (look && gone !== undefined) session.debuggee.look();
    const description = `Instruction ${history.position.instruction}${history.lookingBack ? ", in the past" : ""}`;
    session.afterResponse(() => session.standAtMoment(description, preserveFocus));
    return gone === undefined ? { cancelled: true } : { cancelled: false, moment: momentNow(session) };
  });
}

/** Bytes of a change that are told of. */
const MOST_BYTES = 16;

function nothingBefore() {
  return { stop: { kind: "moment" as const, reason: "goto", description: NOTHING_BEFORE } };
}

async function whoWrote(session: Session, args: CheckedOf<typeof WHO_WROTE>): Promise<WhoWroteAnswer> {
  const { debuggee, time } = session;
  const { position } = time.history;
  const { ranges, name: found } = rangesOf(session, args);
  const name = args.label ?? found;
  const gone = await session.travelling(() =>
    time.go(
      `Who wrote ${name}?`,
      (history) => lastChange(debuggee, history, position, ranges),
      (change) => change?.before,
    ),
  );
  session.afterResponse(() => session.standAtMoment(`Who wrote ${name}?`));
  if (gone === undefined) return { by: "cancelled", text: "The search was stopped." };
  const change = gone.result;
  if (change === undefined) return { by: "loader", text: neverWritten(session, name) };
  const moment = momentNow(session);
  const { from, to } = changedBytes(change);
  const values = {
    old: valueText(change.old.subarray(from, to)),
    new: valueText(change.new.subarray(from, to)),
  };
  const place = change.old.length > MOST_BYTES ? `${name} from byte ${from} on` : name;
  return { by: change.by, text: changeText(place, change, moment, values), moment, ...values };
}

function neverWritten({ time, debuggee }: Session, name: string): string {
  const { start } = time.history;
  if (start.instruction > 0) {
    return `${name} was not changed since instruction ${start.instruction}, where the history begins.`;
  }
  const who = debuggee.target.xen === undefined ? "The loader" : "The domain builder";
  return `${who} put ${name} there; nothing changed it since.`;
}

function changeText(
  name: string,
  { by }: Change,
  moment: MomentAnswer,
  values: { old: string; new: string },
): string {
  const what = `${name} from ${values.old} to ${values.new}`;
  const where = whereText(moment);
  if (by === "user") return `The user changed ${what} before ${where}.`;
  if (by === "exception") return `The delivery of an exception at ${where} changed ${what}.`;
  return `${where[0].toUpperCase()}${where.slice(1)} changed ${what}.`;
}

/** "instruction 51980 at next_table+0x3a (direct_map.c:37)" */
function whereText({ instruction, symbol, rip, path, line }: MomentAnswer): string {
  const source = path === undefined ? "" : ` (${path.split("/").at(-1)}:${line})`;
  return `instruction ${instruction} at ${symbol ?? rip}${source}`;
}

async function whenMapped(
  session: Session,
  { address: given, expression, frameId }: CheckedOf<typeof WHEN_MAPPED>,
): Promise<WhenMappedAnswer> {
  const { debuggee, time, evaluation } = session;
  void time.history;
  const address = given ?? evaluation.number(expression ?? "", frameId);
  const { target } = debuggee;
  const physical = target.physicalOf(address);
  const shown = toHex(address);
  const gone = await session.travelling(() =>
    time.go(
      `When was ${shown} mapped?`,
      (history) => lastMapping(debuggee, history, address),
      (mapping) => mapping?.before,
    ),
  );
  session.afterResponse(() => session.standAtMoment(`When was ${shown} mapped?`));
  if (gone === undefined) return { by: "cancelled", text: "The search was stopped." };
  const what =
    physical === undefined ? `${shown} has not been mapped` : `${shown} has led to ${toHex(physical)}`;
  if (gone.result === undefined) {
    const begun = time.history.start.instruction;
    const since =
      begun === 0 ? "since the boot began" : `since instruction ${begun}, where the history begins`;
    return { by: "start", text: `${what} ${since}.` };
  }
  const moment = momentNow(session);
  const where = whereText(moment);
  const how =
    gone.result.entry === undefined
      ? "loads the root, or changes the mode"
      : `writes the entry at ${toHex(gone.result.entry)}`;
  return { by: gone.result.by, text: `${what} since ${where}, which ${how}.`, moment };
}

/** Where the debuggee stands. */
function momentNow({ debuggee }: Session): MomentAnswer {
  const { machine } = debuggee.target;
  return momentAt(debuggee, machine.instructions, machine.cpu.rip);
}

/** The physical ranges that a question is about, and what they are called. */
function rangesOf(session: Session, args: CheckedOf<typeof WHO_WROTE>) {
  const { debuggee, evaluation } = session;
  const { physical, address, expression, frameId, variablesReference, name, row, length = 8 } = args;
  if (physical !== undefined) {
    const symbol = debuggee.target.places.physical(physical);
    return { ranges: [{ address: physical, length }], name: symbol ?? `physical ${toHex(physical)}` };
  }
  if (row !== undefined) return { ranges: [entryOfRow(session, row)], name: `entry ${row}` };
  if (address !== undefined) return { ranges: linearRanges(session, address, length), name: toHex(address) };
  const text = expression ?? name ?? "";
  const container =
    variablesReference === undefined || variablesReference === 0
      ? undefined
      : debuggee.variables.get(variablesReference);
  const place = container === undefined ? evaluation.locate(text, frameId) : container.locate?.(text);
  if (place === undefined) throw new RequestError(`${text} is not in memory`);
  const bytes = Math.min(4096, args.length ?? Math.max(1, place.length));
  return { ranges: linearRanges(session, place.address, bytes), name: text };
}

function linearRanges({ debuggee }: Session, address: bigint, length: number) {
  const ranges: { address: number; length: number }[] = [];
  for (let done = 0; done < length; ) {
    const linear = BigInt.asUintN(64, address + BigInt(done));
    const count = Math.min(length - done, 4096 - Number(linear & 0xfffn));
    const physical = debuggee.target.physicalOf(linear);
    if (physical === undefined) throw new RequestError(`${toHex(linear)} is not mapped`);
    ranges.push({ address: physical, length: count });
    done += count;
  }
  return ranges;
}

/** The entry of a row of the tree: "root/511/510". */
function entryOfRow({ debuggee }: Session, row: string): { address: number; length: number } {
  const { pagingState: state, memory } = debuggee.target;
  const match = /^root((?:\/\d{1,4}){1,5})$/.exec(row);
  const size = entrySize(state.levels);
  let table = state.root;
  let entry = -1;
  for (const [depth, text] of (match?.[1].slice(1).split("/") ?? []).entries()) {
    const level = state.levels - depth;
    const entries = level === 3 && state.levels === 3 ? 4 : 4096 / size;
    if (level < 1 || table < 0 || Number(text) >= entries) break;
    entry = table + Number(text) * size;
    table = tableOf(state, level, memory.read32(entry), size === 8 ? memory.read32(entry + 4) : 0);
    if (depth + 1 === match?.[1].slice(1).split("/").length) return { address: entry, length: size };
  }
  throw new RequestError(`the row "${row}" stands for no single entry`);
}

/** What to tell of a change: all of a short place, of a long one from the first to the last byte that differs. */
function changedBytes({ old, new: now }: Change): { from: number; to: number } {
  if (old.length <= MOST_BYTES) return { from: 0, to: old.length };
  const differs = [...old.keys()].filter((i) => old[i] !== now[i]);
  const from = differs[0] ?? 0;
  return { from, to: Math.min((differs.at(-1) ?? 0) + 1, from + MOST_BYTES) };
}

function valueText(bytes: Uint8Array): string {
  return `0x${[...bytes]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")}`;
}
