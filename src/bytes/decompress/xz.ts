/**
 * The .xz container (The .xz File Format, 1.1.0) with what kernels use of it: LZMA2, the x86 filter, and a CRC-32 or
 * no check.
 */
import { Cursor, ImageError } from "../cursor";
import { decodeBcjX86 } from "./bcjX86";
import { crc32 } from "./crc32";
import { decodeLzma2 } from "./lzma2";
import { corrupt, type Output } from "./output";

const HEADER_SIZE = 12;
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
const CHECK_NONE = 0;
const CHECK_CRC32 = 1;

/** @throws ImageError where the input is corrupt, holds more than the output takes, or needs what is not supported */
export function decodeXz(input: Uint8Array, output: Output): void {
  const cursor = new Cursor(input, "the xz stream", 6);
  const flags = cursor.slice(2);
  checkCrc(flags, cursor.u32(), "stream header");
  const check = flags[1];
  if (flags[0] !== 0 || (check !== CHECK_NONE && check !== CHECK_CRC32)) {
    throw new ImageError("the kernel's xz stream has a check other than CRC-32, which is not supported");
  }
  for (;;) {
    const start = cursor.position;
    const size = cursor.u8();
    // The index begins with a 0, where a block has the size of its header.
    if (size === 0) break;
    cursor.position = start;
    decodeBlock(cursor, (size + 1) * 4, check === CHECK_CRC32, output);
  }
  const footer = input.subarray(-2);
  if (cursor.remaining < HEADER_SIZE || footer[0] !== 0x59 || footer[1] !== 0x5a) {
    throw corrupt("its xz stream has no footer");
  }
}

function decodeBlock(cursor: Cursor, headerSize: number, checked: boolean, output: Output): void {
  const header = cursor.slice(headerSize - 4);
  checkCrc(header, cursor.u32(), "block header");
  const filters = readFilters(header);
  const from = output.length;
  const dataStart = cursor.position;
  decodeLzma2(cursor, output);
  const data = output.bytes.subarray(from, output.length);
  if (filters.x86Start !== undefined) decodeBcjX86(data, filters.x86Start);
  cursor.skip((4 - ((cursor.position - dataStart) % 4)) % 4);
  if (checked) checkCrc(data, cursor.u32(), "block");
}

function checkCrc(bytes: Uint8Array, expected: number, what: string): void {
  if (crc32(bytes) !== expected) throw corrupt(`the CRC of its xz ${what} is wrong`);
}

/** What is done behind LZMA2, in the order of the header: x86, LZMA2. */
function readFilters(header: Uint8Array): { x86Start: number | undefined } {
  const cursor = new Cursor(header, "the xz block header", 1);
  const flags = cursor.u8();
  if ((flags & 0x40) !== 0) vli(cursor);
  if ((flags & 0x80) !== 0) vli(cursor);
  let x86Start: number | undefined;
  const count = (flags & 3) + 1;
  for (let index = 0; index < count; index++) {
    const id = vli(cursor);
    const properties = new Cursor(cursor.slice(vli(cursor)), "the properties of an xz filter");
    const last = index === count - 1;
    if (id === FILTER_LZMA2 && last) continue;
    if (id !== FILTER_X86 || last || x86Start !== undefined) {
      throw new ImageError(
        `the kernel's xz stream has a filter ${id} at place ${index}, which is not supported`,
      );
    }
    x86Start = properties.remaining === 0 ? 0 : properties.u32();
  }
  return { x86Start };
}

/** A multibyte integer (section 1.2) of up to 63 bits; beyond 2^53 it is rounded, and no header is that long. */
function vli(cursor: Cursor): number {
  let value = 0;
  for (let factor = 1; factor <= 2 ** 56; factor *= 128) {
    const byte = cursor.u8();
    value += (byte & 0x7f) * factor;
    if ((byte & 0x80) === 0) return value;
  }
  throw corrupt("an integer of its xz stream is too long");
}
