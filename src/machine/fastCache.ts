/**
 * What answers for most accesses: linear 4 KiB page -> arena offset, direct mapped, for reads and for writes. Translated
 * code looks into both too.
 *
 * Invariant: frames with a flag are never in `write`, so every write to code, tables and watched frames takes the slow
 * way.
 */
import { ARENA_READ_CACHE, ARENA_WRITE_CACHE, type PhysicalMemory, SHARED_PAGES_END } from "./memory";

/** Entries of each. */
export const CACHE_PAGES = 512;
/** From a linear address to its index, with a stride of four words: tag low, tag high, addend, unused. */
export const INDEX_SHIFT = 10;
export const INDEX_MASK = (CACHE_PAGES - 1) << 2;
export const PAGE_MASK = ~0xfff;
/** No page-aligned tag has this value. */
const EMPTY = 1;

export class FastCache {
  readonly read: Int32Array;
  readonly write: Int32Array;
  private sharedPageCached = false;

  constructor(private readonly memory: PhysicalMemory) {
    this.read = memory.words(ARENA_READ_CACHE, CACHE_PAGES * 4).fill(EMPTY);
    this.write = memory.words(ARENA_WRITE_CACHE, CACHE_PAGES * 4).fill(EMPTY);
    memory.onFrameAllocated = () => {
      if (this.sharedPageCached) this.flushReads();
    };
  }

  /** Lets it answer for the page of an address that was accessed, as far as the frame allows. */
  fill(low: number, high: number, physical: number, isWrite: boolean): void {
    const offset = this.memory.readOffset(physical);
    if (offset < 0) return;
    if (offset < SHARED_PAGES_END) {
      // The first write gives the frame a place of its own, and the next one finds it.
      if (isWrite) return;
      this.sharedPageCached = true;
    }
    setEntry(this.read, low, high, offset);
    // The first write of an epoch goes the slow way, where it is told.
    if (isWrite && this.memory.isPlainlyWritable(physical)) setEntry(this.write, low, high, offset);
  }

  /** No longer answers for a linear page. */
  forget(page4K: number): void {
    const i = (page4K << (12 - INDEX_SHIFT)) & INDEX_MASK;
    this.read[i] = EMPTY;
    this.write[i] = EMPTY;
  }

  flush(): void {
    this.flushReads();
    this.flushWrites();
  }

  /** A frame got a flag. */
  flushWrites(): void {
    this.write.fill(EMPTY);
  }

  private flushReads(): void {
    this.read.fill(EMPTY);
    this.sharedPageCached = false;
  }
}

function setEntry(cache: Int32Array, low: number, high: number, offset: number): void {
  const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
  const tag = low & PAGE_MASK;
  cache[i] = tag;
  cache[i + 1] = high;
  cache[i + 2] = (offset - tag) | 0;
}
