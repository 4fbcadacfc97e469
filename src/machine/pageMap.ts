/**
 * A map from linear page numbers, of which neighbours are looked up one after another: pages lie in runs of 64, and the
 * run that was used last is at hand. (Page numbers exceed 31 bits, which a Map hashes slowly.)
 */

const RUN = 64;

interface Run<Value> {
  readonly number: number;
  readonly values: (Value | undefined)[];
  count: number;
}

export class PageMap<Value> {
  /** Values in it. */
  size = 0;
  private readonly runs = new Map<number, Run<Value>>();
  private last: Run<Value> | undefined;

  /** @param page 0 to 2^53 - 1 */
  get(page: number): Value | undefined {
    const { last } = this;
    const number = Math.floor(page / RUN);
    if (last !== undefined && last.number === number) return last.values[page - RUN * number];
    const run = this.runs.get(number);
    if (run === undefined) return undefined;
    this.last = run;
    return run.values[page - RUN * number];
  }

  set(page: number, value: Value): void {
    const run = this.runOf(Math.floor(page / RUN));
    const index = page - RUN * run.number;
    if (run.values[index] === undefined) {
      run.count++;
      this.size++;
    }
    run.values[index] = value;
  }

  /** @returns what was there */
  delete(page: number): Value | undefined {
    const value = this.get(page);
    if (value === undefined) return undefined;
    // It was found, so its run is the last one.
    const run = this.last!;
    run.values[page - RUN * run.number] = undefined;
    this.size--;
    if (--run.count === 0) {
      this.runs.delete(run.number);
      this.last = undefined;
    }
    return value;
  }

  clear(): void {
    this.runs.clear();
    this.last = undefined;
    this.size = 0;
  }

  *values(): Generator<Value> {
    for (const { values } of this.runs.values()) {
      for (const value of values) if (value !== undefined) yield value;
    }
  }

  private runOf(number: number): Run<Value> {
    if (this.last?.number === number) return this.last;
    let run = this.runs.get(number);
    if (run === undefined) {
      run = { number, values: new Array<Value | undefined>(RUN).fill(undefined), count: 0 };
      this.runs.set(number, run);
    }
    this.last = run;
    return run;
  }
}
