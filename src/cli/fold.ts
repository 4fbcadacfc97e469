/**
 * Tells each thing once: one CR3 load may be three events (cr3-load, reset, switchover), and a page fault that nobody
 * resolves comes again and again, at times with resets of the early tables in between.
 */
import type { Cr3LoadEvent, MachineEvent, PageFaultEvent, ResetEvent } from "../machine/events";
import type { Mapped } from "./mapped";

/** Who writes down what is left to tell. */
export interface FoldSink {
  /** @param fault the number of the last page fault, from 1 on */
  tell(event: MachineEvent, fault: number): void;
  tellMapped(mapped: Mapped): void;
  /** The last page fault came so many times more, with so many resets in between. */
  tellRepeats(count: number, resets: number): void;
}

export class EventFold {
  private faults = 0;
  /** The last page fault, as long as nothing is known to be mapped at its address. */
  private unresolved: PageFaultEvent | undefined;
  private repeats = 0;
  private resets = 0;
  /** Resets since the last repetition: part of the repeating only if the fault comes once more. */
  private heldResets: ResetEvent[] = [];
  private heldLoad: Cr3LoadEvent | undefined;
  private rootChange: MachineEvent | undefined;

  constructor(private readonly sink: FoldSink) {}

  event(event: MachineEvent): void {
    if (event.event === "page-fault") this.faults++;
    if (this.repeatsLast(event)) return;
    if (this.isPartOfRootChange(event)) return;
    this.flush();
    if (event.event === "page-fault") this.unresolved = event;
    if (event.event === "cr3-load") this.heldLoad = event;
    else this.sink.tell(event, this.faults);
  }

  mapped(mapped: Mapped): void {
    if (mapped.run === undefined && this.repeats > 0) return;
    if (mapped.run !== undefined) {
      this.flush();
      this.unresolved = undefined;
    }
    this.sink.tellMapped(mapped);
  }

  /** Tells what is held back. */
  flush(): void {
    const { repeats, resets, heldResets, heldLoad } = this;
    this.repeats = 0;
    this.resets = 0;
    this.heldResets = [];
    this.heldLoad = undefined;
    if (repeats > 0) this.sink.tellRepeats(repeats, resets);
    for (const reset of heldResets) this.sink.tell(reset, this.faults);
    if (heldLoad !== undefined) this.sink.tell(heldLoad, this.faults);
  }

  private repeatsLast(event: MachineEvent): boolean {
    const { unresolved } = this;
    if (unresolved === undefined) return false;
    if (event.event === "page-fault") {
      const { address, error, rip } = unresolved;
      if (event.address !== address || event.error !== error || event.rip !== rip) return false;
      this.repeats++;
      this.resets += this.heldResets.length;
      this.heldResets = [];
      this.heldLoad = undefined;
      return true;
    }
    return this.repeats > 0 && this.holds(event);
  }

  /** Holds back one reset, or the CR3 load that it begins with, until it is clear whether the fault comes again. */
  private holds(event: MachineEvent): boolean {
    if (this.heldResets.length > 0) return false;
    if (event.event === "cr3-load" && this.heldLoad === undefined) {
      this.heldLoad = event;
      return true;
    }
    if (event.event !== "reset") return false;
    this.isPartOfRootChange(event);
    if (this.heldLoad !== undefined) return false;
    this.heldResets.push(event);
    return true;
  }

  /** Whether a CR3 load is told, or will be told, better by the reset or switchover that it is. */
  private isPartOfRootChange(event: MachineEvent): boolean {
    if (event.event === "reset" || event.event === "switchover") {
      this.rootChange = event;
      if (this.heldLoad?.instruction === event.instruction) this.heldLoad = undefined;
    }
    return event.event === "cr3-load" && this.rootChange?.instruction === event.instruction;
  }
}
