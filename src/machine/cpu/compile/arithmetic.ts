/** ADD SUB CMP AND OR XOR TEST NEG NOT INC DEC IMUL, in 64-bit mode. */
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
import { isMemory, isRegister, operandSize, registerNumber, type Site, type Size } from "../operands";
import { AF, OF } from "../registers";
import type { Operation } from "./assembler";
import { type Effects, type Emitter, isPlainOperand } from "./emitter";
import { FLAGS_A, FLAGS_B, FLAGS_RESULT, V, V32, X, X32, Y, Y32 } from "./locals";

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
    case Mnemonic.Neg:
    case Mnemonic.Not:
    case Mnemonic.Inc:
    case Mnemonic.Dec:
      return emitUnary(e, site);
    case Mnemonic.Imul:
      return emitProduct(e, site);
    default:
      return false;
  }
}

function emitBinary(e: Emitter, site: Site, operation: Binary): boolean {
  const { instruction } = site;
  const size = operandSize(instruction, 0);
  const memory = isMemory(instruction, 0) ? 0 : isMemory(instruction, 1) ? 1 : -1;
  for (const n of [0, 1]) if (n !== memory && !isPlainOperand(site, n)) return false;
  if (memory < 0) {
    operand(e, site, 0, size);
    e.code.set(size === 8 ? X : X32);
    operand(e, site, 1, size);
    e.code.set(size === 8 ? Y : Y32);
    compute(e, operation, size);
    if (operation.writes) setResult(e, site, size);
    return true;
  }
  if (!e.address(site)) return false;
  e.touchOperand(site, 1 - memory);
  const write = memory === 0 && operation.writes;
  e.access(write, size, effectsOf(site, memory, operation), () => {
    const { code } = e;
    for (const n of [0, 1]) {
      if (n === memory) {
        e.host(write);
        e.load(size);
      } else operand(e, site, n, size);
      code.set(size === 8 ? (n === 0 ? X : Y) : n === 0 ? X32 : Y32);
    }
    compute(e, operation, size);
    if (write) {
      e.host(true);
      code.get(size === 8 ? V : V32);
      e.store(size);
    } else if (operation.writes) setResult(e, site, size);
  });
  return true;
}

function effectsOf(site: Site, memory: number, operation: Binary): Effects {
  if (memory === 0 || !operation.writes) return { flags: true };
  return { flags: true, registers: destination(site) };
}

/** The register of operand 0 whose local is written, if it is one of 4 or 8 bytes. */
function destination({ instruction }: Site): readonly number[] {
  return operandSize(instruction, 0) >= 4 ? [registerNumber(instruction.op0Register)] : [];
}

function operand(e: Emitter, site: Site, n: number, size: Size): void {
  if (size === 8) e.wideOperand(site, n);
  else e.narrowOperand(site, n);
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
  if (size === 1) code.op("i32_extend8_s");
  else if (size === 2) code.op("i32_extend16_s");
  code.set(V32);
  e.keepFlags32(operation.kind32);
}

/** V to the register that is operand 0. */
function setResult(e: Emitter, { instruction }: Site, size: Size): void {
  if (size === 8) {
    e.code.get(V);
    e.setRegister(registerNumber(instruction.op0Register));
  } else e.setNarrowRegister(instruction.op0Register, V32);
}

function emitUnary(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  const size = operandSize(instruction, 0);
  if (size < 4) return false;
  if (isRegister(instruction, 0)) {
    unary(e, instruction.mnemonic, size, () => operand(e, site, 0, size));
    setResult(e, site, size);
    return true;
  }
  if (!e.address(site)) return false;
  e.access(true, size, { flags: instruction.mnemonic !== Mnemonic.Not }, () => {
    unary(e, instruction.mnemonic, size, () => {
      e.host(true);
      e.load(size);
    });
    e.host(true);
    e.code.get(size === 8 ? V : V32);
    e.store(size);
  });
  return true;
}

/** From the operand that `push` pushes to V and the flags. */
function unary(e: Emitter, mnemonic: Mnemonic, size: Size, push: () => void): void {
  const { code } = e;
  const wide = size === 8;
  switch (mnemonic) {
    case Mnemonic.Neg:
      push();
      code.set(wide ? Y : Y32);
      if (wide) code.i64(0).set(X);
      else code.i32(0).set(X32);
      compute(e, { ...SUB, writes: true }, size);
      break;
    case Mnemonic.Not:
      push();
      if (wide) code.i64(-1).op("i64_xor").set(V);
      else code.i32(-1).op("i32_xor").set(V32);
      break;
    default:
      emitStep(e, wide, mnemonic === Mnemonic.Inc ? 1 : -1, push);
  }
}

/** INC and DEC: the flags of an addition but for CF, which stays. */
function emitStep(e: Emitter, wide: boolean, by: 1 | -1, push: () => void): void {
  const { code } = e;
  if (e.flagsNeeded) {
    e.condition(2);
    code.set(X32);
  }
  push();
  if (wide) code.tee(X).i64(by).op("i64_add").set(V);
  else code.tee(Y32).i32(by).op("i32_add").set(V32);
  if (!e.flagsNeeded) return;
  // CF as it was.
  code.get(X32);
  // OF: the result is the smallest number after INC, the largest after DEC.
  if (wide)
    code
      .get(V)
      .i64(by === 1 ? -(1n << 63n) : (1n << 63n) - 1n)
      .op("i64_eq");
  else
    code
      .get(V32)
      .i32(by === 1 ? -0x80000000 : 0x7fffffff)
      .op("i32_eq");
  code.i32(Math.log2(OF)).op("i32_shl", "i32_or");
  // AF: the low four bits were all ones before INC, all zeros before DEC.
  if (wide) code.get(X).op("i32_wrap_i64");
  else code.get(Y32);
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

/** IMUL with two or three operands, where nobody looks at the flags. */
function emitProduct(e: Emitter, site: Site): boolean {
  const { instruction } = site;
  if (instruction.opCount < 2 || e.flagsNeeded) return false;
  const size = operandSize(instruction, 0);
  const left = instruction.opCount === 3 ? 1 : 0;
  const right = left + 1;
  if (size < 4) return false;
  for (const n of [left, right]) if (!isPlainOperand(site, n)) return false;
  operand(e, site, left, size);
  operand(e, site, right, size);
  if (size === 8) e.code.op("i64_mul").set(V);
  else e.code.op("i32_mul").set(V32);
  setResult(e, site, size);
  return true;
}
