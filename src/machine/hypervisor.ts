/**
 * What stands between a machine and a paravirtual guest. The machine knows only where the guest leaves its own code;
 * `src/xen` says what happens then. RIP and the other registers are exact in all of these.
 */
import type { CpuFault } from "./cpu/fault";
import type { Snapshotable } from "./snapshot";

export interface Hypervisor extends Snapshotable<unknown> {
  /**
   * Whether an exception is the hypervisor's own affair: then it has been dealt with, and the guest goes on where RIP
   * is now. It tells the CPU that it was diverted.
   */
  intercept(fault: CpuFault): boolean;
  /** Hands any other exception to the guest. @throws Halted where the guest has no way to take it */
  deliver(fault: CpuFault): void;
  /** SYSCALL of 64-bit code; RIP is behind the instruction. */
  systemCall(): void;
  /** INT n, with RIP behind it: whether it is a call of the hypervisor, which has been carried out then. */
  interrupt(vector: number): boolean;
}
