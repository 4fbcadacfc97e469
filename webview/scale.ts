/**
 * A compressed scale of addresses: between two boundaries it is linear; what holds something gets a width that grows
 * with the logarithm of its size, what holds nothing a narrow gap. So 2^64 bytes and one page fit on one screen.
 *
 * Invariants: positions run from 0 to 1 and never fall as addresses rise; each position has an address.
 */

/** A half-open range of addresses. */
export interface Extent {
  readonly start: bigint;
  readonly end: bigint;
}

const PAGE_SHIFT = 12;
const GAP_WEIGHT = 0.6;
/** Added for each doubling of a size above a page. */
const WEIGHT_PER_DOUBLING = 0.14;

export class Scale {
  private constructor(
    /** Rising, without repeats. */
    private readonly boundaries: readonly bigint[],
    /** Position of each boundary. */
    private readonly positions: readonly number[],
    private readonly occupied: readonly boolean[],
  ) {}

  /**
   * The scale of everything that has to be seen. Empty extents are left out.
   * @param places single addresses, which lie apart from what is next to them
   */
  static of(extents: readonly Extent[], places: readonly bigint[] = []): Scale {
    const solid = extents.filter(({ start, end }) => end > start);
    const outside = places.filter((place) => !solid.some(({ start, end }) => place >= start && place < end));
    const boundaries = [...new Set([...solid.flatMap(({ start, end }) => [start, end]), ...outside])].sort(
      (a, b) => (a < b ? -1 : a > b ? 1 : 0),
    );
    const occupied = occupancy(solid, boundaries);
    const weights = boundaries
      .slice(1)
      .map((end, i) => (occupied[i] ? weightOf(end - boundaries[i]) : GAP_WEIGHT));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const positions = [0];
    for (const weight of weights) positions.push(positions[positions.length - 1] + weight / total);
    if (positions.length > 1) positions[positions.length - 1] = 1;
    return new Scale(boundaries, positions, occupied);
  }

  /** Where an address is, 0 to 1. */
  position(address: bigint): number {
    const { boundaries, positions } = this;
    if (boundaries.length < 2 || address <= boundaries[0]) return 0;
    const next = this.firstAbove(address);
    if (next >= boundaries.length) return 1;
    const [start, end] = [boundaries[next - 1], boundaries[next]];
    const part = Number(address - start) / Number(end - start);
    return positions[next - 1] + part * (positions[next] - positions[next - 1]);
  }

  /** The address at a position. */
  address(position: number): bigint {
    const { boundaries, positions } = this;
    if (boundaries.length === 0) return 0n;
    let i = positions.findIndex((each) => each > position);
    if (i <= 0) i = position >= 1 ? boundaries.length - 1 : Math.max(1, i);
    if (boundaries.length === 1) return boundaries[0];
    const part = (position - positions[i - 1]) / (positions[i] - positions[i - 1]);
    const size = Number(boundaries[i] - boundaries[i - 1]);
    const offset = BigInt(Math.floor(Math.min(1, Math.max(0, part)) * size));
    return boundaries[i - 1] + offset;
  }

  /** The ranges that hold nothing, which are drawn narrower than they are. */
  gaps(): Extent[] {
    return this.boundaries
      .slice(1)
      .map((end, i) => ({ start: this.boundaries[i], end, occupied: this.occupied[i] }))
      .filter((extent) => !extent.occupied);
  }

  private firstAbove(address: bigint): number {
    let low = 0;
    let high = this.boundaries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.boundaries[middle] <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function weightOf(size: bigint): number {
  return 1 + Math.max(0, size.toString(2).length - 1 - PAGE_SHIFT) * WEIGHT_PER_DOUBLING;
}

/** Which ranges between neighbouring boundaries an extent covers: by a sweep, since there may be thousands. */
function occupancy(extents: readonly Extent[], boundaries: readonly bigint[]): boolean[] {
  const change = new Map<bigint, number>();
  for (const { start, end } of extents) {
    change.set(start, (change.get(start) ?? 0) + 1);
    change.set(end, (change.get(end) ?? 0) - 1);
  }
  let open = 0;
  return boundaries.slice(0, -1).map((boundary) => {
    open += change.get(boundary) ?? 0;
    return open > 0;
  });
}
