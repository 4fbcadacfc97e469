/**
 * Zstandard (RFC 8878). Section numbers are the RFC's. The output itself is the window, since all of it is kept; every
 * sequence is checked against the room left, so that the work is bounded by the sizes of input and output.
 */
import { Cursor, ImageError } from "../cursor";
import { corrupt, type Output } from "./output";
import { BackwardBits } from "./zstdBits";
import { buildFse, FseState, type FseTable, readFse, singleSymbol } from "./zstdFse";
import { decodeHuffman, type HuffmanTable, readHuffman } from "./zstdHuffman";

const MAGIC = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const LARGEST_BLOCK = 128 * 1024;
const RAW = 0;
const RLE = 1;
const COMPRESSED = 2;

/** 3.1.1.3.2.1.1: extra bits by code, and what they are added to. */
const LITERAL_BITS = [
  ...Array<number>(16).fill(0),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  6,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
];
const MATCH_BITS = [
  ...Array<number>(32).fill(0),
  ...[1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
];
const LITERAL_BASES = basesFrom(LITERAL_BITS, 0);
const MATCH_BASES = basesFrom(MATCH_BITS, 3);
const LARGEST_OFFSET_CODE = 31;

function basesFrom(bits: readonly number[], first: number): number[] {
  let base = first;
  return bits.map((count) => {
    const here = base;
    base += 2 ** count;
    return here;
  });
}

/** A kind of code: how exact its tables may be, its largest symbol, its predefined table (3.1.1.3.2.2). */
interface CodeKind {
  accuracy: number;
  largest: number;
  predefined: FseTable;
}

const LITERAL_LENGTHS: CodeKind = {
  accuracy: 9,
  largest: 35,
  predefined: buildFse(
    [
      ...[4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1],
      ...[-1, -1, -1, -1],
    ],
    6,
  ),
};
const OFFSETS: CodeKind = {
  accuracy: 8,
  largest: LARGEST_OFFSET_CODE,
  predefined: buildFse(
    [1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    5,
  ),
};
const MATCH_LENGTHS: CodeKind = {
  accuracy: 9,
  largest: 52,
  predefined: buildFse(
    [
      ...[1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
      ...[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1],
    ],
    6,
  ),
};

/** What blocks of a frame hand on to each other. */
interface Frame {
  /** Where in the output the frame begins. */
  readonly start: number;
  huffman: HuffmanTable | undefined;
  tables: { literal: FseTable; offset: FseTable; match: FseTable } | undefined;
  repeated: [number, number, number];
}

/** @throws ImageError where the input is corrupt, holds more than the output takes, or wants a dictionary */
export function decodeZstd(input: Uint8Array, output: Output): void {
  const cursor = new Cursor(input, "the zstd frame");
  while (cursor.remaining > 0) {
    const magic = cursor.u32();
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) cursor.skip(cursor.u32());
    else if (magic === MAGIC) decodeFrame(cursor, output);
    else throw corrupt("a zstd frame has no magic number");
  }
}

function decodeFrame(cursor: Cursor, output: Output): void {
  const descriptor = cursor.u8();
  const single = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) throw corrupt("a reserved bit of its zstd header is set");
  if (!single) cursor.skip(1);
  if ((descriptor & 3) !== 0)
    throw new ImageError("the kernel's zstd stream wants a dictionary, which it does not bring");
  const sizeFlag = descriptor >> 6;
  cursor.skip(sizeFlag === 0 ? (single ? 1 : 0) : 1 << sizeFlag);
  const frame: Frame = { start: output.length, huffman: undefined, tables: undefined, repeated: [1, 4, 8] };
  for (let last = false; !last; ) {
    const header = cursor.u8() | (cursor.u8() << 8) | (cursor.u8() << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (size > LARGEST_BLOCK) throw corrupt("a zstd block is larger than 128 KiB");
    if (type === RAW) output.append(cursor.slice(size));
    else if (type === RLE) {
      output.need(size);
      output.bytes.fill(cursor.u8(), output.length, output.length + size);
      output.length += size;
    } else if (type === COMPRESSED) decodeBlock(cursor.slice(size), frame, output);
    else throw corrupt("a zstd block is of the reserved type");
  }
  if ((descriptor & 4) !== 0) cursor.skip(4);
}

function decodeBlock(block: Uint8Array, frame: Frame, output: Output): void {
  const cursor = new Cursor(block, "a zstd block");
  const literals = readLiterals(cursor, frame);
  const first = cursor.u8();
  const count =
    first < 128
      ? first
      : first < 255
        ? ((first - 128) << 8) + cursor.u8()
        : cursor.u8() + (cursor.u8() << 8) + 0x7f00;
  const used = count === 0 ? 0 : runSequences(cursor, count, literals, frame, output);
  output.append(literals.subarray(used));
}

/** 3.1.1.3.1 */
function readLiterals(cursor: Cursor, frame: Frame): Uint8Array {
  const first = cursor.u8();
  const type = first & 3;
  const format = (first >> 2) & 3;
  if (type <= RLE) {
    const more = format === 1 ? 1 : format === 3 ? 2 : 0;
    const shift = more === 0 ? 3 : 4;
    const size = littleEndian(cursor, first, more) >>> shift;
    if (size > LARGEST_BLOCK) throw corrupt("the literals of a zstd block are larger than 128 KiB");
    return type === RAW ? cursor.slice(size) : new Uint8Array(size).fill(cursor.u8());
  }
  const streams = format === 0 ? 1 : 4;
  const width = format < 2 ? 10 : format === 2 ? 14 : 18;
  const sizes = littleEndian(cursor, first, format < 2 ? 2 : format === 2 ? 3 : 4);
  const size = Math.floor(sizes / 16) % 2 ** width;
  const packed = new Cursor(
    cursor.slice(Math.floor(sizes / 2 ** (4 + width))),
    "the literals of a zstd block",
  );
  if (size > LARGEST_BLOCK) throw corrupt("the literals of a zstd block are larger than 128 KiB");
  if (type === COMPRESSED) {
    const { table, size: described } = readHuffman(packed.bytes);
    frame.huffman = table;
    packed.skip(described);
  }
  if (frame.huffman === undefined) throw corrupt("a zstd block repeats a Huffman tree that there is not");
  return decodeStreams(packed, frame.huffman, streams, size);
}

/** An integer of 1 + `more` bytes, of which the first is read already; up to 40 bits. */
function littleEndian(cursor: Cursor, first: number, more: number): number {
  let value = first;
  for (let i = 1; i <= more; i++) value += cursor.u8() * 2 ** (8 * i);
  return value;
}

function decodeStreams(packed: Cursor, table: HuffmanTable, streams: number, size: number): Uint8Array {
  const literals = new Uint8Array(size);
  const lengths = streams === 1 ? [] : [packed.u16(), packed.u16(), packed.u16()];
  const share = streams === 1 ? size : (size + 3) >> 2;
  if (share * (streams - 1) > size)
    throw corrupt("the literals of a zstd block are too few for four streams");
  for (let stream = 0; stream < streams; stream++) {
    const bytes = packed.slice(stream < streams - 1 ? lengths[stream] : packed.remaining);
    decodeHuffman(
      bytes,
      table,
      literals.subarray(stream * share, stream < streams - 1 ? (stream + 1) * share : size),
    );
  }
  return literals;
}

/** 3.1.1.3.2; carries out the sequences. @returns how many literals they used */
function runSequences(
  cursor: Cursor,
  count: number,
  literals: Uint8Array,
  frame: Frame,
  output: Output,
): number {
  const modes = cursor.u8();
  const before = frame.tables;
  const tables = {
    literal: readTable(cursor, modes >> 6, LITERAL_LENGTHS, before?.literal),
    offset: readTable(cursor, (modes >> 4) & 3, OFFSETS, before?.offset),
    match: readTable(cursor, (modes >> 2) & 3, MATCH_LENGTHS, before?.match),
  };
  frame.tables = tables;
  const bits = new BackwardBits(cursor.slice(cursor.remaining));
  const literalState = new FseState(tables.literal, bits);
  const offsetState = new FseState(tables.offset, bits);
  const matchState = new FseState(tables.match, bits);
  const blockEnd = output.length + LARGEST_BLOCK;
  let used = 0;
  for (let index = 0; index < count; index++) {
    const offsetCode = offsetState.symbol;
    const value =
      2 ** offsetCode +
      (offsetCode > 16 ? bits.read(offsetCode - 16) * 65536 + bits.read(16) : bits.read(offsetCode));
    const length = MATCH_BASES[matchState.symbol] + bits.read(MATCH_BITS[matchState.symbol]);
    const run = LITERAL_BASES[literalState.symbol] + bits.read(LITERAL_BITS[literalState.symbol]);
    const distance = distanceOf(value, run, frame.repeated);
    if (used + run > literals.length) throw corrupt("a zstd block has fewer literals than it uses");
    output.append(literals.subarray(used, used + run));
    used += run;
    copy(output, distance, length, frame.start);
    if (output.length > blockEnd) throw corrupt("a zstd block is larger than 128 KiB");
    if (index < count - 1) {
      literalState.advance();
      matchState.advance();
      offsetState.advance();
    }
    if (bits.left < 0) throw corrupt("the sequences of a zstd block end too early");
  }
  if (bits.left !== 0) throw corrupt("the sequences of a zstd block do not end where they should");
  return used;
}

const PREDEFINED = 0;
const FSE_COMPRESSED = 2;

function readTable(cursor: Cursor, mode: number, kind: CodeKind, before: FseTable | undefined): FseTable {
  if (mode === PREDEFINED) return kind.predefined;
  if (mode === RLE) {
    const symbol = cursor.u8();
    if (symbol > kind.largest) throw corrupt("a zstd table has a symbol that does not exist");
    return singleSymbol(symbol);
  }
  if (mode === FSE_COMPRESSED) {
    const { table, size } = readFse(cursor.bytes.subarray(cursor.position), kind.accuracy, kind.largest);
    cursor.skip(size);
    return table;
  }
  if (before === undefined) throw corrupt("a zstd block repeats a table that there is not");
  return before;
}

/** 3.1.2.5: 1 to 3 stand for the last distances, moved by one where there are no literals. */
function distanceOf(value: number, run: number, repeated: [number, number, number]): number {
  if (value > 3) {
    repeated[2] = repeated[1];
    repeated[1] = repeated[0];
    repeated[0] = value - 3;
    return repeated[0];
  }
  const which = value - 1 + (run === 0 ? 1 : 0);
  if (which === 0) return repeated[0];
  const distance = which === 3 ? repeated[0] - 1 : repeated[which];
  if (which !== 1) repeated[2] = repeated[1];
  repeated[1] = repeated[0];
  repeated[0] = distance;
  return distance;
}

function copy(output: Output, distance: number, length: number, start: number): void {
  if (distance < 1 || distance > output.length - start)
    throw corrupt("a zstd match refers to bytes before its frame");
  output.need(length);
  const { bytes } = output;
  const end = output.length + length;
  // Byte by byte: a match may overlap what it makes.
  for (let to = output.length; to < end; to++) bytes[to] = bytes[to - distance];
  output.length = end;
}
