/** CPUID: answers that agree with what the CPU does (SDM vol. 2, CPUID; AMD APM vol. 3, appendix E). */
import { ECX, FEATURES } from "./features";
import type { CpuModel } from "./model";

const MAX_BASIC = 0xd;
const MAX_EXTENDED = 0x80000008;
const BIT_OSXSAVE = 1 << 27;
const BIT_OSPKE = 1 << 4;

/** Bits that mirror control registers. */
export interface CpuidState {
  readonly osxsave: boolean;
  readonly ospke: boolean;
}

/**
 * Answers CPUID.
 * @param leaf EAX, @param subleaf ECX, both unsigned
 * @param out EAX EBX ECX EDX
 */
export function cpuid(
  model: CpuModel,
  leaf: number,
  subleaf: number,
  state: CpuidState,
  out: Int32Array,
): void {
  out.fill(0);
  for (const { name, leaf: its, subleaf: sub, register, bit } of FEATURES) {
    if (its === leaf && sub === (leaf === 7 ? subleaf : 0) && model.features[name]) out[register] |= 1 << bit;
  }
  fillFixed(model, leaf, subleaf, state, out);
}

function fillFixed(model: CpuModel, leaf: number, subleaf: number, state: CpuidState, out: Int32Array): void {
  switch (leaf) {
    case 0:
      out[0] = MAX_BASIC;
      vendor(model, out);
      break;
    case 1:
      out[0] = signature(model);
      // CLFLUSH line of 64 bytes; one logical processor; APIC ID 0.
      out[1] = 0x800;
      if (state.osxsave) out[ECX] |= BIT_OSXSAVE;
      break;
    case 2:
      if (model.vendor === "GenuineIntel") out[0] = 1;
      break;
    case 7:
      if (subleaf === 0 && state.ospke) out[ECX] |= BIT_OSPKE;
      break;
    case 0x80000000:
      out[0] = MAX_EXTENDED | 0;
      if (model.vendor === "AuthenticAMD") vendor(model, out);
      break;
    case 0x80000001:
      if (model.vendor === "AuthenticAMD") mirrorBasic(model, out);
      break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      brand(model, leaf - 0x80000002, out);
      break;
    case 0x80000008:
      out[0] = model.maxPhysicalBits | ((model.features.la57 ? 57 : 48) << 8);
      break;
  }
}

function vendor(model: CpuModel, out: Int32Array): void {
  out[1] = characters(model.vendor, 0);
  out[3] = characters(model.vendor, 4);
  out[2] = characters(model.vendor, 8);
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

/** AMD's leaf 80000001 repeats these bits of leaf 1 EDX. */
const MIRRORED = new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 23, 24]);

function mirrorBasic(model: CpuModel, out: Int32Array): void {
  out[0] = signature(model);
  for (const { name, leaf, register, bit } of FEATURES) {
    if (leaf === 1 && register === 3 && MIRRORED.has(bit) && model.features[name]) out[3] |= 1 << bit;
  }
}

function brand({ brand: text }: CpuModel, part: number, out: Int32Array): void {
  for (let register = 0; register < 4; register++) out[register] = characters(text, part * 16 + register * 4);
}
