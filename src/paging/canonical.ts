/** Canonical linear addresses (SDM vol. 1, 3.3.7.1). */

/**
 * Whether a 64-bit linear address, given as halves, is canonical: the bits above the widest linear address of the
 * mode are copies of its highest bit.
 * @param levels 4 (48 bits) or 5 (57 bits)
 */
export function isCanonical(_low: number, high: number, levels: number): boolean {
  const top = high >> (levels === 5 ? 24 : 15);
  return top === 0 || top === -1;
}

/** The canonical form of an address of which only the translated bits are known. */
export function canonicalAddress(address: bigint, levels: number): bigint {
  if (levels < 4) return BigInt.asUintN(32, address);
  return BigInt.asUintN(64, BigInt.asIntN(levels === 5 ? 57 : 48, address));
}
