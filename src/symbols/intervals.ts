/**
 * Which of many intervals of addresses an address belongs to, where they may overlap and nest: the innermost, that
 * is the one which began last. Built once by a sweep over the interval starts; a look-up is one binary search.
 */
export class IntervalMap {
  private constructor(
    /** Rising; from one to the next the owner is the same. */
    private readonly boundaries: BigUint64Array,
    /** Index of the interval, -1 for none. */
    private readonly owners: Int32Array,
  ) {}

  /**
   * @param starts, ends of the intervals (end exclusive); empty ones own nothing
   * @param order their indexes by rising start; of those with one start the last is the innermost
   */
  static build(starts: BigUint64Array, ends: BigUint64Array, order: Iterable<number>): IntervalMap {
    const boundaries: bigint[] = [];
    const owners: number[] = [];
    const open: number[] = [];
    const emit = (address: bigint, owner: number) => {
      if (boundaries.length > 0 && boundaries[boundaries.length - 1] === address)
        owners[owners.length - 1] = owner;
      else {
        boundaries.push(address);
        owners.push(owner);
      }
    };
    const close = (limit: bigint) => {
      while (open.length > 0 && ends[open[open.length - 1]] <= limit) {
        const position = ends[open.pop()!];
        while (open.length > 0 && ends[open[open.length - 1]] <= position) open.pop();
        emit(position, open.length > 0 ? open[open.length - 1] : -1);
      }
    };
    for (const index of order) {
      if (ends[index] <= starts[index]) continue;
      close(starts[index]);
      open.push(index);
      emit(starts[index], index);
    }
    close(0xffffffffffffffffn);
    return new IntervalMap(BigUint64Array.from(boundaries), Int32Array.from(owners));
  }

  /** Index of the innermost interval that holds the address; -1 for none. */
  find(address: bigint): number {
    const { boundaries } = this;
    let low = 0;
    let high = boundaries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (boundaries[middle] <= address) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? -1 : this.owners[low - 1];
  }
}
