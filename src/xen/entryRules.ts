/** What an entry of a paravirtual guest may say, and what the hypervisor makes of it. */
import type { GuestAbi } from "./abi";

export const PRESENT = 1 << 0;
export const WRITABLE = 1 << 1;
export const USER = 1 << 2;
export const WRITE_THROUGH = 1 << 3;
export const CACHE_DISABLE = 1 << 4;
export const ACCESSED = 1 << 5;
export const DIRTY = 1 << 6;
/** PS above level 1, PAT in it. */
export const PAGE_SIZE_BIT = 1 << 7;
export const GLOBAL = 1 << 8;
/** The upper half's bit that marks a page of the guest's kernel: available bit 52. */
export const GUEST_KERNEL_HIGH = 1 << 20;
const NX_HIGH = 1 << 31;

/** The machine frame in an entry. */
export function frameOf(low: number, high: number): number {
  return (high & 0xfffff) * 0x100000 + (low >>> 12);
}

/** What a CPU has for entries. */
export interface EntryFeatures {
  readonly maxPhysicalBits: number;
  readonly nx: boolean;
}

/** Why the bits of a present entry are refused; undefined where they are not. */
export function refusedBits(
  abi: GuestAbi,
  level: number,
  low: number,
  high: number,
  { maxPhysicalBits, nx }: EntryFeatures,
): string | undefined {
  const reserved = high & ~(nx ? NX_HIGH : 0) & ~((1 << (maxPhysicalBits - 32)) - 1);
  const allowed = abi.bits === 64 ? 0x7ff00000 : 0;
  if ((reserved & ~allowed) !== 0) return "it has a reserved bit set";
  if (level === 1) {
    if ((low & (CACHE_DISABLE | WRITE_THROUGH | PAGE_SIZE_BIT)) !== 0) {
      return "it sets PCD, PWT or PAT, and this domain has no access to hardware";
    }
    return undefined;
  }
  if (abi.levels === 3 && level === 3) {
    const known = PRESENT | WRITE_THROUGH | CACHE_DISABLE | 0xe00;
    return (low & 0xfff & ~known) !== 0 || (high & NX_HIGH) !== 0
      ? "an entry of a PAE root may have no bit but P"
      : undefined;
  }
  if ((low & PAGE_SIZE_BIT) !== 0) return "it sets PS, and guests may have no large pages";
  if ((low & GLOBAL) !== 0) return `it sets G, which is reserved at level ${level}`;
  return undefined;
}

/** The low half of a present entry as the hypervisor writes it (64-bit guests; others keep theirs). */
export function adjustedLow(abi: GuestAbi, level: number, low: number): number {
  if (abi.bits === 32) return low;
  if (level === 1) return (low & USER) !== 0 ? low | GLOBAL : low | USER;
  return low | USER | (level === 4 ? ACCESSED : 0);
}

/** The upper half. */
export function adjustedHigh(abi: GuestAbi, level: number, low: number, high: number): number {
  return abi.bits === 64 && level === 1 && (low & USER) === 0 ? high | GUEST_KERNEL_HIGH : high;
}

/** Whether an entry is one of a guest's kernel, which a 64-bit guest wrote without the user bit. */
export function isGuestKernelEntry(low: number, high: number): boolean {
  return (low & USER) !== 0 && (high & GUEST_KERNEL_HIGH) !== 0;
}
