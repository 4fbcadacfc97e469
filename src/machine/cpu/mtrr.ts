/** Memory-type range registers (SDM vol. 3A, 11.11). They hold and check values; memory types change nothing here. */
import type { PhysicalRange } from "../memory";
import type { Cpu } from "./cpu";
import type { CpuModel } from "./model";

export const MSR_MTRRCAP = 0xfe;
export const MSR_MTRR_DEF_TYPE = 0x2ff;
const FIRST_VARIABLE = 0x200;
const VARIABLE_COUNT = 8;
const FIXED_64K = 0x250;
const FIXED_16K = [0x258, 0x259];
const FIRST_FIXED_4K = 0x268;
const LAST_FIXED_4K = 0x26f;

/** Write combining, fixed ranges, eight variable ranges. */
const CAPABILITIES = 0x508n;

const UNCACHEABLE = 0n;
const WRITE_PROTECTED = 5n;
const WRITE_BACK = 6n;
const TYPES: ReadonlySet<bigint> = new Set([UNCACHEABLE, 1n, 4n, WRITE_PROTECTED, WRITE_BACK]);
/** In a mask register: the pair is in use. */
const VALID = 1n << 11n;
/** In the default-type register: MTRRs are on, the fixed ones too. */
const ENABLED = 0xc00n;

const GIB = 2 ** 30;

/** Whether a register is one of the MTRRs, their capabilities included. */
export function isMtrr(index: number): boolean {
  return index === MSR_MTRRCAP || index === MSR_MTRR_DEF_TYPE || isVariable(index) || isFixed(index);
}

function isVariable(index: number): boolean {
  return index >= FIRST_VARIABLE && index < FIRST_VARIABLE + 2 * VARIABLE_COUNT;
}

function isFixed(index: number): boolean {
  return (
    index === FIXED_64K || FIXED_16K.includes(index) || (index >= FIRST_FIXED_4K && index <= LAST_FIXED_4K)
  );
}

/** The value of an MTRR. */
export function readMtrr(c: Cpu, index: number): bigint {
  return index === MSR_MTRRCAP ? CAPABILITIES : (c.msrs.get(index) ?? 0n);
}

/** @throws #GP for memory types and bits that are reserved (SDM vol. 3A, 11.11.2) */
export function writeMtrr(c: Cpu, index: number, value: bigint): void {
  if (index === MSR_MTRRCAP) throw c.gp("IA32_MTRRCAP can only be read");
  if (!isValid(c.model, index, value)) {
    throw c.gp(
      `MTRR 0x${index.toString(16)}: 0x${value.toString(16)} has a reserved memory type or a reserved bit`,
    );
  }
  c.msrs.set(index, value);
}

function isValid(model: CpuModel, index: number, value: bigint): boolean {
  if (isFixed(index)) {
    for (let range = 0n; range < 8n; range++) if (!TYPES.has((value >> (8n * range)) & 0xffn)) return false;
    return true;
  }
  if (index === MSR_MTRR_DEF_TYPE) return TYPES.has(value & 0xffn) && (value & ~(ENABLED | 0xffn)) === 0n;
  if (value >> BigInt(model.maxPhysicalBits) !== 0n) return false;
  const isMask = (index & 1) !== 0;
  return isMask ? (value & 0x7ffn) === 0n : TYPES.has(value & 0xffn) && (value & 0xf00n) === 0n;
}

/**
 * The MTRRs as a PC's firmware (SeaBIOS) leaves them: write-back by default, the option ROMs and the BIOS
 * write-protected, VGA memory and the hole for PCI below 4 GiB uncacheable. The hole begins at 2 or 3 GiB, or behind the
 * RAM that reaches beyond.
 * @param ram the machine's RAM, ascending
 */
export function firmwareMtrrs(
  model: CpuModel,
  ram: readonly PhysicalRange[],
): [index: number, value: bigint][] {
  const everyRange = (type: bigint) => type * 0x0101010101010101n;
  const hole = BigInt(pciHole(ram));
  const fixed4K = Array.from({ length: LAST_FIXED_4K - FIRST_FIXED_4K + 1 }, (_, i) => FIRST_FIXED_4K + i);
  const size = 4n * BigInt(GIB) - hole;
  const mask = size === 0n ? 0n : ((1n << BigInt(model.maxPhysicalBits)) - size) | VALID;
  return [
    [FIXED_64K, everyRange(WRITE_BACK)],
    [FIXED_16K[0], everyRange(WRITE_BACK)],
    [FIXED_16K[1], everyRange(UNCACHEABLE)],
    ...fixed4K.map((index): [number, bigint] => [index, everyRange(WRITE_PROTECTED)]),
    [FIRST_VARIABLE, size === 0n ? 0n : hole | UNCACHEABLE],
    [FIRST_VARIABLE + 1, mask],
    [MSR_MTRR_DEF_TYPE, ENABLED | WRITE_BACK],
  ];
}

/** Where the addresses for PCI devices begin. */
function pciHole(ram: readonly PhysicalRange[]): number {
  const below = ram.filter(({ start }) => start < 4 * GIB).map(({ end }) => Math.min(end, 4 * GIB));
  const end = Math.max(0, ...below);
  if (end <= 2 * GIB) return 2 * GIB;
  return Math.max(end, 3 * GIB);
}
