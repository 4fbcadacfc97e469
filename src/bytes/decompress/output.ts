/** What a decoder writes into: as many bytes as it should be, and not one more. */
import { ImageError } from "../cursor";

export class Output {
  readonly bytes: Uint8Array;
  /** Bytes written so far. */
  length = 0;

  /** @param size bytes, checked by the caller to be no absurd number */
  constructor(readonly size: number) {
    this.bytes = new Uint8Array(size);
  }

  /** @throws ImageError where `count` more bytes are more than it should be */
  need(count: number): void {
    if (this.length + count > this.size) {
      throw new ImageError(
        `the compressed data is corrupt: it holds more than the ${this.size} bytes that it should`,
      );
    }
  }

  /** @throws ImageError as `need` */
  append(bytes: Uint8Array): void {
    this.need(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
}

/** The error of a decoder whose input makes no sense. @param what the format and what is wrong with it */
export function corrupt(what: string): ImageError {
  return new ImageError(`the compressed data is corrupt: ${what}`);
}
