/** Model-specific registers (SDM vol. 4): those with a behaviour, and those that only hold what was written. */

import { writeEfer } from "./control";
import type { Cpu } from "./cpu";
import type { FeatureName } from "./features";
import { isMachineCheck, readMachineCheck, writeMachineCheck } from "./machineCheck";
import { isMtrr, readMtrr, writeMtrr } from "./mtrr";
import { MSR_APIC_BASE, MSR_FMASK, MSR_STAR, MSR_TSC_AUX, plainMsr } from "./plainMsrs";
import { FS, GS, R_SEGMENT_BASE } from "./registers";

export const MSR_TSC = 0x10;
const MSR_MICROCODE = 0x8b;
export const MSR_PAT = 0x277;
/** IA32_APIC_BASE: the local APIC is on. */
export const APIC_BASE_ENABLE = 0x800n;
export const MSR_PKRS = 0x6e1;
export const MSR_EFER = 0xc0000080;
export const MSR_LSTAR = 0xc0000082;
export const MSR_CSTAR = 0xc0000083;
export const MSR_FS_BASE = 0xc0000100;
export const MSR_GS_BASE = 0xc0000101;
export const MSR_KERNEL_GS_BASE = 0xc0000102;

/** IA32_PAT after reset: WB WT UC- UC, twice (SDM vol. 3A, 11.12.4). */
const PAT_RESET = 0x0007040600070406n;

/** The microcode's revision: as QEMU's CPUs have it. Intel's stands in the upper half. */
const MICROCODE_AMD = 0x01000065n;
const MICROCODE_INTEL = 1n << 32n;

/** Addresses, which must be canonical. */
const CANONICAL = new Map<number, string>([
  [0x175, "IA32_SYSENTER_ESP"],
  [0x176, "IA32_SYSENTER_EIP"],
  [MSR_LSTAR, "IA32_LSTAR"],
  [MSR_CSTAR, "IA32_CSTAR"],
  [MSR_KERNEL_GS_BASE, "IA32_KERNEL_GS_BASE"],
]);

/** The features without which a register does not exist, by register. */
const NEEDS = new Map<number, FeatureName>([
  [MSR_TSC, "tsc"],
  [MSR_APIC_BASE, "apic"],
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
  const feature = isMtrr(index) ? "mtrr" : isMachineCheck(index) ? "mca" : NEEDS.get(index);
  if (feature !== undefined && !c.model.features[feature]) {
    throw c.gp(`${what} 0x${index.toString(16)}, which this CPU does not have (no ${feature})`);
  }
}

/** The value of a register that holds what was written. */
export function readMsrValue(c: Cpu, index: number): bigint {
  return c.msrs.get(index) ?? plainMsr(c.model.vendor, index)?.reset ?? 0n;
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
    case MSR_MICROCODE:
      return c.model.vendor === "AuthenticAMD" ? MICROCODE_AMD : MICROCODE_INTEL;
  }
  if (isMtrr(index)) return readMtrr(c, index);
  if (isMachineCheck(index)) return readMachineCheck(c, index);
  if (plainMsr(c.model.vendor, index) !== undefined || CANONICAL.has(index)) return readMsrValue(c, index);
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
    case MSR_MICROCODE:
      // Intel lets software clear it before a CPUID, which puts the revision back.
      if (c.model.vendor === "GenuineIntel") return;
      throw c.gp("the microcode's revision can only be read");
  }
  if (isMtrr(index)) {
    writeMtrr(c, index, value);
    return;
  }
  if (isMachineCheck(index)) {
    writeMachineCheck(c, index, value);
    return;
  }
  const plain = plainMsr(c.model.vendor, index);
  if (plain !== undefined) {
    const beyond = index === MSR_APIC_BASE ? value >> BigInt(c.model.maxPhysicalBits) : 0n;
    if ((value & ~plain.writable) !== 0n || beyond !== 0n)
      throw c.gp(`${plain.name}: a reserved bit of 0x${value.toString(16)} is set`);
    c.msrs.set(index, value);
    if (index === MSR_APIC_BASE) c.surroundings.apicBaseWritten(value);
    return;
  }
  const name = CANONICAL.get(index);
  if (name === undefined) throw c.gp(`WRMSR to 0x${index.toString(16)}, which this CPU does not have`);
  requireCanonical(c, name, value);
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
