/** The events of a boot, as the event log shows them: the latest are kept. */
import { EVENT_KINDS, type MachineEvent } from "../../machine/events";
import type { Target } from "../../target/target";
import type { EventRow, EventRows } from "../protocol/events";
import { toHex } from "../protocol/values";
import type { Sources } from "../sources";
import { eventSentence } from "../stopped";

const KEPT = 10_000;

export class EventLog {
  private readonly kept: { number: number; event: MachineEvent; text: string }[] = [];
  private total = 0;

  constructor(private readonly target: Target) {}

  /** Adds an event. Its text is made now, since it tells of tables as they are. */
  record(event: MachineEvent): void {
    this.total++;
    this.kept.push({ number: this.total, event, text: eventSentence(event, this.target) });
    if (this.kept.length > 2 * KEPT) this.kept.splice(0, KEPT);
  }

  /** The latest events, the latest first. */
  rows(count: number, sources: Sources): EventRows {
    const rows = this.kept
      .slice(-Math.min(count, KEPT))
      .reverse()
      .map(({ number, event, text }) => this.row(number, event, text, sources));
    return { rows, total: this.total };
  }

  private row(number: number, event: MachineEvent, text: string, sources: Sources): EventRow {
    const symbol = this.target.places.symbol(event.rip);
    const line = this.target.symbols.lineOf(event.rip);
    const path = line === undefined ? undefined : sources.source(line.file)?.path;
    return {
      number,
      instruction: event.instruction,
      kind: event.event,
      label: EVENT_KINDS.find(({ kind }) => kind === event.event)?.label ?? event.event,
      text,
      rip: toHex(event.rip),
      ...(symbol === undefined ? {} : { symbol }),
      ...(path === undefined || line === undefined ? {} : { path, line: line.line }),
    };
  }
}
