/**
 * What happened when: the events of a run by instruction count, as far as the run is known. All are counted; a bounded
 * number is kept with a sentence each.
 */
import type { History } from "../../machine/checkpoints/history";
import { EVENT_KINDS, type EventKind, type MachineEvent } from "../../machine/events";
import { eventSentence } from "../../target/eventSentence";
import type { Target } from "../../target/target";
import type { TimelineAnswer, TimelineCounts } from "../protocol/time";

/** Events with a sentence, and instruction counts of each kind, at most. */
const MOST_KEPT = 50_000;
const MOST_COUNTED = 1_000_000;
const BUCKETS = 256;
/** Exceptions that may not have returned, at most. */
const MOST_EXCEPTIONS = 256;

interface Recorded {
  readonly event: MachineEvent;
  readonly text: string;
  /** RSP when it happened. */
  readonly stackPointer: bigint;
}

export class Timeline {
  /** In the order in which they came; the first ones where there were too many. */
  private readonly kept: Recorded[] = [];
  /** Ascending. */
  private readonly instructions = new Map<EventKind, number[]>();
  private truncated = false;

  constructor(
    private readonly target: Target,
    private readonly history: History | undefined,
  ) {}

  record(event: MachineEvent, stackPointer: bigint): void {
    const times = this.instructions.get(event.event);
    if (times === undefined) this.instructions.set(event.event, [event.instruction]);
    else if (times.length < MOST_COUNTED) times.push(event.instruction);
    else this.truncated = true;
    if (this.kept.length >= MOST_KEPT) return;
    this.kept.push({ event, text: eventSentence(event, this.target.places), stackPointer });
  }

  /** Forgets what happened from an instruction on. */
  cut(instruction: number): void {
    this.kept.length = lowerBound(this.kept, instruction, ({ event }) => event.instruction);
    for (const times of this.instructions.values()) times.length = lowerBound(times, instruction, (at) => at);
  }

  /** The latest exceptions before an instruction, oldest first. */
  exceptionsBefore(instruction: number): readonly Recorded[] {
    const end = this.firstFrom(instruction + 1);
    const found: Recorded[] = [];
    for (let i = end - 1; i >= 0 && found.length < MOST_EXCEPTIONS; i--) {
      const { event } = this.kept[i];
      if (event.event === "page-fault" || event.event === "exception") found.push(this.kept[i]);
    }
    return found.reverse();
  }

  /**
   * Whether an event of a kind may have come from one instruction to another, both included.
   * @param accept whether an event counts at all
   */
  mayHave(kind: EventKind, from: number, to: number, accept: (event: MachineEvent) => boolean): boolean {
    if (this.truncated) return true;
    const times = this.instructions.get(kind) ?? [];
    const at = lowerBound(times, from, (each) => each);
    if (at >= times.length || times[at] > to) return false;
    if (this.kept.length >= MOST_KEPT) return true;
    for (let i = this.firstFrom(from); i < this.kept.length; i++) {
      const { event } = this.kept[i];
      if (event.instruction > to) return false;
      if (event.event === kind && accept(event)) return true;
    }
    return false;
  }

  private firstFrom(instruction: number): number {
    return lowerBound(this.kept, instruction, ({ event }) => event.instruction);
  }

  /** How many events of a kind there were up to an instruction, included. */
  countUpTo(kind: EventKind, instruction: number): number {
    return lowerBound(this.instructions.get(kind) ?? [], instruction + 1, (each) => each);
  }

  /**
   * The events from one instruction up to another: each, or how many there were, where there are too many.
   * @param most events to list
   * @param looking whether the present moment is only looked at
   */
  answer(from: number, to: number, most: number, looking = false): TimelineAnswer {
    const { history, target } = this;
    const end = history?.end.instruction ?? target.machine.instructions;
    const last = Math.max(from, Math.min(to, end));
    const first = this.firstFrom(from);
    const behind = this.firstFrom(last + 1);
    const counts = this.counts(from, last);
    const total = counts.reduce((sum, { count }) => sum + count, 0);
    const isWhole = total === behind - first && total <= most;
    return {
      now: target.machine.instructions,
      start: history?.start.instruction ?? 0,
      end,
      lookingBack: history?.lookingBack ?? false,
      canGoBack: history !== undefined,
      edits: (history?.edited ?? []).map(({ instruction }) => instruction),
      looking,
      kinds: EVENT_KINDS.flatMap(({ kind, label }) => {
        const count = this.instructions.get(kind)?.length ?? 0;
        return count === 0 ? [] : [{ kind, label, count }];
      }),
      from,
      to: last,
      total,
      events: isWhole
        ? this.kept.slice(first, behind).map(({ event, text }) => ({
            instruction: event.instruction,
            kind: event.event,
            text,
          }))
        : [],
      counts: isWhole ? [] : counts,
    };
  }

  private counts(from: number, to: number): TimelineCounts[] {
    const width = Math.max(1, Math.ceil((to - from + 1) / BUCKETS));
    return EVENT_KINDS.flatMap(({ kind, label }) => {
      const times = this.instructions.get(kind) ?? [];
      const buckets = new Array<number>(Math.ceil((to - from + 1) / width)).fill(0);
      const start = lowerBound(times, from, (each) => each);
      let count = 0;
      for (let i = start; i < times.length && times[i] <= to; i++) {
        buckets[Math.floor((times[i] - from) / width)]++;
        count++;
      }
      return count === 0 ? [] : [{ kind, label, count, width, buckets }];
    });
  }
}

/** The index of the first item that is not below a value. */
function lowerBound<T>(items: readonly T[], value: number, of: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (of(items[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
