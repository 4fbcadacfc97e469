/** Text for ADD SUB CMP AND OR XOR TEST INC DEC and shifts by a constant, on 32 and 64 bits. */
import { type Instruction, Mnemonic } from "iced-x86";
import { KIND_ADD32, KIND_ADD64, KIND_LOGIC32, KIND_LOGIC64, KIND_SUB32, KIND_SUB64 } from "../flags";
import { immediateOf, isMemory, isRegister, operandSize, registerNumber, type Site } from "../operands";
import type { Emitter } from "./emitter";

interface Operation {
  readonly kind: "add" | "sub" | "logic";
  readonly symbol: string;
  readonly writes: boolean;
}

const OPERATIONS = new Map<Mnemonic, Operation>([
  [Mnemonic.Add, { kind: "add", symbol: "+", writes: true }],
  [Mnemonic.Sub, { kind: "sub", symbol: "-", writes: true }],
  [Mnemonic.Cmp, { kind: "sub", symbol: "-", writes: false }],
  [Mnemonic.And, { kind: "logic", symbol: "&", writes: true }],
  [Mnemonic.Test, { kind: "logic", symbol: "&", writes: false }],
  [Mnemonic.Or, { kind: "logic", symbol: "|", writes: true }],
  [Mnemonic.Xor, { kind: "logic", symbol: "^", writes: true }],
]);

const KINDS = {
  add: [KIND_ADD32, KIND_ADD64],
  sub: [KIND_SUB32, KIND_SUB64],
  logic: [KIND_LOGIC32, KIND_LOGIC64],
} as const;

/** Whether an instruction sets all status flags without reading any: the ones before it are then dead. */
export function setsAllFlags(mnemonic: Mnemonic): boolean {
  return OPERATIONS.has(mnemonic);
}

/** Emits a two-operand operation. False where it has no text. */
export function emitArithmetic(e: Emitter, site: Site, flagsNeeded: boolean): boolean {
  const { instruction } = site;
  const operation = OPERATIONS.get(instruction.mnemonic);
  if (operation === undefined || site.bitness !== 64) return false;
  const size = operandSize(instruction, 0);
  if (size < 4) return false;
  const wide = size === 8;
  const { id } = e;
  const memory = isMemory(instruction, 0) || isMemory(instruction, 1);
  if (memory && !e.address(site, `p${id}`)) return false;
  if (memory) e.mark();
  const toMemory = isMemory(instruction, 0) && operation.writes;
  if (toMemory) e.line(`m.probeWrite(p${id},p${id}H,${size});`);
  if (wide) {
    e.value64(instruction, 0, `a${id}`, `p${id}`);
    e.value64(instruction, 1, `b${id}`, `p${id}`);
  } else {
    e.value32(instruction, 0, `a${id}`, `p${id}`);
    e.value32(instruction, 1, `b${id}`, `p${id}`);
  }
  e.line(resultText(operation, id, wide));
  if (toMemory) {
    e.line(wide ? `m.store64(p${id},p${id}H,v${id},v${id}H);` : `m.store32(p${id},p${id}H,v${id});`);
  } else if (operation.writes) e.setRegister(instruction.op0Register, `v${id}`, wide);
  if (flagsNeeded) e.keepFlags(KINDS[operation.kind][wide ? 1 : 0], operation.kind === "logic", wide);
  e.flags = { operation: operation.kind, wide, id };
  if (toMemory) e.checkLeave();
  return true;
}

function resultText({ kind, symbol }: Operation, id: number, wide: boolean): string {
  const [a, b, v] = [`a${id}`, `b${id}`, `v${id}`];
  if (!wide) return kind === "logic" ? `const ${v}=${a}${symbol}${b};` : `const ${v}=(${a}${symbol}${b})|0;`;
  if (kind === "logic") return `const ${v}=${a}${symbol}${b},${v}H=${a}H${symbol}${b}H;`;
  const carry = kind === "add" ? `(${v}>>>0<${a}>>>0?1:0)` : `(${a}>>>0<${b}>>>0?1:0)`;
  return `const ${v}=(${a}${symbol}${b})|0,${v}H=(${a}H${symbol}${b}H${symbol}${carry})|0;`;
}

/** A shift by a constant whose flags nobody asks for. False where it has no text. */
export function emitShift(e: Emitter, site: Site, flagsNeeded: boolean): boolean {
  const { instruction, bitness } = site;
  if (bitness !== 64 || flagsNeeded || !isRegister(instruction, 0)) return false;
  const size = operandSize(instruction, 0);
  const { mnemonic } = instruction;
  const count = constantShift(instruction);
  if (size < 4 || count === 0) return false;
  const d = 2 * registerNumber(instruction.op0Register);
  if (size === 4) {
    const symbol = mnemonic === Mnemonic.Shl ? "<<" : mnemonic === Mnemonic.Shr ? ">>>" : ">>";
    e.line(`r[${d}]=r[${d}]${symbol}${count};r[${d + 1}]=0;`);
    return true;
  }
  e.line(shift64(mnemonic, d, count));
  return true;
}

/** The masked constant count of a shift; 0 where it is no such shift, or does nothing. */
export function constantShift(instruction: Instruction): number {
  const { mnemonic } = instruction;
  if (mnemonic !== Mnemonic.Shl && mnemonic !== Mnemonic.Shr && mnemonic !== Mnemonic.Sar) return 0;
  if (isRegister(instruction, 1)) return 0;
  return immediateOf(instruction, 1).low & (operandSize(instruction, 0) === 8 ? 63 : 31);
}

function shift64(mnemonic: Mnemonic, d: number, n: number): string {
  const [low, high] = [`r[${d}]`, `r[${d + 1}]`];
  if (mnemonic === Mnemonic.Shl) {
    if (n >= 32) return `${high}=${low}<<${n - 32};${low}=0;`;
    return `${high}=(${high}<<${n})|(${low}>>>${32 - n});${low}=${low}<<${n};`;
  }
  const symbol = mnemonic === Mnemonic.Shr ? ">>>" : ">>";
  if (n >= 32) {
    const fill = mnemonic === Mnemonic.Shr ? "0" : `${high}>>31`;
    return `${low}=${high}${symbol}${n - 32};${high}=${fill};`;
  }
  return `${low}=(${low}>>>${n})|(${high}<<${32 - n});${high}=${high}${symbol}${n};`;
}
