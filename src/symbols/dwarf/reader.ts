/**
 * Reads the encodings of DWARF (DWARF 5, 7.4 to 7.6) from one section: little-endian integers, LEB128, initial
 * lengths, offsets of the 32-bit and 64-bit formats. Every read is checked against the end.
 */

import { decodeUtf8 } from "../utf8";

/** Malformed debugging information. The message says which section, where, and what is wrong with it. */
export class DwarfError extends Error {
  constructor(
    readonly section: string,
    readonly offset: number,
    problem: string,
  ) {
    super(`${section}+0x${offset.toString(16)}: ${problem}`);
    this.name = "DwarfError";
  }
}

/** One section of the file. Absent ones are empty. */
export interface DwarfSection {
  /** With its dot, such as ".debug_line". */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Bytes of an offset into another section: 4 in the 32-bit DWARF format, 8 in the 64-bit format (7.4). */
export type OffsetSize = 4 | 8;

export class DwarfReader {
  private readonly view: DataView;

  /**
   * @param position where to begin, @param end where to stop; offsets into the section
   * @throws DwarfError where the bounds do not lie in the section
   */
  constructor(
    readonly section: DwarfSection,
    public position = 0,
    readonly end = section.bytes.length,
  ) {
    const { buffer, byteOffset, length } = section.bytes;
    if (!(position >= 0 && position <= end && end <= length)) {
      throw new DwarfError(section.name, position, `lies outside of the section (${length} bytes)`);
    }
    this.view = new DataView(buffer, byteOffset, length);
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** A named error at the current position. */
  error(problem: string, at = this.position): DwarfError {
    return new DwarfError(this.section.name, at, problem);
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  s8(): number {
    return this.view.getInt8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  u24(): number {
    const at = this.take(3);
    return this.view.getUint16(at, true) | (this.view.getUint8(at + 2) << 16);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  /** A target address of 4 or 8 bytes. */
  address(size: number): bigint {
    if (size === 8) return this.u64();
    if (size === 4) return BigInt(this.u32());
    throw this.error(`an address size of ${size} bytes is none of x86`);
  }

  /** An offset or length in the unit's format. */
  offset(size: OffsetSize): number {
    if (size === 4) return this.u32();
    const at = this.position;
    return this.exact(this.u64(), at);
  }

  /** The length of what follows and the format that it implies (7.4). */
  initialLength(): { length: number; offsetSize: OffsetSize } {
    const at = this.position;
    const first = this.u32();
    if (first < 0xfffffff0) return { length: first, offsetSize: 4 };
    if (first !== 0xffffffff) throw this.error(`the length 0x${first.toString(16)} is reserved`, at);
    return { length: this.offset(8), offsetSize: 8 };
  }

  /** An unsigned LEB128 (7.6) that must be exact as a number. */
  uleb(): number {
    const at = this.position;
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    this.position = at;
    return this.exact(this.uleb64(), at);
  }

  /** An unsigned LEB128 modulo 2^64. */
  uleb64(): bigint {
    return BigInt.asUintN(64, this.leb().value);
  }

  /** A signed LEB128, as a bigint within 64 bits. */
  sleb64(): bigint {
    const { value, bits, negative } = this.leb();
    return BigInt.asIntN(64, negative ? value - (1n << BigInt(bits)) : value);
  }

  /** A signed LEB128 that must be exact as a number. */
  sleb(): number {
    const at = this.position;
    const value = Number(this.sleb64());
    if (!Number.isSafeInteger(value)) throw this.error("the number is too large here", at);
    return value;
  }

  bytes(length: number): Uint8Array {
    const at = this.take(length);
    return this.section.bytes.subarray(at, at + length);
  }

  skip(length: number): void {
    this.take(length);
  }

  /** A string that ends with a zero byte. */
  string(): string {
    const at = this.position;
    const zero = this.section.bytes.indexOf(0, at);
    if (zero < 0 || zero >= this.end) throw this.error("the string does not end within its section", at);
    this.position = zero + 1;
    return decodeUtf8(this.section.bytes.subarray(at, zero));
  }

  /** The next `length` bytes as a reader of their own; this one goes on behind them. */
  sub(length: number): DwarfReader {
    const at = this.take(length);
    return new DwarfReader(this.section, at, at + length);
  }

  private take(length: number): number {
    const at = this.position;
    if (!(length >= 0 && length <= this.end - at)) {
      throw this.error(`${length} bytes are needed, but ${this.end - at} are left`);
    }
    this.position = at + length;
    return at;
  }

  private exact(value: bigint, at: number): number {
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.error("the number is too large here", at);
    return Number(value);
  }

  /** The bits of a LEB128; more than 10 bytes of it are malformed. */
  private leb(): { value: bigint; bits: number; negative: boolean } {
    const at = this.position;
    let value = 0n;
    for (let bits = 0; bits < 70; ) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << BigInt(bits);
      bits += 7;
      if (byte < 0x80) return { value, bits, negative: (byte & 0x40) !== 0 };
    }
    throw this.error("a LEB128 of more than 10 bytes", at);
  }
}
