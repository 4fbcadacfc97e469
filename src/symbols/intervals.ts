/**
 * Which of many intervals of addresses an address belongs to, where they may overlap and nest: the innermost, that
 * is the one which began last. Built once by a sweep over the interval starts; a look-up is one binary search.
 *
 * Addresses are numbers here: a 64-bit address as a signed integer, which a double holds exactly for every address
 * that is canonical for 48 bits. Nothing is linked elsewhere; other addresses belong to no interval.
 */

/** A linear address (64 bit) in the form that is used here; not a safe integer where it has none. */
export function signedAddress(address: bigint): number {
  return Number(BigInt.asIntN(64, address));
}

export class IntervalMap {
  private constructor(
    /** Rising; from one to the next the owner is the same. */
    private readonly boundaries: Float64Array,
    /** Index of the interval, -1 for none. */
    private readonly owners: Int32Array,
  ) {}

  /**
   * @param starts, ends of the intervals (end exclusive); empty ones own nothing
   * @param order their indexes by rising start; of those with one start the last is the innermost
   * @param yields whether an interval owns nothing where it begins inside of one that does not yield
   */
  static build(
    starts: Float64Array,
    ends: Float64Array,
    order: Uint32Array,
    yields: (index: number) => boolean = () => false,
  ): IntervalMap {
    const sweep = new Sweep(ends, order.length);
    for (const index of order) {
      if (!(ends[index] > starts[index])) continue;
      sweep.closeUntil(starts[index]);
      const around = sweep.innermost;
      if (around < 0 || yields(around) || !yields(index)) sweep.open(starts[index], index);
    }
    sweep.closeUntil(Number.POSITIVE_INFINITY);
    return new IntervalMap(sweep.boundaries.slice(0, sweep.count), sweep.owners.slice(0, sweep.count));
  }

  /** Index of the innermost interval that holds the address (64 bit); -1 for none. */
  find(address: bigint): number {
    const { boundaries } = this;
    const position = signedAddress(address);
    if (!Number.isSafeInteger(position)) return -1;
    let low = 0;
    let high = boundaries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (boundaries[middle] <= position) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? -1 : this.owners[low - 1];
  }
}

/** The sweep: intervals that are open at the present position, and the boundaries passed so far. */
class Sweep {
  readonly boundaries: Float64Array;
  readonly owners: Int32Array;
  count = 0;
  /** Of the ends only the last one is known to lie ahead. */
  private readonly stack: number[] = [];

  constructor(
    private readonly ends: Float64Array,
    intervals: number,
  ) {
    // Each interval begins and ends once.
    this.boundaries = new Float64Array(2 * intervals);
    this.owners = new Int32Array(2 * intervals);
  }

  get innermost(): number {
    const { stack } = this;
    return stack.length === 0 ? -1 : stack[stack.length - 1];
  }

  open(position: number, index: number): void {
    this.stack.push(index);
    this.emit(position, index);
  }

  closeUntil(limit: number): void {
    const { stack, ends } = this;
    while (stack.length > 0 && ends[this.innermost] <= limit) {
      const position = ends[stack.pop()!];
      while (stack.length > 0 && ends[this.innermost] <= position) stack.pop();
      this.emit(position, this.innermost);
    }
  }

  private emit(position: number, owner: number): void {
    if (this.count === 0 || this.boundaries[this.count - 1] !== position) this.count++;
    this.boundaries[this.count - 1] = position;
    this.owners[this.count - 1] = owner;
  }
}
