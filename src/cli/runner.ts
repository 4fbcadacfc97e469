/** Drives a machine in slices until what was asked for has happened, and tells the report of it. */
import type { EventKind, MachineEvent, PageFaultEvent } from "../machine/events";
import { EVENT_KINDS } from "../machine/events";
import type { Machine } from "../machine/machine";
import { EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_MACHINE, EXIT_OK } from "./errors";
import type { CliIo } from "./io";
import { mappedAt } from "./mapped";
import type { Progress } from "./progress";
import type { Report, Stop, StopKind } from "./report";
import type { Stopper } from "./stopper";

/** What decides how a run goes on and what is told of it. */
export interface RunPlan {
  readonly maxInstructions: number;
  /** The events to report. */
  readonly events: ReadonlySet<EventKind>;
  readonly stopper: Stopper;
}

/** Milliseconds that a slice should take: what the user waits for at most after Ctrl-C. */
const SLICE_TIME = 50;
const FIRST_SLICE = 100_000;
const MAX_SLICE = 1e9;

const FINAL: ReadonlySet<EventKind> = new Set(
  EVENT_KINDS.filter((kind) => kind.final).map((kind) => kind.kind),
);

export class Runner {
  /** How often each kind of event came. */
  readonly counts = new Map<EventKind, number>();
  private lastEvent: MachineEvent | undefined;
  /** The last reported page fault, until it is known what came to be mapped at its address. */
  private pendingFault: PageFaultEvent | undefined;
  private failure: unknown;

  constructor(
    private readonly machine: Machine,
    private readonly plan: RunPlan,
    private readonly report: Report,
    private readonly progress: Progress,
    private readonly io: CliIo,
  ) {}

  /** Runs to the end and says why it came. */
  async run(): Promise<Stop> {
    const { machine, io } = this;
    const start = io.now();
    machine.onEvent = (event) => this.onEvent(event);
    const stopped = await this.slices(start);
    if (this.failure !== undefined) throw this.failure;
    this.settleFault();
    this.progress.clear();
    const seconds = (io.now() - start) / 1000;
    return {
      stopped,
      instructions: machine.instructions,
      seconds,
      rip: this.stopRip(stopped),
      status: this.status(stopped),
    };
  }

  private async slices(start: number): Promise<StopKind> {
    const { machine, plan, io } = this;
    let onBreakpoint = false;
    for (let slice = FIRST_SLICE; ; ) {
      const left = plan.maxInstructions - machine.instructions;
      if (left <= 0) return "limit";
      const before = io.now();
      const result = onBreakpoint ? machine.step() : machine.run(Math.min(slice, left));
      if (result.reason === "event" && this.lastEvent !== undefined) return this.lastEvent.event;
      onBreakpoint = result.reason === "breakpoint";
      if (onBreakpoint && this.atBreakpoint()) return "breakpoint";
      const now = io.now();
      this.progress.update(machine.instructions, (now - start) / 1000, this.lastEvent?.event ?? "");
      await io.breathe();
      if (io.interrupted() || io.outputClosed()) return "interrupt";
      if (result.reason === "limit") slice = nextSlice(slice, now - before);
    }
  }

  private onEvent(event: MachineEvent): boolean {
    try {
      return this.take(event);
    } catch (error) {
      // Thrown through the machine it would leave it half way through an instruction.
      this.failure = error;
      return true;
    }
  }

  private take(event: MachineEvent): boolean {
    this.counts.set(event.event, (this.counts.get(event.event) ?? 0) + 1);
    this.lastEvent = event;
    if (event.event === "page-fault") this.settleFault();
    if (this.plan.events.has(event.event)) {
      this.progress.clear();
      this.report.event(event);
      if (event.event === "page-fault" && this.report.wantsMapped) this.awaitReturn(event);
    }
    return FINAL.has(event.event) || this.plan.stopper.stopsAt(event);
  }

  /**
   * What a fault came to map can be seen when its handler has returned to the faulting instruction; a handler that
   * goes elsewhere is done at the next fault or at the stop.
   */
  private awaitReturn(fault: PageFaultEvent): void {
    this.pendingFault = fault;
    this.machine.addBreakpoint(fault.rip);
  }

  private settleFault(): void {
    const fault = this.pendingFault;
    if (fault === undefined) return;
    this.pendingFault = undefined;
    if (!this.plan.stopper.wants(fault.rip)) this.machine.removeBreakpoint(fault.rip);
    this.progress.clear();
    this.report.mapped(mappedAt(this.machine, fault.address));
  }

  /** Whether the breakpoint at which the machine stands ends the run. */
  private atBreakpoint(): boolean {
    const fault = this.pendingFault;
    if (fault !== undefined && this.machine.cpu.rip === fault.rip) {
      // The handler may execute the same code: then the address is not mapped yet.
      if (mappedAt(this.machine, fault.address).run !== undefined) this.settleFault();
    }
    return this.plan.stopper.atBreakpoint();
  }

  /** A stop at an event is where the event's instruction is. */
  private stopRip(stopped: StopKind): bigint {
    const event = this.lastEvent;
    return event !== undefined && event.event === stopped ? event.rip : this.machine.cpu.rip;
  }

  private status(stopped: StopKind): number {
    const event = this.lastEvent;
    if (stopped === "limit") return EXIT_LIMIT;
    if (stopped === "interrupt") return EXIT_INTERRUPTED;
    if (stopped === "exit" && event?.event === "exit") return event.status;
    if (stopped === "breakpoint" || this.plan.stopper.asked) return EXIT_OK;
    return EXIT_MACHINE;
  }
}

/** A slice that should take SLICE_TIME, after one of `size` took `milliseconds`. */
function nextSlice(size: number, milliseconds: number): number {
  const ideal = milliseconds < 1 ? size * 4 : (size * SLICE_TIME) / milliseconds;
  return Math.max(1000, Math.min(MAX_SLICE, Math.round(Math.min(ideal, size * 4))));
}
