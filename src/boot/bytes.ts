/** Little-endian structures for guest memory, and text in them. */
import { UsageError } from "./errors";

/** Bytes that are filled in by offset, as the headers of boot protocols are described. */
export class Struct {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  u8(offset: number, value: number): void {
    this.view.setUint8(offset, value);
  }

  u16(offset: number, value: number): void {
    this.view.setUint16(offset, value, true);
  }

  /** Takes the low 32 bits of an integer below 2^53. */
  u32(offset: number, value: number): void {
    this.view.setUint32(offset, value % 2 ** 32, true);
  }

  /** @param value below 2^53 */
  u64(offset: number, value: number): void {
    this.view.setBigUint64(offset, BigInt(value), true);
  }
}

/**
 * Text as guests take it: UTF-8 with a NUL behind it.
 * @param limit bytes at most, the NUL included
 * @throws UsageError where it is longer or holds a NUL itself
 */
export function cString(text: string, what: string, limit: number): Uint8Array {
  if (text.includes("\0")) throw new UsageError(`${what} holds a NUL character, which would end it`);
  const bytes = [...encodeUtf8(text), 0];
  if (bytes.length > limit) {
    throw new UsageError(`${what} is ${bytes.length - 1} bytes long, but at most ${limit - 1} are possible`);
  }
  return Uint8Array.from(bytes);
}

function encodeUtf8(text: string): number[] {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), continuation(code));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), continuation(code >> 6), continuation(code));
    else {
      bytes.push(0xf0 | (code >> 18), continuation(code >> 12), continuation(code >> 6), continuation(code));
    }
  }
  return bytes;
}

function continuation(bits: number): number {
  return 0x80 | (bits & 0x3f);
}
