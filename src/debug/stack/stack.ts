/**
 * The call stack: from the registers as they are, frame by frame, by the call frame information of the code; through
 * exception frames too. Inlined functions are frames of their own.
 *
 * Code that runs identity-mapped, before it has page tables of its own, is looked up at its linked addresses.
 */
import type { DebugInfo, FrameContext, FunctionScope } from "../../symbols/debugInfo";
import type { Target } from "../../target/target";
import type { ExceptionTrail } from "./exceptions";
import { type DwarfRegisters, dwarfRegisters, registersOf } from "./registers";

/** A physical frame of the stack, without inlined functions told apart. */
export interface MachineFrame {
  readonly rip: bigint;
  readonly stackPointer: bigint;
  /** By DWARF number; what is not there is not known. */
  readonly registers: ReadonlyMap<number, bigint>;
  /** The canonical frame address, where the frame's code says how to find it. */
  readonly frameAddress: bigint | undefined;
  /** Whether the frame below was entered by an exception in this one, and not by a call. */
  readonly interrupted: boolean;
}

/** A frame as people see it. */
export interface Frame extends MachineFrame {
  /** The function, inlined or not; undefined where debugging information has none. */
  readonly scope: FunctionScope | undefined;
  /** Linked address for lookups: that of the call for callers, so that it lies within the line that calls. */
  readonly lookup: bigint | undefined;
  /** The line, for a function that others are inlined into: where it calls them. */
  readonly call?: { readonly file: string; readonly line: number; readonly column: number };
  /** For the line between an exception's handler and the code it interrupted: what happened. */
  readonly exception?: string;
}

/** Frames at most: a broken stack can lead anywhere. */
const DEEPEST = 500;

export class CallStack {
  private frames: readonly Frame[] | undefined;
  private machineFrames: MachineFrame[] | undefined;
  private readonly numbers: DwarfRegisters;

  constructor(
    private readonly target: Target,
    private readonly trail: ExceptionTrail,
  ) {
    this.numbers = dwarfRegisters(this.debug?.addressSize ?? 8);
  }

  private get debug(): DebugInfo | undefined {
    return this.target.symbols.debug;
  }

  /** The machine has moved, or memory or registers were changed. */
  invalidate(): void {
    this.frames = undefined;
    this.machineFrames = undefined;
  }

  /** All frames, innermost first. */
  all(): readonly Frame[] {
    this.frames ??= this.machineStack().flatMap((frame, depth) => this.shown(frame, depth));
    return this.frames;
  }

  /** The frame of the registers as they are. */
  top(): MachineFrame {
    return this.machineStack()[0];
  }

  /** The caller of the top frame, or what it interrupted. */
  caller(): MachineFrame | undefined {
    return this.machineStack()[1];
  }

  /** What location expressions and variables need of a frame. */
  context(frame: Frame): FrameContext {
    return {
      pc: frame.lookup ?? frame.rip,
      register: (number) => frame.registers.get(number),
      cfa: frame.frameAddress,
      read: (address, length) => this.target.readExactly(address, length),
    };
  }

  private machineStack(): MachineFrame[] {
    if (this.machineFrames !== undefined) return this.machineFrames;
    const frames: MachineFrame[] = [];
    let registers: ReadonlyMap<number, bigint> | undefined = registersOf(
      this.target.machine.cpu,
      this.numbers,
    );
    let interrupted = true;
    while (registers !== undefined && frames.length < DEEPEST) {
      const above = this.unwind(registers, interrupted);
      frames.push(this.frameOf(registers, above?.cfa, interrupted));
      // The stack grows downwards: a caller's frame lies above, unless an exception switched stacks.
      const stuck = above !== undefined && !above.signalFrame && above.cfa <= this.stackPointer(registers);
      if (above === undefined || stuck || !this.leadsOn(above.registers)) break;
      interrupted = above.signalFrame;
      registers = above.registers;
    }
    this.machineFrames = frames;
    return frames;
  }

  /** @param exact whether RIP is that of the next instruction, and not behind a call */
  private unwind(registers: ReadonlyMap<number, bigint>, exact: boolean) {
    const { debug, target } = this;
    const rip = registers.get(this.numbers.instructionPointer);
    const linked = rip === undefined ? undefined : target.symbols.linkedOf(exact ? rip : rip - 1n);
    if (debug === undefined || linked === undefined) return undefined;
    const found = new Map(registers).set(this.numbers.instructionPointer, linked);
    return debug.unwind(found, (address, length) => target.readExactly(address, length));
  }

  private leadsOn(registers: ReadonlyMap<number, bigint>): boolean {
    const rip = registers.get(this.numbers.instructionPointer);
    return rip !== undefined && rip !== 0n && registers.has(this.numbers.stackPointer);
  }

  private stackPointer(registers: ReadonlyMap<number, bigint>): bigint {
    return registers.get(this.numbers.stackPointer) ?? 0n;
  }

  private frameOf(
    registers: ReadonlyMap<number, bigint>,
    frameAddress: bigint | undefined,
    interrupted: boolean,
  ): MachineFrame {
    return {
      rip: registers.get(this.numbers.instructionPointer) ?? 0n,
      stackPointer: this.stackPointer(registers),
      registers,
      frameAddress,
      interrupted,
    };
  }

  private shown(frame: MachineFrame, depth: number): Frame[] {
    const shown: Frame[] = [];
    const { rip, interrupted } = frame;
    if (depth > 0 && interrupted) shown.push(this.exceptionFrame(frame));
    const lookup = this.target.symbols.linkedOf(interrupted ? rip : rip - 1n);
    const scopes = lookup === undefined ? [] : (this.debug?.functionsAt(lookup) ?? []);
    if (scopes.length === 0) return [...shown, { ...frame, scope: undefined, lookup }];
    for (const [index, scope] of scopes.entries()) {
      const call = index === 0 ? undefined : scopes[index - 1].call;
      shown.push({ ...frame, scope, lookup, ...(call === undefined ? {} : { call }) });
    }
    return shown;
  }

  private exceptionFrame(frame: MachineFrame): Frame {
    const exception = this.trail.at(frame.rip, frame.stackPointer) ?? "an exception or interrupt";
    return { ...frame, scope: undefined, lookup: undefined, exception };
  }
}
