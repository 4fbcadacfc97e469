/**
 * bzip2 ("BZIP2: Format Specification", J. Tsai): blocks of a Burrows-Wheeler transform behind move-to-front, runs
 * and Huffman codes. All is read bit by bit, the highest bit of a byte first.
 */
import { corrupt, type Output } from "./output";

const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;
const BLOCK_UNIT = 100_000;
const GROUP_SIZE = 50;
const LONGEST_CODE = 20;
/** A run is four equal bytes and a count. */
const RUN_START = 4;

class BitReader {
  private at = 0;
  private held = 0;
  private count = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** @param count at most 24 */
  bits(count: number): number {
    while (this.count < count) {
      if (this.at >= this.bytes.length) throw corrupt("its bzip2 stream ends too early");
      this.held = ((this.held & 0xffffff) << 8) | this.bytes[this.at++];
      this.count += 8;
    }
    this.count -= count;
    return (this.held >>> this.count) & (2 ** count - 1);
  }

  bit(): number {
    return this.bits(1);
  }
}

/** @throws ImageError where the input is corrupt or holds more than the output takes */
export function decodeBzip2(input: Uint8Array, output: Output): void {
  const reader = new BitReader(input);
  reader.bits(24);
  const level = reader.bits(8) - 0x30;
  if (level < 1 || level > 9) throw corrupt("its bzip2 header names no block size");
  const table = new Uint32Array(level * BLOCK_UNIT);
  let combined = 0;
  for (;;) {
    const high = reader.bits(24);
    const low = reader.bits(24);
    const crc = ((reader.bits(16) << 16) | reader.bits(16)) >>> 0;
    if (high === END_MAGIC[0] && low === END_MAGIC[1]) {
      if (combined !== crc) throw corrupt("the CRC of its bzip2 stream is wrong");
      return;
    }
    if (high !== BLOCK_MAGIC[0] || low !== BLOCK_MAGIC[1]) throw corrupt("a bzip2 block has no magic number");
    const from = output.length;
    decodeBlock(reader, table, output);
    if (blockCrc(output.bytes, from, output.length) !== crc)
      throw corrupt("the CRC of a bzip2 block is wrong");
    combined = (((combined << 1) | (combined >>> 31)) ^ crc) >>> 0;
  }
}

function decodeBlock(reader: BitReader, table: Uint32Array, output: Output): void {
  if (reader.bit() === 1) throw corrupt("a bzip2 block is randomised, as no bzip2 since 0.9.5 makes it");
  const origin = reader.bits(24);
  const alphabet = readAlphabet(reader);
  const symbols = alphabet.length + 2;
  const treeCount = reader.bits(3);
  const selectorCount = reader.bits(15);
  if (treeCount < 2 || treeCount > 6 || selectorCount < 1) throw corrupt("a bzip2 block has no codes");
  const selectors = readSelectors(reader, treeCount, selectorCount);
  const codes = Array.from({ length: treeCount }, () => readCode(reader, symbols));
  const size = readSymbols(reader, { alphabet, selectors, codes }, table);
  if (origin >= size) throw corrupt("a bzip2 block begins outside of itself");
  invert(table, size);
  writeRuns(table, size, origin, output);
}

/** The bytes that occur: 16 bits tell which groups of 16 do, and 16 bits of each of those which members. */
function readAlphabet(reader: BitReader): Uint8Array {
  const groups = reader.bits(16);
  const alphabet: number[] = [];
  for (let group = 0; group < 16; group++) {
    if ((groups & (0x8000 >>> group)) === 0) continue;
    const members = reader.bits(16);
    for (let member = 0; member < 16; member++) {
      if ((members & (0x8000 >>> member)) !== 0) alphabet.push(group * 16 + member);
    }
  }
  if (alphabet.length === 0) throw corrupt("a bzip2 block has no bytes");
  return Uint8Array.from(alphabet);
}

/** Which code each group of 50 symbols has, as places in a move-to-front list. */
function readSelectors(reader: BitReader, treeCount: number, count: number): Uint8Array {
  const order = Uint8Array.from({ length: treeCount }, (_, index) => index);
  return Uint8Array.from({ length: count }, () => {
    let place = 0;
    while (reader.bit() === 1) {
      if (++place >= treeCount) throw corrupt("a bzip2 block uses a code that it does not have");
    }
    return moveToFront(order, place);
  });
}

function moveToFront(list: Uint8Array, place: number): number {
  const value = list[place];
  list.copyWithin(1, 0, place);
  list[0] = value;
  return value;
}

/** A canonical Huffman code: by length the highest code less one's place in `symbols`. */
interface Code {
  limits: Int32Array;
  offsets: Int32Array;
  symbols: Uint16Array;
}

function readCode(reader: BitReader, count: number): Code {
  const lengths = new Uint8Array(count);
  let length = reader.bits(5);
  for (let symbol = 0; symbol < count; symbol++) {
    for (;;) {
      if (length < 1 || length > LONGEST_CODE) throw corrupt("a bzip2 code is longer than 20 bits");
      if (reader.bit() === 0) break;
      length += reader.bit() === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  const limits = new Int32Array(LONGEST_CODE + 1).fill(-1);
  const offsets = new Int32Array(LONGEST_CODE + 1);
  const symbols: number[] = [];
  let next = 0;
  for (let bits = 1; bits <= LONGEST_CODE; bits++) {
    next <<= 1;
    offsets[bits] = symbols.length - next;
    for (let symbol = 0; symbol < count; symbol++) {
      if (lengths[symbol] !== bits) continue;
      symbols.push(symbol);
      limits[bits] = next++;
    }
  }
  return { limits, offsets, symbols: Uint16Array.from(symbols) };
}

function readSymbol(reader: BitReader, { limits, offsets, symbols }: Code): number {
  let code = 0;
  for (let bits = 1; bits <= LONGEST_CODE; bits++) {
    code = (code << 1) | reader.bit();
    if (code > limits[bits]) continue;
    const place = code + offsets[bits];
    if (place >= 0 && place < symbols.length) return symbols[place];
  }
  throw corrupt("a bzip2 block holds a code that does not exist");
}

interface BlockCodes {
  alphabet: Uint8Array;
  selectors: Uint8Array;
  codes: readonly Code[];
}

/** Fills the table with the transformed bytes. @returns how many there are */
function readSymbols(
  reader: BitReader,
  { alphabet, selectors, codes }: BlockCodes,
  table: Uint32Array,
): number {
  const order = alphabet.slice();
  const end = alphabet.length + 1;
  let size = 0;
  let run = 0;
  let weight = 1;
  for (let index = 0; ; index++) {
    const group = Math.floor(index / GROUP_SIZE);
    if (group >= selectors.length) throw corrupt("a bzip2 block has more symbols than selectors");
    const symbol = readSymbol(reader, codes[selectors[group]]);
    // 0 and 1 are digits of a run's length, written with the digits 1 and 2.
    if (symbol <= 1) {
      run += weight << symbol;
      weight <<= 1;
      if (size + run > table.length) throw corrupt("a bzip2 block is longer than its size");
      continue;
    }
    table.fill(order[0], size, size + run);
    size += run;
    run = 0;
    weight = 1;
    if (symbol === end) return size;
    if (size >= table.length) throw corrupt("a bzip2 block is longer than its size");
    table[size++] = moveToFront(order, symbol - 1);
  }
}

/** Puts into the upper 24 bits of each entry which entry follows it in the text. */
function invert(table: Uint32Array, size: number): void {
  const starts = new Uint32Array(257);
  for (let at = 0; at < size; at++) starts[(table[at] & 0xff) + 1]++;
  for (let byte = 0; byte < 256; byte++) starts[byte + 1] += starts[byte];
  for (let at = 0; at < size; at++) table[starts[table[at] & 0xff]++] |= at << 8;
}

/** Follows the text from its origin; four equal bytes have the number of further ones behind them. */
function writeRuns(table: Uint32Array, size: number, origin: number, output: Output): void {
  const { bytes } = output;
  let place = table[origin] >>> 8;
  let last = -1;
  let equal = 0;
  for (let index = 0; index < size; index++) {
    const entry = table[place];
    const byte = entry & 0xff;
    place = entry >>> 8;
    if (equal === RUN_START) {
      output.need(byte);
      bytes.fill(last, output.length, output.length + byte);
      output.length += byte;
      equal = 0;
      last = -1;
      continue;
    }
    equal = byte === last ? equal + 1 : 1;
    last = byte;
    output.need(1);
    bytes[output.length++] = byte;
  }
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit++) value = value < 0 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value;
});

/** The CRC-32 of bzip2, which is not reflected. */
function blockCrc(bytes: Uint8Array, from: number, to: number): number {
  let value = -1;
  for (let at = from; at < to; at++) value = (value << 8) ^ CRC_TABLE[(value >>> 24) ^ bytes[at]];
  return ~value >>> 0;
}
