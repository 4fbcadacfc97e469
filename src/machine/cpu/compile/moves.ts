/** Text for MOV MOVZX MOVSX MOVSXD LEA PUSH POP, in 64-bit mode. */
import { Mnemonic, Register } from "iced-x86";
import {
  byteIndex,
  immediateOf,
  isMemory,
  isRegister,
  operandSize,
  registerNumber,
  type Site,
} from "../operands";
import { R_HIGH, RSP } from "../registers";
import type { Emitter } from "./emitter";

/** Emits a move. False where it has no text. */
export function emitMove(e: Emitter, site: Site): boolean {
  if (site.bitness !== 64) return false;
  switch (site.instruction.mnemonic) {
    case Mnemonic.Mov:
      return mov(e, site);
    case Mnemonic.Movzx:
    case Mnemonic.Movsx:
    case Mnemonic.Movsxd:
      return extend(e, site);
    case Mnemonic.Lea:
      return lea(e, site);
    case Mnemonic.Push:
      return push(e, site);
    case Mnemonic.Pop:
      return pop(e, site);
    default:
      return false;
  }
}

function isGeneral(register: Register): boolean {
  return register >= Register.AL && register <= Register.R15;
}

function mov(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const { id } = e;
  for (const n of [0, 1]) {
    if (isRegister(instruction, n) && !isGeneral(instruction.opRegister(n))) return false;
  }
  const size = operandSize(instruction, 0);
  if (isMemory(instruction, 0)) return movToMemory(e, site, size);
  if (size < 4) return false;
  if (isMemory(instruction, 1)) {
    if (!e.address(site, `p${id}`)) return false;
    e.mark();
  }
  if (size === 8) e.value64(instruction, 1, `v${id}`, `p${id}`);
  else e.value32(instruction, 1, `v${id}`, `p${id}`);
  e.setRegister(instruction.op0Register, `v${id}`, size === 8);
  return true;
}

function movToMemory(e: Emitter, site: Site, size: number): boolean {
  const { instruction } = site;
  const { id } = e;
  if (!e.address(site, `p${id}`)) return false;
  e.mark();
  const at = `p${id},p${id}H`;
  if (size === 8) {
    e.value64(instruction, 1, `v${id}`, "");
    e.line(`m.store64(${at},v${id},v${id}H);`);
  } else {
    e.line(`m.store${size * 8}(${at},${narrowSource(site, size)});`);
  }
  e.checkLeave();
  return true;
}

/** A register or immediate of up to 32 bits. */
function narrowSource({ instruction }: Site, size: number): string {
  if (!isRegister(instruction, 1)) return `${immediateOf(instruction, 1).low}`;
  const register = instruction.op1Register;
  if (size === 1) return `c.r8[${byteIndex(register)}]`;
  return size === 2 ? `c.r16[${4 * registerNumber(register)}]` : `r[${2 * registerNumber(register)}]`;
}

function extend(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const { id } = e;
  const size = operandSize(instruction, 0);
  const from = operandSize(instruction, 1);
  if (size < 4) return false;
  const signed = instruction.mnemonic !== Mnemonic.Movzx;
  if (isMemory(instruction, 1)) {
    if (!e.address(site, `p${id}`)) return false;
    e.mark();
    const value = `m.load${from * 8}(p${id},p${id}H)`;
    e.line(`const v${id}=${signed || from === 4 ? value : `${value}&${from === 1 ? 0xff : 0xffff}`};`);
  } else {
    const register = instruction.op1Register;
    const value =
      from === 1
        ? `c.r8[${byteIndex(register)}]`
        : from === 2
          ? `c.r16[${4 * registerNumber(register)}]`
          : `r[${2 * registerNumber(register)}]`;
    const extended =
      from === 1 ? (signed ? `${value}<<24>>24` : value) : from === 2 && !signed ? `${value}&65535` : value;
    e.line(`const v${id}=${extended};`);
  }
  const wideSign = size === 8 && signed;
  const d = 2 * registerNumber(instruction.op0Register);
  e.line(`r[${d}]=v${id};r[${d + 1}]=${wideSign ? `v${id}>>31` : "0"};`);
  return true;
}

function lea(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const size = operandSize(instruction, 0);
  if (size < 4 || instruction.memorySegment === Register.FS || instruction.memorySegment === Register.GS)
    return false;
  if (!e.address(site, `p${e.id}`)) return false;
  e.setRegister(instruction.op0Register, `p${e.id}`, size === 8);
  return true;
}

const SP = 2 * RSP;

function push(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  if (instruction.stackPointerIncrement !== -8 || isMemory(instruction, 0)) return false;
  if (isRegister(instruction, 0) && instruction.op0Register < Register.RAX) return false;
  if (isRegister(instruction, 0) && instruction.op0Register > Register.R15) return false;
  e.mark();
  e.value64(instruction, 0, `v${e.id}`, "");
  emitPush(e, `v${e.id}`, `v${e.id}H`);
  e.checkLeave();
  return true;
}

/** Pushes 64 bits. */
export function emitPush(e: Emitter, low: string, high: string): void {
  const sp = `s${e.id}`;
  e.line(`const ${sp}=(r[${SP}]-8)|0,${sp}H=r[${SP}]>>>0<8?(r[${SP + 1}]-1)|0:r[${SP + 1}];`);
  e.line(`m.store64(${sp},${sp}H,${low},${high});r[${SP}]=${sp};r[${SP + 1}]=${sp}H;`);
}

function pop(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  if (instruction.stackPointerIncrement !== 8 || !isRegister(instruction, 0)) return false;
  if (instruction.op0Register < Register.RAX || instruction.op0Register > Register.R15) return false;
  e.mark();
  emitPop(e, `v${e.id}`);
  e.setRegister(instruction.op0Register, `v${e.id}`, true);
  return true;
}

/** Pops 64 bits into `name` and `nameH`. */
export function emitPop(e: Emitter, name: string): void {
  e.line(`const ${name}=m.load64(r[${SP}],r[${SP + 1}]),${name}H=r[${R_HIGH}];`);
  e.line(`r[${SP}]=(r[${SP}]+8)|0;if(r[${SP}]>>>0<8)r[${SP + 1}]=(r[${SP + 1}]+1)|0;`);
}
