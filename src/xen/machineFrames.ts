/**
 * Which machine frame stands behind each frame of the domain. Machine frames never equal guest frames, so that a
 * guest that mixes them up is found out.
 *
 * All is computed: a domain of a terabyte costs nothing here.
 */

/** How machine frames are handed out. */
export const FRAME_ORDERS = ["shuffled", "offset"] as const;
export type FrameOrder = (typeof FRAME_ORDERS)[number];

/** Frames, half open. */
export interface FrameRange {
  readonly start: number;
  readonly end: number;
}

/** Guest frames whose machine frames follow each other, so that large pages can map them. */
export interface ContiguousFrames {
  readonly pfn: number;
  readonly mfn: number;
  readonly count: number;
}

/** Frames are shuffled within groups of this many. */
const GROUP = 512;
/** Odd, so that multiplying by it permutes the numbers below `GROUP`; and what undoes it. */
const FACTOR = 181;
const INVERSE = 413;
const SHIFT = 77;

export class MachineFrames {
  /**
   * @param nrPages guest frames of the domain, from 0
   * @param populated those that have machine frames: ascending, apart
   * @param firstMfn the machine frame of guest frame 0, but for the order; a multiple of 512
   * @param contiguous parts that lie elsewhere, each whole
   */
  constructor(
    readonly nrPages: number,
    readonly populated: readonly FrameRange[],
    readonly firstMfn: number,
    private readonly order: FrameOrder,
    private readonly contiguous: readonly ContiguousFrames[] = [],
  ) {}

  /** The machine frame of a guest frame; -1 where it has none. */
  mfnOf(pfn: number): number {
    if (!this.isPopulated(pfn)) return -1;
    for (const part of this.contiguous) {
      if (pfn >= part.pfn && pfn < part.pfn + part.count) return part.mfn + (pfn - part.pfn);
    }
    if (this.order === "offset") return this.firstMfn + pfn;
    const low = pfn % GROUP;
    return this.firstMfn + (pfn - low) + ((low * FACTOR + SHIFT) % GROUP);
  }

  /** The guest frame of a machine frame; -1 where it is not the domain's. */
  pfnOf(mfn: number): number {
    for (const part of this.contiguous) {
      if (mfn >= part.mfn && mfn < part.mfn + part.count) return part.pfn + (mfn - part.mfn);
    }
    const index = mfn - this.firstMfn;
    if (index < 0) return -1;
    const low = index % GROUP;
    const shuffled = this.order === "shuffled";
    const pfn = shuffled ? index - low + (((low + GROUP - SHIFT) * INVERSE) % GROUP) : index;
    return this.mfnOf(pfn) === mfn ? pfn : -1;
  }

  /** Whether any of some guest frames has a machine frame. */
  anyPopulated(start: number, end: number): boolean {
    return this.populated.some((range) => range.start < end && start < range.end);
  }

  /** The first machine frame behind all of the domain's. */
  get endMfn(): number {
    const groups = Math.ceil(this.nrPages / GROUP) * GROUP;
    return Math.max(this.firstMfn + groups, ...this.contiguous.map(({ mfn, count }) => mfn + count));
  }

  private isPopulated(pfn: number): boolean {
    for (const { start, end } of this.populated) if (pfn >= start && pfn < end) return true;
    return false;
  }
}
