/** Values as users write them on the command line: sizes, counts, addresses. All are read exactly or refused. */
import { UsageError } from "../boot/boot";

export { parseSize } from "../boot/values";
export { hex } from "../bytes/cursor";

const COUNT_UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9 };

/**
 * A count of 1 or more: decimal, with k, M or G for powers of 1000, or in exponent form (`40M`, `1e9`).
 * @throws UsageError naming the option.
 */
export function parseCount(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?(?:e\d{1,2})?)([kMG]?)$/i.exec(text.replaceAll("_", ""));
  const unit = match === null ? "" : match[2].toLowerCase() === "k" ? "k" : match[2].toUpperCase();
  const count = match === null ? Number.NaN : Number(match[1]) * COUNT_UNITS[unit];
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new UsageError(`${option} wants a count such as 1000 or 40M, not "${text}"`);
  }
  return count;
}

/** A 64-bit address or value in 0x hexadecimal or decimal; underscores may separate digits. undefined if it is none. */
export function tryParseAddress(text: string): bigint | undefined {
  const digits = text.replaceAll("_", "");
  if (!/^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(digits)) return undefined;
  const value = BigInt(digits);
  return value < 1n << 64n ? value : undefined;
}

/** A linear address with all its 16 digits. */
export function hex64(value: bigint): string {
  return `0x${BigInt.asUintN(64, value).toString(16).padStart(16, "0")}`;
}

/** 1234567 as "1,234,567". */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A number of bytes with the largest unit that keeps it whole: "1 GiB", "124 KiB". */
export function bytesInWords(bytes: bigint | number): string {
  let value = BigInt(bytes);
  let unit = 0;
  while (unit < BYTE_UNITS.length - 1 && value >= 1024n && value % 1024n === 0n) {
    value /= 1024n;
    unit++;
  }
  return `${grouped(Number(value))} ${BYTE_UNITS[unit]}`;
}

/** A number of bytes to one decimal of the largest unit that it has one of: "8 GiB", "639.5 KiB". */
export function roughBytes(bytes: number): string {
  const unit = Math.min(BYTE_UNITS.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** unit;
  // Just below a unit is a unit: 4 GiB without the hole below 1 MiB.
  if (value > 1023.95 && unit < BYTE_UNITS.length - 1) return `1 ${BYTE_UNITS[unit + 1]}`;
  return `${value.toFixed(1).replace(/\.0$/, "")} ${BYTE_UNITS[unit]}`;
}

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** `count` and a noun, in the plural unless it is 1. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}
