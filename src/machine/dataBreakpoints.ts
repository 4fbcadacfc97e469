/**
 * Data breakpoints: ranges of physical memory whose change stops a run, or is told to whoever records changes.
 *
 * Invariants: every frame that a range touches has FRAME_DATA_BREAKPOINT, so that each store into it takes the slow
 * way and is told here before and after. What a store costs depends on the ranges of its frames alone.
 */
import { sameBytes } from "../bytes/sameBytes";
import { FRAME_DATA_BREAKPOINT, PAGE_SIZE, type PhysicalMemory } from "./memory";

export interface DataBreakpoint {
  /** Physical byte address. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
}

export interface DataChange {
  readonly breakpoint: DataBreakpoint;
  /** The bytes of the whole range. */
  readonly old: Uint8Array;
  readonly new: Uint8Array;
}

export class DataBreakpoints {
  /** What changed first since a run began. */
  change: DataChange | undefined;
  /** Hears of each range that changes, while it does; then no change stops a run. */
  recorder: ((change: DataChange) => void) | undefined;
  /** By frame number. */
  private frames = new Map<number, DataBreakpoint[]>();
  private touched: { breakpoint: DataBreakpoint; old: Uint8Array }[] = [];

  constructor(private readonly memory: PhysicalMemory) {}

  set(ranges: readonly DataBreakpoint[]): void {
    for (const frame of this.frames.keys()) this.memory.clearFlag(frame * PAGE_SIZE, FRAME_DATA_BREAKPOINT);
    this.frames = new Map();
    for (const range of ranges) {
      const last = Math.floor((range.address + range.length - 1) / PAGE_SIZE);
      for (let frame = Math.floor(range.address / PAGE_SIZE); frame <= last; frame++) this.add(frame, range);
    }
  }

  /** Bytes of a frame with data breakpoints are about to be written. */
  writeBegins(address: number, size: number): void {
    this.touched = [];
    const first = Math.floor(address / PAGE_SIZE);
    const last = Math.floor((address + size - 1) / PAGE_SIZE);
    for (let frame = first; frame <= last; frame++) this.touch(frame, address, size);
  }

  /** They have been written. @returns whether a range changed, and the run is to stop */
  writeEnds(): boolean {
    const { touched, recorder } = this;
    for (const { breakpoint, old } of touched) {
      const now = this.memory.readBytes(breakpoint.address, breakpoint.length);
      if (sameBytes(old, now)) continue;
      const change = { breakpoint, old, new: now };
      if (recorder === undefined) {
        this.change ??= change;
        return true;
      }
      recorder(change);
    }
    return false;
  }

  private add(frame: number, range: DataBreakpoint): void {
    const known = this.frames.get(frame);
    if (known !== undefined) {
      known.push(range);
      return;
    }
    this.frames.set(frame, [range]);
    this.memory.setFlag(frame * PAGE_SIZE, FRAME_DATA_BREAKPOINT);
  }

  private touch(frame: number, address: number, size: number): void {
    for (const breakpoint of this.frames.get(frame) ?? []) {
      const end = breakpoint.address + breakpoint.length;
      if (address >= end || breakpoint.address >= address + size) continue;
      if (this.touched.some((each) => each.breakpoint === breakpoint)) continue;
      this.touched.push({ breakpoint, old: this.memory.readBytes(breakpoint.address, breakpoint.length) });
    }
  }
}
