/** MOV to and from control and debug registers (SDM vol. 2, MOV - Move to/from Control Registers). */
import { Register } from "iced-x86";
import { writeCr0, writeCr3, writeCr4 } from "../control";
import type { Cpu } from "../cpu";
import { DB, NO_ERROR, Unimplemented } from "../fault";
import { recheck } from "../interrupt";
import { type Op, registerNumber, type Site } from "../operands";
import { CR4_DE } from "../registers";
import { undefinedOpcode } from "./family";

/** @param n which operand is the control register */
export function moveControl(site: Site, n: number): Op {
  const { instruction } = site;
  const control = instruction.opRegister(n) - Register.CR0;
  const general = registerNumber(instruction.opRegister(1 - n));
  const wide = site.bitness === 64;
  if (control !== 0 && control !== 2 && control !== 3 && control !== 4 && control !== 8) {
    return undefinedOpcode(`CR${control} does not exist`);
  }
  if (n === 1) {
    return (c) => {
      requireSupervisor(c, "MOV from a control register");
      write(c, general, readControl(c, control));
    };
  }
  return (c) => {
    requireSupervisor(c, "MOV to a control register");
    const value = c.getRegister(general);
    writeControl(c, control, wide ? value : value & 0xffffffffn);
  };
}

function write(c: Cpu, general: number, value: bigint): void {
  c.setRegister(general, c.code64 ? value : value & 0xffffffffn);
}

function requireSupervisor(c: Cpu, what: string): void {
  if (c.cpl !== 0) throw c.gp(`${what} at CPL ${c.cpl}`);
}

function readControl(c: Cpu, control: number): bigint {
  switch (control) {
    case 0:
      return BigInt(c.cr0 >>> 0);
    case 2:
      return c.cr2;
    case 3:
      return c.cr3;
    case 4:
      return BigInt(c.cr4 >>> 0);
    default:
      return BigInt(c.tpr >> 4);
  }
}

function writeControl(c: Cpu, control: number, value: bigint): void {
  switch (control) {
    case 0:
      writeCr0(c, value);
      break;
    case 2:
      c.cr2 = value;
      break;
    case 3:
      writeCr3(c, value);
      break;
    case 4:
      writeCr4(c, value);
      break;
    default:
      if (value > 15n) throw c.gp("CR8: a reserved bit is set");
      c.tpr = Number(value) << 4;
      recheck(c);
  }
}

const DR7_GD = 1n << 13n;
/** L0 G0 .. L3 G3. */
const DR7_ENABLES = 0xffn;

/** Debug registers hold what is written; a breakpoint that is enabled in DR7 stops the machine as unimplemented. */
export function moveDebug(site: Site, n: number): Op {
  const { instruction } = site;
  const number = instruction.opRegister(n) - Register.DR0;
  const general = registerNumber(instruction.opRegister(1 - n));
  return (c) => {
    const index = debugRegister(c, number);
    if (n === 1) {
      write(c, general, c.dr[index]);
      return;
    }
    const value = c.code64 ? c.getRegister(general) : c.getRegister(general) & 0xffffffffn;
    writeDebug(c, index, value);
  };
}

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE is set (SDM vol. 3B, 18.2.2). */
function debugRegister(c: Cpu, number: number): number {
  if (number > 7) throw c.ud(`DR${number} does not exist`);
  if ((number === 4 || number === 5) && (c.cr4 & CR4_DE) !== 0) throw c.ud(`DR${number} with CR4.DE set`);
  requireSupervisor(c, "MOV with a debug register");
  if ((c.dr[7] & DR7_GD) !== 0n) {
    c.dr[6] |= 1n << 13n;
    c.dr[7] &= ~DR7_GD;
    throw c.raise(DB, NO_ERROR, "a debug register was used with DR7.GD set");
  }
  return number === 4 || number === 5 ? number + 2 : number;
}

function writeDebug(c: Cpu, index: number, value: bigint): void {
  if (index < 4) {
    c.dr[index] = value;
    return;
  }
  if (value >> 32n !== 0n) throw c.gp(`DR${index}: a bit of the upper half is set`);
  if (index === 6) {
    c.dr[6] = (value & 0xe00fn) | 0xffff0ff0n;
    return;
  }
  if ((value & DR7_ENABLES) !== 0n) {
    throw new Unimplemented("hardware breakpoints of the guest (DR7) are not supported");
  }
  c.dr[7] = (value & 0xffff23ffn) | 0x400n;
}
