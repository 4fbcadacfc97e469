/** Huffman codes of Zstandard's literals (RFC 8878, 4.2). */
import { corrupt } from "./output";
import { BackwardBits } from "./zstdBits";
import { FseState, readFse } from "./zstdFse";

const LONGEST_CODE = 11;
const WEIGHT_ACCURACY = 6;

/** By the next bits: the symbol, and how many of them it takes. */
export interface HuffmanTable {
  readonly longest: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
}

/**
 * Reads a tree's description.
 * @returns the table, and the bytes that its description takes
 * @throws ImageError where it is none
 */
export function readHuffman(bytes: Uint8Array): { table: HuffmanTable; size: number } {
  if (bytes.length === 0) throw corrupt("a zstd Huffman tree is cut off");
  const header = bytes[0];
  const packed = header < 128 ? header : (header - 127 + 1) >> 1;
  const size = 1 + packed;
  if (size > bytes.length) throw corrupt("a zstd Huffman tree is cut off");
  const description = bytes.subarray(1, size);
  const weights = header < 128 ? codedWeights(description) : plainWeights(description, header - 127);
  return { table: buildHuffman(weights), size };
}

function plainWeights(bytes: Uint8Array, count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i % 2 === 0 ? bytes[i >> 1] >> 4 : bytes[i >> 1] & 15));
}

/** Two states take turns; where the bits are used up, the other one's symbol is the last. */
function codedWeights(bytes: Uint8Array): number[] {
  const { table, size } = readFse(bytes, WEIGHT_ACCURACY, 255);
  const bits = new BackwardBits(bytes.subarray(size));
  const states = [new FseState(table, bits), new FseState(table, bits)];
  const weights: number[] = [];
  for (let turn = 0; ; turn ^= 1) {
    const state = states[turn];
    weights.push(state.symbol);
    if (weights.length > 254) throw corrupt("a zstd Huffman tree has more than 255 weights");
    if (bits.left < state.needed) {
      weights.push(states[turn ^ 1].symbol);
      return weights;
    }
    state.advance();
  }
}

/** The last weight is not written: it makes the sum a power of two. */
function buildHuffman(weights: number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > LONGEST_CODE) throw corrupt("a zstd Huffman code is longer than 11 bits");
    if (weight > 0) sum += 1 << (weight - 1);
  }
  const longest = 32 - Math.clz32(sum);
  const rest = (1 << longest) - sum;
  if (sum === 0 || longest > LONGEST_CODE || (rest & (rest - 1)) !== 0) {
    throw corrupt("the weights of a zstd Huffman tree do not add up");
  }
  const all = [...weights, 32 - Math.clz32(rest)];
  const symbols = new Uint8Array(1 << longest);
  const bits = new Uint8Array(1 << longest);
  let place = 0;
  for (let weight = 1; weight <= longest; weight++) {
    const span = 1 << (weight - 1);
    for (let symbol = 0; symbol < all.length; symbol++) {
      if (all[symbol] !== weight) continue;
      symbols.fill(symbol, place, place + span);
      bits.fill(longest + 1 - weight, place, place + span);
      place += span;
    }
  }
  return { longest, symbols, bits };
}

/** Fills `to` with the symbols of one stream. @throws ImageError where it does not hold just them */
export function decodeHuffman(
  bytes: Uint8Array,
  { longest, symbols, bits }: HuffmanTable,
  to: Uint8Array,
): void {
  const stream = new BackwardBits(bytes);
  for (let i = 0; i < to.length; i++) {
    const next = stream.peek(longest);
    to[i] = symbols[next];
    stream.left -= bits[next];
  }
  if (stream.left !== 0) throw corrupt("a zstd stream of literals does not end where it should");
}
