/** Drives a machine in slices until what was asked for has happened, and tells the report of it. */
import { EVENT_KINDS, type EventKind, type MachineEvent } from "../machine/events";
import type { Machine } from "../machine/machine";
import { MemoryExhaustedError } from "../machine/memory";
import { EXIT_INTERRUPTED, EXIT_LIMIT, EXIT_MACHINE, EXIT_OK } from "./exitStatus";
import { FaultWatch } from "./faultWatch";
import type { CliIo } from "./io";
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
  EVENT_KINDS.filter(({ final }) => final).map(({ kind }) => kind),
);
/** A fault that comes again and again, with its handler returning in between, will do so for ever. */
const VAIN_REPEATS = 1000;
/** Counted for the summary, printed or not. */
const COUNTED: readonly EventKind[] = ["page-fault", "reset"];

export class Runner {
  /** How often each kind of event came. */
  readonly counts = new Map<EventKind, number>();
  private lastEvent: MachineEvent | undefined;
  /** The event that ends the run. */
  private ending: MachineEvent | undefined;
  private failure: unknown;
  private problem: string | undefined;
  private readonly faults: FaultWatch;

  constructor(
    private readonly machine: Machine,
    private readonly plan: RunPlan,
    private readonly report: Report,
    private readonly progress: Progress,
    private readonly io: CliIo,
  ) {
    this.faults = new FaultWatch(machine, (mapped) => {
      progress.clear();
      report.mapped(mapped);
    });
  }

  /** Runs to the end and says why it came. */
  async run(): Promise<Stop> {
    const { machine, plan, io } = this;
    const start = io.now();
    const until = plan.stopper.event;
    machine.want([...plan.events, ...(until === undefined ? [] : [until])], COUNTED);
    machine.onEvent = (event) => this.onEvent(event);
    this.setBreakpoints();
    const stopped = await this.guarded(() => this.slices(start));
    machine.serial.flush();
    this.faults.settle();
    this.progress.clear();
    return {
      stopped,
      instructions: machine.instructions,
      seconds: (io.now() - start) / 1000,
      rip: this.ending?.rip ?? machine.cpu.rip,
      status: this.status(stopped),
      ...(this.problem === undefined ? {} : { problem: this.problem }),
    };
  }

  /** A guest that wants more memory than the host gives has come to a limit too. */
  private async guarded(run: () => Promise<StopKind>): Promise<StopKind> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof MemoryExhaustedError)) throw error;
      this.problem = error.message;
      return "limit";
    }
  }

  private async slices(start: number): Promise<StopKind> {
    const { machine, plan, io } = this;
    let passBreakpoint = false;
    let breath = start;
    for (let slice = FIRST_SLICE; ; ) {
      const left = plan.maxInstructions - machine.instructions;
      if (left <= 0) return "limit";
      const before = io.now();
      const result = machine.run(Math.min(slice, left), passBreakpoint);
      passBreakpoint = result.reason === "breakpoint";
      if (this.failure !== undefined) throw this.failure;
      if (this.ending !== undefined) return this.ending.event;
      if (passBreakpoint) {
        this.faults.atBreakpoint();
        if (plan.stopper.atBreakpoint()) return "breakpoint";
      }
      this.setBreakpoints();
      const now = io.now();
      this.progress.update(machine.instructions, (now - start) / 1000, this.lastEvent?.event ?? "");
      if (result.reason !== "limit" && now - breath < SLICE_TIME) continue;
      breath = now;
      await io.breathe();
      if (io.interrupted() || io.outputClosed()) return "interrupt";
      if (result.reason === "limit") slice = nextSlice(slice, now - before);
    }
  }

  private breakpoints = new Set<bigint>();

  /** Tells the machine only of changes: they cost it its translations. */
  private setBreakpoints(): void {
    const wanted = new Set(this.plan.stopper.breakpoints);
    if (this.faults.breakpoint !== undefined) wanted.add(this.faults.breakpoint);
    if (
      wanted.size === this.breakpoints.size &&
      [...wanted].every((address) => this.breakpoints.has(address))
    )
      return;
    this.breakpoints = wanted;
    this.machine.setBreakpoints(wanted);
  }

  /** Thrown through the machine, an error would leave it half way through an instruction. */
  private onEvent(event: MachineEvent): boolean {
    try {
      return this.take(event);
    } catch (error) {
      this.failure = error;
      return true;
    }
  }

  private take(event: MachineEvent): boolean {
    this.counts.set(event.event, (this.counts.get(event.event) ?? 0) + 1);
    this.lastEvent = event;
    if (event.event === "page-fault") this.faults.settle();
    const watched = this.tell(event);
    if (FINAL.has(event.event) || this.plan.stopper.stopsAt(event)) this.ending ??= event;
    else if (this.inVain(event)) {
      this.ending ??= event;
      this.problem = `this page fault came ${VAIN_REPEATS} times in a row: its handler returns, and the access faults again`;
    }
    return watched || this.ending !== undefined;
  }

  /** Whether a fault shows that the guest will never get any further, and nobody waits for a later one. */
  private inVain(event: MachineEvent): boolean {
    return (
      event.event === "page-fault" &&
      event.repeats >= VAIN_REPEATS &&
      this.plan.stopper.event !== "page-fault"
    );
  }

  /** Whether the run has to pause, so that a breakpoint can be set. */
  private tell(event: MachineEvent): boolean {
    if (!this.plan.events.has(event.event)) return false;
    this.progress.clear();
    this.report.event(event);
    return event.event === "page-fault" && this.report.wantsMapped && this.faults.watch(event);
  }

  private status(stopped: StopKind): number {
    if (stopped === "limit") return EXIT_LIMIT;
    if (stopped === "interrupt") return EXIT_INTERRUPTED;
    if (this.ending?.event === "exit") return this.ending.status;
    return stopped === "breakpoint" || this.plan.stopper.asked ? EXIT_OK : EXIT_MACHINE;
  }
}

/** A slice that should take SLICE_TIME, after one of `size` took `milliseconds`. */
function nextSlice(size: number, milliseconds: number): number {
  const ideal = milliseconds < 1 ? size * 4 : (size * SLICE_TIME) / milliseconds;
  return Math.max(1000, Math.min(MAX_SLICE, Math.round(Math.min(ideal, size * 4))));
}
