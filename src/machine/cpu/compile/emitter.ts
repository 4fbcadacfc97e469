/**
 * WebAssembly for the instructions of a region, one after another. Each may be code of its own, or a call of its
 * closure; so what is not worth code costs nothing to support.
 *
 * Invariants:
 * - The register file in the arena is right at every instruction's begin; locals hold copies of some registers, which
 *   `cached` knows.
 * - The lazy flags are in locals. Their kind is `flags`, or in a local where it is not known (`DYNAMIC`). They go to
 *   the register file before everything that can look at them: closures, faults, and leaving the region.
 * - An access that the fast caches do not answer is done by the instruction's closure, all of it: so it faults, counts
 *   and tells of events as closures do.
 */
import { Register } from "iced-x86";
import { CACHE_PAGES } from "../../fastCache";
import { ARENA_READ_CACHE, ARENA_WRITE_CACHE } from "../../memory";
import { KIND_EXPLICIT, KIND_MIXED32 } from "../flags";
import {
  byteIndex,
  immediateOf,
  isMemory,
  isRegister,
  operandSize,
  registerNumber,
  registerSize,
  type Site,
  type Size,
  segmentNumber,
  signExtend,
} from "../operands";
import {
  AF,
  CF,
  FS,
  OF,
  R_FLAGS,
  R_KIND,
  R_OP1,
  R_OP2,
  R_RES,
  R_RIP,
  R_SEGMENT_BASE,
  STATUS_FLAGS,
} from "../registers";
import { Code } from "./assembler";
import { pushCondition } from "./conditions";
import {
  ADDRESS,
  CONDITION,
  FLAGS_A,
  FLAGS_B,
  FLAGS_KIND,
  FLAGS_RESULT,
  IMPORT_CONDITIONS,
  IMPORT_STATUS,
  IMPORT_STEP,
  LEFT,
  REGISTERS,
  SLOT,
  stateOffset,
  V32,
  X32,
  Y32,
} from "./locals";

/** The kind of the flags is only known when the code runs. */
export const DYNAMIC = -1;
/** Behind this many bits a canonical address repeats its sign, whatever the number of levels. */
const CANONICAL_SHIFT = 16;
const FLAG_LOCALS = { result: FLAGS_RESULT, a: FLAGS_A, b: FLAGS_B, bits: FLAGS_A };
const MIXED_BITS = CF | OF | AF;
/** Bytes of an entry of the fast caches, as a shift, and where in it the addend is. */
const CACHE_ENTRY_SHIFT = 4;
const CACHE_ADDEND = 8;
/** From a linear address to its entry's place in a cache. */
const CACHE_SHIFT = 12 - CACHE_ENTRY_SHIFT;
const CACHE_MASK = (CACHE_PAGES - 1) << CACHE_ENTRY_SHIFT;

/** Where functions are written, one after another. */
const SCRATCH = new Uint8Array(65536);

/** What an access by the closure may have changed. */
export interface Effects {
  /** Numbers of general registers. */
  readonly registers?: readonly number[];
  readonly flags?: boolean;
  /** The instruction branches: whoever called the region goes on. */
  readonly leaves?: boolean;
}

export class Emitter {
  readonly code = new Code(SCRATCH);
  /** The kind of the lazy flags, or `DYNAMIC`. */
  flags = DYNAMIC;
  /** Whether the instruction's flags can be seen before others overwrite them. */
  flagsNeeded = true;
  /** The running instruction, for closures: block and index in one number. */
  site = 0;
  /** Linear address of the instruction, and the instructions of its block from it on. */
  private rip = 0n;
  private remaining = 0;
  private cached = new Array<boolean>(16).fill(false);

  /** Begins a block: what runs before it is not known. */
  beginBlock(): void {
    this.flags = DYNAMIC;
    this.cached.fill(false);
  }

  /** @param remaining instructions of the block from this one on, itself included */
  beginInstruction(site: number, at: Site, remaining: number, flagsNeeded: boolean): void {
    this.site = site;
    this.rip = (BigInt(at.high) << 32n) | BigInt(at.low >>> 0);
    this.remaining = remaining;
    this.flagsNeeded = flagsNeeded;
  }

  /** Emits a way that does not come back: what is known here afterwards is what was known before. */
  aside(way: () => void): void {
    const { flags, flagsNeeded, site, rip, remaining } = this;
    const cached = [...this.cached];
    way();
    Object.assign(this, { flags, flagsNeeded, site, rip, remaining, cached });
  }

  // --- registers ---

  /** Pushes a 64-bit register. */
  register(number: number): void {
    this.touch(number);
    this.code.get(REGISTERS + number);
  }

  /** Sees to it that a register is in its local. */
  touch(number: number): void {
    if (this.cached[number]) return;
    this.reload(number);
  }

  /** Writes a 64-bit value to a register; it is on the stack. */
  setRegister(number: number): void {
    this.code.set(REGISTERS + number);
    this.code
      .i32(0)
      .get(REGISTERS + number)
      .access("i64_store", stateOffset(2 * number));
    this.cached[number] = true;
  }

  private reload(number: number): void {
    this.code
      .i32(0)
      .access("i64_load", stateOffset(2 * number))
      .set(REGISTERS + number);
    this.cached[number] = true;
  }

  /** Pushes a register of 1, 2 or 4 bytes as i32: below 4 bytes sign-extended. */
  narrowRegister(register: Register): void {
    const size = registerSize(register);
    if (size === 4) {
      this.register(registerNumber(register));
      this.code.op("i32_wrap_i64");
      return;
    }
    if (size === 2) this.code.i32(0).access("i32_load16_s", stateOffset(0) + 8 * registerNumber(register));
    else this.code.i32(0).access("i32_load8_s", stateOffset(0) + byteIndex(register));
  }

  /** Writes `local`, an i32, to a register of 1, 2 or 4 bytes. */
  setNarrowRegister(register: Register, local: number): void {
    const size = registerSize(register);
    if (size === 4) {
      this.code.get(local).op("i64_extend_i32_u");
      this.setRegister(registerNumber(register));
      return;
    }
    this.code.i32(0).get(local);
    if (size === 2) {
      this.code.access("i32_store16", stateOffset(0) + 8 * registerNumber(register));
      this.cached[registerNumber(register)] = false;
    } else {
      this.code.access("i32_store8", stateOffset(0) + byteIndex(register));
      this.cached[byteIndex(register) >> 3] = false;
    }
  }

  // --- operands that are no memory ---

  /** Pushes a register or immediate operand as i64. */
  wideOperand({ instruction }: Site, n: number): void {
    if (isRegister(instruction, n)) this.register(registerNumber(instruction.opRegister(n)));
    else this.code.i64(BigInt.asIntN(64, instruction.immediate(n)));
  }

  /** Pushes a register or immediate operand of up to 4 bytes as i32. */
  narrowOperand({ instruction }: Site, n: number): void {
    if (isRegister(instruction, n)) this.narrowRegister(instruction.opRegister(n));
    else this.code.i32(signExtend(immediateOf(instruction, n).low, operandSize(instruction, 0)));
  }

  /** Has a register operand of 4 or 8 bytes in its local, for code that runs on one path only. */
  touchOperand({ instruction }: Site, n: number): void {
    if (!isRegister(instruction, n)) return;
    const register = instruction.opRegister(n);
    if (registerSize(register) >= 4) this.touch(registerNumber(register));
  }

  // --- memory ---

  /** Computes the linear address of the memory operand into its local. False where there is no code for it. */
  address(site: Site): boolean {
    if (!hasPlainAddress(site)) return false;
    this.effectiveAddress(site);
    const segment = segmentNumber(site.instruction.memorySegment);
    if (segment >= FS) {
      this.code.i32(0).access("i64_load", stateOffset(R_SEGMENT_BASE + 2 * segment));
      this.code.op("i64_add");
    }
    this.code.set(ADDRESS);
    return true;
  }

  /** Pushes the offset of the memory operand, as LEA gives it. */
  effectiveAddress({ instruction }: Site): void {
    const { code } = this;
    const base = instruction.memoryBase;
    const index = instruction.memoryIndex;
    const displacement = BigInt.asIntN(64, instruction.memoryDisplacement);
    const hasBase = base !== Register.None && base !== Register.RIP;
    if (index !== Register.None) {
      this.register(registerNumber(index));
      const shift = 31 - Math.clz32(instruction.memoryIndexScale);
      if (shift > 0) code.i64(shift).op("i64_shl");
    }
    if (hasBase) this.register(registerNumber(base));
    if (hasBase && index !== Register.None) code.op("i64_add");
    if (!hasBase && index === Register.None) code.i64(displacement);
    else if (displacement !== 0n) code.i64(displacement).op("i64_add");
  }

  /**
   * An access to the memory at `ADDRESS`, of `size` bytes. `fast` is the instruction where a fast cache answers; the
   * host address of the access is what `host` pushes. Registers that `fast` reads have to be touched before.
   */
  access(write: boolean, size: Size, effects: Effects, fast: () => void): void {
    const { code } = this;
    const flagsBefore = this.flags;
    this.hit(write, size);
    code.if();
    const cachedBefore = [...this.cached];
    fast();
    const flagsAfter = this.flags;
    const cachedAfter = [...this.cached];
    code.op("else");
    this.flags = flagsBefore;
    this.spillFlags();
    this.step();
    if (effects.leaves) code.get(LEFT).op("return");
    else {
      for (const number of effects.registers ?? []) this.reload(number);
      if (effects.flags && flagsAfter === DYNAMIC) this.loadFlags();
      else if (effects.flags) this.loadFlagsOfKind(flagsAfter);
    }
    code.op("end");
    this.flags = flagsAfter;
    // What only one of the two ways has read is not known behind them.
    for (let n = 0; n < 16; n++) this.cached[n] = cachedBefore[n] && cachedAfter[n];
    for (const number of effects.registers ?? []) this.cached[number] = true;
  }

  /** Pushes whether a fast cache answers for the access; its entry's place is then in `SLOT`. */
  private hit(write: boolean, size: Size): void {
    const { code } = this;
    code.get(ADDRESS);
    if (size > 1) code.i64(size - 1).op("i64_add");
    code.i64(-4096).op("i64_and");
    code.get(ADDRESS).op("i32_wrap_i64").i32(CACHE_SHIFT).op("i32_shr_u").i32(CACHE_MASK).op("i32_and");
    code.tee(SLOT).access("i64_load", write ? ARENA_WRITE_CACHE : ARENA_READ_CACHE);
    code.op("i64_eq");
  }

  /** Pushes the host address of an access that a cache answers. */
  host(write: boolean): void {
    const cache = write ? ARENA_WRITE_CACHE : ARENA_READ_CACHE;
    this.code.get(SLOT).access("i32_load", cache + CACHE_ADDEND);
    this.code.get(ADDRESS).op("i32_wrap_i64", "i32_add");
  }

  /** Pushes what is at a host address that is on the stack: i64, or i32 sign-extended. */
  load(size: Size): void {
    const { code } = this;
    if (size === 8) code.access("i64_load", 0);
    else code.access(size === 4 ? "i32_load" : size === 2 ? "i32_load16_s" : "i32_load8_s", 0);
  }

  /** Stores a value; its host address is below it on the stack. */
  store(size: Size): void {
    const { code } = this;
    if (size === 8) code.access("i64_store", 0);
    else code.access(size === 4 ? "i32_store" : size === 2 ? "i32_store16" : "i32_store8", 0);
  }

  // --- flags ---

  /** The flags are those of an operation on i32 operands in `X32` and `Y32` with its result in `V32`. */
  keepFlags32(kind: number): void {
    const { code } = this;
    code.get(V32).op("i64_extend_i32_u").set(FLAGS_RESULT);
    code.get(X32).op("i64_extend_i32_u").set(FLAGS_A);
    code.get(Y32).op("i64_extend_i32_u").set(FLAGS_B);
    this.flags = kind;
  }

  /** Writes the flags to the register file. What is known of them does not change. */
  spillFlags(): void {
    const { code, flags } = this;
    code.i32(0);
    if (flags === DYNAMIC) code.get(FLAGS_KIND);
    else code.i32(flags);
    code.access("i32_store", stateOffset(R_KIND));
    if (flags === KIND_EXPLICIT) return;
    code.i32(0).get(FLAGS_RESULT).access("i64_store", stateOffset(R_RES));
    if (isMixed(flags)) this.spillMixedBits();
    else {
      code.i32(0).get(FLAGS_A).access("i64_store", stateOffset(R_OP1));
      code.i32(0).get(FLAGS_B).access("i64_store", stateOffset(R_OP2));
    }
  }

  private spillMixedBits(): void {
    const { code } = this;
    code.i32(0).i32(0).access("i32_load", stateOffset(R_FLAGS));
    code.i32(~MIXED_BITS).op("i32_and").get(FLAGS_A).op("i32_wrap_i64", "i32_or");
    code.access("i32_store", stateOffset(R_FLAGS));
  }

  /** Before a place that is reached from elsewhere too: the flags' kind goes to its local. */
  joinFlags(): void {
    if (this.flags === DYNAMIC) return;
    if (isMixed(this.flags)) this.spillMixedBits();
    this.code.i32(this.flags).set(FLAGS_KIND);
    this.flags = DYNAMIC;
  }

  /** Takes the flags from the register file, whatever their kind. */
  loadFlags(): void {
    this.code.i32(0).access("i32_load", stateOffset(R_KIND)).set(FLAGS_KIND);
    this.flags = DYNAMIC;
    this.loadFlagsOfKind(DYNAMIC);
  }

  private loadFlagsOfKind(kind: number): void {
    const { code } = this;
    if (kind === KIND_EXPLICIT) return;
    code.i32(0).access("i64_load", stateOffset(R_RES)).set(FLAGS_RESULT);
    if (isMixed(kind)) {
      code.i32(0).access("i32_load", stateOffset(R_FLAGS)).i32(MIXED_BITS);
      code.op("i32_and", "i64_extend_i32_u").set(FLAGS_A);
      return;
    }
    code.i32(0).access("i64_load", stateOffset(R_OP1)).set(FLAGS_A);
    code.i32(0).access("i64_load", stateOffset(R_OP2)).set(FLAGS_B);
  }

  /** The flags in `mask` become those that are in a local, an i32; the others stay. All are explicit then. */
  replaceFlags(mask: number, local: number): void {
    const { code, flags } = this;
    if (isMixed(flags)) this.spillMixedBits();
    code.i32(0).i32(0).access("i32_load", stateOffset(R_FLAGS));
    if (flags === KIND_EXPLICIT) code.i32(~mask).op("i32_and");
    else {
      code.i32(~STATUS_FLAGS).op("i32_and");
      this.pushFlags();
      code.call(IMPORT_STATUS).i32(~mask).op("i32_and", "i32_or");
    }
    code.get(local).op("i32_or").access("i32_store", stateOffset(R_FLAGS));
    this.flags = KIND_EXPLICIT;
  }

  /** Pushes the flags' kind, result and operands: the parameters of imports that read flags. */
  private pushFlags(): void {
    const { code, flags } = this;
    if (flags === DYNAMIC) code.get(FLAGS_KIND);
    else code.i32(flags);
    code.get(FLAGS_RESULT).get(FLAGS_A).get(FLAGS_B);
  }

  /** Pushes whether a condition holds. */
  condition(condition: number): void {
    const { code } = this;
    if (this.flags !== DYNAMIC) {
      pushCondition(code, FLAG_LOCALS, this.flags, condition);
      return;
    }
    this.pushFlags();
    code.call(IMPORT_CONDITIONS + (condition >> 1));
    if ((condition & 1) !== 0) code.op("i32_eqz");
  }

  // --- closures, and leaving ---

  /** The instruction is its closure. */
  closure(): void {
    this.spillFlags();
    this.step();
    this.loadFlags();
    this.cached.fill(false);
  }

  /** Runs the closure; returns from the region where it asks for that. */
  private step(): void {
    const { code } = this;
    code.i32(this.site).get(LEFT).call(IMPORT_STEP);
    code.tee(CONDITION).if().get(CONDITION).op("return", "end");
  }

  /** Leaves the region before the instruction, which the run loop then does itself. */
  leaveBefore(): void {
    this.spillFlags();
    this.setRip(this.rip);
    this.code.i32(-1).get(LEFT).i32(this.remaining).op("i32_add", "i32_xor", "return");
  }

  /** Leaves the region at an address where the run loop has to look: too few instructions are left. */
  leaveForLook(rip: bigint): void {
    this.spillFlags();
    this.setRip(rip);
    this.code.i32(-1).get(LEFT).op("i32_xor", "return");
  }

  /** Leaves the region for an address. */
  leaveTo(rip: bigint): void {
    this.spillFlags();
    this.setRip(rip);
    this.code.get(LEFT).op("return");
  }

  /** Leaves the region for the address in a local, if it is canonical; else before the instruction. */
  leaveToLocal(local: number, beforeLeaving: () => void): void {
    const { code } = this;
    code.get(local).i64(CANONICAL_SHIFT).op("i64_shl").i64(CANONICAL_SHIFT).op("i64_shr_s");
    code.get(local).op("i64_ne").if();
    this.leaveBefore();
    code.op("end");
    beforeLeaving();
    this.spillFlags();
    code.i32(0).get(local).access("i64_store", stateOffset(R_RIP)).get(LEFT).op("return");
  }

  private setRip(rip: bigint): void {
    this.code.i32(0).i64(rip).access("i64_store", stateOffset(R_RIP));
  }
}

function isMixed(kind: number): boolean {
  return kind >= 0 && (kind & ~1) === KIND_MIXED32;
}

/** Whether the memory operand has a 64-bit address made of 64-bit registers. */
export function hasPlainAddress({ instruction, bitness }: Site): boolean {
  if (bitness !== 64) return false;
  const { memoryBase: base, memoryIndex: index } = instruction;
  if (base === Register.EIP) return false;
  if (base !== Register.None && base !== Register.RIP && registerSize(base) !== 8) return false;
  if (index !== Register.None && (index < Register.RAX || index > Register.R15)) return false;
  // A 32-bit address without registers is zero-extended.
  const absolute = base === Register.None && index === Register.None;
  const displacement = instruction.memoryDisplacement;
  const extended = displacement > 0x7fffffffn && displacement <= 0xffffffffn;
  return !absolute || instruction.memoryDisplSize === 8 || !extended;
}

/** Whether an operand is a general register, an immediate or a branch target. */
export function isPlainOperand({ instruction }: Site, n: number): boolean {
  if (isMemory(instruction, n)) return false;
  if (!isRegister(instruction, n)) return true;
  const register = instruction.opRegister(n);
  return register >= Register.AL && register <= Register.R15;
}
