/**
 * The tokens that kallsyms compresses names with: 256 strings, each ended by a zero byte, one after another; behind
 * them, aligned to a pointer, their 256 offsets of 16 bits. The offsets can be told from anything else: the first is
 * 0, and before each of the others the table has the zero byte that ends the token before.
 */

const TOKENS = 256;
const INDEX_BYTES = 2 * TOKENS;
/** Bytes of the longest token that is believed; real ones have some 20. */
const LONGEST_TOKEN = 512;
/** Tables that are looked at more closely; a kernel has some that rise, and one that fits. */
const MOST_CANDIDATES = 1000;

export interface TokenTable {
  /** Where the first token is, in bytes of what was searched. */
  readonly start: number;
  /** The first byte behind the index. */
  readonly end: number;
  /** The bytes of each token, without the zero. */
  readonly tokens: readonly Uint8Array[];
}

/** All places that have the form of a token table with its index, rising; there is one in a kernel. */
export function* findTokens(bytes: Uint8Array, pointer: 4 | 8): Generator<TokenTable> {
  const last = bytes.length - INDEX_BYTES;
  for (let at = 0, left = MOST_CANDIDATES; at <= last && left > 0; at += 4) {
    // The first offset is 0; the second one at least 2, since a token has a byte and its zero, and small.
    if (bytes[at] !== 0 || bytes[at + 1] !== 0 || bytes[at + 2] < 2 || bytes[at + 3] !== 0) continue;
    if (!rises(bytes, at)) continue;
    left--;
    const start = startOfTokens(bytes, at, pointer);
    if (start !== undefined) yield { start, end: at + INDEX_BYTES, tokens: tokensOf(bytes, start, at) };
  }
}

function offsetAt(bytes: Uint8Array, index: number, token: number): number {
  return bytes[index + 2 * token] | (bytes[index + 2 * token + 1] << 8);
}

function rises(bytes: Uint8Array, index: number): boolean {
  for (let token = 1, before = 0; token < TOKENS; token++) {
    const offset = offsetAt(bytes, index, token);
    if (offset < before + 2) return false;
    before = offset;
  }
  return true;
}

/** The place before the index from which all its offsets lead behind zero bytes; undefined where there is none. */
function startOfTokens(bytes: Uint8Array, index: number, pointer: number): number | undefined {
  const lastOffset = offsetAt(bytes, index, TOKENS - 1);
  for (let padding = 0; padding < pointer; padding++) {
    // The zero that ends the last token, then the padding.
    const zero = index - 1 - padding;
    if (zero < 0 || bytes[zero] !== 0) return undefined;
    for (let length = 1; length <= LONGEST_TOKEN; length++) {
      const start = zero - length - lastOffset;
      if (start < 0 || bytes[start + lastOffset] === 0) break;
      if (start % 4 === 0 && bytes[start + lastOffset - 1] === 0 && fits(bytes, start, index)) return start;
    }
  }
  return undefined;
}

function fits(bytes: Uint8Array, start: number, index: number): boolean {
  for (let token = 0; token < TOKENS; token++) {
    const offset = offsetAt(bytes, index, token);
    if (bytes[start + offset] === 0) return false;
    if (token > 0 && bytes[start + offset - 1] !== 0) return false;
    const next = token + 1 < TOKENS ? offsetAt(bytes, index, token + 1) : offset + 2;
    for (let at = offset; at < next - 1; at++) if (bytes[start + at] === 0) return false;
  }
  return true;
}

function tokensOf(bytes: Uint8Array, start: number, index: number): Uint8Array[] {
  return Array.from({ length: TOKENS }, (_, token) => {
    const from = start + offsetAt(bytes, index, token);
    return bytes.subarray(from, bytes.indexOf(0, from));
  });
}
