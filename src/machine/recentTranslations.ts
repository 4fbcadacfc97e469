/**
 * The translations used last, direct mapped by linear page: they spare the look-up in the TLB. Invariant: what is
 * here is in the TLB too, so that whoever takes something out of the TLB takes it out here.
 */
import type { TlbEntry } from "./tlb";

const SLOTS = 256;
const SLOT_MASK = SLOTS - 1;
const PAGE_SHIFT = 12;
/** No page number's low part is negative. */
const EMPTY = -1;

export class RecentTranslations {
  /** Linear page numbers as low 20 bits and high 32 bits. */
  private readonly tags = new Int32Array(2 * SLOTS).fill(EMPTY);
  private readonly entries: TlbEntry[] = [];
  private isEmpty = true;

  /** What was put for the page of a linear address under the same PCID, or as a global page. */
  find(low: number, high: number, pcid: number): TlbEntry | undefined {
    const page = low >>> PAGE_SHIFT;
    const slot = page & SLOT_MASK;
    if (this.tags[2 * slot] !== page || this.tags[2 * slot + 1] !== high) return undefined;
    const entry = this.entries[slot];
    return entry.pcid === pcid || entry.global ? entry : undefined;
  }

  put(low: number, high: number, entry: TlbEntry): void {
    const page = low >>> PAGE_SHIFT;
    const slot = page & SLOT_MASK;
    this.tags[2 * slot] = page;
    this.tags[2 * slot + 1] = high;
    this.entries[slot] = entry;
    this.isEmpty = false;
  }

  /** Forgets the page of a linear address. */
  drop(low: number): void {
    this.tags[2 * ((low >>> PAGE_SHIFT) & SLOT_MASK)] = EMPTY;
  }

  clear(): void {
    if (this.isEmpty) return;
    this.tags.fill(EMPTY);
    this.isEmpty = true;
  }
}
