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

  /** @param mark sets or clears the flag of a frame's address */
  constructor(private readonly mark: (address: number, isTable: boolean) => void) {}

  /** A frame that has not been read before. */
  add(address: number): void {
    if (this.frames[this.count] !== address) {
      this.frames.length = this.count;
      this.frames.push(address);
    }
    this.count++;
  }

  /** Goes to a moment with another count, on the same run. */
  moveTo(count: number): void {
    for (let i = count; i < this.count; i++) this.mark(this.frames[i], false);
    for (let i = this.count; i < count; i++) this.mark(this.frames[i], true);
    this.count = count;
  }
}
