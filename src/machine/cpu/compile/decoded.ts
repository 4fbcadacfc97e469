/** A block with its instructions decoded again: what code is made of. */
import { Decoder, DecoderOptions, type Instruction } from "iced-x86";
import { join64 } from "../../../paging/halves";
import { type Block, highOf } from "../block";
import type { Cpu } from "../cpu";
import type { Site } from "../operands";
import { directTargets } from "./branches";

export interface Decoded {
  readonly block: Block;
  /** To be freed by whoever decoded. */
  readonly instructions: readonly Instruction[];
  /** What its end leads to, as far as that is fixed; undefined where the run loop has to do its last instruction. */
  readonly targets: readonly bigint[] | undefined;
}

/** Decodes a block of 64-bit code within one page. */
export function decode(c: Cpu, block: Block): Decoded {
  const bytes = c.memory.bytesInPage(block.physical, block.length);
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  try {
    decoder.ip = join64(block.low, block.high);
    const instructions = block.ops.map(() => decoder.decode());
    const last = instructions.length - 1;
    const site = siteOf(c, block, instructions[last], last);
    const targets = block.ends ? directTargets(site) : [join64(block.nextLow, block.nextHigh)];
    return { block, instructions, targets };
  } finally {
    decoder.free();
  }
}

/** An instruction of a block. */
export function siteOf(c: Cpu, block: Block, instruction: Instruction, index: number): Site {
  const low = (block.low + block.offsets[index]) | 0;
  const nextLow = (block.low + block.offsets[index + 1]) | 0;
  return {
    instruction,
    bitness: 64,
    flat: true,
    stackSize: 8,
    low,
    high: highOf(block, low),
    nextLow,
    nextHigh: highOf(block, nextLow),
    features: c.model.features,
    vendor: c.model.vendor,
  };
}
