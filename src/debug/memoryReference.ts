/** Memory references: linear addresses as they are, physical ones with a word before them. */
import { toHex } from "./protocol/values";

export interface MemoryPlace {
  readonly space: "linear" | "physical";
  readonly address: bigint;
}

const PHYSICAL = "physical:";

/** "0xffffffff81000000", "physical:0x1000000". Undefined for any other text. */
export function parseReference(text: string): MemoryPlace | undefined {
  const physical = text.startsWith(PHYSICAL);
  const digits = physical ? text.slice(PHYSICAL.length) : text;
  if (!/^(0x[0-9a-f]{1,16}|\d{1,19})$/i.test(digits)) return undefined;
  const address = BigInt(digits);
  if (physical && address >= 1n << 52n) return undefined;
  return { space: physical ? "physical" : "linear", address };
}

/** The reference of a physical address. */
export function physicalReference(address: number | bigint): string {
  return PHYSICAL + toHex(address);
}
