/**
 * LZMA2 (The .xz File Format, 5.3.1, names the filter; its chunks): a control byte says whether a chunk is stored or
 * LZMA, and what is reset before it.
 */
import type { Cursor } from "../cursor";
import { LzmaDecoder, lzmaProperties } from "./lzmaDecoder";
import { corrupt, type Output } from "./output";

const END = 0;
const STORED_RESET = 1;
const STORED = 2;
const LZMA = 0x80;

/** What an LZMA chunk resets, in bits 5 and 6 of its control byte. */
const RESET_STATE = 1;
const RESET_PROPERTIES = 2;
const RESET_ALL = 3;
/** lc + lp of LZMA2. */
const MOST_CONTEXT_BITS = 4;

/**
 * Decodes chunks up to the end of the stream; the cursor stands behind it then.
 * @throws ImageError where the input is corrupt or holds more than the output takes
 */
export function decodeLzma2(cursor: Cursor, output: Output): void {
  const decoder = new LzmaDecoder(output);
  // What the first chunks must bring, since there is nothing to go on from.
  let needsDictionary = true;
  let needsProperties = true;
  for (;;) {
    const control = cursor.u8();
    if (control === END) return;
    if (control < LZMA) {
      if (control !== STORED && control !== STORED_RESET) {
        throw corrupt(`an LZMA2 chunk has the control byte ${control}`);
      }
      if (control === STORED_RESET) {
        decoder.resetDictionary();
        needsDictionary = false;
      } else if (needsDictionary) throw corrupt("LZMA2 data begin without a dictionary reset");
      output.append(cursor.slice(bigEndian16(cursor) + 1));
      continue;
    }
    const size = ((control & 0x1f) << 16) + bigEndian16(cursor) + 1;
    const packed = bigEndian16(cursor) + 1;
    const reset = (control >> 5) & 3;
    if (reset === RESET_ALL) {
      decoder.resetDictionary();
      needsDictionary = false;
    } else if (needsDictionary) throw corrupt("LZMA2 data begin without a dictionary reset");
    if (reset >= RESET_PROPERTIES) {
      const properties = lzmaProperties(cursor.u8());
      if (properties.literalContextBits + properties.literalPositionBits > MOST_CONTEXT_BITS) {
        throw corrupt("LZMA2 properties have lc + lp above 4");
      }
      decoder.resetState(properties);
      needsProperties = false;
    } else if (needsProperties) throw corrupt("LZMA2 data begin without properties");
    else if (reset === RESET_STATE) decoder.resetState();
    output.need(size);
    decoder.begin(cursor.slice(packed));
    if (decoder.decode(output.length + size) || !decoder.finished) {
      throw corrupt("an LZMA2 chunk does not end where it should");
    }
  }
}

function bigEndian16(cursor: Cursor): number {
  return (cursor.u8() << 8) | cursor.u8();
}
