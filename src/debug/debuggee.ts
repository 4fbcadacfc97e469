/** One boot under the debugger: the target and everything that is about it alone. A restart makes another one. */
import { EVENT_KINDS, type EventKind, type MachineEvent } from "../machine/events";
import { type RegisterDescription, writeRegister } from "../target/registers";
import type { Target } from "../target/target";
import { Disassembler } from "./disassembly";
import type { LaunchSettings } from "./launch";
import { Listings } from "./listings";
import { RunControl, type StopPolicy } from "./run/runControl";
import type { Stop } from "./run/stop";
import { type SourceFiles, Sources } from "./sources";
import { ExceptionTrail } from "./stack/exceptions";
import { CallStack, type Frame } from "./stack/stack";
import { StepPlace } from "./stack/stepPlace";
import { VariableStore } from "./variables/store";

/** Recorded whether they stop or not. */
const RECORDED: readonly EventKind[] = EVENT_KINDS.filter(({ byDefault }) => byDefault).map(
  ({ kind }) => kind,
);
const RSP = 4;

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
}

export class Debuggee {
  readonly control: RunControl;
  readonly stack: CallStack;
  readonly place: StepPlace;
  readonly sources: Sources;
  readonly disassembler: Disassembler;
  readonly listings: Listings;
  readonly variables = new VariableStore();
  /** Why it stands still; undefined before its first stop and while it runs. */
  stop: Stop | undefined;
  private readonly trail = new ExceptionTrail();

  constructor(
    readonly target: Target,
    readonly settings: LaunchSettings,
    world: DebuggeeWorld,
  ) {
    this.stack = new CallStack(target, this.trail);
    this.place = new StepPlace(target, this.stack);
    this.sources = new Sources({ ...world.bundledSources, ...settings.sourceFileMap }, world.files);
    this.disassembler = new Disassembler(target, () => settings.disassemblySyntax);
    this.listings = new Listings(target, this.disassembler, this.sources);
    this.control = new RunControl(
      target.machine,
      world.policy,
      (event) => {
        this.trail.record(event, target.machine.cpu.getRegister(RSP));
        world.event(event);
      },
      world.breathe,
      world.now,
    );
  }

  /** Makes the machine tell of the recorded kinds, and of those that are stopped on. */
  want(kinds: Iterable<EventKind>): void {
    this.target.machine.want([...RECORDED, "serial", "page-fault", "exception", ...kinds]);
  }

  /** What was looked at is no longer true: the machine moves, or the user changed it. */
  invalidate(): void {
    this.stack.invalidate();
    this.variables.clear();
  }

  /** Changes a register by the CPU's rules. @throws RegisterError */
  writeRegister(register: RegisterDescription, value: bigint): void {
    this.control.quietly(() => writeRegister(this.target.machine.cpu, register, value));
    this.stack.invalidate();
  }

  /** A frame by its ID as `stackTrace` gave it: 1 for the innermost. */
  frame(id: number): Frame | undefined {
    return this.stack.all()[id - 1];
  }
}
