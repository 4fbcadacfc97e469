/** BT BTS BTR BTC, BSF BSR TZCNT of 4 and 8 bytes, and BSWAP, in 64-bit mode. */
import { Mnemonic } from "iced-x86";
import { immediateOf, isMemory, isRegister, operandSize, registerNumber, type Site } from "../operands";
import { CF, ZF } from "../registers";
import type { Emitter } from "./emitter";
import { ADDRESS, CONDITION, V, V32, X, X32 } from "./locals";
import { constant, emitOperation, localsOf, operand, setOperand, typed, wideRegister } from "./values";

/** What becomes of the bit, or undefined where it stays. */
const BIT_TESTS = new Map<Mnemonic, "set" | "reset" | "complement" | undefined>([
  [Mnemonic.Bt, undefined],
  [Mnemonic.Bts, "set"],
  [Mnemonic.Btr, "reset"],
  [Mnemonic.Btc, "complement"],
]);

/** Emits one of these instructions. False where there is no code for it. */
export function emitBits(e: Emitter, site: Site): boolean {
  const { mnemonic } = site.instruction;
  if (operandSize(site.instruction, 0) < 4) return false;
  if (BIT_TESTS.has(mnemonic)) return emitBitTest(e, site);
  switch (mnemonic) {
    case Mnemonic.Bsf:
    case Mnemonic.Bsr:
      return emitScan(e, site, mnemonic === Mnemonic.Bsf);
    case Mnemonic.Tzcnt:
      return site.features.bmi1 ? emitTrailingZeros(e, site) : emitScan(e, site, true);
    case Mnemonic.Bswap:
      return emitByteSwap(e, site);
    default:
      return false;
  }
}

/** Of the flags only CF changes. */
function emitBitTest(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const change = BIT_TESTS.get(instruction.mnemonic);
  const size = operandSize(instruction, 0);
  const wide = size === 8;
  const { code } = e;
  const { x, y, v } = localsOf(size);
  const indexed = isRegister(instruction, 1);
  // Shifts and rotations take the index modulo the operand's bits.
  const index = () => {
    if (indexed) code.get(y);
    else constant(code, wide, immediateOf(instruction, 1).low & (8 * size - 1));
  };
  const moveAddress = indexed && isMemory(instruction, 0) ? () => addBitString(e, site, wide) : undefined;
  const sources = indexed ? [0, 1] : [0];
  const shape = { sources, writes: change !== undefined, flags: true, moveAddress };
  return emitOperation(e, site, shape, () => {
    if (change !== undefined) {
      code.get(x);
      constant(code, wide, change === "reset" ? -2 : 1);
      index();
      code.op(typed(wide, "rotl"));
      code.op(typed(wide, change === "set" ? "or" : change === "reset" ? "and" : "xor")).set(v);
    }
    if (!e.flagsNeeded) return;
    code.get(x);
    index();
    code.op(typed(wide, "shr_u"));
    if (wide) code.op("i32_wrap_i64");
    code.i32(1).op("i32_and").set(CONDITION);
    e.replaceFlags(CF, CONDITION);
  });
}

/** With a register index memory is a string of bits: the index, signed, selects the operand-sized word too. */
function addBitString(e: Emitter, site: Site, wide: boolean): void {
  const { code } = e;
  e.register(registerNumber(site.instruction.op1Register));
  if (!wide) code.op("i64_extend32_s");
  const [bits, bytes] = wide ? [6, 3] : [5, 2];
  code.i64(bits).op("i64_shr_s").i64(bytes).op("i64_shl");
  code.get(ADDRESS).op("i64_add").set(ADDRESS);
}

/** Has the source, zero-extended, in X, and does `compute`. The register that is operand 0 may be written. */
function emitCount(e: Emitter, site: Site, compute: (wide: boolean) => void): boolean {
  const wide = operandSize(site.instruction, 0) === 8;
  const shape = { sources: [1], writes: false, flags: true, registers: wideRegister(site, 0) };
  return emitOperation(e, site, shape, () => {
    if (!wide) e.code.get(X32).op("i64_extend_i32_u").set(X);
    compute(wide);
  });
}

/** With a source of 0 ZF is set and the destination stays as it was, all of its 64 bits. */
function emitScan(e: Emitter, site: Site, forward: boolean): boolean {
  const d = registerNumber(site.instruction.op0Register);
  return emitCount(e, site, () => {
    const { code } = e;
    code.get(X);
    if (forward) code.op("i64_ctz");
    else code.op("i64_clz").i64(63).op("i64_xor");
    e.register(d);
    code.get(X).op("i64_eqz").tee(CONDITION).op("i32_eqz", "select");
    e.setRegister(d);
    if (!e.flagsNeeded) return;
    code.get(CONDITION).i32(Math.log2(ZF)).op("i32_shl").set(CONDITION);
    e.replaceFlags(ZF, CONDITION);
  });
}

/** Without a one there are as many zeros as bits, and CF is set. ZF is set where there are none. */
function emitTrailingZeros(e: Emitter, site: Site): boolean {
  return emitCount(e, site, (wide) => {
    const { code } = e;
    code.get(X);
    if (!wide) code.i64(1n << 32n).op("i64_or");
    code.op("i64_ctz").tee(V);
    e.setRegister(registerNumber(site.instruction.op0Register));
    if (!e.flagsNeeded) return;
    code.get(X).op("i64_eqz").get(V).op("i64_eqz").i32(Math.log2(ZF)).op("i32_shl", "i32_or").set(CONDITION);
    e.replaceFlags(CF | ZF, CONDITION);
  });
}

function emitByteSwap(e: Emitter, site: Site): boolean {
  const { code } = e;
  const size = operandSize(site.instruction, 0);
  operand(e, site, 0, size);
  if (size === 8) {
    code.set(X);
    swapHalves(e, 8, 0x00ff00ff00ff00ffn);
    swapHalves(e, 16, 0x0000ffff0000ffffn);
    code.get(X).i64(32).op("i64_rotl").set(V);
    setOperand(e, site, 0, V);
    return true;
  }
  code.tee(X32).i32(8).op("i32_rotl").i32(0x00ff00ff).op("i32_and");
  code.get(X32).i32(8).op("i32_rotr").i32(0xff00ff00).op("i32_and", "i32_or").set(V32);
  setOperand(e, site, 0, V32);
  return true;
}

/** Exchanges neighbours of `bits` bits in X; `lower` has ones where the lower of two is. */
function swapHalves({ code }: Emitter, bits: number, lower: bigint): void {
  code.get(X).i64(lower).op("i64_and").i64(bits).op("i64_shl");
  code.get(X).i64(bits).op("i64_shr_u").i64(lower).op("i64_and", "i64_or").set(X);
}
