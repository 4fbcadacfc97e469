/**
 * Sections that are compressed in the file (System V ABI, "Section Compression": SHF_COMPRESSED, Elf32_Chdr and
 * Elf64_Chdr). The header declares how long the contents are; no more than that is ever made of them.
 */
import { Unzlib } from "fflate";
import { Cursor, ImageError } from "../bytes/cursor";
import { Output } from "../bytes/decompress/output";
import { decodeZstd } from "../bytes/decompress/zstd";

const ELFCOMPRESS_ZLIB = 1;
const ELFCOMPRESS_ZSTD = 2;

/** The longest contents that are made: a distribution kernel's largest section has some 180 MiB. */
const LONGEST = 2 ** 31 - 1;
/** zlib's format cannot do better than 1032 to 1, zstd's can; what claims more than this is no debugging information. */
const BEST_RATIO = 2000;
/** What is given to a decompressor at a time: bounds what it makes before it is looked at. */
const PIECE = 64 * 1024;

/**
 * The contents of a compressed section.
 * @param bytes the section as it stands in the file, with its compression header
 * @param is64 ELFCLASS64
 * @param name of the section, for messages
 * @throws ImageError where the header or the compressed data is malformed, the method is unknown, or the contents
 *   are not as long as declared
 */
export function decompressSection(bytes: Uint8Array, is64: boolean, name: string): Uint8Array {
  const cursor = new Cursor(bytes, `the compression header of section ${name}`);
  const method = cursor.u32();
  if (is64) cursor.skip(4);
  const size = is64 ? Number(cursor.u64()) : cursor.u32();
  cursor.skip(is64 ? 8 : 4);
  const data = cursor.slice(cursor.remaining);
  if (method !== ELFCOMPRESS_ZLIB && method !== ELFCOMPRESS_ZSTD) {
    throw new ImageError(`section ${name} is compressed by method ${method}, neither zlib (1) nor zstd (2)`);
  }
  if (size > LONGEST || size > data.length * BEST_RATIO) {
    throw new ImageError(
      `section ${name} claims ${size} bytes of contents in ${data.length} compressed ones`,
    );
  }
  const contents = new Output(size);
  try {
    if (method === ELFCOMPRESS_ZLIB) inflate(data, contents);
    else decodeZstd(data, contents);
  } catch (error) {
    throw new ImageError(`section ${name} cannot be decompressed: ${messageOf(error)}`);
  }
  if (contents.length === size) return contents.bytes;
  throw new ImageError(`section ${name} declares ${size} bytes, but only ${contents.length} come out of it`);
}

function inflate(data: Uint8Array, contents: Output): void {
  const stream = new Unzlib((piece) => contents.append(piece));
  for (let at = 0; at < data.length || at === 0; at += PIECE) {
    stream.push(data.subarray(at, at + PIECE), at + PIECE >= data.length);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
