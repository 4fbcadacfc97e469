/**
 * The second tier of the translator: blocks of one page that lead to each other become one WebAssembly function, with
 * copies of short blocks elsewhere that they call or jump to.
 *
 * What it does is what the blocks' closures do, instruction by instruction: the same registers, flags, faults and
 * counts at every point where anybody can look. It is given the number of instructions that may be retired, and
 * leaves before a block that has more.
 */
import type { Block } from "../block";
import type { Cpu } from "../cpu";
import { type Decoded, decode } from "./decoded";
import { BLOCK_BITS, targetOf } from "./driver";
import { INDEX_BITS, type Neighbours, RegionWriter } from "./regionWriter";

const MAX_BLOCKS = 48;
const MAX_INSTRUCTIONS = 400;

/** Blocks that are one function. */
export interface Region {
  /** The function's place in the driver's table. */
  readonly slot: number;
  /** Its own, in the order of their addresses: each may be where it is entered. Then those that it has copies of. */
  readonly blocks: readonly Block[];
  /** How many are its own. */
  readonly own: number;
}

/** Block number and index of an instruction in what `Step` is called with. */
export function instructionOf(site: number): { slot: number; block: number; index: number } {
  return {
    slot: site >> (INDEX_BITS + BLOCK_BITS),
    block: (site >> INDEX_BITS) & ((1 << BLOCK_BITS) - 1),
    index: site & ((1 << INDEX_BITS) - 1),
  };
}

/**
 * Makes a region of a block and of those in its page that it leads to. Its function is not in the driver's table yet.
 * Undefined where there is nothing to gain.
 */
export function writeRegion(
  c: Cpu,
  slot: number,
  seed: Block,
  neighbours: Neighbours,
): { region: Region; body: Uint8Array } | undefined {
  const own = collect(c, seed, neighbours);
  if (own.length === 0) return undefined;
  own.sort((a, b) => a.block.physical - b.block.physical);
  const writer = new RegionWriter(c, slot, own, neighbours);
  try {
    const body = writer.body();
    const region: Region = { slot, blocks: writer.blocks.map(({ block }) => block), own: own.length };
    region.blocks.forEach((block, index) => {
      if (index >= region.own) {
        block.copiedIn ??= new Set();
        block.copiedIn.add(region);
        return;
      }
      block.region = region;
      block.target = targetOf(slot, index);
    });
    return { region, body };
  } finally {
    for (const { instructions } of writer.blocks) for (const instruction of instructions) instruction.free();
  }
}

/** The blocks that can be reached from a block by fixed branches. */
function collect(c: Cpu, seed: Block, { find }: Neighbours): Decoded[] {
  const found: Decoded[] = [];
  const seen = new Set<Block>([seed]);
  const waiting = [seed];
  let total = 0;
  for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) {
    const decoded = decode(c, block);
    // The run loop does a single instruction of that kind better.
    if (decoded.targets === undefined && block.ops.length === 1) {
      for (const instruction of decoded.instructions) instruction.free();
      continue;
    }
    found.push(decoded);
    total += block.ops.length;
    if (total >= MAX_INSTRUCTIONS) break;
    for (const target of decoded.targets ?? []) {
      const next = seen.size < MAX_BLOCKS ? find(target) : undefined;
      if (next === undefined || seen.has(next)) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
  return found;
}
