/**
 * Hardware interrupts as the CPU meets them (SDM vol. 3A, 6.8.1): between two instructions, while RFLAGS.IF is set.
 *
 * Invariant: `Cpu.deadline` is never later than the next instruction count at which an interrupt may be taken, unless
 * an instruction changes what may happen; such an instruction calls `recheck`. So a run need not look at devices
 * between its deadlines.
 */
import { NO_BLOCK } from "./block";
import type { Cpu } from "./cpu";
import { Halted, NO_ERROR } from "./fault";
import { IF, R_FLAGS } from "./registers";

/** What interrupts the CPU. It is asked between instructions, and knows the time. */
export interface InterruptSource {
  /** Whether an interrupt asks to be taken now, as far as it depends on the devices. */
  requested(): boolean;
  /** Accepts what is requested. @returns its vector */
  acknowledge(): number;
  /** The next instruction count at which a device may request one by itself; infinity where none will. */
  next(): number;
}

/** Something happened that may let an interrupt in: it is looked at behind the running instruction. */
export function recheck(c: Cpu): void {
  c.deadline = 0;
  c.leave = true;
}

/** No interrupt is taken behind the running instruction: STI that sets IF, MOV and POP to SS (SDM vol. 3A, 6.8.3). */
export function inhibitInterrupts(c: Cpu): void {
  c.inhibitedAt = c.now() + 1;
}

/** Takes an interrupt, if one may be taken now, between two instructions. @returns whether one waits for delivery now */
export function takeInterrupt(c: Cpu): boolean {
  const { interrupts } = c;
  // What sets IF also has it looked at; until then devices can wait.
  if (interrupts === undefined || (c.r[R_FLAGS] & IF) === 0) {
    c.deadline = Number.POSITIVE_INFINITY;
    return false;
  }
  if (interrupts.requested()) {
    if (c.inhibitedAt === c.retired) {
      c.deadline = c.retired + 1;
      return false;
    }
    const vector = interrupts.acknowledge();
    const fault = c.raise(vector, NO_ERROR, "an interrupt");
    // RIP is that of the next instruction, as with a trap.
    fault.trap = true;
    c.pending = fault.copy();
    // No instruction is running: RIP is exact, also for what goes wrong on the way.
    c.code.current = NO_BLOCK;
    c.halted = false;
    c.deadline = 0;
    return true;
  }
  c.deadline = Math.max(interrupts.next(), c.retired + 1);
  return false;
}

/** Whether no interrupt can come any more unless the CPU does something about it. */
export function isDeaf(c: Cpu): boolean {
  const { interrupts } = c;
  if ((c.r[R_FLAGS] & IF) === 0 || interrupts === undefined) return true;
  return !interrupts.requested() && interrupts.next() === Number.POSITIVE_INFINITY;
}

/**
 * Lets time pass for a CPU that HLT has stopped: a tick that it waits counts as an instruction, so that time stays
 * the instruction count, and a run can end while it waits.
 * @param until the instruction count at which the run ends
 * @throws Halted where nothing will ever end the wait
 */
export function waitHalted(c: Cpu, until: number): void {
  if (c.deadline === Number.POSITIVE_INFINITY) {
    c.code.current = NO_BLOCK;
    throw new Halted("HLT, and no device of this machine is going to raise an interrupt");
  }
  c.retired = Math.min(until, c.deadline);
}
