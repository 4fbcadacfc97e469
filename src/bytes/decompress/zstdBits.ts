/** Bits of Zstandard's entropy coders (RFC 8878, 4): read backwards from a final 1 bit. */
import { corrupt } from "./output";

export class BackwardBits {
  /** Bits left; negative where more were read than there are, which read as 0. */
  left: number;

  /** @throws ImageError where there is no final 1 bit */
  constructor(private readonly bytes: Uint8Array) {
    const last = bytes.length === 0 ? 0 : bytes[bytes.length - 1];
    if (last === 0) throw corrupt("a zstd bit stream has no end");
    this.left = bytes.length * 8 - 8 + (31 - Math.clz32(last));
  }

  /** @param count at most 25 */
  read(count: number): number {
    this.left -= count;
    return this.at(this.left, count);
  }

  /** The next bits, which stay. */
  peek(count: number): number {
    return this.at(this.left - count, count);
  }

  private at(position: number, count: number): number {
    if (count === 0) return 0;
    if (position < 0) return position <= -count ? 0 : this.at(0, count + position) << -position;
    const { bytes } = this;
    const byte = position >>> 3;
    const word = bytes[byte] | (bytes[byte + 1] << 8) | (bytes[byte + 2] << 16) | (bytes[byte + 3] << 24);
    return (word >>> (position & 7)) & (2 ** count - 1);
  }
}
