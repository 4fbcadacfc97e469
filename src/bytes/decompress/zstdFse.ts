/** Finite State Entropy tables of Zstandard (RFC 8878, 4.1). */

import { corrupt } from "./output";
import type { BackwardBits } from "./zstdBits";

/** By state: the symbol, and how the next state is read. */
export interface FseTable {
  readonly accuracy: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

/** @param counts the normalised probabilities, which add up to 2^accuracy; -1 is "less than 1" */
export function buildFse(counts: ArrayLike<number>, accuracy: number): FseTable {
  const size = 1 << accuracy;
  const symbols = new Uint8Array(size);
  const next = new Uint16Array(counts.length);
  let high = size;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    if (counts[symbol] === -1) symbols[--high] = symbol;
    next[symbol] = counts[symbol] === -1 ? 1 : counts[symbol];
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let place = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    for (let i = 0; i < counts[symbol]; i++) {
      symbols[place] = symbol;
      do place = (place + step) & (size - 1);
      while (place >= high);
    }
  }
  const bits = new Uint8Array(size);
  const bases = new Uint16Array(size);
  for (let state = 0; state < size; state++) {
    const value = next[symbols[state]]++;
    bits[state] = accuracy - (31 - Math.clz32(value));
    bases[state] = (value << bits[state]) - size;
  }
  return { accuracy, symbols, bits, bases };
}

/** The table that has one symbol only. */
export function singleSymbol(symbol: number): FseTable {
  return { accuracy: 0, symbols: Uint8Array.of(symbol), bits: new Uint8Array(1), bases: new Uint16Array(1) };
}

/**
 * Reads a table's description, forwards.
 * @returns the table, and the bytes that its description takes
 * @throws ImageError where it is none
 */
export function readFse(
  bytes: Uint8Array,
  largestAccuracy: number,
  largestSymbol: number,
): { table: FseTable; size: number } {
  let position = 4;
  const peek = (count: number): number => {
    const byte = position >>> 3;
    const word = (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8) | ((bytes[byte + 2] ?? 0) << 16);
    return (word >>> (position & 7)) & ((1 << count) - 1);
  };
  const accuracy = ((bytes[0] ?? 0) & 15) + 5;
  if (accuracy > largestAccuracy) throw corrupt("a zstd table is more accurate than possible");
  const counts: number[] = [];
  let remaining = 1 << accuracy;
  while (remaining > 0) {
    if (counts.length > largestSymbol) throw corrupt("a zstd table has more symbols than possible");
    // Values up to remaining + 1; the small ones of them take a bit less.
    const width = 32 - Math.clz32(remaining + 1);
    const short = (1 << width) - 1 - (remaining + 1);
    const low = peek(width - 1);
    let value = low;
    if (low < short) position += width - 1;
    else {
      value = peek(width);
      if (value >= 1 << (width - 1)) value -= short;
      position += width;
    }
    const count = value - 1;
    remaining -= Math.abs(count);
    counts.push(count);
    if (count === 0) {
      let repeat = 3;
      while (repeat === 3) {
        repeat = peek(2);
        position += 2;
        if (counts.length + repeat > largestSymbol + 1)
          throw corrupt("a zstd table has more symbols than possible");
        for (let i = 0; i < repeat; i++) counts.push(0);
      }
    }
  }
  const size = (position + 7) >>> 3;
  if (remaining < 0 || size > bytes.length) throw corrupt("a zstd table does not add up");
  return { table: buildFse(counts, accuracy), size };
}

/** A place in a table while symbols are read. */
export class FseState {
  private state: number;

  constructor(
    private readonly table: FseTable,
    private readonly bits: BackwardBits,
  ) {
    this.state = bits.read(table.accuracy);
  }

  get symbol(): number {
    return this.table.symbols[this.state];
  }

  /** Bits that the next state takes. */
  get needed(): number {
    return this.table.bits[this.state];
  }

  advance(): void {
    const { table, state } = this;
    this.state = table.bases[state] + this.bits.read(table.bits[state]);
  }
}
