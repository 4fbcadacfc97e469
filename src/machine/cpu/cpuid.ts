/**
 * CPUID: answers that agree with what the CPU does (SDM vol. 2, CPUID; AMD APM vol. 3, appendix E). A leaf that is
 * not here answers zeros, which says "none" (also the rest of a hypervisor's): no caches (4), no power management (6), no performance counters (AH),
 * no frequencies (15H). QEMU's models also tell of what QEMU says (`qemuLeaves.ts`).
 */
import { EBX, ECX, EDX, FEATURES } from "./features";
import type { CpuModel } from "./model";

const EAX = 0;
const MAX_BASIC = 0xd;
const HYPERVISOR_BASE = 0x40000000;
const HYPERVISOR_SIGNATURE = "Pagewalk";
const BIT_OSXSAVE = 1 << 27;
const BIT_OSPKE = 1 << 4;
const BIT_APIC = 1 << 9;
/** A CLFLUSH line of 64 bytes in units of 8 bytes, in bits 15:8; the initial APIC ID above it is 0. */
const CLFLUSH_LINE = 8 << 8;

/** Level types of leaf BH. */
const LEVEL_SMT = 1 << 8;
const LEVEL_CORE = 2 << 8;

/** x87 and SSE state, whose XSAVE area is 512 bytes of legacy region and 64 of header (SDM vol. 1, 13.4). */
const XSAVE_STATE = 3;
const XSAVE_BYTES = 576;

/** Bits that mirror control registers. */
export interface CpuidState {
  /** CR4.OSXSAVE. */
  readonly osxsave: boolean;
  /** CR4.PKE. */
  readonly ospke: boolean;
  /** The local APIC is off in IA32_APIC_BASE: the CPU is as one without (SDM vol. 3A, 10.4.3). */
  readonly apicOff?: boolean;
}

/**
 * Answers CPUID. Allocates nothing.
 * @param asked EAX, unsigned: any value
 * @param subleaf ECX, unsigned
 * @param out receives EAX EBX ECX EDX
 */
export function cpuid(
  model: CpuModel,
  asked: number,
  subleaf: number,
  state: CpuidState,
  out: Int32Array,
): void {
  // Intel's answer any other leaf with the data of the highest basic one (SDM vol. 2, CPUID, "Information Returned").
  const leaf = model.vendor === "AuthenticAMD" || hasLeaf(model, asked) ? asked : MAX_BASIC;
  out.fill(0);
  for (const { name, leaf: its, subleaf: sub, register, bit } of FEATURES) {
    if (its === leaf && sub === (leaf === 7 ? subleaf : 0) && model.features[name]) out[register] |= 1 << bit;
  }
  const whole = model.leaves.find((it) => it.leaf === leaf && (it.subleaf ?? subleaf) === subleaf);
  if (whole !== undefined && (whole.needs === undefined || model.features[whole.needs]))
    out.set(whole.answer);
  else if (leaf >= 0x80000000) fillExtended(model, leaf, state, out);
  else if (leaf === HYPERVISOR_BASE) fillHypervisor(model, out);
  else fillBasic(model, leaf, subleaf, state, out);
}

function hasLeaf(model: CpuModel, leaf: number): boolean {
  if (leaf >= 0x80000000) return leaf <= model.maxExtended;
  return leaf <= MAX_BASIC || (leaf >>> 8 === HYPERVISOR_BASE >>> 8 && model.features.hypervisor);
}

function fillBasic(model: CpuModel, leaf: number, subleaf: number, state: CpuidState, out: Int32Array): void {
  switch (leaf) {
    case 0:
      out[EAX] = MAX_BASIC;
      vendor(model, out);
      break;
    case 1:
      out[EAX] = signature(model);
      out[EBX] = model.features.clflush ? CLFLUSH_LINE : 0;
      if (state.osxsave) out[ECX] |= BIT_OSXSAVE;
      if (state.apicOff) out[EDX] &= ~BIT_APIC;
      break;
    case 2:
      // "Ask once", and no cache descriptors.
      if (model.vendor === "GenuineIntel") out[EAX] = 1;
      break;
    case 7:
      if (subleaf === 0 && state.ospke) out[ECX] |= BIT_OSPKE;
      break;
    case 0xb:
      topology(subleaf, out);
      break;
    case 0xd:
      if (model.features.xsave) xsaveState(subleaf, out);
      break;
  }
}

/** One thread in one core, x2APIC ID 0. */
function topology(subleaf: number, out: Int32Array): void {
  out[ECX] = subleaf & 0xff;
  if (subleaf > 1) return;
  out[EBX] = 1;
  out[ECX] |= subleaf === 0 ? LEVEL_SMT : LEVEL_CORE;
}

function xsaveState(subleaf: number, out: Int32Array): void {
  if (subleaf !== 0) return;
  out[EAX] = XSAVE_STATE;
  out[EBX] = XSAVE_BYTES;
  out[ECX] = XSAVE_BYTES;
}

/** The leaf that CPUID 1 ECX[31] announces. No interface stands behind the signature. */
function fillHypervisor(model: CpuModel, out: Int32Array): void {
  if (!model.features.hypervisor) return;
  out[EAX] = HYPERVISOR_BASE;
  out[EBX] = characters(HYPERVISOR_SIGNATURE, 0);
  out[ECX] = characters(HYPERVISOR_SIGNATURE, 4);
}

function fillExtended(model: CpuModel, leaf: number, state: CpuidState, out: Int32Array): void {
  switch (leaf) {
    case 0x80000000:
      out[EAX] = model.maxExtended | 0;
      if (model.vendor === "AuthenticAMD") vendor(model, out);
      break;
    case 0x80000001:
      if (model.vendor === "AuthenticAMD") mirrorBasic(model, out);
      if (state.apicOff) out[EDX] &= ~BIT_APIC;
      break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      brand(model, leaf - 0x80000002, out);
      break;
    case 0x80000008:
      out[EAX] = model.maxPhysicalBits | (model.linearBits << 8);
      break;
  }
}

function vendor(model: CpuModel, out: Int32Array): void {
  out[EBX] = characters(model.vendor, 0);
  out[EDX] = characters(model.vendor, 4);
  out[ECX] = characters(model.vendor, 8);
}

/** Four characters as CPUID packs them; beyond the end of the text zero. */
function characters(text: string, from: number): number {
  let word = 0;
  for (let i = 3; i >= 0; i--) word = (word << 8) | (text.charCodeAt(from + i) || 0);
  return word;
}

/** Family, model and stepping with their extensions. */
function signature({ family, model, stepping }: CpuModel): number {
  const baseFamily = Math.min(family, 15);
  const extended = (family - baseFamily) << 20;
  return extended | ((model >> 4) << 16) | (baseFamily << 8) | ((model & 15) << 4) | stepping;
}

/** AMD's leaf 80000001H repeats these bits of leaf 1 EDX. */
const MIRRORED = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 23, 24]);

function mirrorBasic(model: CpuModel, out: Int32Array): void {
  out[EAX] = signature(model);
  for (const { name, leaf, register, bit } of FEATURES) {
    if (leaf === 1 && register === EDX && MIRRORED.has(bit) && model.features[name]) out[EDX] |= 1 << bit;
  }
}

function brand({ brand: text }: CpuModel, part: number, out: Int32Array): void {
  for (let register = 0; register < 4; register++) out[register] = characters(text, part * 16 + register * 4);
}
