/**
 * The names of kallsyms: how many there are, in a field as wide as a pointer, then each as its length and as many
 * token numbers. A length of 128 and more has its low seven bits first, with bit 7 set, and the rest in a second byte
 * ("big symbols", since Linux 6.1). The first character that comes out is the symbol's type, as nm has it. Behind
 * them, aligned to a pointer, stand the offsets of every 256th name, in 32 bits or, before Linux 4.20, a pointer's
 * width: they tell the table from anything else.
 */
import type { TokenTable } from "./tokens";

const STRIDE = 256;
/** Fewer symbols has no kernel, and more than these neither. */
const LEAST = 64;
const MOST = 4_000_000;
/** Bytes before the tokens in which the names are looked for. */
const FARTHEST = 256 * 1024 * 1024;
/** Places and names that the search for one image looks at, all attempts together. */
export const SEARCH_STEPS = 200_000_000;
/** Entries that are looked at before a candidate is walked whole. */
const SAMPLE = 8;

export interface NameTable {
  readonly count: number;
  /** Where the count stands. */
  readonly countAt: number;
  /** Where the first name begins. */
  readonly start: number;
  /** The first byte behind the last name. */
  readonly end: number;
}

/**
 * The names that belong to a table of tokens behind them; undefined where there are none.
 * @param work what of SEARCH_STEPS is left; what is done is taken from it
 */
export function findNames(
  bytes: Uint8Array,
  tokens: TokenTable,
  pointer: 4 | 8,
  work: { steps: number },
): NameTable | undefined {
  const types = typeTokens(tokens);
  const lowest = Math.max(0, tokens.start - FARTHEST);
  for (let at = tokens.start - pointer - LEAST; at >= lowest && work.steps-- > 0; at -= 4) {
    const count = countAt(bytes, at, pointer, (tokens.start - at) / 2);
    if (count === undefined || !beginsWithTypes(bytes, at + pointer, types)) continue;
    const walk = walkNames(bytes, at + pointer, tokens.start, count, types);
    work.steps -= walk.walked;
    if (walk.end === undefined || !hasMarkers(bytes, walk.end, tokens.start, walk.markers, pointer)) continue;
    return { count, countAt: at, start: at + pointer, end: walk.end };
  }
  return undefined;
}

/** The length of the name at a place, and how many bytes tell it. */
export function lengthAt(bytes: Uint8Array, at: number): { length: number; size: 1 | 2 } {
  const first = bytes[at];
  return first < 0x80
    ? { length: first, size: 1 }
    : { length: (first & 0x7f) | ((bytes[at + 1] ?? 0) << 7), size: 2 };
}

function countAt(bytes: Uint8Array, at: number, pointer: number, most: number): number | undefined {
  if (bytes[at + 3] !== 0) return undefined;
  const count = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
  if (count < LEAST || count > MOST || count > most) return undefined;
  if (pointer === 8 && (bytes[at + 4] | bytes[at + 5] | bytes[at + 6] | bytes[at + 7]) !== 0)
    return undefined;
  return count;
}

/** Whether a token begins with a letter, as the type of a symbol does. */
function typeTokens({ tokens }: TokenTable): Uint8Array {
  const isLetter = (code: number) => (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
  return Uint8Array.from(tokens, (token) => (isLetter(token[0]) ? 1 : 0));
}

function beginsWithTypes(bytes: Uint8Array, start: number, types: Uint8Array): boolean {
  for (let at = start, left = SAMPLE; left > 0; left--) {
    const { length, size } = lengthAt(bytes, at);
    if (length === 0 || types[bytes[at + size]] !== 1) return false;
    at += size + length;
  }
  return true;
}

function walkNames(bytes: Uint8Array, start: number, limit: number, count: number, types: Uint8Array) {
  const markers: number[] = [];
  let at = start;
  for (let index = 0; index < count; index++) {
    if (index % STRIDE === 0) markers.push(at - start);
    const { length, size } = lengthAt(bytes, at);
    if (length === 0 || at + size + length > limit || types[bytes[at + size]] !== 1) {
      return { end: undefined, markers, walked: index + 1 };
    }
    at += size + length;
  }
  return { end: at, markers, walked: count };
}

function hasMarkers(
  bytes: Uint8Array,
  end: number,
  limit: number,
  markers: readonly number[],
  pointer: 4 | 8,
): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = Math.ceil(end / pointer) * pointer;
  return [4, pointer].some((width) => {
    if (at + markers.length * width > limit) return false;
    return markers.every((marker, index) => {
      const place = at + index * width;
      return view.getUint32(place, true) === marker && (width === 4 || view.getUint32(place + 4, true) === 0);
    });
  });
}
