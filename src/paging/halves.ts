/** 64-bit values as two int32 halves, as hot paths have them. */

/** The unsigned value of two halves; each may be signed or unsigned. */
export function join64(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
