/** Values as messages carry them: 64-bit numbers are hexadecimal strings, because JSON's numbers are not exact. */
import * as v from "valibot";

/** A 64-bit address or value: "0x" and 1 to 16 hexadecimal digits. */
export const hexValue = v.pipe(
  v.string(),
  v.regex(/^0x[0-9a-f]{1,16}$/i, "a value must be 0x and up to 16 hexadecimal digits"),
  v.transform((text) => BigInt(text)),
);

/** A physical address: exact as a number. */
export const physicalAddress = v.pipe(
  hexValue,
  v.check((value) => value < 1n << 52n, "a physical address has at most 52 bits"),
  v.transform(Number),
);

/** A count or offset, 0 or more. */
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A value for a message. */
export function toHex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
