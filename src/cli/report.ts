/** What a run tells to whom reads it. Text and JSON are the two ways to write it down. */
import type { EventKind, MachineEvent } from "../machine/events";
import type { Mapped } from "./mapped";
import type { LeafRow, TableSummaryRow } from "./tables";
import type { WalkReport } from "./walk";

/** Why a run ended. */
export type StopKind = EventKind | "breakpoint" | "limit" | "interrupt";

export interface Stop {
  stopped: StopKind;
  /** Instructions retired. */
  instructions: number;
  /** Seconds of the host's clock. */
  seconds: number;
  /** Where the machine stands. */
  rip: bigint;
  /** The exit status of the command. */
  status: number;
  /** What of the host's stopped it, in one sentence. */
  problem?: string;
}

/** How often each kind of event came, printed or not. */
export type EventCounts = ReadonlyMap<EventKind, number>;

export interface Report {
  /** Before the first instruction. */
  begin(start: { program: string; details: string; rip: bigint }): void;
  /** An event that was selected for printing. */
  event(event: MachineEvent): void;
  /** Whether `mapped` is of use. */
  readonly wantsMapped: boolean;
  /** What came to be mapped at the address of the last page fault, when its handler had returned. */
  mapped(mapped: Mapped): void;
  registers(registers: readonly (readonly [string, bigint])[]): void;
  walk(walk: WalkReport): void;
  /** Before the rows of the tables. */
  tables(): void;
  tableRow(row: LeafRow): void;
  /** After the rows. */
  tableSummary(summary: TableSummaryRow): void;
  /** The last of all. */
  end(stop: Stop, counts: EventCounts): void;
}
