/** Sizes and physical addresses as users write them; all are read exactly or refused. */
import { hex } from "../bytes/cursor";
import { UsageError } from "./errors";

export { hex } from "../bytes/cursor";

export const KIB = 2 ** 10;
export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const TIB = 2 ** 40;
/** The end of the physical address space: MAXPHYADDR is at most 52 (SDM vol. 3A, 4.1.4). */
export const PHYSICAL_LIMIT = 2 ** 52;
/** The end of what an identity map of 4-level paging reaches: linear addresses above are not canonical. */
export const IDENTITY_LIMIT = 2 ** 47;

const UNITS: Readonly<Record<string, number>> = { "": 1, K: KIB, M: MIB, G: GIB, T: TIB };

/**
 * A number of bytes above 0: decimal or 0x hexadecimal, with K, M, G or T for powers of 1024 (`8G`, `0.5T`, `512MiB`).
 * @param what what it is the size of, for the message
 * @throws UsageError
 */
export function parseSize(text: string, what: string): number {
  const size = parseBytes(text);
  if (!(size > 0)) throw new UsageError(`${what} wants a size such as 512M or 8G, not "${text}"`);
  return size;
}

/**
 * A physical address below 2^52, written like a size (`0x1000000`, `16M`, `4G`); 0 is one too.
 * @throws UsageError
 */
export function parseAddress(text: string, what: string): number {
  const address = parseBytes(text);
  if (!(address < PHYSICAL_LIMIT)) {
    throw new UsageError(`${what} wants a physical address such as 0x1000000, 16M or 4G, not "${text}"`);
  }
  return address;
}

/** NaN where the text is no number of bytes, or none that a double holds exactly. */
function parseBytes(text: string): number {
  const match = /^(0x[0-9a-f_]+|\d[\d_]*(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (match === null) return Number.NaN;
  const bytes = Number(match[1].replaceAll("_", "")) * UNITS[match[2].toUpperCase()];
  return Number.isSafeInteger(bytes) ? bytes : Number.NaN;
}

/** A number of bytes in the largest unit that keeps it whole: "8 GiB", "639 KiB". */
export function sizeInWords(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (unit < units.length - 1 && value !== 0 && value % 1024 === 0) {
    value /= 1024;
    unit++;
  }
  return `${value} ${units[unit]}`;
}

/** "0x1000-0x2000"; the end is exclusive. */
export function rangeInWords(start: number | bigint, end: number | bigint): string {
  return `${hex(start)}-${hex(end)}`;
}

export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

export function alignDown(value: number, alignment: number): number {
  return Math.floor(value / alignment) * alignment;
}
