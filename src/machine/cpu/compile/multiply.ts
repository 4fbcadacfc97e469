/** IMUL and MUL of 4 and 8 bytes, in 64-bit mode. */
import { type Instruction, Mnemonic } from "iced-x86";
import { NOT_ZERO } from "../flags";
import { operandSize, type Site } from "../operands";
import { CF, OF, RAX, RDX } from "../registers";
import { keepMixed } from "./arithmetic";
import { type Code, I32 } from "./assembler";
import type { Emitter } from "./emitter";
import { FLAGS_RESULT, IMPORT_HIGH_SIGNED, IMPORT_HIGH_UNSIGNED, V, V32, X, X32, Y, Y32 } from "./locals";
import { emitOperation } from "./values";

/** Whether an instruction is one of these: they set all status flags without reading any. */
export function multiplies({ mnemonic }: Instruction): boolean {
  return mnemonic === Mnemonic.Imul || mnemonic === Mnemonic.Mul;
}

/** Emits one of these instructions. False where there is no code for it. */
export function emitMultiply(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  if (!multiplies(instruction)) return false;
  const size = operandSize(instruction, 0);
  if (size < 4) return false;
  if (instruction.opCount === 1) return emitFull(e, site, size === 8, instruction.mnemonic === Mnemonic.Imul);
  return emitTruncated(e, site, size === 8);
}

/** Two or three operands: the lower half of the signed product. */
function emitTruncated(e: Emitter, site: Site, wide: boolean): boolean {
  const sources = site.instruction.opCount === 3 ? [1, 2] : [0, 1];
  return emitOperation(e, site, { sources, writes: true, flags: true }, () => {
    const { code } = e;
    if (wide) {
      code.get(X).get(Y).op("i64_mul").set(V);
      keepOverflow(e, true, () => overflows(code));
    } else {
      product32(code, true);
      keepOverflow(e, false, () => code.get(V).op("i64_extend32_s").get(V).op("i64_ne"));
    }
  });
}

/** Pushes whether the product of X and Y, whose lower half is V, is not that of 64 bits. */
function overflows(code: Code): void {
  // The product of two numbers of 32 bits always is.
  code.get(X).op("i64_extend32_s").get(X).op("i64_xor");
  code.get(Y).op("i64_extend32_s").get(Y).op("i64_xor", "i64_or", "i64_eqz").if(I32);
  code.i32(0).op("else");
  code.get(X).get(Y).call(IMPORT_HIGH_SIGNED);
  code.get(V).i64(63).op("i64_shr_s", "i64_ne", "end");
}

/** All of the product of X32 and Y32 to V, its lower half to V32. */
function product32(code: Code, signed: boolean): void {
  const extend = signed ? "i64_extend_i32_s" : "i64_extend_i32_u";
  code.get(X32).op(extend).get(Y32).op(extend, "i64_mul").tee(V).op("i32_wrap_i64").set(V32);
}

/** One operand: the product with the accumulator, all of it, to RDX:RAX or EDX:EAX. */
function emitFull(e: Emitter, site: Site, wide: boolean, signed: boolean): boolean {
  const shape = { sources: [0], writes: false, flags: true, registers: [RAX, RDX] };
  return emitOperation(e, site, shape, () => {
    const { code } = e;
    e.register(RAX);
    if (wide) {
      code.tee(Y).get(X).op("i64_mul").set(V);
      code
        .get(X)
        .get(Y)
        .call(signed ? IMPORT_HIGH_SIGNED : IMPORT_HIGH_UNSIGNED)
        .set(X);
      code.get(V);
    } else {
      code.op("i32_wrap_i64").set(Y32);
      product32(code, signed);
      code.get(V).i64(32).op("i64_shr_u").set(X);
      code.get(V32).op("i64_extend_i32_u");
    }
    e.setRegister(RAX);
    code.get(X);
    e.setRegister(RDX);
    keepOverflow(e, wide, () => {
      if (!signed) code.get(X).op("i64_eqz", "i32_eqz");
      else if (wide) code.get(X).get(V).i64(63).op("i64_shr_s", "i64_ne");
      else code.get(V).op("i64_extend32_s").get(V).op("i64_ne");
    });
  });
}

/** The flags of the lower half, V or V32; CF and OF are what `push` pushes. */
function keepOverflow(e: Emitter, wide: boolean, push: () => void): void {
  if (!e.flagsNeeded) return;
  push();
  e.code.i32(CF | OF).op("i32_mul");
  keepMixed(e, wide);
  e.code.get(FLAGS_RESULT).i64(NOT_ZERO).op("i64_or").set(FLAGS_RESULT);
}
