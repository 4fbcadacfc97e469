/** Our machine as one of the two that go in lockstep. */
import type { MachineEvent } from "../../../src/machine/events";
import type { RunResult } from "../../../src/machine/machine";
import type { Target } from "../../../src/target/target";
import type { Kernel } from "../linux/kernels";
import { type OurBootOptions, ourBoot } from "../linux/ourBoot";
import { adopt, type Difference, type State, stateOf } from "./state";

/** Our machine has come to its end; the message says how. */
export class EndError extends Error {
  override name = "EndError";
}

const MOST_INSTRUCTIONS = 400_000_000;

export class OurMachine {
  readonly target: Target;
  /** Functions at whose first instruction `continue` stops; others of `setFunctions` are passed. */
  private stopsAt: (address: bigint) => boolean = () => false;

  /** At the PVH entry. */
  constructor(kernel: Kernel, options: OurBootOptions) {
    this.target = ourBoot(kernel, options);
    const { machine } = this.target;
    machine.want(["page-fault", "exception", "milestone"]);
    machine.onEvent = (event) => event.event !== "milestone" || this.stopsAt(event.rip);
  }

  /** Says which functions `continue` may stop at: milestones, since there are too many of them to change often. */
  setFunctions(functions: ReadonlyMap<bigint, string>): void {
    this.target.machine.setMilestones(functions);
  }

  get cpu() {
    return this.target.machine.cpu;
  }

  get state(): State {
    return stateOf(this.cpu);
  }

  /** The bytes of the next instruction, and perhaps some behind it. */
  get code(): Uint8Array {
    return this.target.readLinear(this.cpu.rip, 15);
  }

  /** One instruction or iteration, or the delivery of the exception that it raises. @throws EndError */
  step(): void {
    this.deliver(this.target.machine.run(1));
  }

  /**
   * To the next of the breakpoints, or of the functions that are chosen; one at the next instruction is passed.
   * @throws EndError
   */
  continue(breakpoints: Iterable<bigint>, stopsAt: (address: bigint) => boolean = () => false): void {
    const { machine } = this.target;
    const limit = machine.instructions + MOST_INSTRUCTIONS;
    machine.setBreakpoints(breakpoints);
    this.stopsAt = stopsAt;
    let result = machine.run(MOST_INSTRUCTIONS);
    // After an exception a breakpoint on the handler's first instruction counts.
    while (result.reason === "event" && result.event.event !== "milestone")
      result = machine.run(limit - machine.instructions, false);
    this.stopsAt = () => false;
    if (result.reason === "ended") throw endOf(result.event);
    if (result.reason === "limit")
      throw new EndError(`our machine came to no breakpoint within ${MOST_INSTRUCTIONS} instructions`);
  }

  /** Takes registers over from the other machine. @returns false where that is not possible */
  adopt(found: readonly Difference[]): boolean {
    return adopt(this.cpu, found);
  }

  private deliver(first: RunResult): void {
    let result = first;
    while (result.reason === "event") result = this.target.machine.run(0);
    if (result.reason === "ended") throw endOf(result.event);
  }
}

function endOf(event: MachineEvent): EndError {
  const why = "reason" in event ? event.reason : "reasons" in event ? event.reasons.join("; ") : "";
  const text = "text" in event ? ` (${event.text})` : "";
  return new EndError(`our machine ended with ${event.event} at 0x${event.rip.toString(16)}${text}: ${why}`);
}
