/**
 * Data breakpoints: ranges of physical memory whose change stops a run.
 *
 * Invariant: every frame that a range touches has FRAME_DATA_BREAKPOINT, so that each store into it takes the slow way
 * and is told here before and after.
 */
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
  private ranges: readonly DataBreakpoint[] = [];
  private touched: { breakpoint: DataBreakpoint; old: Uint8Array }[] = [];

  constructor(private readonly memory: PhysicalMemory) {}

  set(ranges: readonly DataBreakpoint[]): void {
    this.flag((frame) => this.memory.clearFlag(frame, FRAME_DATA_BREAKPOINT));
    this.ranges = ranges;
    this.flag((frame) => this.memory.setFlag(frame, FRAME_DATA_BREAKPOINT));
  }

  /** Bytes of a frame with data breakpoints are about to be written. */
  writeBegins(address: number, size: number): void {
    this.touched = [];
    for (const breakpoint of this.ranges) {
      const end = breakpoint.address + breakpoint.length;
      if (address >= end || breakpoint.address >= address + size) continue;
      this.touched.push({
        breakpoint,
        old: this.memory.readBytes(breakpoint.address, breakpoint.length),
      });
    }
  }

  /** They have been written. @returns whether a range changed */
  writeEnds(): boolean {
    for (const { breakpoint, old } of this.touched) {
      const now = this.memory.readBytes(breakpoint.address, breakpoint.length);
      if (old.every((byte, index) => byte === now[index])) continue;
      this.change ??= { breakpoint, old, new: now };
      return true;
    }
    return false;
  }

  private flag(set: (frame: number) => void): void {
    for (const { address, length } of this.ranges) {
      for (let at = address - (address % PAGE_SIZE); at < address + length; at += PAGE_SIZE) set(at);
    }
  }
}
