/**
 * The epochs of blocks, where regions with copies of the blocks can see them: a copy may run as long as its block was
 * found in the present epoch.
 */
import { ARENA_EPOCHS, type PhysicalMemory } from "../../memory";
import type { Block } from "../block";

const CELLS = 16384;

export class Epochs {
  private readonly words: Int32Array;
  private readonly free: number[] = [];
  private used = 0;

  constructor(memory: PhysicalMemory) {
    this.words = memory.words(ARENA_EPOCHS, CELLS);
  }

  /** The arena offset of a block's epoch; undefined where there is no more room for one. */
  offsetOf(block: Block): number | undefined {
    if (block.epochCell < 0) {
      const cell = this.free.pop() ?? (this.used < CELLS ? this.used++ : -1);
      if (cell < 0) return undefined;
      block.epochCell = cell;
      this.words[cell] = block.epoch;
    }
    return ARENA_EPOCHS + 4 * block.epochCell;
  }

  set(block: Block, epoch: number): void {
    block.epoch = epoch;
    if (block.epochCell >= 0) this.words[block.epochCell] = epoch;
  }

  /** The block is no more, and no region has a copy of it. */
  forget(block: Block): void {
    block.epoch = -1;
    if (block.epochCell < 0) return;
    this.free.push(block.epochCell);
    block.epochCell = -1;
  }
}
