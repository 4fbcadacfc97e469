/**
 * The moments before one, from the latest on, within a frame and its callers: calls and handlers are passed over, as a
 * step over does forwards.
 */
import { Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic } from "iced-x86";
import type { History, Probe, Work } from "../../machine/checkpoints/history";
import { comparePositions, type Position } from "../../machine/checkpoints/position";
import type { Debuggee } from "../debuggee";
import type { Granularity } from "../run/stepping";

/** What is to be seen of a moment. */
export interface Seen {
  readonly rip: bigint;
  readonly stackPointer: bigint;
  readonly flow: "call" | "return" | "interrupt-return" | "other";
  /** Bytes of the instruction. */
  readonly length: number;
  /** Stands within a repeated string instruction. */
  readonly repeating: boolean;
  /** The line that RIP is in; undefined where there is none. */
  readonly line: string | undefined;
  /** RIP is where a statement of the line begins. */
  readonly begins: boolean;
}

export interface Moment {
  readonly position: Position;
  readonly seen: Seen;
}

/** Moments that are listed at once: few at first. */
const FIRST_LOOK = 64;
const LONGEST_LOOK = 16_384;
const LONGEST_INSTRUCTION = 15;
const IRETS = new Set([Mnemonic.Iret, Mnemonic.Iretd, Mnemonic.Iretq]);

/** What does not change from one moment to another, but with the code. */
type Place = Pick<Seen, "flow" | "length" | "line" | "begins">;

export class WalkBack {
  private moments: Moment[] = [];
  private look = FIRST_LOOK;
  private readonly places = new Map<bigint, Place>();

  constructor(
    private readonly debuggee: Debuggee,
    private readonly history: History,
    private readonly granularity: Granularity,
  ) {}

  /** What is to be seen now. */
  see(): Seen {
    const { place, target } = this.debuggee;
    const { rip, stackPointer } = place;
    let known = this.places.get(rip);
    if (known === undefined) {
      known = this.placeNow(rip);
      this.places.set(rip, known);
    }
    return { rip, stackPointer, ...known, repeating: target.machine.cpu.isRepeating };
  }

  /** The moment before, whatever led from it to this one. Undefined at the start of the history. */
  *previous(from: Position): Work<Moment | undefined> {
    while (this.moments.length > 0 && comparePositions(this.moments.at(-1)!.position, from) >= 0)
      this.moments.pop();
    if (this.moments.length === 0) {
      this.moments = yield* this.history.momentsBefore(from, this.look, () => this.see());
      this.look = Math.min(LONGEST_LOOK, this.look * 4);
    }
    return this.moments.at(-1);
  }

  /** The moment before in the same frame, or in the one that called it. Undefined at the start of the history. */
  *previousInFrame({ position, seen }: Moment): Work<Moment | undefined> {
    let before = yield* this.previous(position);
    // An exception is raised and delivered in one step.
    while (before?.position.pending === true) before = yield* this.previous(before.position);
    if (before === undefined) return undefined;
    if (before.seen.flow === "return") return (yield* this.callBefore(before, seen)) ?? before;
    if (before.seen.flow === "interrupt-return")
      return (yield* this.interruptedBefore(before, seen)) ?? before;
    if (before.seen.repeating && this.granularity !== "instruction") return yield* this.arrivalBefore(before);
    return before;
  }

  /** The arrival at the repeated instruction that a moment is within. */
  private *arrivalBefore(moment: Moment): Work<Moment> {
    const { cpu } = this.debuggee.target.machine;
    const found = yield* this.lastAt([moment.seen.rip], moment.position, () => !cpu.isRepeating);
    return found ?? moment;
  }

  /** The call that a return came back from: the last instruction before it that the return address lies behind. */
  private *callBefore(before: Moment, { rip, stackPointer }: Seen): Work<Moment | undefined> {
    const isCall = (seen: Seen) =>
      seen.flow === "call" && seen.stackPointer === stackPointer && seen.rip + BigInt(seen.length) === rip;
    const listed = this.moments.findLast((moment) => isCall(moment.seen));
    if (listed !== undefined) return listed;
    const addresses = Array.from({ length: LONGEST_INSTRUCTION }, (_, i) => rip - BigInt(i + 1));
    return yield* this.lastAt(addresses, before.position, isCall);
  }

  /** The moment at which the code that a handler returned to was interrupted. */
  private *interruptedBefore(before: Moment, { rip, stackPointer }: Seen): Work<Moment | undefined> {
    const isIt = (seen: Seen) => seen.rip === rip && seen.stackPointer === stackPointer;
    const listed = this.moments.findLast(({ position, seen }) => !position.pending && isIt(seen));
    return listed ?? (yield* this.lastAt([rip], before.position, isIt));
  }

  /** The last moment before another at one of some addresses that is as it should be. */
  *lastAt(
    addresses: readonly bigint[],
    before: Position,
    accept: (seen: Seen) => boolean,
  ): Work<Moment | undefined> {
    const { control, target } = this.debuggee;
    target.machine.want([]);
    control.listen(addresses, () => false);
    const wanted = new Set(addresses);
    const probe: Probe<Seen> = {
      hit: (result) => {
        if (result.reason !== "breakpoint" || !wanted.has(target.machine.cpu.rip)) return undefined;
        const seen = this.see();
        return accept(seen) ? seen : undefined;
      },
    };
    const found = yield* this.history.lastBefore(before, probe);
    return found && { position: found.position, seen: found.hit };
  }

  private placeNow(rip: bigint): Place {
    const row = this.debuggee.place.row();
    const column = this.granularity === "statement" ? `:${row?.column}` : "";
    return {
      ...decode(this.debuggee, rip),
      line: row === undefined ? undefined : `${row.file}:${row.line}${column}`,
      begins: row?.statement === true && row.address === rip,
    };
  }
}

function decode({ target }: Debuggee, rip: bigint): { flow: Seen["flow"]; length: number } {
  const { cpu } = target.machine;
  const bytes = target.readLinear(rip, LONGEST_INSTRUCTION);
  const decoder = new Decoder(cpu.code64 ? 64 : 32, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = rip;
    decoder.decodeOut(instruction);
    const { length } = instruction;
    switch (instruction.flowControl) {
      case FlowControl.Call:
      case FlowControl.IndirectCall:
        return { flow: "call", length };
      case FlowControl.Return:
        return { flow: IRETS.has(instruction.mnemonic) ? "interrupt-return" : "return", length };
      default:
        return { flow: "other", length };
    }
  } finally {
    instruction.free();
    decoder.free();
  }
}
