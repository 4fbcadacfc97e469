/**
 * Moves a machine: in slices, so that whoever waits for an answer meanwhile gets it; until a step is complete, or
 * something happens that the user wants to stop on.
 *
 * Invariant: between slices the machine stands between two instructions, and looking at it is safe.
 */

import type { History, Progress, Work } from "../../machine/checkpoints/history";
import type { DataChange } from "../../machine/dataBreakpoints";
import { EVENT_KINDS, type EventKind, type MachineEvent } from "../../machine/events";
import type { Machine, RunResult } from "../../machine/machine";
import { MemoryExhaustedError } from "../../machine/memory";
import type { Motion, Motions, Outcome } from "./motion";
import type { Stop } from "./stop";

/** What decides on stops. */
export interface StopPolicy {
  /** Linear addresses of the user's breakpoints. */
  addresses(): ReadonlySet<bigint>;
  /** The breakpoints at RIP whose conditions hold; undefined where none is to stop. Called once for each arrival. */
  arrived(rip: bigint): readonly number[] | undefined;
  /** Whether an event is to stop. Called once for each event. */
  stopsAt(event: MachineEvent): boolean;
  /** Whether a change of data is to stop. */
  dataChanged(change: DataChange): boolean;
}

/** Milliseconds between two chances for others. */
const SLICE_TIME = 20;
const FIRST_SLICE = 50_000;
const MAX_SLICE = 1e9;
/** Instructions between two checkpoints: about a slice, so that none is missed. */
const LEAST_SPACING = 200_000;
const MOST_SPACING = 8_000_000;
/** Single instructions between two looks at the clock. */
const STEPS_AT_ONCE = 64;

/** Where one instruction raises several events, the one that tells most. */
const TELLING: readonly EventKind[] = ["switchover", "reset", "page-fault", "exception", "stale-tlb"];

export class RunControl {
  private running = false;
  private pauseAsked = false;
  private stopping: MachineEvent[] = [];
  /** An exception waits that no filter wants to stop on, in a motion of one instruction. */
  private stepping = false;
  private quiet = false;
  private failure: unknown;
  private slice = FIRST_SLICE;
  private breath = 0;
  private steps = 0;
  private set: ReadonlySet<bigint> = new Set();

  constructor(
    private readonly machine: Machine,
    /** Keeps the history of the run, where somebody wants it. */
    private readonly history: History | undefined,
    private readonly policy: StopPolicy,
    /** Told of each event, stop or not. */
    private readonly listener: (event: MachineEvent) => void,
    /** Lets others go on. */
    private readonly breathe: () => Promise<void>,
    private readonly now: () => number,
  ) {
    machine.onEvent = (event) => this.take(event);
  }

  get isRunning(): boolean {
    return this.running;
  }

  /** The event after which the machine cannot go on, if it has come. */
  get ended(): MachineEvent | undefined {
    return this.machine.ended;
  }

  /** Asks a run to stop at the end of its slice. */
  pause(): void {
    this.pauseAsked = true;
  }

  /** Changes the machine from outside: what that sets off is the user's doing, and no event of the guest. */
  quietly<T>(change: () => T): T {
    this.quiet = true;
    try {
      return change();
    } finally {
      this.quiet = false;
      this.machine.cpu.stopRequested = false;
      this.machine.cpu.leave = false;
    }
  }

  /** Goes on until something stops it. */
  continue(): Promise<Stop> {
    return this.drive(forever());
  }

  /** Makes the motions of a step. */
  step(motions: Motions): Promise<Stop> {
    return this.drive(motions);
  }

  /**
   * Does something with the history that takes its time; to others the machine runs meanwhile.
   * @throws what it throws
   */
  async travel<T>(move: () => Promise<T>): Promise<T> {
    this.running = true;
    this.pauseAsked = false;
    this.breath = this.now();
    try {
      return await move();
    } finally {
      this.running = false;
      this.machine.onEvent = (event) => this.take(event);
    }
  }

  /**
   * Work on the history, in slices. Undefined where the user has asked to stop, if that is possible.
   * @param tell hears how far it has come
   */
  async workOff<T>(
    work: Work<T>,
    stoppable: boolean,
    tell: (progress: Progress) => void,
  ): Promise<T | undefined> {
    const { history } = this;
    for (let before = this.now(); ; ) {
      const step = work.next();
      if (step.done === true) return step.value;
      const now = this.now();
      if (history !== undefined) history.slice = nextSlice(history.slice, now - before);
      before = now;
      if (now - this.breath < SLICE_TIME) continue;
      tell(step.value);
      await this.breathe();
      this.breath = this.now();
      before = this.breath;
      if (this.pauseAsked && stoppable) return undefined;
    }
  }

  /**
   * Has the machine stop at addresses, and tell of events, for a search.
   * @param listener hears the events, and says which stop the machine
   */
  listen(addresses: readonly bigint[], listener: (event: MachineEvent) => boolean): void {
    this.set = new Set(addresses);
    this.machine.setBreakpoints(this.set);
    this.machine.onEvent = listener;
  }

  private async drive(motions: Motions): Promise<Stop> {
    this.running = true;
    this.pauseAsked = false;
    this.breath = this.now();
    try {
      let next = motions.next({});
      while (next.done !== true) {
        const made = next.value.move === "instruction" ? this.instruction() : await this.run(next.value);
        if ("kind" in made) return made;
        if (await this.interrupted()) return { kind: "pause" };
        next = motions.next(made);
      }
      return { kind: "step" };
    } catch (error) {
      if (!(error instanceof MemoryExhaustedError)) throw error;
      return { kind: "failure", message: error.message };
    } finally {
      this.running = false;
    }
  }

  /** After many single instructions: whether the user asked to stop. */
  private async interrupted(): Promise<boolean> {
    if (++this.steps % STEPS_AT_ONCE !== 0 || this.now() - this.breath < SLICE_TIME) return false;
    await this.breathe();
    this.breath = this.now();
    return this.pauseAsked;
  }

  private instruction(): Outcome | Stop {
    const { machine } = this;
    const { cpu } = machine;
    const stackPointer = cpu.getRegister(RSP);
    if (cpu.pending === undefined) {
      this.setBreakpoints([]);
      this.stepping = true;
      const result = this.guardedRun(() => this.advance(1));
      this.stepping = false;
      const stop = this.stopOf(result);
      if (stop !== undefined) return stop;
      if (cpu.pending === undefined) return this.arrival() ?? {};
    }
    const stop = this.stopOf(this.guardedRun(() => this.advance(0)));
    return stop ?? this.arrival() ?? { interrupted: { stackPointer } };
  }

  /** A breakpoint on the first instruction is passed: arriving there was looked at when the last motion ended. */
  private async run(motion: Exclude<Motion, { move: "instruction" }>): Promise<Outcome | Stop> {
    const { machine } = this;
    const toReturn = motion.move === "interrupt-return";
    const addresses = motion.move === "to" ? motion.addresses : [];
    const wanted = new Set(addresses);
    for (let pass = true; ; ) {
      this.setBreakpoints(addresses);
      const before = this.now();
      const result = this.guardedRun(() => this.advance(this.slice, pass, toReturn));
      const stop = this.stopOf(result);
      if (stop !== undefined) return stop;
      pass = machine.cpu.isRepeating;
      if (result.reason === "breakpoint") {
        const arrival = this.arrival();
        if (arrival !== undefined) return arrival;
        if (motion.move === "to" && wanted.has(machine.cpu.rip) && motion.accept()) return {};
        pass = true;
      }
      if (toReturn && result.reason === "interrupt-return") {
        if (machine.cpu.getRegister(RSP) === motion.stackPointer) return this.arrival() ?? {};
      }
      const now = this.now();
      if (result.reason === "limit") this.slice = nextSlice(this.slice, now - before);
      else if (now - this.breath < SLICE_TIME) continue;
      await this.breathe();
      this.breath = this.now();
      if (this.pauseAsked) return { kind: "pause" };
    }
  }

  private advance(instructions: number, pass = true, toReturn = false): RunResult {
    const { history, machine } = this;
    if (history !== undefined) {
      const [start, before] = [machine.instructions, this.now()];
      const result = history.run(instructions, pass, toReturn);
      const [made, took] = [machine.instructions - start, this.now() - before];
      if (made > LEAST_SPACING / 4)
        history.spacing = Math.max(
          LEAST_SPACING,
          Math.min(MOST_SPACING, Math.round((made * SLICE_TIME) / (took + 1))),
        );
      return result;
    }
    return this.machine.run(instructions, pass, { atReturn: toReturn });
  }

  private guardedRun(run: () => RunResult): RunResult {
    this.stopping = [];
    const result = run();
    if (this.failure !== undefined) throw this.failure;
    return result;
  }

  private stopOf(result: RunResult): Stop | undefined {
    if (result.reason === "ended") return { kind: "end", event: result.event };
    if (this.stopping.length > 0) return { kind: "event", events: this.stopping.sort(byTelling) };
    if (result.reason === "data" && this.policy.dataChanged(result.change)) {
      return { kind: "data", change: result.change, rip: this.machine.cpu.rip };
    }
    return undefined;
  }

  private arrival(): Stop | undefined {
    const { rip } = this.machine.cpu;
    if (!this.set.has(rip) && !this.userHas(rip)) return undefined;
    const ids = this.policy.arrived(rip);
    return ids === undefined ? undefined : { kind: "breakpoint", ids };
  }

  private userHas(rip: bigint): boolean {
    return this.policy.addresses().has(rip);
  }

  /** Thrown through the machine, an error would leave it half way through an instruction. */
  private take(event: MachineEvent): boolean {
    if (this.quiet) return false;
    try {
      return this.stopsAt(event);
    } catch (error) {
      this.failure = error;
      return true;
    }
  }

  private stopsAt(event: MachineEvent): boolean {
    this.listener(event);
    if (this.policy.stopsAt(event)) this.stopping.push(event);
    const fault = event.event === "page-fault" || event.event === "exception";
    return this.stopping.length > 0 || (this.stepping && fault);
  }

  /** Tells the machine only of changes: they cost it its translations. */
  private setBreakpoints(temporary: readonly bigint[]): void {
    const wanted = new Set([...this.policy.addresses(), ...temporary]);
    if (wanted.size === this.set.size && [...wanted].every((address) => this.set.has(address))) return;
    this.set = wanted;
    this.machine.setBreakpoints(wanted);
  }
}

const RSP = 4;

function* forever(): Motions {
  for (;;) yield { move: "to", addresses: [], accept: () => false };
}

function byTelling(a: MachineEvent, b: MachineEvent): number {
  return rank(a) - rank(b);
}

function rank({ event }: MachineEvent): number {
  const at = TELLING.indexOf(event);
  return at < 0 ? TELLING.length + EVENT_KINDS.findIndex(({ kind }) => kind === event) : at;
}

/** A slice that should take SLICE_TIME, after one of `size` took `milliseconds`. */
function nextSlice(size: number, milliseconds: number): number {
  const ideal = milliseconds < 1 ? size * 4 : (size * SLICE_TIME) / milliseconds;
  return Math.max(1000, Math.min(MAX_SLICE, Math.round(Math.min(ideal, size * 4))));
}
