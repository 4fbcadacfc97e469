/** ADD ADC SUB SBB CMP AND OR XOR TEST NEG NOT INC DEC XADD CMPXCHG, in 64-bit mode. */
import { Mnemonic } from "iced-x86";
import {
  KIND_ADD32,
  KIND_ADD64,
  KIND_LOGIC32,
  KIND_LOGIC64,
  KIND_MIXED32,
  KIND_MIXED64,
  KIND_SUB32,
  KIND_SUB64,
} from "../flags";
import { isMemory, isRegister, operandSize, type Site, type Size } from "../operands";
import { AF, OF, RAX } from "../registers";
import type { Operation } from "./assembler";
import type { Emitter } from "./emitter";
import { CONDITION, FLAGS_A, FLAGS_B, FLAGS_RESULT, V, V32, X, X32, Y, Y32 } from "./locals";
import { constant, emitOperation, extendNarrow, localsOf, setOperand, typed, wideRegister } from "./values";

interface Binary {
  readonly narrow: Operation;
  readonly wide: Operation;
  readonly kind32: number;
  readonly kind64: number;
  readonly writes: boolean;
}

const ADD = { narrow: "i32_add", wide: "i64_add", kind32: KIND_ADD32, kind64: KIND_ADD64 } as const;
const SUB = { narrow: "i32_sub", wide: "i64_sub", kind32: KIND_SUB32, kind64: KIND_SUB64 } as const;
const LOGIC = { kind32: KIND_LOGIC32, kind64: KIND_LOGIC64 } as const;

const BINARIES = new Map<Mnemonic, Binary>([
  [Mnemonic.Add, { ...ADD, writes: true }],
  [Mnemonic.Sub, { ...SUB, writes: true }],
  [Mnemonic.Cmp, { ...SUB, writes: false }],
  [Mnemonic.And, { ...LOGIC, narrow: "i32_and", wide: "i64_and", writes: true }],
  [Mnemonic.Test, { ...LOGIC, narrow: "i32_and", wide: "i64_and", writes: false }],
  [Mnemonic.Or, { ...LOGIC, narrow: "i32_or", wide: "i64_or", writes: true }],
  [Mnemonic.Xor, { ...LOGIC, narrow: "i32_xor", wide: "i64_xor", writes: true }],
]);

/** Whether an instruction sets all status flags without reading any: the ones before it are then dead. */
export function setsAllFlags(mnemonic: Mnemonic): boolean {
  return BINARIES.has(mnemonic) || mnemonic === Mnemonic.Neg;
}

/** Emits one of these instructions. False where there is no code for it. */
export function emitArithmetic(e: Emitter, site: Site): boolean {
  const { mnemonic } = site.instruction;
  const binary = BINARIES.get(mnemonic);
  if (binary !== undefined) return emitBinary(e, site, binary);
  switch (mnemonic) {
    case Mnemonic.Adc:
    case Mnemonic.Sbb:
      return emitWithCarry(e, site, mnemonic === Mnemonic.Adc);
    case Mnemonic.Neg:
    case Mnemonic.Not:
    case Mnemonic.Inc:
    case Mnemonic.Dec:
      return emitUnary(e, site);
    case Mnemonic.Xadd:
      return emitExchangeAdd(e, site);
    case Mnemonic.Cmpxchg:
      return emitCompareExchange(e, site);
    default:
      return false;
  }
}

function emitBinary(e: Emitter, site: Site, operation: Binary): boolean {
  const size = operandSize(site.instruction, 0);
  const shape = { sources: [0, 1], writes: operation.writes, flags: true };
  return emitOperation(e, site, shape, () => compute(e, operation, size));
}

/** From the operands in X and Y to V and the flags. */
function compute(e: Emitter, operation: Binary, size: Size): void {
  const { code } = e;
  if (size === 8) {
    code.get(X).get(Y).op(operation.wide).tee(V).set(FLAGS_RESULT);
    if (operation.kind64 !== KIND_LOGIC64) code.get(X).set(FLAGS_A).get(Y).set(FLAGS_B);
    e.flags = operation.kind64;
    return;
  }
  code.get(X32).get(Y32).op(operation.narrow);
  extendNarrow(code, size);
  code.set(V32);
  e.keepFlags32(operation.kind32);
}

function emitWithCarry(e: Emitter, site: Site, adds: boolean): boolean {
  const size = operandSize(site.instruction, 0);
  const wide = size === 8;
  const { x, y, v } = localsOf(size);
  const operation = typed(wide, adds ? "add" : "sub");
  const shape = { sources: [0, 1], writes: true, flags: true };
  return emitOperation(e, site, shape, () => {
    const { code } = e;
    code.get(x).get(y).op(operation);
    e.condition(2);
    if (wide) code.op("i64_extend_i32_u");
    code.op(operation);
    extendNarrow(code, size);
    code.set(v);
    if (e.flagsNeeded) keepCarried(e, wide, adds);
  });
}

/** The flags of ADC and SBB, from the operands and the result. */
function keepCarried(e: Emitter, wide: boolean, adds: boolean): void {
  const { code } = e;
  const { x, y, v } = localsOf(wide ? 8 : 4);
  const op = (name: Parameters<typeof typed>[1]) => code.op(typed(wide, name));
  const not = () => {
    constant(code, wide, -1);
    op("xor");
  };
  const topBit = () => {
    constant(code, wide, wide ? 63 : 31);
    op("shr_u");
    if (wide) code.op("i32_wrap_i64");
  };
  // The carry goes out where both operands' top bits are set, or one of them is and the result's is not; a borrow
  // likewise, with the first operand and the result inverted.
  const left = () => {
    code.get(x);
    if (!adds) not();
  };
  left();
  code.get(y);
  op("and");
  left();
  code.get(y);
  op("or");
  code.get(v);
  if (adds) not();
  op("and");
  op("or");
  topBit();
  // The sign differs from that of both operands; of a difference, from the first where the operands' signs differ.
  code.get(x).get(v);
  op("xor");
  code.get(y).get(adds ? v : x);
  op("xor");
  op("and");
  topBit();
  code.i32(Math.log2(OF)).op("i32_shl", "i32_or");
  code.get(x).get(y);
  op("xor");
  code.get(v);
  op("xor");
  if (wide) code.op("i32_wrap_i64");
  code.i32(AF).op("i32_and", "i32_or");
  keepMixed(e, wide);
}

function emitUnary(e: Emitter, site: Site): boolean {
  const { mnemonic } = site.instruction;
  const size = operandSize(site.instruction, 0);
  if (size < 4) return false;
  const shape = { sources: [0], writes: true, flags: mnemonic !== Mnemonic.Not };
  return emitOperation(e, site, shape, () => unary(e, mnemonic, size));
}

/** From the operand in X to V and the flags. */
function unary(e: Emitter, mnemonic: Mnemonic, size: Size): void {
  const { code } = e;
  const wide = size === 8;
  const { x, y, v } = localsOf(size);
  switch (mnemonic) {
    case Mnemonic.Neg:
      code.get(x).set(y);
      constant(code, wide, 0);
      code.set(x);
      compute(e, { ...SUB, writes: true }, size);
      break;
    case Mnemonic.Not:
      code.get(x);
      constant(code, wide, -1);
      code.op(typed(wide, "xor")).set(v);
      break;
    default:
      emitStep(e, wide, mnemonic === Mnemonic.Inc ? 1 : -1);
  }
}

/** INC and DEC: the flags of an addition but for CF, which stays. */
function emitStep(e: Emitter, wide: boolean, by: 1 | -1): void {
  const { code } = e;
  const { x, v } = localsOf(wide ? 8 : 4);
  code.get(x);
  constant(code, wide, by);
  code.op(typed(wide, "add")).set(v);
  if (!e.flagsNeeded) return;
  // CF as it was.
  e.condition(2);
  // OF: the result is the smallest number after INC, the largest after DEC.
  code.get(v);
  if (wide) code.i64(by === 1 ? -(1n << 63n) : (1n << 63n) - 1n).op("i64_eq");
  else code.i32(by === 1 ? -0x80000000 : 0x7fffffff).op("i32_eq");
  code.i32(Math.log2(OF)).op("i32_shl", "i32_or");
  // AF: the low four bits were all ones before INC, all zeros before DEC.
  code.get(x);
  if (wide) code.op("i32_wrap_i64");
  code
    .i32(0xf)
    .op("i32_and")
    .i32(by === 1 ? 0xf : 0)
    .op("i32_eq")
    .i32(Math.log2(AF))
    .op("i32_shl", "i32_or");
  keepMixed(e, wide);
}

/** The flags are those of the result in V, with CF, OF and AF as an i32 on the stack. */
export function keepMixed(e: Emitter, wide: boolean): void {
  const { code } = e;
  code.op("i64_extend_i32_u").set(FLAGS_A);
  if (wide) code.get(V).set(FLAGS_RESULT);
  else code.get(V32).op("i64_extend_i32_u").set(FLAGS_RESULT);
  e.flags = wide ? KIND_MIXED64 : KIND_MIXED32;
}

/** XADD: the sum to operand 0, what was there to the register. Where they are the same the sum stays. */
function emitExchangeAdd(e: Emitter, site: Site): boolean {
  const size = operandSize(site.instruction, 0);
  const shape = { sources: [0, 1], writes: true, flags: true, registers: wideRegister(site, 1) };
  return emitOperation(e, site, shape, () => {
    compute(e, { ...ADD, writes: true }, size);
    setOperand(e, site, 1, localsOf(size).x);
  });
}

/**
 * CMPXCHG with memory, which is written in any case. The accumulator changes only where the operand differs from it,
 * all of its 64 bits.
 */
function emitCompareExchange(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const size = operandSize(instruction, 0);
  if (size < 4 || !isMemory(instruction, 0) || !isRegister(instruction, 1)) return false;
  const wide = size === 8;
  const { x, y, v } = localsOf(size);
  const shape = { sources: [0, 1], writes: true, flags: true, registers: [RAX] };
  return emitOperation(e, site, shape, () => {
    const { code } = e;
    e.register(RAX);
    if (!wide) code.op("i32_wrap_i64");
    code.tee(v).get(x).op(typed(wide, "eq")).set(CONDITION);
    keepDifference(e, wide);
    code.get(y).get(x).get(CONDITION).op("select").set(v);
    e.register(RAX);
    code.get(x);
    if (!wide) code.op("i64_extend_i32_u");
    code.get(CONDITION).op("select");
    e.setRegister(RAX);
  });
}

/** The flags are those of V - X. */
function keepDifference(e: Emitter, wide: boolean): void {
  const { code } = e;
  const { x, v } = localsOf(wide ? 8 : 4);
  const keep = (local: number) => {
    if (!wide) code.op("i64_extend_i32_u");
    code.set(local);
  };
  code.get(v);
  keep(FLAGS_A);
  code.get(x);
  keep(FLAGS_B);
  code.get(v).get(x).op(typed(wide, "sub"));
  keep(FLAGS_RESULT);
  e.flags = wide ? KIND_SUB64 : KIND_SUB32;
}
