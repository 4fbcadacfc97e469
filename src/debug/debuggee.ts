/** One boot under the debugger: the target and everything that is about it alone. A restart makes another one. */
import { History } from "../machine/checkpoints/history";
import { EVENT_KINDS, type EventKind, type MachineEvent } from "../machine/events";
import type { RegisterDescription } from "../target/registers";
import type { Target } from "../target/target";
import { Disassembler } from "./disassembly";
import { RequestError } from "./dispatcher";
import type { LaunchSettings } from "./launch";
import { Listings } from "./listings";
import { RunControl, type StopPolicy } from "./run/runControl";
import type { Stop } from "./run/stop";
import { type SourceFiles, Sources } from "./sources";
import { ExceptionTrail } from "./stack/exceptions";
import { CallStack, type Frame } from "./stack/stack";
import { StepPlace } from "./stack/stepPlace";
import { Timeline } from "./time/timeline";
import { VariableStore } from "./variables/store";

/** Recorded whether they stop or not. */
const RECORDED: readonly EventKind[] = EVENT_KINDS.filter(({ byDefault }) => byDefault).map(
  ({ kind }) => kind,
);
/** Recorded from the first instruction on, whatever is stopped on. */
export const ALWAYS_RECORDED: ReadonlySet<EventKind> = new Set([
  ...RECORDED,
  "serial",
  "page-fault",
  "exception",
]);
/** What made the tables what they are: gone back to more often than anything else. */
const LANDMARKS: ReadonlySet<EventKind> = new Set(["page-fault", "reset", "switchover"]);
const RSP = 4;
const MIB = 2 ** 20;

/** What a debuggee needs of the session around it. */
export interface DebuggeeWorld {
  readonly files: SourceFiles;
  readonly policy: StopPolicy;
  /** Source path prefixes of the bundled programs. */
  readonly bundledSources: Readonly<Record<string, string>>;
  breathe(): Promise<void>;
  now(): number;
  /** Told of each event of the guest. */
  event(event: MachineEvent): void;
  /** Events from an instruction on will not have happened: the run goes another way. */
  eventsForgotten(instruction: number): void;
}

export class Debuggee {
  readonly control: RunControl;
  readonly stack: CallStack;
  readonly place: StepPlace;
  readonly sources: Sources;
  readonly disassembler: Disassembler;
  readonly listings: Listings;
  readonly variables = new VariableStore();
  /** Where the run can be followed backwards. */
  readonly history: History | undefined;
  readonly timeline: Timeline;
  /** Why it stands still; undefined before its first stop and while it runs. */
  stop: Stop | undefined;
  private readonly trail = new ExceptionTrail();
  private looking = false;

  constructor(
    readonly target: Target,
    readonly settings: LaunchSettings,
    private readonly world: DebuggeeWorld,
  ) {
    this.stack = new CallStack(target, this.trail);
    this.place = new StepPlace(target, this.stack);
    this.sources = new Sources({ ...world.bundledSources, ...settings.sourceFileMap }, world.files);
    this.disassembler = new Disassembler(target, () => settings.disassemblySyntax);
    this.listings = new Listings(target, this.disassembler, this.sources);
    const { reverseMemory, noDebug } = settings;
    if (reverseMemory > 0 && !noDebug) this.history = new History(target.machine, reverseMemory * MIB);
    this.timeline = new Timeline(target, this.history);
    target.edit = (change) => (this.history === undefined ? change() : this.edit(this.history, change));
    this.control = new RunControl(
      target.machine,
      this.history,
      world.policy,
      (event) => {
        const stackPointer = target.machine.cpu.getRegister(RSP);
        this.trail.record(event, stackPointer);
        // What happens again has been told.
        if (this.history?.isKnown === true) return;
        this.timeline.record(event, stackPointer);
        if (LANDMARKS.has(event.event)) this.history?.mark();
        world.event(event);
      },
      world.breathe,
      world.now,
    );
  }

  /** The machine was put into another moment. */
  moved(): void {
    this.trail.clear();
    for (const { event, stackPointer } of this.timeline.exceptionsBefore(this.target.machine.instructions))
      this.trail.record(event, stackPointer);
    this.invalidate();
  }

  /** Whether the moment at which it stands is only looked at: it cannot be changed. */
  get isLooking(): boolean {
    return this.looking && this.history?.lookingBack === true;
  }

  /** The moment is only looked at, until the debuggee leaves it. */
  look(): void {
    this.looking = true;
  }

  /** The debuggee leaves the moment at which it stands. */
  left(): void {
    this.looking = false;
    this.stop = undefined;
    this.invalidate();
  }

  /** The moment at which it stands is the present from now on. */
  forgetFuture(): void {
    this.looking = false;
    if (this.history?.lookingBack !== true) return;
    this.history.forgetFuture();
    this.cut();
  }

  /** @throws RequestError where the moment is only looked at */
  private edit(history: History, change: () => void): void {
    if (this.isLooking) {
      const { instructions } = this.target.machine;
      throw new RequestError(
        `instruction ${instructions} is only looked at: nothing can be changed before you continue from here`,
      );
    }
    const wasPast = history.lookingBack;
    history.edit(change);
    if (wasPast) this.cut();
  }

  /** What is recorded of the future is about another one. */
  private cut(): void {
    const { machine } = this.target;
    // The event of an exception that waits for its delivery has come.
    const instruction = machine.instructions + (machine.cpu.pending === undefined ? 0 : 1);
    this.timeline.cut(instruction);
    this.world.eventsForgotten(instruction);
  }

  /** Makes the machine tell of the recorded kinds, and of those that are stopped on. */
  want(kinds: Iterable<EventKind>): void {
    this.target.machine.want([...ALWAYS_RECORDED, ...kinds]);
  }

  /** What was looked at is no longer true: the machine moves, or the user changed it. */
  invalidate(): void {
    this.stack.invalidate();
    this.variables.clear();
  }

  /** Changes a register by the CPU's rules. @throws RegisterError */
  writeRegister(register: RegisterDescription, value: bigint): void {
    this.control.quietly(() => this.target.writeRegister(register, value));
    this.stack.invalidate();
  }

  /** A frame by its ID as `stackTrace` gave it: 1 for the innermost. */
  frame(id: number): Frame | undefined {
    return this.stack.all()[id - 1];
  }
}
