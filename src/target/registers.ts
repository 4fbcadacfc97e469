/**
 * The registers that a debugger shows and changes, as data: by group, each with its width, its named bits, and how it
 * is read and written. Writing goes by the CPU's own rules: what MOV to CR4 refuses is refused here too.
 */
import { LDTR, TR } from "../machine/cpu/attributes";
import { writeCr0, writeCr3, writeCr4, writeEfer } from "../machine/cpu/control";
import type { Cpu } from "../machine/cpu/cpu";
import { CpuFault, vectorName } from "../machine/cpu/fault";
import { readMsr, writeMsr } from "../machine/cpu/msr";
import { R_SEGMENT_BASE, REGISTER_NAMES, SEGMENT_NAMES } from "../machine/cpu/registers";
import { CR0_BITS, CR4_BITS, EFER_BITS, type RegisterBit, RFLAGS_BITS } from "./registerBits";

export type RegisterGroup = "general" | "control" | "segments" | "msrs";

export interface RegisterDescription {
  /** As in `$name`, lower case. */
  readonly name: string;
  readonly group: RegisterGroup;
  /** Bits. */
  readonly width: number;
  readonly bits?: readonly RegisterBit[];
  /** @throws CpuFault for an MSR that this CPU does not have */
  read(cpu: Cpu): bigint;
  /** Absent where nothing can be written. @throws CpuFault where the CPU refuses the value */
  write?(cpu: Cpu, value: bigint): void;
}

/** The value cannot be written; the message says why. */
export class RegisterError extends Error {
  override name = "RegisterError";
}

const MSRS: readonly [name: string, index: number][] = [
  ["ia32_tsc", 0x10],
  ["ia32_apic_base", 0x1b],
  ["ia32_sysenter_cs", 0x174],
  ["ia32_sysenter_esp", 0x175],
  ["ia32_sysenter_eip", 0x176],
  ["ia32_misc_enable", 0x1a0],
  ["ia32_pat", 0x277],
  ["ia32_mtrr_def_type", 0x2ff],
  ["ia32_pkrs", 0x6e1],
  ["ia32_star", 0xc0000081],
  ["ia32_lstar", 0xc0000082],
  ["ia32_cstar", 0xc0000083],
  ["ia32_fmask", 0xc0000084],
  ["ia32_fs_base", 0xc0000100],
  ["ia32_gs_base", 0xc0000101],
  ["ia32_kernel_gs_base", 0xc0000102],
  ["ia32_tsc_aux", 0xc0000103],
];

const VISIBLE_SEGMENTS: readonly [name: string, index: number][] = [
  ...SEGMENT_NAMES.map((name, index): [string, number] => [name, index]),
  ["ldtr", LDTR],
  ["tr", TR],
];

/** Every register, group by group in the order in which they are shown. */
export const REGISTERS: readonly RegisterDescription[] = [
  ...REGISTER_NAMES.map(
    (name, index): RegisterDescription => ({
      name,
      group: "general",
      width: 64,
      read: (c) => c.getRegister(index),
      write: (c, value) => c.setRegister(index, value),
    }),
  ),
  {
    name: "rip",
    group: "general",
    width: 64,
    read: (c) => c.rip,
    write: (c, value) => {
      if (c.code64 && !c.isCanonicalNow(value)) throw c.gp("RIP must be canonical");
      c.rip = value;
      // An exception that waits belongs to the instruction that is left.
      c.pending = undefined;
    },
  },
  {
    name: "rflags",
    group: "general",
    width: 32,
    bits: RFLAGS_BITS,
    read: (c) => BigInt(c.rflags),
    write: (c, value) => c.setRflags(Number(BigInt.asIntN(32, value))),
  },
  { name: "cr0", group: "control", width: 32, bits: CR0_BITS, read: (c) => low(c.cr0), write: writeCr0 },
  {
    name: "cr2",
    group: "control",
    width: 64,
    read: (c) => c.cr2,
    write: (c, value) => {
      c.cr2 = value;
    },
  },
  { name: "cr3", group: "control", width: 64, read: (c) => c.cr3, write: writeCr3 },
  { name: "cr4", group: "control", width: 32, bits: CR4_BITS, read: (c) => low(c.cr4), write: writeCr4 },
  { name: "cr8", group: "control", width: 64, read: (c) => BigInt(c.tpr >> 4) },
  { name: "efer", group: "control", width: 64, bits: EFER_BITS, read: (c) => low(c.efer), write: writeEfer },
  ...VISIBLE_SEGMENTS.map(
    ([name, index]): RegisterDescription => ({
      name,
      group: "segments",
      width: 16,
      read: (c) => BigInt(c.selectors[index]),
    }),
  ),
  ...VISIBLE_SEGMENTS.map(
    ([name, index]): RegisterDescription => ({
      name: `${name}_base`,
      group: "segments",
      width: 64,
      read: (c) => c.pair(R_SEGMENT_BASE + 2 * index),
    }),
  ),
  { name: "gdtr_base", group: "segments", width: 64, read: (c) => c.gdtBase },
  { name: "gdtr_limit", group: "segments", width: 16, read: (c) => BigInt(c.gdtLimit) },
  { name: "idtr_base", group: "segments", width: 64, read: (c) => c.idtBase },
  { name: "idtr_limit", group: "segments", width: 16, read: (c) => BigInt(c.idtLimit) },
  ...MSRS.map(
    ([name, index]): RegisterDescription => ({
      name,
      group: "msrs",
      width: 64,
      read: (c) => readMsr(c, index),
      write: (c, value) => writeMsr(c, index, value),
    }),
  ),
];

/** Narrower names of general registers: where they lie in which register. */
const PARTS = new Map<string, { whole: string; shift: number; width: number }>();
for (const [index, name] of REGISTER_NAMES.entries()) {
  const letter = name.slice(1, -1);
  if (index >= 8) {
    for (const [suffix, width] of [
      ["d", 32],
      ["w", 16],
      ["b", 8],
    ] as const) {
      PARTS.set(`${name}${suffix}`, { whole: name, shift: 0, width });
    }
    continue;
  }
  PARTS.set(`e${name.slice(1)}`, { whole: name, shift: 0, width: 32 });
  PARTS.set(name.slice(1), { whole: name, shift: 0, width: 16 });
  PARTS.set(index < 4 ? `${letter}l` : `${name.slice(1)}l`, { whole: name, shift: 0, width: 8 });
  if (index < 4) PARTS.set(`${letter}h`, { whole: name, shift: 8, width: 8 });
}
PARTS.set("eip", { whole: "rip", shift: 0, width: 32 });
PARTS.set("eflags", { whole: "rflags", shift: 0, width: 32 });
const ALIASES = new Map([
  ["pc", "rip"],
  ["sp", "rsp"],
  ["fp", "rbp"],
  ["ia32_efer", "efer"],
]);

const BY_NAME = new Map(REGISTERS.map((register) => [register.name, register]));

/** A register by name, whatever the case; parts of general registers (eax, r8d, ah) too. */
export function findRegister(name: string): RegisterDescription | undefined {
  const lower = name.toLowerCase();
  const found = BY_NAME.get(ALIASES.get(lower) ?? lower);
  if (found !== undefined) return found;
  const part = PARTS.get(lower);
  const whole = part && BY_NAME.get(part.whole);
  return part === undefined || whole === undefined ? undefined : partOf(lower, whole, part.shift, part.width);
}

function partOf(name: string, whole: RegisterDescription, shift: number, width: number): RegisterDescription {
  const mask = ((1n << BigInt(width)) - 1n) << BigInt(shift);
  return {
    name,
    group: whole.group,
    width,
    ...(whole.bits === undefined ? {} : { bits: whole.bits }),
    read: (c) => (whole.read(c) & mask) >> BigInt(shift),
    write: (c, value) => whole.write?.(c, (whole.read(c) & ~mask) | ((value << BigInt(shift)) & mask)),
  };
}

/** Names of all registers, for completions. */
export function registerNames(): string[] {
  return [...BY_NAME.keys(), ...PARTS.keys(), ...ALIASES.keys()];
}

/** A register's value; undefined for what this CPU does not have. */
export function readRegister(cpu: Cpu, register: RegisterDescription): bigint | undefined {
  try {
    return register.read(cpu);
  } catch (error) {
    if (error instanceof CpuFault) return undefined;
    throw error;
  }
}

/** @throws RegisterError where the register or the CPU does not take the value */
export function writeRegister(cpu: Cpu, register: RegisterDescription, value: bigint): void {
  if (register.write === undefined) throw new RegisterError(`$${register.name} cannot be changed`);
  if (BigInt.asUintN(register.width, value) !== value) {
    throw new RegisterError(`$${register.name} has ${register.width} bits, and the value has more`);
  }
  try {
    register.write(cpu, value);
  } catch (error) {
    if (!(error instanceof CpuFault)) throw error;
    throw new RegisterError(
      `the CPU refuses that value of $${register.name}: ${vectorName(error.vector)}: ${error.describe()}`,
    );
  }
}

function low(value: number): bigint {
  return BigInt(value >>> 0);
}
