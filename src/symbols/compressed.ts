/**
 * Sections that are compressed in the file (System V ABI, "Section Compression": SHF_COMPRESSED, Elf32_Chdr and
 * Elf64_Chdr). The header declares how long the contents are; no more than that is ever made of them.
 */
import { Unzlib } from "fflate";
import { Decompress } from "fzstd";
import { Cursor, ImageError } from "./cursor";

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
  const contents = new Contents(size, name);
  try {
    if (method === ELFCOMPRESS_ZLIB) inflate(data, contents);
    else unzstd(data, contents);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw new ImageError(`section ${name} cannot be decompressed: ${messageOf(error)}`);
  }
  return contents.whole();
}

/** The decompressed bytes; as many as were declared, and not one more. */
class Contents {
  private readonly bytes: Uint8Array;
  private filled = 0;

  constructor(
    size: number,
    private readonly name: string,
  ) {
    this.bytes = new Uint8Array(size);
  }

  /** @throws ImageError where more comes than was declared */
  add(piece: Uint8Array): void {
    if (piece.length > this.bytes.length - this.filled) {
      throw new ImageError(
        `section ${this.name} holds more than the ${this.bytes.length} bytes that it declares`,
      );
    }
    this.bytes.set(piece, this.filled);
    this.filled += piece.length;
  }

  /** @throws ImageError where less came than was declared */
  whole(): Uint8Array {
    if (this.filled === this.bytes.length) return this.bytes;
    throw new ImageError(
      `section ${this.name} declares ${this.bytes.length} bytes, but only ${this.filled} come out of it`,
    );
  }
}

function inflate(data: Uint8Array, contents: Contents): void {
  const stream = new Unzlib((piece) => contents.add(piece));
  feed(data, (piece, last) => stream.push(piece, last));
}

function unzstd(data: Uint8Array, contents: Contents): void {
  const stream = new Decompress((piece) => contents.add(piece));
  feed(data, (piece, last) => stream.push(piece, last));
}

function feed(data: Uint8Array, push: (piece: Uint8Array, last: boolean) => void): void {
  for (let at = 0; at < data.length || at === 0; at += PIECE) {
    push(data.subarray(at, at + PIECE), at + PIECE >= data.length);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
