/** SHL SHR SAR, and ROL ROR whose flags nobody looks at, on registers of 4 and 8 bytes, in 64-bit mode. */
import { type Instruction, Mnemonic } from "iced-x86";
import { immediateOf, isRegister, operandSize, registerNumber, type Site } from "../operands";
import { OF, RCX } from "../registers";
import { keepMixed } from "./arithmetic";
import type { Operation } from "./assembler";
import type { Emitter } from "./emitter";
import { V, V32, X, X32, Y32 } from "./locals";

const OPERATIONS = new Map<Mnemonic, { narrow: Operation; wide: Operation }>([
  [Mnemonic.Shl, { narrow: "i32_shl", wide: "i64_shl" }],
  [Mnemonic.Sal, { narrow: "i32_shl", wide: "i64_shl" }],
  [Mnemonic.Shr, { narrow: "i32_shr_u", wide: "i64_shr_u" }],
  [Mnemonic.Sar, { narrow: "i32_shr_s", wide: "i64_shr_s" }],
]);

/** Of the flags they change CF and OF only. */
const ROTATES = new Map<Mnemonic, { narrow: Operation; wide: Operation }>([
  [Mnemonic.Rol, { narrow: "i32_rotl", wide: "i64_rotl" }],
  [Mnemonic.Ror, { narrow: "i32_rotr", wide: "i64_rotr" }],
]);

/** The masked constant count of a shift; 0 where it is no such shift, or does nothing. */
export function constantShift(instruction: Instruction): number {
  if (!OPERATIONS.has(instruction.mnemonic) || isRegister(instruction, 1)) return 0;
  return maskedCount(instruction);
}

function maskedCount(instruction: Instruction): number {
  return immediateOf(instruction, 1).low & (operandSize(instruction, 0) === 8 ? 63 : 31);
}

/** Emits a shift. False where there is no code for it. */
export function emitShift(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const rotate = e.flagsNeeded ? undefined : ROTATES.get(instruction.mnemonic);
  const operation = rotate ?? OPERATIONS.get(instruction.mnemonic);
  if (operation === undefined || !isRegister(instruction, 0)) return false;
  const size = operandSize(instruction, 0);
  const count = isRegister(instruction, 1) ? 0 : maskedCount(instruction);
  const byCl = isRegister(instruction, 1);
  // A count of CL may be 0, which leaves the flags; a constant one of 0 is as rare as it is useless.
  if (size < 4 || (byCl ? e.flagsNeeded : count === 0)) return false;
  const { code } = e;
  const d = registerNumber(instruction.op0Register);
  e.register(d);
  if (size === 8) {
    code.tee(X);
    if (byCl) e.register(RCX);
    else code.i64(count);
    code.op(operation.wide).set(V);
  } else {
    code.op("i32_wrap_i64").tee(X32);
    if (byCl) {
      e.register(RCX);
      code.op("i32_wrap_i64");
    } else code.i32(count);
    code.op(operation.narrow).set(V32);
  }
  if (e.flagsNeeded) emitFlags(e, instruction.mnemonic, size === 8, count);
  if (size === 8) {
    code.get(V);
    e.setRegister(d);
  } else e.setNarrowRegister(instruction.op0Register, V32);
  return true;
}

/** CF is the last bit that went out; OF is set where the sign changed (SHL), or was set (SHR). */
function emitFlags(e: Emitter, mnemonic: Mnemonic, wide: boolean, count: number): void {
  const { code } = e;
  const left = mnemonic === Mnemonic.Shl || mnemonic === Mnemonic.Sal;
  const bit = left ? (wide ? 64 : 32) - count : count - 1;
  if (wide) code.get(X).i64(bit).op("i64_shr_u", "i32_wrap_i64");
  else code.get(X32).i32(bit).op("i32_shr_u");
  code.i32(1).op("i32_and").tee(Y32);
  if (mnemonic !== Mnemonic.Sar) {
    if (wide)
      code
        .get(left ? V : X)
        .i64(0)
        .op("i64_lt_s");
    else
      code
        .get(left ? V32 : X32)
        .i32(0)
        .op("i32_lt_s");
    if (left) code.get(Y32).op("i32_xor");
    code.i32(Math.log2(OF)).op("i32_shl", "i32_or");
  }
  keepMixed(e, wide);
}
