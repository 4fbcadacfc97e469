/**
 * Finds out what a page fault came to map: looks when its handler has returned to the faulting instruction. A handler
 * that goes elsewhere is looked after at the next fault or at the stop.
 */
import type { PageFaultEvent } from "../machine/events";
import type { Machine } from "../machine/machine";
import { type Mapped, mappedAt } from "./mapped";

/** Faults that are watched for their return, which costs the machine its translations; the later ones are not. */
const MOST_RETURNS = 2000;

export class FaultWatch {
  private pending: PageFaultEvent | undefined;
  private watched = 0;

  constructor(
    private readonly machine: Machine,
    private readonly tell: (mapped: Mapped) => void,
  ) {}

  /** Where the machine has to stop for this, if anywhere. */
  get breakpoint(): bigint | undefined {
    return this.watched <= MOST_RETURNS ? this.pending?.rip : undefined;
  }

  /** A fault is about to be delivered. Whether a breakpoint is needed for it. */
  watch(fault: PageFaultEvent): boolean {
    this.pending = fault;
    this.watched++;
    return this.breakpoint !== undefined;
  }

  /** The machine stands at a breakpoint. A handler may execute the same code: then nothing is mapped yet. */
  atBreakpoint(): void {
    const fault = this.pending;
    if (fault === undefined || this.machine.cpu.rip !== fault.rip) return;
    if (mappedAt(this.machine, fault.address).run !== undefined) this.settle();
  }

  /** Tells of the pending fault what is mapped now. */
  settle(): void {
    const fault = this.pending;
    this.pending = undefined;
    if (fault !== undefined) this.tell(mappedAt(this.machine, fault.address));
  }
}
