/** The events of a boot, as the event log shows them: the latest are kept, all are counted. */
import { EVENT_KINDS, type EventKind, type MachineEvent } from "../../machine/events";
import { eventSentence } from "../../target/eventSentence";
import type { Target } from "../../target/target";
import type { CheckedOf } from "../protocol/declare";
import type { EVENTS, EventRow, EventRows } from "../protocol/events";
import { toHex } from "../protocol/values";
import type { Sources } from "../sources";

/** Events that are kept at least, and half of what is kept at most. */
export const KEPT = 10_000;

interface Recorded {
  readonly number: number;
  readonly event: MachineEvent;
  /** Made when the event came, since it tells of tables as they were. */
  readonly text: string;
}

/** Which events are asked for. */
export type EventQuery = CheckedOf<typeof EVENTS>;

export class EventLog {
  private readonly kept: Recorded[] = [];
  private readonly counts = new Map<EventKind, number>();
  private total = 0;

  constructor(private readonly target: Target) {}

  record(event: MachineEvent): void {
    this.total++;
    this.counts.set(event.event, (this.counts.get(event.event) ?? 0) + 1);
    this.kept.push({ number: this.total, event, text: eventSentence(event, this.target.places) });
    if (this.kept.length > 2 * KEPT) this.kept.splice(0, KEPT);
  }

  /**
   * Forgets what happened from an instruction on.
   * @param countBefore how many events of a kind there were before it
   */
  cut(instruction: number, countBefore: (kind: EventKind) => number): void {
    while (this.kept.length > 0 && this.kept[this.kept.length - 1].event.instruction >= instruction)
      this.kept.pop();
    this.total = 0;
    for (const kind of [...this.counts.keys()]) {
      const count = countBefore(kind);
      if (count === 0) this.counts.delete(kind);
      else this.counts.set(kind, count);
      this.total += count;
    }
  }

  /** The latest events, the latest first. */
  rows({ count, before, kinds }: EventQuery, sources: Sources): EventRows {
    const wanted = kinds === undefined ? undefined : new Set(kinds);
    const found: Recorded[] = [];
    // One more than wanted tells whether there are more.
    for (let i = this.kept.length - 1; i >= 0 && found.length <= count; i--) {
      const recorded = this.kept[i];
      if (before !== undefined && recorded.number >= before) continue;
      if (wanted === undefined || wanted.has(recorded.event.event)) found.push(recorded);
    }
    return {
      rows: found.slice(0, count).map((recorded) => this.row(recorded, sources)),
      total: this.total,
      more: found.length > count,
      counts: EVENT_KINDS.flatMap(({ kind, label }) => {
        const times = this.counts.get(kind);
        return times === undefined ? [] : [{ kind, label, count: times }];
      }),
    };
  }

  private row({ number, event, text }: Recorded, sources: Sources): EventRow {
    const symbol = this.target.places.symbol(event.rip);
    const line = this.target.symbols.lineOf(event.rip);
    const path = line === undefined ? undefined : sources.source(line.file)?.path;
    const address = "address" in event ? event.address : undefined;
    return {
      number,
      instruction: event.instruction,
      kind: event.event,
      label: EVENT_KINDS.find(({ kind }) => kind === event.event)?.label ?? event.event,
      text,
      rip: toHex(event.rip),
      ...(symbol === undefined ? {} : { symbol }),
      ...(path === undefined || line === undefined ? {} : { path, line: line.line }),
      ...(address === undefined ? {} : { address: toHex(address) }),
    };
  }
}
