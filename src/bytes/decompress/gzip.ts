/** gzip (RFC 1952), inflated in pieces, so that a bomb is noticed before it fills memory. */
import { Gunzip } from "fflate";
import { Cursor, ImageError } from "../cursor";
import { crc32 } from "./crc32";
import { corrupt, type Output } from "./output";

/** A piece of input makes at most a thousand times as much output. */
const PIECE = 16 * 1024;
const TRAILER_SIZE = 8;

/** @throws ImageError where the input is corrupt or holds more than the output takes */
export function decodeGzip(input: Uint8Array, output: Output): void {
  const stream = new Gunzip((chunk) => output.append(chunk));
  try {
    for (let at = 0; at < input.length; at += PIECE) {
      stream.push(input.subarray(at, at + PIECE), at + PIECE >= input.length);
    }
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw corrupt(`gzip says "${error instanceof Error ? error.message : String(error)}"`);
  }
  const trailer = new Cursor(input, "the gzip trailer", input.length - TRAILER_SIZE);
  if (trailer.u32() !== crc32(output.bytes.subarray(0, output.length))) {
    throw corrupt("the CRC of its gzip stream is wrong");
  }
}
