/**
 * Linear accesses. Three layers, each derived from the next: the fast cache of host offsets, the TLB, and the page walk;
 * the first is asked here, and what it does not know in `translations.ts`.
 *
 * A 64-bit load returns its low half and leaves the high one in `r[R_HIGH]`.
 */
import { ACCESS_IMPLICIT, ACCESS_WRITE, type PagingState } from "../paging/state";
import { R_HIGH } from "./cpu/registers";
import { INDEX_MASK, INDEX_SHIFT, PAGE_MASK } from "./fastCache";
import { GuestWrites } from "./guestWrites";
import type { PhysicalMemory } from "./memory";
import { type MmuHost, Translations } from "./translations";

export class Mmu extends Translations {
  private readonly writes: GuestWrites;

  /** @param r the register file. For the others see `Translations`. */
  constructor(
    memory: PhysicalMemory,
    state: PagingState,
    private readonly r: Int32Array,
    host: MmuHost,
    tlbCapacity: number,
    now: () => number,
  ) {
    super(memory, state, host, tlbCapacity, now);
    this.writes = new GuestWrites(memory, state, host, (entry, entrySize, makesStale) => {
      if (makesStale) this.presentEntryChanged(entry, entrySize);
      else if (!this.cacheTranslations) host.fetchesChanged();
    });
  }

  // --- loads: values of 8 and 16 bits come sign-extended, as the lazy flags want them ---

  load8(low: number, high: number): number {
    const t = this.fast.read;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === (low & PAGE_MASK) && t[i + 1] === high)
      return this.memory.view.getInt8((t[i + 2] + low) | 0);
    return (this.loadSlow(low, high, 1) << 24) >> 24;
  }

  load16(low: number, high: number): number {
    const t = this.fast.read;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 1) & PAGE_MASK) && t[i + 1] === high) {
      return this.memory.view.getInt16((t[i + 2] + low) | 0, true);
    }
    return (this.loadSlow(low, high, 2) << 16) >> 16;
  }

  load32(low: number, high: number): number {
    const t = this.fast.read;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 3) & PAGE_MASK) && t[i + 1] === high) {
      return this.memory.view.getInt32((t[i + 2] + low) | 0, true);
    }
    return this.loadSlow(low, high, 4);
  }

  load64(low: number, high: number): number {
    const t = this.fast.read;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 7) & PAGE_MASK) && t[i + 1] === high) {
      const view = this.memory.view;
      const at = (t[i + 2] + low) | 0;
      this.r[R_HIGH] = view.getInt32(at + 4, true);
      return view.getInt32(at, true);
    }
    return this.loadSlow(low, high, 8);
  }

  // --- stores ---

  store8(low: number, high: number, value: number): void {
    const t = this.fast.write;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === (low & PAGE_MASK) && t[i + 1] === high)
      this.memory.view.setInt8((t[i + 2] + low) | 0, value);
    else this.storeSlow(low, high, 1, value, 0);
  }

  store16(low: number, high: number, value: number): void {
    const t = this.fast.write;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 1) & PAGE_MASK) && t[i + 1] === high) {
      this.memory.view.setInt16((t[i + 2] + low) | 0, value, true);
    } else this.storeSlow(low, high, 2, value, 0);
  }

  store32(low: number, high: number, value: number): void {
    const t = this.fast.write;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 3) & PAGE_MASK) && t[i + 1] === high) {
      this.memory.view.setInt32((t[i + 2] + low) | 0, value, true);
    } else this.storeSlow(low, high, 4, value, 0);
  }

  store64(low: number, high: number, valueLow: number, valueHigh: number): void {
    const t = this.fast.write;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 7) & PAGE_MASK) && t[i + 1] === high) {
      const view = this.memory.view;
      const at = (t[i + 2] + low) | 0;
      view.setInt32(at, valueLow, true);
      view.setInt32(at + 4, valueHigh, true);
    } else this.storeSlow(low, high, 8, valueLow, valueHigh);
  }

  /** Faults as a write of `size` bytes would, and writes nothing: for instructions that read before they write. */
  probeWrite(low: number, high: number, size: number): void {
    const t = this.fast.write;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + size - 1) & PAGE_MASK) && t[i + 1] === high) return;
    this.translateRange(low, high, size, this.dataAccess | ACCESS_WRITE);
  }

  /**
   * The arena offset of a byte that may be read, or -1 where the access must take the slow way. Faults as a load.
   * What lies behind it up to the end of the page may be read likewise.
   */
  readOffset(low: number, high: number): number {
    const t = this.fast.read;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) {
      this.translate(low, high, this.dataAccess);
      if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) return -1;
    }
    return (t[i + 2] + low) | 0;
  }

  /** The same for writes. */
  writeOffset(low: number, high: number): number {
    const t = this.fast.write;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) {
      this.translate(low, high, this.dataAccess | ACCESS_WRITE);
      if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) return -1;
    }
    return (t[i + 2] + low) | 0;
  }

  /**
   * Whether writing a byte all over the rest of a page would change nothing, and nobody would hear of it: what is to
   * be written is what the frame shares with many. Faults as a store.
   */
  isFilledWith(byte: number, low: number, high: number): boolean {
    const physical = this.translate(low, high, this.dataAccess | ACCESS_WRITE);
    return this.memory.flagsOf(physical) === 0 && this.memory.sharesPageOf(byte, physical);
  }

  // --- implicit supervisor accesses: descriptor tables, the TSS (SDM 4.6.1) ---

  systemLoad32(low: number, high: number): number {
    return this.loadPhysically(low, high, 4, ACCESS_IMPLICIT);
  }

  systemStore8(low: number, high: number, value: number): void {
    this.writePhysical(this.translate(low, high, ACCESS_IMPLICIT | ACCESS_WRITE), 1, value, 0);
  }

  /** Stores with explicit access bits: pushes on the stack of another privilege level. */
  storeAs(
    access: number,
    low: number,
    high: number,
    size: number,
    valueLow: number,
    valueHigh: number,
  ): void {
    this.storePhysically(low, high, size, valueLow, valueHigh, access | ACCESS_WRITE);
  }

  /** Writes physical memory as software does. @param size 1, 2, 4 or 8 bytes, within a page */
  writePhysical(address: number, size: number, low: number, high: number): void {
    this.writes.write(address, size, low, high);
  }

  // --- the slow way ---

  private loadSlow(low: number, high: number, size: number): number {
    return this.loadPhysically(low, high, size, this.dataAccess);
  }

  private loadPhysically(low: number, high: number, size: number, access: number): number {
    if ((low & 0xfff) + size <= 4096) return this.readPhysical(this.translate(low, high, access), size);
    return this.loadCrossing(low, high, size, access);
  }

  private loadCrossing(low: number, high: number, size: number, access: number): number {
    this.translateRange(low, high, size, access);
    const halves = [0, 0];
    for (let i = 0; i < size; i++) {
      const at = (low + i) | 0;
      const byte = this.readPhysical(this.translate(at, carryInto(low, at, high), access), 1);
      halves[i >> 2] |= byte << ((i & 3) * 8);
    }
    this.r[R_HIGH] = halves[1];
    return halves[0];
  }

  /** Reads 1, 2, 4 or 8 bytes within a page; of less than 4 bytes the rest may be anything. */
  private readPhysical(address: number, size: number): number {
    const { memory } = this;
    const offset = memory.readOffset(address);
    if (offset < 0) return this.readDevice(address, size);
    const at = offset + (address & 0xfff);
    switch (size) {
      case 1:
        return memory.view.getUint8(at);
      case 2:
        return memory.view.getUint16(at, true);
      case 4:
        return memory.view.getInt32(at, true);
      default:
        this.r[R_HIGH] = memory.view.getInt32(at + 4, true);
        return memory.view.getInt32(at, true);
    }
  }

  private readDevice(address: number, size: number): number {
    if (size < 8) return this.memory.readDevice(address, size as 1 | 2 | 4) | 0;
    const low = this.memory.readDevice(address, 4) | 0;
    this.r[R_HIGH] = this.memory.readDevice(address + 4, 4) | 0;
    return low;
  }

  private storeSlow(low: number, high: number, size: number, valueLow: number, valueHigh: number): void {
    this.storePhysically(low, high, size, valueLow, valueHigh, this.dataAccess | ACCESS_WRITE);
  }

  private storePhysically(
    low: number,
    high: number,
    size: number,
    valueLow: number,
    valueHigh: number,
    access: number,
  ): void {
    if ((low & 0xfff) + size <= 4096) {
      this.writePhysical(this.translate(low, high, access), size, valueLow, valueHigh);
      return;
    }
    this.translateRange(low, high, size, access);
    for (let i = 0; i < size; i++) {
      const at = (low + i) | 0;
      const half = i < 4 ? valueLow : valueHigh;
      const address = this.translate(at, carryInto(low, at, high), access);
      this.writePhysical(address, 1, (half >> ((i & 3) * 8)) & 0xff, 0);
    }
  }

  /** Translates both pages of an access, the lower first, so that a fault comes before any effect. */
  private translateRange(low: number, high: number, size: number, access: number): void {
    this.translate(low, high, access);
    if ((low & 0xfff) + size <= 4096) return;
    const next = ((low & PAGE_MASK) + 4096) | 0;
    this.translate(next, carryInto(low, next, high), access);
  }
}

/** The high half of a linear address that was reached from `low` by adding a small number. */
function carryInto(low: number, next: number, high: number): number {
  return next >>> 0 < low >>> 0 ? (high + 1) | 0 : high;
}
