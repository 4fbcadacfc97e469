/**
 * What of the CPU's state decides a translation (Intel SDM vol. 3A, 4.1.1 and 4.1.3), and what a walk needs of
 * physical memory. Plain numbers, so that the MMU can refill one object without allocating.
 */

/** Levels of the paging structure: 0 paging off, 2 32-bit paging, 3 PAE, 4 4-level, 5 5-level (LA57). */
export type PagingLevels = 0 | 2 | 3 | 4 | 5;

/** The inputs of a translation that are not in the paging structures themselves. */
export interface PagingState {
  levels: PagingLevels;
  /** Physical address of the root table (CR3 without its low bits); for PAE the 32-byte aligned PDPT. */
  root: number;
  /** The four PDPTE registers of PAE paging as low, high pairs (SDM 4.4.1). Meaningless in other modes. */
  readonly pdpte: Int32Array;
  /** MAXPHYADDR, 32..52: physical-address bits from here up are reserved in entries. */
  maxPhysicalBits: number;
  /** CR4.PSE: 4 MiB pages in 32-bit paging. */
  pse: boolean;
  /** CPUID PSE-36: bits 13.. of a 4 MiB PDE give physical-address bits 32... */
  pse36: boolean;
  /** CPUID 80000001H EDX[26]: 1 GiB pages. */
  pages1G: boolean;
  /** EFER.NXE. */
  nxe: boolean;
  /** CR0.WP. */
  wp: boolean;
  /** CR4.SMEP. */
  smep: boolean;
  /** CR4.SMAP. */
  smap: boolean;
  /** CR4.PKE. */
  pke: boolean;
  /** CR4.PKS. */
  pks: boolean;
  /** The PKRU register (two bits a key: AD, WD). */
  pkru: number;
  /** IA32_PKRS (two bits a key: AD, WD). */
  pkrs: number;
}

/**
 * Physical memory as a walk sees it. Addresses are physical byte addresses below 2^52, aligned to the access;
 * values are signed 32-bit halves, little endian. Outside of RAM reads give all ones.
 */
export interface TableMemory {
  read32(address: number): number;
}

/** What the access is; the first three are the bits of the #PF error code (SDM 4.7). */
export const ACCESS_WRITE = 0x2;
/** A user-mode access (CPL 3 and not an implicit supervisor access). */
export const ACCESS_USER = 0x4;
/** An instruction fetch. */
export const ACCESS_FETCH = 0x10;
/** An implicit supervisor access (descriptor tables, TSS): SMAP holds whatever EFLAGS.AC says (SDM 4.6.1). */
export const ACCESS_IMPLICIT = 0x100;
/** EFLAGS.AC is set: explicit supervisor data accesses to user pages are exempt from SMAP. */
export const ACCESS_AC = 0x200;
