/**
 * The second tier of the translator: a block that runs often becomes one JavaScript function.
 *
 * What it does is what the block's closures do, instruction by instruction: the same registers, flags, faults and
 * counts at every point where anybody can look, that is, at each instruction that can fault, leave or be the last.
 * Between such points flags that the next instruction overwrites are not computed.
 */
import { Decoder, DecoderOptions, type Instruction, Mnemonic, Register } from "iced-x86";
import type { Block } from "../block";
import type { Cpu } from "../cpu";
import { CONDITIONS } from "../flags";
import { isMemory, isRegister, type Op, type Site } from "../operands";
import { constantShift, emitArithmetic, emitShift, setsAllFlags } from "./arithmetic";
import { branchOf, emitCall, goTo } from "./branches";
import { Emitter } from "./emitter";
import { emitMove } from "./moves";

/** Runs a block; returns how many of its instructions it has executed. */
export type CompiledBlock = (c: Cpu) => number;

type Factory = (ops: readonly Op[], conditions: typeof CONDITIONS) => CompiledBlock;

/** Compiles a block of 64-bit code; undefined where there is nothing to gain. */
export function compileBlock(c: Cpu, block: Block, bytes: Uint8Array): CompiledBlock | undefined {
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  const instructions: Instruction[] = [];
  try {
    decoder.ip = (BigInt(block.high >>> 0) << 32n) | BigInt(block.low >>> 0);
    for (let i = 0; i < block.ops.length; i++) instructions.push(decoder.decode());
    const text = blockText(c, block, instructions);
    const factory = new Function("o", "k", text) as Factory;
    return factory(block.ops, CONDITIONS);
  } finally {
    for (const instruction of instructions) instruction.free();
    decoder.free();
  }
}

function siteOf(c: Cpu, block: Block, instruction: Instruction, index: number): Site {
  const low = (block.low + block.offsets[index]) | 0;
  const nextLow = (block.low + block.offsets[index + 1]) | 0;
  return {
    instruction,
    bitness: 64,
    flat: true,
    stackSize: 8,
    low,
    high: low >>> 0 < block.low >>> 0 ? (block.high + 1) | 0 : block.high,
    nextLow,
    nextHigh: nextLow >>> 0 < block.low >>> 0 ? (block.high + 1) | 0 : block.high,
    features: c.model.features,
    vendor: c.model.vendor,
  };
}

function blockText(c: Cpu, block: Block, instructions: readonly Instruction[]): string {
  const e = new Emitter();
  const needed = neededFlags(instructions);
  const last = instructions.length - 1;
  for (let index = 0; index < last; index++) {
    e.id = index;
    emitPlain(e, siteOf(c, block, instructions[index], index), needed[index]);
  }
  e.id = last;
  const body = emitLast(e, block, siteOf(c, block, instructions[last], last));
  return `"use strict";return function(c){const r=c.r,m=c.mmu;\n${body}\n}`;
}

function emitPlain(e: Emitter, site: Site, flagsNeeded: boolean): void {
  if (emitArithmetic(e, site, flagsNeeded) || emitMove(e, site) || emitShift(e, site, flagsNeeded)) return;
  e.closure();
}

/** The last instruction: RIP already holds the address behind it. A branch back to the start becomes a loop. */
function emitLast(e: Emitter, block: Block, site: Site): string {
  const count = block.ops.length;
  const branch = branchOf(e, site);
  if (branch === undefined) {
    if (!emitCall(e, site)) emitPlain(e, site, true);
    return `${e.text}\nreturn ${count};`;
  }
  if (branch.low !== block.low || branch.high !== block.high || block.breakpoint) {
    return `${e.text}\nif(${branch.condition}){${goTo(branch.low, branch.high)}}return ${count};`;
  }
  // Returning 0 leaves RIP on the start of the block, with whole iterations counted.
  const again = `c.retired+=${count};c.budget-=${count};if(c.budget<${count})return 0;`;
  return `for(;;){\n${e.text}\nif(!(${branch.condition}))return ${count};${again}\n}`;
}

/** For each instruction, whether the flags that it sets can be seen before they are overwritten. */
function neededFlags(instructions: readonly Instruction[]): boolean[] {
  const needed: boolean[] = [];
  let seen = true;
  for (let i = instructions.length - 1; i >= 0; i--) {
    needed[i] = seen;
    if (touchesMemory(instructions[i])) seen = true;
    else if (overwritesFlags(instructions[i])) seen = false;
    else if (!leavesFlagsAlone(instructions[i].mnemonic)) seen = true;
  }
  return needed;
}

function overwritesFlags(instruction: Instruction): boolean {
  return setsAllFlags(instruction.mnemonic) || constantShift(instruction) > 0;
}

/** Moves between registers: they neither fault nor read or write flags. */
function leavesFlagsAlone(mnemonic: Mnemonic): boolean {
  return QUIET.has(mnemonic);
}

const QUIET = new Set([Mnemonic.Mov, Mnemonic.Movzx, Mnemonic.Movsx, Mnemonic.Movsxd, Mnemonic.Lea]);

/** Memory operands, and the stack; LEA only computes an address. */
function touchesMemory(instruction: Instruction): boolean {
  if (instruction.isStackInstruction) return true;
  if (instruction.mnemonic === Mnemonic.Lea) return false;
  for (let n = 0; n < instruction.opCount; n++) if (!isPlainOperand(instruction, n)) return true;
  return false;
}

/** A general register, an immediate or a branch target: nothing that can fault. */
function isPlainOperand(instruction: Instruction, n: number): boolean {
  if (isMemory(instruction, n)) return false;
  if (!isRegister(instruction, n)) return true;
  const register = instruction.opRegister(n);
  return register >= Register.AL && register <= Register.R15;
}
