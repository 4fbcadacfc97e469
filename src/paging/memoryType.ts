/** Memory types from the page attribute table (SDM vol. 3A, 11.12). */

/** IA32_PAT after reset: WB WT UC- UC, twice. */
export const PAT_RESET = 0x0007040600070406n;

const TYPES: Readonly<Record<number, string>> = { 0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB", 7: "UC-" };

/**
 * The memory type that a leaf selects, before MTRRs.
 * @param patIndex PAT, PCD, PWT as a number 0..7 (SDM 4.9.2)
 * @param pat the value of IA32_PAT
 */
export function memoryType(patIndex: number, pat: bigint = PAT_RESET): string {
  const type = Number((pat >> BigInt(8 * patIndex)) & 7n);
  return TYPES[type] ?? `reserved type ${type}`;
}
