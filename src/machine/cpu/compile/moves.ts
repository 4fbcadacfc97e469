/** MOV MOVZX MOVSX MOVSXD LEA PUSH POP XCHG CMOVcc SETcc, the sign extensions, and what does nothing, in 64-bit mode. */
import { Code, Mnemonic, type Register } from "iced-x86";
import {
  immediateOf,
  isMemory,
  isRegister,
  operandSize,
  registerNumber,
  type Site,
  type Size,
} from "../operands";
import { CMOV_MNEMONICS, SET_MNEMONICS } from "../ops/conditions";
import { RAX, RBP, RDX, RSP } from "../registers";
import { type Emitter, hasPlainAddress, isPlainOperand } from "./emitter";
import { ADDRESS, CONDITION, V, V32, X } from "./locals";
import { emitOperation, localsOf, setOperand, wideRegister } from "./values";

const CMOV_CONDITIONS = new Map(CMOV_MNEMONICS.map((mnemonic, code) => [mnemonic, code]));
const SET_CONDITIONS = new Map(SET_MNEMONICS.map((mnemonic, code) => [mnemonic, code]));

/** Emits one of these instructions. False where there is no code for it. */
export function emitMove(e: Emitter, site: Site): boolean {
  const { mnemonic } = site.instruction;
  switch (mnemonic) {
    case Mnemonic.Mov:
      return emitMov(e, site);
    case Mnemonic.Movzx:
      return emitExtension(e, site, false);
    case Mnemonic.Movsx:
    case Mnemonic.Movsxd:
      return emitExtension(e, site, true);
    case Mnemonic.Lea:
      return emitLea(e, site);
    case Mnemonic.Push:
      return emitPush(e, site);
    case Mnemonic.Pop:
      return emitPop(e, site);
    case Mnemonic.Leave:
      return emitLeave(e, site);
    case Mnemonic.Nop:
    case Mnemonic.Endbr64:
    case Mnemonic.Prefetchw:
    case Mnemonic.Prefetcht0:
    case Mnemonic.Prefetcht1:
    case Mnemonic.Prefetcht2:
    case Mnemonic.Prefetchnta:
    case Mnemonic.Pause:
    case Mnemonic.Lfence:
    case Mnemonic.Sfence:
    case Mnemonic.Mfence:
      return true;
    case Mnemonic.Xchg:
      return emitExchange(e, site);
    case Mnemonic.Cdqe:
      e.register(RAX);
      e.code.op("i64_extend32_s");
      e.setRegister(RAX);
      return true;
    case Mnemonic.Cqo:
      e.register(RAX);
      e.code.i64(63).op("i64_shr_s");
      e.setRegister(RDX);
      return true;
  }
  const cmov = CMOV_CONDITIONS.get(mnemonic);
  if (cmov !== undefined) return emitConditionalMove(e, site, cmov);
  const set = SET_CONDITIONS.get(mnemonic);
  return set !== undefined && emitSet(e, site, set);
}

function emitMov(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const size = operandSize(instruction, 0);
  if (isMemory(instruction, 0)) return isPlainOperand(site, 1) && emitStore(e, site, size);
  if (!isPlainOperand(site, 0)) return false;
  if (isMemory(instruction, 1)) return emitLoad(e, site, size, size, true);
  if (!isPlainOperand(site, 1)) return false;
  if (size === 8) {
    e.wideOperand(site, 1);
    e.setRegister(registerNumber(instruction.op0Register));
  } else {
    e.narrowOperand(site, 1);
    e.code.set(V32);
    e.setNarrowRegister(instruction.op0Register, V32);
  }
  return true;
}

function emitStore(e: Emitter, site: Site, size: Size): boolean {
  if (!e.address(site)) return false;
  e.touchOperand(site, 1);
  e.access(true, size, {}, () => {
    e.host(true);
    if (size === 8) e.wideOperand(site, 1);
    else e.narrowOperand(site, 1);
    e.store(size);
  });
  return true;
}

/** Loads `from` bytes, extended to the `size` of the register that is operand 0. */
function emitLoad(e: Emitter, site: Site, size: Size, from: Size, signed: boolean): boolean {
  if (!e.address(site)) return false;
  const { op0Register } = site.instruction;
  const number = registerNumber(op0Register);
  e.access(false, from, { registers: size >= 4 ? [number] : [] }, () => {
    e.host(false);
    e.load(from);
    if (from === 8) {
      e.setRegister(number);
      return;
    }
    extend(e, size, from, signed);
    setExtended(e, op0Register, size);
  });
  return true;
}

/** From an i32 that is sign-extended from `from` bytes to i64 or i32. */
function extend(e: Emitter, size: Size, from: Size, signed: boolean): void {
  const { code } = e;
  if (!signed && from < 4) code.i32(from === 1 ? 0xff : 0xffff).op("i32_and");
  if (size === 8) code.op(signed ? "i64_extend_i32_s" : "i64_extend_i32_u");
}

function setExtended(e: Emitter, register: Register, size: Size): void {
  if (size === 8) e.setRegister(registerNumber(register));
  else {
    e.code.set(V32);
    e.setNarrowRegister(register, V32);
  }
}

function emitExtension(e: Emitter, site: Site, signed: boolean): boolean {
  const { instruction } = site;
  const size = operandSize(instruction, 0);
  const from = operandSize(instruction, 1);
  if (from > size) return false;
  if (isMemory(instruction, 1)) return emitLoad(e, site, size, from, signed);
  e.narrowOperand(site, 1);
  extend(e, size, from, signed);
  setExtended(e, instruction.op0Register, size);
  return true;
}

function emitLea(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const size = operandSize(instruction, 0);
  if (size < 4 || !hasPlainAddress(site)) return false;
  e.effectiveAddress(site);
  if (size === 8) e.setRegister(registerNumber(instruction.op0Register));
  else {
    e.code.op("i32_wrap_i64").set(V32);
    e.setNarrowRegister(instruction.op0Register, V32);
  }
  return true;
}

/** Registers and immediates of 64 bits. */
function emitPush(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  if (instruction.stackPointerIncrement !== -8 || !isPlainOperand(site, 0)) return false;
  const { code } = e;
  if (isRegister(instruction, 0)) e.register(registerNumber(instruction.op0Register));
  else code.i64(wideImmediate(site));
  code.set(X);
  pushX(e, { registers: [RSP] });
  return true;
}

function wideImmediate({ instruction }: Site): bigint {
  const { low, high } = immediateOf(instruction, 0);
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** Pushes what is in `X`. */
export function pushX(e: Emitter, effects: { registers: readonly number[]; leaves?: boolean }): void {
  const { code } = e;
  e.register(RSP);
  code.i64(-8).op("i64_add").set(ADDRESS);
  e.access(true, 8, effects, () => {
    e.host(true);
    code.get(X);
    e.store(8);
    code.get(ADDRESS);
    e.setRegister(RSP);
  });
}

function emitPop(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  if (instruction.stackPointerIncrement !== 8 || !isPlainOperand(site, 0)) return false;
  const number = registerNumber(instruction.op0Register);
  e.register(RSP);
  e.code.set(ADDRESS);
  e.access(false, 8, { registers: number === RSP ? [RSP] : [RSP, number] }, () => {
    popTo(e, V);
    e.code.get(V);
    e.setRegister(number);
  });
  return true;
}

/** Within an access at the stack pointer: takes a value off the stack. */
export function popTo(e: Emitter, local: number): void {
  e.host(false);
  e.load(8);
  e.code.set(local).get(ADDRESS).i64(8).op("i64_add");
  e.setRegister(RSP);
}

/** LEAVE: the stack pointer to the frame, then pop the frame pointer. */
function emitLeave(e: Emitter, { instruction }: Site): boolean {
  if (instruction.code !== Code.Leaveq) return false;
  e.register(RBP);
  e.code.set(ADDRESS);
  e.access(false, 8, { registers: [RSP, RBP] }, () => {
    popTo(e, V);
    e.code.get(V);
    e.setRegister(RBP);
  });
  return true;
}

/** CMOVcc always reads its source; a 32-bit destination is zero-extended whether it moves or not. */
function emitConditionalMove(e: Emitter, site: Site, condition: number): boolean {
  const { instruction, features } = site;
  const size = operandSize(instruction, 0);
  if (size < 4 || !features.cmov) return false;
  const number = registerNumber(instruction.op0Register);
  const { code } = e;
  const move = (source: () => void) => {
    source();
    if (size === 4) code.op("i64_extend_i32_u");
    e.register(number);
    if (size === 4) code.i64(0xffffffff).op("i64_and");
    code.get(CONDITION).op("select");
    e.setRegister(number);
  };
  if (!isMemory(instruction, 1)) {
    e.condition(condition);
    code.set(CONDITION);
    move(() => (size === 8 ? e.wideOperand(site, 1) : e.narrowOperand(site, 1)));
    return true;
  }
  if (!e.address(site)) return false;
  e.touch(number);
  e.access(false, size, { registers: [number] }, () => {
    e.condition(condition);
    code.set(CONDITION);
    move(() => {
      e.host(false);
      e.load(size);
    });
  });
  return true;
}

/** The register gets what was in operand 0, but where both are the same. */
function emitExchange(e: Emitter, site: Site): boolean {
  const { x, y, v } = localsOf(operandSize(site.instruction, 0));
  const shape = { sources: [0, 1], writes: true, flags: false, registers: wideRegister(site, 1) };
  return emitOperation(e, site, shape, () => {
    e.code.get(y).set(v);
    setOperand(e, site, 1, x);
  });
}

function emitSet(e: Emitter, site: Site, condition: number): boolean {
  const { instruction } = site;
  if (isRegister(instruction, 0)) {
    e.condition(condition);
    e.code.set(V32);
    e.setNarrowRegister(instruction.op0Register, V32);
    return true;
  }
  if (!e.address(site)) return false;
  e.access(true, 1, {}, () => {
    e.host(true);
    e.condition(condition);
    e.store(1);
  });
  return true;
}
