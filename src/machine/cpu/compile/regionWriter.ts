/** Writes the function of a region: its blocks, how they lead to each other, and the copies of other blocks in them. */
import { type Instruction, Mnemonic, Register } from "iced-x86";
import { join64 } from "../../../paging/halves";
import type { Block } from "../block";
import type { Cpu } from "../cpu";
import { isMemory, isRegister, type Site } from "../operands";
import { R_EPOCH } from "../registers";
import { emitArithmetic, setsAllFlags } from "./arithmetic";
import { body, I32, I64 } from "./assembler";
import { emitBits } from "./bits";
import { emitBranch } from "./branches";
import { type Decoded, decode, siteOf } from "./decoded";
import { BLOCK_BITS } from "./driver";
import { Emitter } from "./emitter";
import { ENTRY, LEFT, LOCAL_COUNTS, NEXT, stateOffset } from "./locals";
import { emitMove } from "./moves";
import { emitMultiply, multiplies } from "./multiply";
import { emitShift, shiftsByConstant } from "./shifts";

/** Bits of a site that name the instruction in its block. */
export const INDEX_BITS = 5;
/** Instructions of a block that is worth copying, of all copies in a region, and copies one within another. */
const MAX_COPY = 12;
const MAX_COPIED = 200;
const MAX_DEPTH = 8;
const LOCALS = [
  [LOCAL_COUNTS.i32, I32],
  [LOCAL_COUNTS.i64, I64],
] as const;
/** Each emits instructions of one kind, and returns false for others. */
const EMITTERS = [emitArithmetic, emitMove, emitShift, emitMultiply, emitBits];

/** Where a region may grow to. Addresses are linear. */
export interface Neighbours {
  /** The block that begins at an address, where it may become part of the region. */
  find(address: bigint): Block | undefined;
  /** The block that begins at an address, wherever it is, where a copy of it may become part of the region. */
  findCopy(address: bigint): Block | undefined;
  /** The arena offset of the epoch in which a block was found last; undefined where there is none. */
  epochOffset(block: Block): number | undefined;
}

/** Where the calls whose code is being copied return to, the latest first. */
interface Returns {
  readonly to: bigint;
  readonly below: Returns | undefined;
}

export class RegionWriter {
  /** The region's own blocks, then those that it has copies of. */
  readonly blocks: Decoded[];
  private readonly e = new Emitter();
  private readonly indexes: ReadonlyMap<bigint, number>;
  private readonly own: number;
  private readonly copies = new Map<Block, number>();
  /** Depth of the loop around all own blocks, and of what ends where each of them begins. */
  private outer = 0;
  private ends: readonly number[] = [];
  /** The own block that is written, and the depth of the loop around it; -1 without one. */
  private current = 0;
  private loop = -1;
  /** Instructions that were copied, and copies that are open. */
  private copied = 0;
  private depth = 0;

  constructor(
    private readonly c: Cpu,
    private readonly slot: number,
    own: readonly Decoded[],
    private readonly neighbours: Neighbours,
  ) {
    this.blocks = [...own];
    this.own = own.length;
    this.indexes = new Map(own.map(({ block }, index) => [join64(block.low, block.high), index]));
  }

  /** The function's body. */
  body(): Uint8Array {
    const { code } = this.e;
    const { own } = this;
    this.e.loadFlags();
    code.get(ENTRY).set(NEXT);
    this.outer = code.depth;
    code.loop();
    const first = code.depth;
    for (let i = 0; i < own; i++) code.block();
    // The innermost WebAssembly block ends where the first block of the region begins.
    this.ends = Array.from({ length: own }, (_, index) => first + own - 1 - index);
    if (own > 1) code.get(NEXT).brTable(this.ends);
    for (let index = 0; index < own; index++) {
      code.op("end");
      this.ownBlock(index);
    }
    code.op("end", "unreachable");
    return body(LOCALS, code);
  }

  private ownBlock(index: number): void {
    const { code } = this.e;
    const { block, targets } = this.blocks[index];
    this.current = index;
    const loops = targets?.includes(join64(block.low, block.high)) ?? false;
    this.loop = loops ? code.depth : -1;
    if (loops) code.loop();
    this.e.beginBlock();
    this.block(index, undefined);
    if (loops) code.op("end");
  }

  /** @param number in `blocks` */
  private block(number: number, returns: Returns | undefined): void {
    const { e } = this;
    const { code } = e;
    const { block, instructions } = this.blocks[number];
    const count = instructions.length;
    code.get(LEFT).i32(count).op("i32_lt_s").if();
    e.leaveForLook(join64(block.low, block.high));
    code.op("end");
    code.get(LEFT).i32(count).op("i32_sub").set(LEFT);
    const needed = neededFlags(instructions);
    for (let i = 0; i < count; i++) {
      const site = siteOf(this.c, block, instructions[i], i);
      const place = (((this.slot << BLOCK_BITS) | number) << INDEX_BITS) | i;
      e.beginInstruction(place, site, count - i, needed[i]);
      if (i === count - 1 && block.ends) this.end(site, returns);
      else if (!EMITTERS.some((emit) => emit(e, site))) e.closure();
    }
    if (!block.ends) this.goTo(join64(block.nextLow, block.nextHigh), returns);
  }

  private end(site: Site, returns: Returns | undefined): void {
    const done = emitBranch(this.e, site, {
      goTo: (rip) => this.goTo(rip, returns),
      call: (rip, to) => this.call(rip, { to, below: returns }),
      returnsTo: returns?.to,
      goBack: () => this.goTo(returns!.to, returns!.below),
    });
    if (!done) this.e.leaveBefore();
  }

  /** Goes on at an address. */
  private goTo(rip: bigint, returns: Returns | undefined): void {
    const { e } = this;
    const index = this.indexes.get(rip);
    if (index === undefined) {
      if (!this.copy(rip, returns)) e.leaveTo(rip);
      return;
    }
    e.joinFlags();
    if (index === this.current && this.loop >= 0) e.code.br(this.loop);
    else if (index > this.current) e.code.br(this.ends[index]);
    else e.code.i32(index).set(NEXT).br(this.outer);
  }

  /** The same for a call: as a copy its return is known to come back. */
  private call(rip: bigint, returns: Returns): void {
    if (!this.copy(rip, returns)) this.goTo(rip, returns.below);
  }

  /** Goes on in a copy of the block at an address. False where there is to be none. */
  private copy(rip: bigint, returns: Returns | undefined): boolean {
    const { e, copies, blocks } = this;
    if (this.depth === MAX_DEPTH) return false;
    const block = this.neighbours.findCopy(rip);
    if (block === undefined) return false;
    const count = block.ops.length;
    if (count > MAX_COPY || this.copied + count > MAX_COPIED) return false;
    const number = copies.get(block) ?? blocks.length;
    if (number >= 1 << BLOCK_BITS) return false;
    const epoch = this.neighbours.epochOffset(block);
    if (epoch === undefined) return false;
    if (number === blocks.length) {
      blocks.push(decode(this.c, block));
      copies.set(block, number);
    }
    const { code } = e;
    code.i32(0).access("i32_load", epoch).i32(0).access("i32_load", stateOffset(R_EPOCH));
    code.op("i32_ne").if();
    e.leaveTo(rip);
    code.op("end");
    this.copied += count;
    this.depth++;
    this.block(number, returns);
    this.depth--;
    return true;
  }
}

/** For each instruction, whether the flags that it sets can be seen before they are overwritten. */
function neededFlags(instructions: readonly Instruction[]): boolean[] {
  const needed: boolean[] = [];
  let seen = true;
  for (let i = instructions.length - 1; i >= 0; i--) {
    needed[i] = seen;
    if (touchesMemory(instructions[i])) seen = true;
    else if (overwritesFlags(instructions[i])) seen = false;
    else if (!PASSES_FLAGS.has(instructions[i].mnemonic)) seen = true;
  }
  return needed;
}

function overwritesFlags(instruction: Instruction): boolean {
  return setsAllFlags(instruction.mnemonic) || multiplies(instruction) || shiftsByConstant(instruction);
}

/** Without memory operands they do not fault, and read no flags but those that they leave as they are. */
const PASSES_FLAGS = new Set([
  Mnemonic.Mov,
  Mnemonic.Movzx,
  Mnemonic.Movsx,
  Mnemonic.Movsxd,
  Mnemonic.Lea,
  Mnemonic.Nop,
  Mnemonic.Not,
  Mnemonic.Xchg,
  Mnemonic.Bswap,
  Mnemonic.Cdqe,
  Mnemonic.Cqo,
  Mnemonic.Inc,
  Mnemonic.Dec,
  Mnemonic.Rol,
  Mnemonic.Ror,
  Mnemonic.Bt,
  Mnemonic.Bts,
  Mnemonic.Btr,
  Mnemonic.Btc,
  Mnemonic.Bsf,
  Mnemonic.Bsr,
  Mnemonic.Tzcnt,
]);

/** Memory operands, and the stack; LEA only computes an address. */
function touchesMemory(instruction: Instruction): boolean {
  if (instruction.isStackInstruction) return true;
  if (instruction.mnemonic === Mnemonic.Lea || instruction.mnemonic === Mnemonic.Nop) return false;
  for (let n = 0; n < instruction.opCount; n++) if (!isPlain(instruction, n)) return true;
  return false;
}

/** A general register, an immediate or a branch target: nothing that can fault. */
function isPlain(instruction: Instruction, n: number): boolean {
  if (isMemory(instruction, n)) return false;
  if (!isRegister(instruction, n)) return true;
  const register = instruction.opRegister(n);
  return register >= Register.AL && register <= Register.R15;
}
