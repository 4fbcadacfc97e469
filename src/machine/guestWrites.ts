/** What software writes to physical memory, and who has to hear of it. */
import type { PagingState } from "../paging/state";
import { FRAME_CODE, FRAME_DATA_BREAKPOINT, FRAME_TABLE, FRAME_WATCHED, type PhysicalMemory } from "./memory";

/** Who hears of writes into frames with flags. */
export interface WriteHost {
  /** Bytes of a frame with translated instructions are about to change. */
  codeWritten(address: number, size: number): void;
  /** Software changed an entry in a frame that is flagged as a table or watched. Halves are int32. */
  tableWritten(entry: number, oldLow: number, oldHigh: number, newLow: number, newHigh: number): void;
  /** Software is about to write into a frame with data breakpoints. */
  dataWriteBegins(address: number, size: number): void;
  dataWriteEnds(): void;
}

/** Entry bits whose change leaves a cached translation right: A, D and the ignored bits 9..11. */
const HARMLESS_BITS = 0xe60;

export class GuestWrites {
  /** @param entryChanges hears of entries that got another value, and whether that can make translations stale */
  constructor(
    private readonly memory: PhysicalMemory,
    private readonly state: PagingState,
    private readonly host: WriteHost,
    private readonly entryChanges: (entry: number, entrySize: number, makesStale: boolean) => void,
  ) {}

  /**
   * Writes physical memory as software does: code there is forgotten, who watches tables or bytes hears of it, and
   * translations that were made from an old entry stay.
   * @param size 1, 2, 4 or 8 bytes, within a page
   */
  write(address: number, size: number, low: number, high: number): void {
    const flags = this.memory.flagsOf(address);
    if ((flags & FRAME_CODE) !== 0) this.host.codeWritten(address, size);
    const watched = (flags & FRAME_DATA_BREAKPOINT) !== 0;
    if (watched) this.host.dataWriteBegins(address, size);
    if ((flags & (FRAME_TABLE | FRAME_WATCHED)) !== 0)
      this.writeTable(address, size, low, high, (flags & FRAME_TABLE) !== 0);
    else this.writeValue(address, size, low, high);
    if (watched) this.host.dataWriteEnds();
  }

  private writeValue(address: number, size: number, low: number, high: number): void {
    const { memory } = this;
    const offset = memory.writeOffset(address);
    if (offset < 0) {
      memory.writeDevice(address, size < 8 ? (size as 1 | 2 | 4) : 4, low);
      if (size === 8) memory.writeDevice(address + 4, 4, high);
      return;
    }
    const at = offset + (address & 0xfff);
    switch (size) {
      case 1:
        memory.view.setUint8(at, low);
        break;
      case 2:
        memory.view.setUint16(at, low, true);
        break;
      case 4:
        memory.view.setInt32(at, low, true);
        break;
      default:
        memory.view.setInt32(at, low, true);
        memory.view.setInt32(at + 4, high, true);
    }
  }

  /**
   * A write into a frame of table entries: compares the entries before and after. It stays within one frame.
   * @param walked whether a walk has read from it
   */
  private writeTable(address: number, size: number, low: number, high: number, walked: boolean): void {
    const memory = this.memory;
    const entrySize = this.state.levels === 2 ? 4 : 8;
    if (size === 8 && entrySize === 8 && (address & 7) === 0 && memory.readOffset(address) >= 0) {
      const oldLow = memory.read32(address);
      const oldHigh = memory.read32(address + 4);
      this.writeValue(address, size, low, high);
      this.compared(address, entrySize, oldLow, oldHigh, low, high, walked);
      return;
    }
    const first = address - (address % entrySize);
    const second = address + size - 1 - ((address + size - 1) % entrySize);
    const oldLow = memory.read32(first);
    const oldHigh = entrySize === 8 ? memory.read32(first + 4) : 0;
    const secondLow = second === first ? 0 : memory.read32(second);
    const secondHigh = second === first || entrySize === 4 ? 0 : memory.read32(second + 4);
    this.writeValue(address, size, low, high);
    this.entryWritten(first, entrySize, oldLow, oldHigh, walked);
    if (second !== first) this.entryWritten(second, entrySize, secondLow, secondHigh, walked);
  }

  private entryWritten(
    entry: number,
    entrySize: number,
    oldLow: number,
    oldHigh: number,
    walked: boolean,
  ): void {
    const newLow = this.memory.read32(entry);
    const newHigh = entrySize === 8 ? this.memory.read32(entry + 4) : 0;
    this.compared(entry, entrySize, oldLow, oldHigh, newLow, newHigh, walked);
  }

  /** An entry as it was, and as it is. */
  private compared(
    entry: number,
    entrySize: number,
    oldLow: number,
    oldHigh: number,
    newLow: number,
    newHigh: number,
    walked: boolean,
  ): void {
    if (newLow === oldLow && newHigh === oldHigh) return;
    this.entryChanges(entry, entrySize, walked && makesStale(oldLow, oldHigh, newLow, newHigh));
    this.host.tableWritten(entry, oldLow, oldHigh, newLow, newHigh);
  }
}

/** Whether a change of an entry can leave cached translations behind that the tables no longer give. */
export function makesStale(oldLow: number, oldHigh: number, newLow: number, newHigh: number): boolean {
  return (oldLow & 1) !== 0 && (((oldLow ^ newLow) & ~HARMLESS_BITS) !== 0 || oldHigh !== newHigh);
}
