/** Model-specific registers that only hold what was written (SDM vol. 4; AMD: BIOS and kernel developer's guides). */
import type { Vendor } from "./model";

/** IA32_APIC_BASE: the local APIC's address, and whether it is on. */
export const MSR_APIC_BASE = 0x1b;
export const MSR_STAR = 0xc0000081;
export const MSR_FMASK = 0xc0000084;
export const MSR_TSC_AUX = 0xc0000103;

/** Its value after reset, and which bits may be written; a register whose bits cannot be written can only be read. */
export interface PlainMsr {
  readonly name: string;
  readonly reset: bigint;
  readonly writable: bigint;
}

const ALL = 0xffffffffffffffffn;

const COMMON: readonly [number, PlainMsr][] = [
  [MSR_APIC_BASE, { name: "IA32_APIC_BASE", reset: 0xfee00900n, writable: 0xffffffffff900n }],
  [0x174, { name: "IA32_SYSENTER_CS", reset: 0n, writable: ALL }],
  [MSR_STAR, { name: "IA32_STAR", reset: 0n, writable: ALL }],
  [MSR_FMASK, { name: "IA32_FMASK", reset: 0n, writable: 0xffffffffn }],
  [MSR_TSC_AUX, { name: "IA32_TSC_AUX", reset: 0n, writable: 0xffffffffn }],
];

/**
 * Those of an AMD CPU that kernels read. QEMU's CPUs have no memory above TOP_MEM and no SMM segment there, so that all
 * of them start as 0. The performance counters are left out, since nothing counts: kernels find out and do without.
 */
const AMD: readonly [number, string][] = [
  [0xc0010010, "SYSCFG"],
  [0xc0010015, "HWCR"],
  [0xc001001a, "TOP_MEM"],
  [0xc001001d, "TOP_MEM2"],
  [0xc001001f, "NB_CFG"],
  [0xc0010055, "Interrupt Pending"],
  [0xc0010112, "SMM_ADDR"],
  [0xc0010113, "SMM_MASK"],
  [0xc0011020, "LS_CFG"],
  [0xc0011021, "IC_CFG"],
  [0xc0011022, "DC_CFG"],
  [0xc0011023, "BU_CFG"],
  [0xc0011029, "DE_CFG"],
];

/** The plain registers by index and vendor. */
const PLAIN = {
  GenuineIntel: new Map<number, PlainMsr>([
    ...COMMON,
    [0x1a0, { name: "IA32_MISC_ENABLE", reset: 1n, writable: ALL }],
  ]),
  AuthenticAMD: new Map<number, PlainMsr>([
    ...COMMON,
    ...AMD.map(([index, name]): [number, PlainMsr] => [index, { name, reset: 0n, writable: ALL }]),
  ]),
} satisfies Record<Vendor, unknown>;

/** The register that holds what is written to it at an index, on a vendor's CPUs; undefined where there is none. */
export function plainMsr(vendor: Vendor, index: number): PlainMsr | undefined {
  return PLAIN[vendor].get(index);
}
