/**
 * What a loader puts where in guest memory, and its contents. Invariants: what is claimed lies in usable memory, and
 * no two claims overlap. Nothing is written before `apply`.
 */
import type { PhysicalRange } from "../machine/memory";
import { UsageError } from "./errors";
import { type MemoryMap, usableRanges } from "./memoryMap";
import { alignDown, alignUp, rangeInWords, sizeInWords } from "./values";

/** A thing in physical memory; the end is exclusive. */
export interface Placement {
  /** What it is, for people: "boot_params", "kernel segment 1". */
  name: string;
  start: number;
  end: number;
}

/** Bytes to be found in something larger. */
export interface Piece {
  offset: number;
  bytes: Uint8Array;
}

/** What `apply` needs of memory; `PhysicalMemory` has it. */
export interface BootMemory {
  readonly residentBytes: number;
  writeBytes(address: number, bytes: Uint8Array): void;
  fill(address: number, length: number, byte: number): void;
}

/** Where `allocate` looks. */
export interface Wanted {
  /** Alignment of the start in bytes; 4 KiB unless given. */
  align?: number;
  /** The lowest start; 4 KiB unless given, since address 0 stands for "none" in boot protocols. */
  from?: number;
  /** The highest end. */
  below?: number;
  /** The highest place instead of the lowest one. */
  highest?: boolean;
}

const PAGE = 4096;

export class Layout {
  private readonly usable: readonly PhysicalRange[];
  private readonly claims: Placement[] = [];
  private readonly avoided: PhysicalRange[] = [];
  private readonly pieces: Piece[] = [];

  constructor(readonly memoryMap: MemoryMap) {
    this.usable = usableRanges(memoryMap.e820);
  }

  /** Everything claimed, by address. */
  get placements(): readonly Placement[] {
    return [...this.claims].sort((a, b) => a.start - b.start);
  }

  /**
   * Takes the range for `name`. Empty ranges take nothing.
   * @throws UsageError where it is not in usable memory or taken already
   */
  claim(name: string, start: number, size: number): void {
    if (size === 0) return;
    const end = start + size;
    if (!this.isUsable(start, end)) throw new UsageError(this.notUsable(name, start, end));
    const other = this.conflict(start, end);
    if (other !== undefined) {
      throw new UsageError(
        `${name} (${rangeInWords(start, end)}) overlaps ${other.name} (${rangeInWords(other.start, other.end)})`,
      );
    }
    this.claims.push({ name, start, end });
  }

  /**
   * Finds a free place, takes it, and returns its start.
   * @throws UsageError where there is none
   */
  allocate(name: string, size: number, wanted: Wanted = {}): number {
    const start = this.findPlace(size, wanted);
    if (start === undefined) {
      const below = wanted.below === undefined ? "" : ` below ${sizeInWords(wanted.below)}`;
      throw new UsageError(`there is no free memory${below} for ${name} (${sizeInWords(size)})`);
    }
    this.claim(name, start, size);
    return start;
  }

  /** Takes `preferred` where it is free, and another place otherwise. @throws UsageError as `allocate` */
  prefer(name: string, preferred: number, size: number, wanted: Wanted = {}): number {
    const end = preferred + size;
    const free = this.isUsable(preferred, end) && this.taken(preferred, end) === undefined;
    if (!free) return this.allocate(name, size, wanted);
    this.claim(name, preferred, size);
    return preferred;
  }

  /** Keeps what the loader chooses out of a range that is not claimed as a whole. */
  avoid(start: number, end: number): void {
    this.avoided.push({ start, end });
  }

  /** Whether an allocation of that kind would succeed. */
  hasPlace(size: number, wanted: Wanted = {}): boolean {
    return this.findPlace(size, wanted) !== undefined;
  }

  /** Contents at a physical address of something claimed; the rest of what is claimed is zero. */
  write(address: number, bytes: Uint8Array): void {
    this.pieces.push({ offset: address, bytes });
  }

  /** Puts everything into memory. Memory that was never written is zero and is not filled. */
  apply(memory: BootMemory): void {
    if (memory.residentBytes > 0) {
      for (const { start, end } of this.claims) memory.fill(start, end - start, 0);
    }
    for (const { offset, bytes } of this.pieces) memory.writeBytes(offset, bytes);
  }

  private isUsable(start: number, end: number): boolean {
    return this.usable.some((range) => start >= range.start && end <= range.end);
  }

  private notUsable(name: string, start: number, end: number): string {
    const what = `${name} (${rangeInWords(start, end)})`;
    const before = this.usable.findLast((range) => range.start <= start)?.end ?? 0;
    const behind = this.usable.find((range) => range.start > start);
    if (behind === undefined) {
      return (
        `${what} lies outside of the machine's memory (${sizeInWords(this.memoryMap.size)}): ` +
        "give it another address or the machine more memory"
      );
    }
    const hole = rangeInWords(before, behind.start);
    return `${what} reaches into ${hole}, which is not usable memory: give it another address`;
  }

  private conflict(start: number, end: number): Placement | undefined {
    return this.claims.find((claim) => claim.start < end && start < claim.end);
  }

  private taken(start: number, end: number): PhysicalRange | undefined {
    return this.conflict(start, end) ?? this.avoided.find((range) => range.start < end && start < range.end);
  }

  private findPlace(size: number, wanted: Wanted): number | undefined {
    const { align = PAGE, from = PAGE, below = Number.POSITIVE_INFINITY, highest = false } = wanted;
    const ranges = highest ? [...this.usable].reverse() : this.usable;
    for (const range of ranges) {
      const window = { start: Math.max(range.start, from), end: Math.min(range.end, below) };
      const found = highest ? this.lastFit(window, size, align) : this.firstFit(window, size, align);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private firstFit(window: PhysicalRange, size: number, align: number): number | undefined {
    let start = alignUp(window.start, align);
    while (start + size <= window.end) {
      const taken = this.taken(start, start + size);
      if (taken === undefined) return start;
      start = alignUp(taken.end, align);
    }
    return undefined;
  }

  private lastFit(window: PhysicalRange, size: number, align: number): number | undefined {
    let start = alignDown(window.end - size, align);
    while (start >= window.start) {
      const taken = this.taken(start, start + size);
      if (taken === undefined) return start;
      start = alignDown(taken.start - size, align);
    }
    return undefined;
  }
}
