/** Zstandard (RFC 8878). */
import { decompress } from "fzstd";
import { corrupt, type Output } from "./output";

/** @throws ImageError where the input is corrupt or holds more than the output takes */
export function decodeZstd(input: Uint8Array, output: Output): void {
  let decoded: Uint8Array;
  try {
    decoded = decompress(input, output.bytes);
  } catch (error) {
    throw corrupt(`zstd says "${error instanceof Error ? error.message : String(error)}"`);
  }
  output.length = decoded.length;
}
