/**
 * The second tier of the translator: blocks of one page that lead to each other become one WebAssembly function.
 *
 * What it does is what the blocks' closures do, instruction by instruction: the same registers, flags, faults and
 * counts at every point where anybody can look. It is given the number of instructions that may be retired, and
 * leaves before a block that has more.
 */
import { Decoder, DecoderOptions, type Instruction, Mnemonic, Register } from "iced-x86";
import { compileModule, instantiate, type WasmFunction } from "../../wasm";
import type { Block } from "../block";
import type { Cpu } from "../cpu";
import { isMemory, isRegister, type Site } from "../operands";
import { emitArithmetic, setsAllFlags } from "./arithmetic";
import { assemble, I32, I64 } from "./assembler";
import { directTargets, emitBranch } from "./branches";
import { BLOCK_BITS, type Driver, MEMORY, REGION_IMPORTS, TYPES, targetOf } from "./driver";
import { Emitter } from "./emitter";
import { ENTRY, LEFT, LOCAL_COUNTS, NEXT, TYPE_REGION } from "./locals";
import { emitMove } from "./moves";
import { constantShift, emitShift } from "./shifts";

/** Bits of a site that name the instruction in its block. */
const INDEX_BITS = 5;
const MAX_BLOCKS = 48;
const MAX_INSTRUCTIONS = 400;

/** Blocks that are one function, in the order of their addresses. */
export interface Region {
  /** The function's place in the driver's table. */
  readonly slot: number;
  readonly blocks: readonly Block[];
}

/** Block number and index of an instruction in what `Step` is called with. */
export function instructionOf(site: number): { slot: number; block: number; index: number } {
  return {
    slot: site >> (INDEX_BITS + BLOCK_BITS),
    block: (site >> INDEX_BITS) & ((1 << BLOCK_BITS) - 1),
    index: site & ((1 << INDEX_BITS) - 1),
  };
}

/** A block with its instructions decoded. */
interface Decoded {
  readonly block: Block;
  readonly instructions: readonly Instruction[];
  /** What its end leads to, as far as that is fixed; undefined where the run loop has to do its last instruction. */
  readonly targets: readonly bigint[] | undefined;
}

/**
 * Makes a region of a block and of those in its page that it leads to. Undefined where there is nothing to gain.
 * @param find the block that begins at a linear address, where it may become part of the region
 */
export function compileRegion(
  c: Cpu,
  driver: Driver,
  slot: number,
  seed: Block,
  find: (address: bigint) => Block | undefined,
): Region | undefined {
  const decoded = collect(c, seed, find);
  try {
    if (decoded.length === 0) return undefined;
    decoded.sort((a, b) => a.block.physical - b.block.physical);
    const f = new RegionWriter(c, slot, decoded).function();
    driver.table.set(slot, instantiate(compileModule(f), driver.imports).region as WasmFunction);
    const region: Region = { slot, blocks: decoded.map(({ block }) => block) };
    region.blocks.forEach((block, index) => {
      block.region = region;
      block.target = targetOf(slot, index);
    });
    return region;
  } finally {
    for (const { instructions } of decoded) for (const instruction of instructions) instruction.free();
  }
}

/** The blocks that can be reached from a block by fixed branches. */
function collect(c: Cpu, seed: Block, find: (address: bigint) => Block | undefined): Decoded[] {
  const found: Decoded[] = [];
  const seen = new Set<Block>([seed]);
  const waiting = [seed];
  let total = 0;
  for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) {
    const decoded = decode(c, block);
    // The run loop does a single instruction of that kind better.
    if (decoded.targets === undefined && block.ops.length === 1) {
      for (const instruction of decoded.instructions) instruction.free();
      continue;
    }
    found.push(decoded);
    total += block.ops.length;
    if (total >= MAX_INSTRUCTIONS) break;
    for (const target of decoded.targets ?? []) {
      const next = seen.size < MAX_BLOCKS ? find(target) : undefined;
      if (next === undefined || seen.has(next)) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
  return found;
}

function decode(c: Cpu, block: Block): Decoded {
  const bytes = c.memory.readBytes(block.physical, block.length);
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  try {
    decoder.ip = (BigInt(block.high >>> 0) << 32n) | BigInt(block.low >>> 0);
    const instructions = block.ops.map(() => decoder.decode());
    const last = instructions.length - 1;
    const site = siteOf(c, block, instructions[last], last);
    const targets = block.ends ? directTargets(site) : [addressOf(block.nextLow, block.nextHigh)];
    return { block, instructions, targets };
  } finally {
    decoder.free();
  }
}

/** A linear address from its halves, as branch targets are given: unsigned. */
function addressOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
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

class RegionWriter {
  private readonly e = new Emitter();
  private readonly indexes: ReadonlyMap<bigint, number>;
  /** Depth of the loop around all blocks, and of the one around the block that is written, if it has one. */
  private outer = 0;
  private own = -1;
  private current = 0;

  constructor(
    private readonly c: Cpu,
    private readonly slot: number,
    private readonly blocks: readonly Decoded[],
  ) {
    this.indexes = new Map(blocks.map(({ block }, index) => [addressOf(block.low, block.high), index]));
  }

  /** The module. */
  function(): Uint8Array<ArrayBuffer> {
    const { code } = this.e;
    this.e.loadFlags();
    code.get(ENTRY).set(NEXT);
    this.outer = code.depth;
    code.loop();
    const first = code.depth;
    const count = this.blocks.length;
    for (let i = 0; i < count; i++) code.block();
    // The innermost WebAssembly block ends where the first block of the region begins.
    const depths = this.blocks.map((_, index) => first + count - 1 - index);
    if (count > 1) code.get(NEXT).brTable(depths);
    this.blocks.forEach((_, index) => {
      code.op("end");
      this.block(index);
    });
    code.op("end", "unreachable");
    return assemble({
      types: TYPES,
      imports: REGION_IMPORTS,
      functions: [
        {
          name: "region",
          type: TYPE_REGION,
          locals: [
            [LOCAL_COUNTS.i32, I32],
            [LOCAL_COUNTS.i64, I64],
          ],
          code,
        },
      ],
      memory: MEMORY,
      table: false,
    });
  }

  private block(index: number): void {
    const { e } = this;
    const { code } = e;
    const { block, instructions, targets } = this.blocks[index];
    const start = addressOf(block.low, block.high);
    const count = instructions.length;
    this.current = index;
    const loops = targets?.includes(start) ?? false;
    this.own = loops ? code.depth : -1;
    if (loops) code.loop();
    e.beginBlock();
    code.get(LEFT).i32(count).op("i32_lt_s").if();
    e.leaveForLook(start);
    code.op("end");
    code.get(LEFT).i32(count).op("i32_sub").set(LEFT);
    const needed = neededFlags(instructions);
    for (let i = 0; i < count; i++) {
      const site = siteOf(this.c, block, instructions[i], i);
      const number = (((this.slot << BLOCK_BITS) | index) << INDEX_BITS) | i;
      e.beginInstruction(number, site, count - i, needed[i]);
      const last = i === count - 1;
      if (last && block.ends) this.end(site);
      else if (!emitArithmetic(e, site) && !emitMove(e, site) && !emitShift(e, site)) e.closure();
      if (last && !block.ends) {
        e.joinFlags();
        this.goTo(addressOf(block.nextLow, block.nextHigh));
      }
    }
    if (loops) code.op("end");
  }

  private end(site: Site): void {
    if (!emitBranch(this.e, site, (rip) => this.goTo(rip))) this.e.leaveBefore();
  }

  /** Goes on at an address. The flags have been joined. */
  private goTo(rip: bigint): void {
    const { code } = this.e;
    const index = this.indexes.get(rip);
    if (index === undefined) this.e.leaveTo(rip);
    else if (index === this.current && this.own >= 0) code.br(this.own);
    else code.i32(index).set(NEXT).br(this.outer);
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
    else if (!QUIET.has(instructions[i].mnemonic)) seen = true;
  }
  return needed;
}

function overwritesFlags(instruction: Instruction): boolean {
  return setsAllFlags(instruction.mnemonic) || constantShift(instruction) > 0;
}

/** Moves between registers: they neither fault nor read or write flags. */
const QUIET = new Set([
  Mnemonic.Mov,
  Mnemonic.Movzx,
  Mnemonic.Movsx,
  Mnemonic.Movsxd,
  Mnemonic.Lea,
  Mnemonic.Nop,
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
