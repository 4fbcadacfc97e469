/**
 * The frames that page walks have read entries from, in the order in which they were first read. They are part of the
 * machine's state: from then on a write to the frame may make cached translations stale.
 *
 * Invariant: what lies behind `count` is what an undone run had found; a run that is made again finds it again.
 */
export class TableFrames {
  /** How many there are now. */
  count = 0;
  private readonly frames: number[] = [];
  /** Of each of them its place there. */
  private readonly places = new Map<number, number>();

  /** @param mark sets or clears the flag of a frame's address */
  constructor(private readonly mark: (address: number, isTable: boolean) => void) {}

  /** A frame that has not been read before. */
  add(address: number): void {
    if (this.frames[this.count] !== address) {
      for (const undone of this.frames.splice(this.count)) this.places.delete(undone);
      this.places.set(address, this.frames.length);
      this.frames.push(address);
    }
    this.count++;
  }

  /** Whether a frame's address was among the first so many. */
  includes(address: number, count: number): boolean {
    const place = this.places.get(address);
    return place !== undefined && place < count;
  }

  /** Goes to a moment with another count, on the same run. */
  moveTo(count: number): void {
    for (let i = count; i < this.count; i++) this.mark(this.frames[i], false);
    for (let i = this.count; i < count; i++) this.mark(this.frames[i], true);
    this.count = count;
  }
}
