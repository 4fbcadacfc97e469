/** The machine-check architecture's registers (SDM vol. 3B, 15.3): no error is ever found, so that they stay empty. */
import type { Cpu } from "./cpu";

const MCG_CAP = 0x179;
const MCG_STATUS = 0x17a;
const MCG_CTL = 0x17b;
const FIRST_BANK = 0x400;
const BANKS = 10;
/** Of the four registers of a bank the first enables errors; the others tell of one: status, address, information. */
const BANK_REGISTERS = 4;

/** Ten banks, IA32_MCG_CTL, and software error recovery: what QEMU's CPUs have. */
const CAPABILITIES = (1n << 24n) | (1n << 8n) | BigInt(BANKS);
/** RIPV, EIPV and MCIP. */
const STATUS_WRITABLE = 7n;
const ALL = 0xffffffffffffffffn;

/** Whether a register belongs to the machine-check architecture. */
export function isMachineCheck(index: number): boolean {
  const isGlobal = index >= MCG_CAP && index <= MCG_CTL;
  return isGlobal || (index >= FIRST_BANK && index < FIRST_BANK + BANKS * BANK_REGISTERS);
}

/** The value of a machine-check register. */
export function readMachineCheck(c: Cpu, index: number): bigint {
  if (index === MCG_CAP) return CAPABILITIES;
  return c.msrs.get(index) ?? (isControl(index) ? ALL : 0n);
}

function isControl(index: number): boolean {
  return index === MCG_CTL || (index >= FIRST_BANK && (index - FIRST_BANK) % BANK_REGISTERS === 0);
}

/** @throws #GP where software sets what only the hardware may: an error's description (SDM vol. 3B, 15.3.2.2) */
export function writeMachineCheck(c: Cpu, index: number, value: bigint): void {
  if (index === MCG_CAP) throw c.gp("IA32_MCG_CAP can only be read");
  const writable = isControl(index) ? ALL : index === MCG_STATUS ? STATUS_WRITABLE : 0n;
  if ((value & ~writable) !== 0n)
    throw c.gp(`machine-check register 0x${index.toString(16)}: 0x${value.toString(16)} cannot be written`);
  c.msrs.set(index, value);
}
