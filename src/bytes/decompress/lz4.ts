/**
 * LZ4's legacy frame (LZ4 Frame Format, "Legacy frame"): blocks of at most 8 MiB behind their compressed sizes, each
 * on its own (LZ4 Block Format).
 */
import { Cursor } from "../cursor";

import { corrupt, type Output } from "./output";

const MAGIC = 0x184c2102;
const LARGEST_BLOCK = 8 * 2 ** 20;
const SHORTEST_MATCH = 4;

/** @throws ImageError where the input is corrupt or holds more than the output takes */
export function decodeLz4(input: Uint8Array, output: Output): void {
  const cursor = new Cursor(input, "the LZ4 frame", 4);
  while (cursor.remaining > 0) {
    const size = cursor.u32();
    if (size !== MAGIC) decodeBlock(cursor.slice(size), output);
  }
}

function decodeBlock(block: Uint8Array, output: Output): void {
  const start = output.length;
  let at = 0;
  // A length of 15 in the token goes on in bytes, up to the first that is not 255.
  const lengthFrom = (nibble: number): number => {
    let length = nibble;
    if (nibble < 15) return length;
    for (let more = 255; more === 255; length += more) {
      if (at >= block.length) throw corrupt("an LZ4 block ends within a length");
      more = block[at++];
    }
    return length;
  };
  while (at < block.length) {
    const token = block[at++];
    const literals = lengthFrom(token >>> 4);
    if (at + literals > block.length) throw corrupt("an LZ4 block ends within literals");
    output.append(block.subarray(at, at + literals));
    at += literals;
    // The last sequence has literals only.
    if (at === block.length) break;
    if (at + 2 > block.length) throw corrupt("an LZ4 block ends within an offset");
    const distance = block[at] | (block[at + 1] << 8);
    at += 2;
    const length = lengthFrom(token & 15) + SHORTEST_MATCH;
    if (distance === 0 || distance > output.length - start) {
      throw corrupt("an LZ4 match refers to bytes before its block");
    }
    output.need(length);
    const { bytes } = output;
    const end = output.length + length;
    // Byte by byte: a match may overlap what it makes.
    for (let to = output.length; to < end; to++) bytes[to] = bytes[to - distance];
    output.length = end;
  }
  if (output.length - start > LARGEST_BLOCK) throw corrupt("an LZ4 block is larger than 8 MiB");
}
