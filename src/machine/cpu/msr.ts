/** Model-specific registers (SDM vol. 4): those with a behaviour, and those that only hold what was written. */

import { writeEfer } from "./control";
import type { Cpu } from "./cpu";
import type { FeatureName } from "./features";
import { FS, GS, R_SEGMENT_BASE } from "./registers";

export const MSR_TSC = 0x10;
export const MSR_APIC_BASE = 0x1b;
export const MSR_PAT = 0x277;
/** IA32_APIC_BASE: the local APIC is on. */
export const APIC_BASE_ENABLE = 0x800n;
export const MSR_PKRS = 0x6e1;
export const MSR_EFER = 0xc0000080;
export const MSR_STAR = 0xc0000081;
export const MSR_LSTAR = 0xc0000082;
export const MSR_CSTAR = 0xc0000083;
export const MSR_FMASK = 0xc0000084;
export const MSR_FS_BASE = 0xc0000100;
export const MSR_GS_BASE = 0xc0000101;
export const MSR_KERNEL_GS_BASE = 0xc0000102;
export const MSR_TSC_AUX = 0xc0000103;

/** IA32_PAT after reset: WB WT UC- UC, twice (SDM vol. 3A, 11.12.4). */
const PAT_RESET = 0x0007040600070406n;

/** A register that holds what is written: its value after reset, and which bits may be written. */
interface PlainMsr {
  readonly name: string;
  readonly reset: bigint;
  readonly writable: bigint;
}

const ALL = 0xffffffffffffffffn;

const PLAIN = new Map<number, PlainMsr>([
  [MSR_APIC_BASE, { name: "IA32_APIC_BASE", reset: 0xfee00900n, writable: 0xffffffffff900n }],
  [0x8b, { name: "IA32_BIOS_SIGN_ID", reset: 0n, writable: ALL }],
  [0xfe, { name: "IA32_MTRRCAP", reset: 0x508n, writable: 0n }],
  [0x174, { name: "IA32_SYSENTER_CS", reset: 0n, writable: ALL }],
  [0x1a0, { name: "IA32_MISC_ENABLE", reset: 1n, writable: ALL }],
  [0x2ff, { name: "IA32_MTRR_DEF_TYPE", reset: 0n, writable: 0xcffn }],
  [MSR_STAR, { name: "IA32_STAR", reset: 0n, writable: ALL }],
  [MSR_FMASK, { name: "IA32_FMASK", reset: 0n, writable: 0xffffffffn }],
  [MSR_TSC_AUX, { name: "IA32_TSC_AUX", reset: 0n, writable: 0xffffffffn }],
]);

/** Addresses, which must be canonical. */
const CANONICAL = new Map<number, string>([
  [0x175, "IA32_SYSENTER_ESP"],
  [0x176, "IA32_SYSENTER_EIP"],
  [MSR_LSTAR, "IA32_LSTAR"],
  [MSR_CSTAR, "IA32_CSTAR"],
  [MSR_KERNEL_GS_BASE, "IA32_KERNEL_GS_BASE"],
]);

function isMtrr(index: number): boolean {
  return (
    (index >= 0x200 && index <= 0x20f) ||
    index === 0x250 ||
    index === 0x258 ||
    index === 0x259 ||
    (index >= 0x268 && index <= 0x26f)
  );
}

/** The features without which a register does not exist, by register. */
const NEEDS = new Map<number, FeatureName>([
  [MSR_TSC, "tsc"],
  [MSR_APIC_BASE, "apic"],
  [0xfe, "mtrr"],
  [0x2ff, "mtrr"],
  [0x174, "sep"],
  [0x175, "sep"],
  [0x176, "sep"],
  [MSR_PAT, "pat"],
  [MSR_PKRS, "pks"],
  [MSR_STAR, "syscall"],
  [MSR_LSTAR, "syscall"],
  [MSR_CSTAR, "syscall"],
  [MSR_FMASK, "syscall"],
  [MSR_FS_BASE, "lm"],
  [MSR_GS_BASE, "lm"],
  [MSR_KERNEL_GS_BASE, "lm"],
  [MSR_TSC_AUX, "rdtscp"],
]);

/** @throws #GP for a register that this CPU model does not have */
function requireMsr(c: Cpu, index: number, what: string): void {
  const feature = isMtrr(index) ? "mtrr" : NEEDS.get(index);
  if (feature !== undefined && !c.model.features[feature]) {
    throw c.gp(`${what} 0x${index.toString(16)}, which this CPU does not have (no ${feature})`);
  }
}

/** The value of a register that holds what was written. */
export function readMsrValue(c: Cpu, index: number): bigint {
  return c.msrs.get(index) ?? PLAIN.get(index)?.reset ?? 0n;
}

/** RDMSR. @throws #GP for a register that this CPU does not have */
export function readMsr(c: Cpu, index: number): bigint {
  requireMsr(c, index, "RDMSR of");
  switch (index) {
    case MSR_TSC:
      return timeStamp(c);
    case MSR_EFER:
      return BigInt(c.efer >>> 0);
    case MSR_FS_BASE:
      return c.segmentBase(FS);
    case MSR_GS_BASE:
      return c.segmentBase(GS);
    case MSR_PAT:
      return c.msrs.get(MSR_PAT) ?? PAT_RESET;
    case MSR_PKRS:
      return BigInt(c.paging.pkrs >>> 0);
  }
  if (PLAIN.has(index) || CANONICAL.has(index) || isMtrr(index)) return readMsrValue(c, index);
  throw c.gp(`RDMSR of 0x${index.toString(16)}, which this CPU does not have`);
}

/** WRMSR. @throws #GP for a register that this CPU does not have, and for values that it does not take */
export function writeMsr(c: Cpu, index: number, value: bigint): void {
  requireMsr(c, index, "WRMSR to");
  switch (index) {
    case MSR_TSC:
      c.tscOffset = BigInt.asUintN(64, value - BigInt(c.now()));
      return;
    case MSR_EFER:
      writeEfer(c, value);
      return;
    case MSR_FS_BASE:
    case MSR_GS_BASE:
      requireCanonical(c, index === MSR_FS_BASE ? "IA32_FS_BASE" : "IA32_GS_BASE", value);
      c.setPair(R_SEGMENT_BASE + 2 * (index === MSR_FS_BASE ? FS : GS), value);
      return;
    case MSR_PAT:
      writePat(c, value);
      return;
    case MSR_PKRS:
      if (value >> 32n !== 0n) throw c.gp("IA32_PKRS: a bit of the upper half is set");
      c.paging.pkrs = Number(BigInt.asIntN(32, value));
      c.mmu.flushCache();
      return;
  }
  const plain = PLAIN.get(index);
  if (plain !== undefined) {
    const beyond = index === MSR_APIC_BASE ? value >> BigInt(c.model.maxPhysicalBits) : 0n;
    if ((value & ~plain.writable) !== 0n || beyond !== 0n)
      throw c.gp(`${plain.name}: a reserved bit of 0x${value.toString(16)} is set`);
    c.msrs.set(index, value);
    if (index === MSR_APIC_BASE) c.surroundings.apicBaseWritten(value);
    return;
  }
  const name = CANONICAL.get(index);
  if (name === undefined && !isMtrr(index))
    throw c.gp(`WRMSR to 0x${index.toString(16)}, which this CPU does not have`);
  if (name !== undefined) requireCanonical(c, name, value);
  c.msrs.set(index, value);
}

/** IA32_PAT: each byte a memory type (SDM vol. 3A, 11.12.4). */
function writePat(c: Cpu, value: bigint): void {
  for (let entry = 0n; entry < 8n; entry++) {
    const type = (value >> (8n * entry)) & 0xffn;
    if (type > 7n || type === 2n || type === 3n)
      throw c.gp(`IA32_PAT: entry ${entry} has the reserved type ${type}`);
  }
  c.msrs.set(MSR_PAT, value);
}

function requireCanonical(c: Cpu, name: string, value: bigint): void {
  if (!c.isCanonicalAddress(value)) throw c.gp(`${name}: 0x${value.toString(16)} is not canonical`);
}

/** The time-stamp counter: one tick an instruction. */
export function timeStamp(c: Cpu): bigint {
  return BigInt.asUintN(64, BigInt(c.now()) + c.tscOffset);
}
