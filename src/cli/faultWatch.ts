/**
 * Finds out what a page fault came to map: looks when its handler has returned to the faulting instruction. A handler
 * that goes elsewhere is looked after at the next fault or at the stop.
 */
import type { PageFaultEvent } from "../machine/events";
import type { Machine } from "../machine/machine";
import { type Gap, gapAround, type Mapped, mappedIn } from "./mapped";

/** Faults that are watched for their return, which costs the machine its translations; the later ones are not. */
const MOST_RETURNS = 2000;

interface Pending {
  readonly fault: PageFaultEvent;
  /** What was not mapped around its address. */
  readonly gap: Gap;
}

export class FaultWatch {
  private pending: Pending | undefined;
  /** The last fault after which still nothing was mapped: its repetitions are not worth a breakpoint. */
  private unresolved: Pending | undefined;
  private returns = 0;

  /** Where the machine has to stop for this, if anywhere. */
  breakpoint: bigint | undefined;

  constructor(
    private readonly machine: Machine,
    private readonly tell: (mapped: Mapped) => void,
  ) {}

  /** A fault is about to be delivered. Whether a breakpoint is needed for it. */
  watch(fault: PageFaultEvent): boolean {
    const { unresolved } = this;
    if (unresolved?.fault.rip === fault.rip && unresolved.fault.address === fault.address) {
      this.pending = unresolved;
      return false;
    }
    this.pending = { fault, gap: gapAround(this.machine, fault.address) };
    if (this.returns >= MOST_RETURNS) return false;
    this.returns++;
    this.breakpoint = fault.rip;
    return true;
  }

  /** The machine stands at a breakpoint. A handler may execute the same code: then nothing is mapped yet. */
  atBreakpoint(): void {
    const { pending, machine } = this;
    if (pending === undefined || machine.cpu.rip !== pending.fault.rip) return;
    if (mappedIn(machine, pending.fault.address, pending.gap).run !== undefined) this.settle();
  }

  /** Tells of the pending fault what is mapped now. */
  settle(): void {
    const { pending, machine } = this;
    if (pending === undefined) return;
    const mapped = mappedIn(machine, pending.fault.address, pending.gap);
    this.pending = undefined;
    this.breakpoint = undefined;
    this.unresolved = mapped.run === undefined ? pending : undefined;
    this.tell(mapped);
  }
}
