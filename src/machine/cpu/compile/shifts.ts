/** SHL SHR SAR ROL ROR of 4 and 8 bytes, in 64-bit mode. */
import { type Instruction, Mnemonic } from "iced-x86";
import { immediateOf, isRegister, operandSize, type Site } from "../operands";
import { CF, OF, RCX } from "../registers";
import { keepMixed } from "./arithmetic";
import type { Emitter } from "./emitter";
import { CONDITION, Y32 } from "./locals";
import { constant, emitOperation, localsOf, typed } from "./values";

const OPERATIONS = new Map<Mnemonic, "shl" | "shr_u" | "shr_s" | "rotl" | "rotr">([
  [Mnemonic.Shl, "shl"],
  [Mnemonic.Sal, "shl"],
  [Mnemonic.Shr, "shr_u"],
  [Mnemonic.Sar, "shr_s"],
  [Mnemonic.Rol, "rotl"],
  [Mnemonic.Ror, "rotr"],
]);
type Shift = NonNullable<ReturnType<typeof OPERATIONS.get>>;

/** Whether an instruction surely sets all status flags, none of which it reads. */
export function shiftsByConstant(instruction: Instruction): boolean {
  const operation = OPERATIONS.get(instruction.mnemonic);
  if (operation === undefined || rotates(operation) || isRegister(instruction, 1)) return false;
  return maskedCount(instruction) > 0;
}

/** They change CF and OF only. */
function rotates(operation: Shift): boolean {
  return operation === "rotl" || operation === "rotr";
}

function maskedCount(instruction: Instruction): number {
  return immediateOf(instruction, 1).low & (operandSize(instruction, 0) === 8 ? 63 : 31);
}

/** Emits a shift. False where there is no code for it. */
export function emitShift(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const operation = OPERATIONS.get(instruction.mnemonic);
  if (operation === undefined) return false;
  const size = operandSize(instruction, 0);
  const wide = size === 8;
  const { x, v } = localsOf(size);
  const count = isRegister(instruction, 1) ? undefined : maskedCount(instruction);
  // A constant count of 0 is as rare as it is useless.
  if (size < 4 || count === 0) return false;
  const { code } = e;
  return emitOperation(e, site, { sources: [0], writes: true, flags: true }, () => {
    code.get(x);
    if (count !== undefined) constant(code, wide, count);
    else {
      e.register(RCX);
      if (!wide) code.op("i32_wrap_i64");
    }
    code.op(typed(wide, operation)).set(v);
    if (!e.flagsNeeded) return;
    if (count === undefined) keepFlagsByCl(e, operation, wide);
    else keepFlags(e, operation, wide, () => code.i32(count));
  });
}

/** A count of 0 leaves the flags as they are. */
function keepFlagsByCl(e: Emitter, operation: Shift, wide: boolean): void {
  const { code } = e;
  e.register(RCX);
  code.op("i32_wrap_i64");
  code
    .i32(wide ? 63 : 31)
    .op("i32_and")
    .tee(CONDITION)
    .if();
  const before = e.flags;
  keepFlags(e, operation, wide, () => code.get(CONDITION));
  e.joinFlags();
  code.op("else");
  e.flags = before;
  e.joinFlags();
  code.op("end");
}

/** The flags of a shift of X to V by a count that is not 0, which `push` pushes as an i32. */
function keepFlags(e: Emitter, operation: Shift, wide: boolean, push: () => void): void {
  if (rotates(operation)) keepRotated(e, operation === "rotl", wide);
  else keepShifted(e, operation, wide, push);
}

/** CF is the last bit that went out; OF is set where the sign changed (SHL), or was set (SHR). */
function keepShifted(e: Emitter, operation: Shift, wide: boolean, push: () => void): void {
  const { code } = e;
  const { x, v } = localsOf(wide ? 8 : 4);
  const left = operation === "shl";
  code.get(x);
  if (left) {
    code.i32(wide ? 64 : 32);
    push();
    code.op("i32_sub");
  } else {
    push();
    code.i32(-1).op("i32_add");
  }
  if (wide) code.op("i64_extend_i32_u");
  code.op(typed(wide, "shr_u"));
  if (wide) code.op("i32_wrap_i64");
  code.i32(1).op("i32_and").tee(Y32);
  if (operation !== "shr_s") {
    code.get(left ? v : x);
    constant(code, wide, 0);
    code.op(typed(wide, "lt_s"));
    if (left) code.get(Y32).op("i32_xor");
    code.i32(Math.log2(OF)).op("i32_shl", "i32_or");
  }
  keepMixed(e, wide);
}

/** CF is the bit that came in last, OF whether the two topmost bits (ROR), or CF and the topmost one (ROL), differ. */
function keepRotated(e: Emitter, left: boolean, wide: boolean): void {
  const { code } = e;
  const { v } = localsOf(wide ? 8 : 4);
  const bit = (n: number) => {
    code.get(v);
    constant(code, wide, n);
    code.op(typed(wide, "shr_u"));
    if (wide) code.op("i32_wrap_i64");
    code.i32(1).op("i32_and");
  };
  const top = wide ? 63 : 31;
  bit(left ? 0 : top);
  code.tee(Y32);
  bit(left ? top : top - 1);
  code.get(Y32).op("i32_xor").i32(Math.log2(OF)).op("i32_shl", "i32_or").set(Y32);
  e.replaceFlags(CF | OF, Y32);
}
