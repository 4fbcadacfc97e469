/** .lzma files ("LZMA Specification", section "LZMA file format"): properties, dictionary size, size, data. */
import { Cursor } from "../cursor";
import { LzmaDecoder, lzmaProperties } from "./lzmaDecoder";
import { corrupt, type Output } from "./output";

const UNKNOWN_SIZE = 2n ** 64n - 1n;
const HEADER_SIZE = 13;

/** @throws ImageError where the input is corrupt or does not hold as much as the output takes */
export function decodeLzma(input: Uint8Array, output: Output): void {
  const cursor = new Cursor(input, "the LZMA header");
  const properties = lzmaProperties(cursor.u8());
  cursor.skip(4);
  const size = cursor.u64();
  if (size !== UNKNOWN_SIZE && size !== BigInt(output.size)) {
    throw corrupt(`its LZMA header promises ${size} bytes, but the image ${output.size}`);
  }
  const decoder = new LzmaDecoder(output);
  decoder.resetState(properties);
  decoder.begin(input.subarray(HEADER_SIZE));
  const ended = decoder.decode(output.size);
  if (size === UNKNOWN_SIZE && !ended && !decoder.endMarker()) {
    throw corrupt("LZMA data go on where they should end");
  }
}
