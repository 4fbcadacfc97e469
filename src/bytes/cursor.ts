/** Bounds-checked little-endian reading of untrusted bytes; a cursor remembers what it reads and where it is. */

/** An image that cannot be used. The message is one sentence: which part of the file, and what is wrong with it. */
export class ImageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ImageError";
  }
}

/** A number in messages: 0x and lower-case hexadecimal digits. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

export class Cursor {
  private readonly view: DataView;

  /**
   * @param what the structure that is read, for messages: "the ELF header"
   * @param position offset of the next byte read
   */
  constructor(
    readonly bytes: Uint8Array,
    readonly what: string,
    public position = 0,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  /** @throws ImageError, as do all reads, where the bytes end first */
  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  /** The next bytes, not copied. */
  slice(length: number): Uint8Array {
    const at = this.take(length);
    return this.bytes.subarray(at, at + length);
  }

  skip(length: number): void {
    this.take(length);
  }

  private take(length: number): number {
    const at = this.position;
    if (!(at >= 0 && length >= 0 && at + length <= this.bytes.length)) {
      throw new ImageError(
        `${this.what}: more bytes are expected at offset ${hex(at)}, but there are only ${hex(this.bytes.length)} bytes: ` +
          "truncated or corrupt",
      );
    }
    this.position = at + length;
    return at;
  }
}
