/** A run of instructions that are executed one after another: the unit of translation. */
import type { Region } from "./compile/region";
import type { Op } from "./operands";
import { R_RIP } from "./registers";

export interface Block {
  /** Linear address of the first instruction. */
  readonly low: number;
  readonly high: number;
  /** Physical address of the first byte, and length in bytes. */
  readonly physical: number;
  readonly length: number;
  /** MODE_* bits for which it was translated. */
  readonly mode: number;
  readonly ops: readonly Op[];
  /** Byte offset of each instruction, and behind the last of the end. */
  readonly offsets: readonly number[];
  /** Linear address behind the block. */
  readonly nextLow: number;
  readonly nextHigh: number;
  /** Physical address of the next page where the block reaches into it, else -1. */
  readonly secondPage: number;
  /** A breakpoint stands on the first instruction. */
  readonly breakpoint: boolean;
  /** What begins with the first instruction, for a `milestone` event. */
  readonly milestone: string | undefined;
  /** The epoch of the code cache for which its linear address is known to lead to it. */
  epoch: number;
  /** Which of the epochs in the arena repeats it, for regions with copies of the block; -1 without any. */
  epochCell: number;
  /** Whether its last instruction ends it; else it ends where it would be too long, or another has to begin. */
  readonly ends: boolean;
  /** How often it ran, until it is compiled. */
  runs: number;
  /** The region that it is part of, once it has run often enough. */
  region: Region | undefined;
  /** Region and place in it, for the driver; -1 without a region. */
  target: number;
  /** The regions that hold copies of it. */
  copiedIn: Set<Region> | undefined;
}

/** Replaces the addresses of a block that has to be recognised as no block at all. */
export const NO_BLOCK: Block = {
  low: 0,
  high: 0,
  physical: 0,
  length: 0,
  mode: -1,
  ops: [],
  offsets: [0],
  nextLow: 0,
  nextHigh: 0,
  secondPage: -1,
  breakpoint: false,
  milestone: undefined,
  epoch: -1,
  epochCell: -1,
  ends: true,
  runs: 0,
  region: undefined,
  target: -1,
  copiedIn: undefined,
};

/** The upper half of an address in a block, or right behind it, from its lower one. */
export function highOf(block: Block, low: number): number {
  return low >>> 0 < block.low >>> 0 ? (block.high + 1) | 0 : block.high;
}

/** Puts RIP on instruction `index` of a block. @param r the register file */
export function putRip(r: Int32Array, block: Block, index: number): void {
  const low = (block.low + block.offsets[index]) | 0;
  r[R_RIP] = low;
  r[R_RIP + 1] = highOf(block, low);
}
