/**
 * What walks used a table's frame for: so that a changed entry of a table that only maps 4 KiB pages at one place of
 * linear memory concerns the translation of one page, and not all of them.
 */
import type { Walk } from "../paging/walk";
import type { Snapshotable } from "./snapshot";

/** The frame is a table in more than one way. */
const SEVERAL = -1;

/** By frame number: the linear page number that the frame's entry 0 maps, or `SEVERAL`. */
export type TableUseState = ReadonlyMap<number, number>;

export class TableUse implements Snapshotable<TableUseState> {
  private bases = new Map<number, number>();
  /** A copy for whoever saves, until something changes: moments share it. */
  private copy: TableUseState | undefined;

  save(): TableUseState {
    this.copy ??= new Map(this.bases);
    return this.copy;
  }

  restore(state: TableUseState): void {
    if (state === this.copy) return;
    this.bases = new Map(state);
    this.copy = state;
  }

  /** A walk of a linear page has ended at a leaf. */
  walked(walk: Walk, page4K: number, entrySize: number): void {
    const last = walk.stepCount - 1;
    for (let step = 0; step <= last; step++) {
      const frame = Math.floor(walk.entryAddresses[step] / 4096);
      const base =
        step === last && walk.pageShift === 12
          ? page4K - (walk.entryAddresses[step] % 4096) / entrySize
          : SEVERAL;
      const known = this.bases.get(frame);
      if (known === base || known === SEVERAL) continue;
      this.copy = undefined;
      this.bases.set(frame, known === undefined ? base : SEVERAL);
    }
  }

  /** The linear page whose translations are all that an entry is part of; -1 where that cannot be said. */
  onlyPage(entry: number, entrySize: number): number {
    const base = this.bases.get(Math.floor(entry / 4096)) ?? SEVERAL;
    return base === SEVERAL ? -1 : base + (entry % 4096) / entrySize;
  }
}
