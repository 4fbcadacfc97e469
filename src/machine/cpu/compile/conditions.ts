/** The conditions of instructions, computed from lazy flags: what `flags.ts` does, as WebAssembly. */
import {
  KIND_ADD32,
  KIND_ADD64,
  KIND_EXPLICIT,
  KIND_LOGIC32,
  KIND_LOGIC64,
  KIND_MIXED32,
  KIND_MIXED64,
  KIND_SUB32,
  KIND_SUB64,
} from "../flags";
import { AF, CF, OF, PF, R_FLAGS, SF, STATUS_FLAGS, ZF } from "../registers";
import type { Code, Operation } from "./assembler";
import { stateOffset } from "./locals";

/** Locals that hold the lazy flags. `bits` holds CF and OF of a mixed kind; without it they are in the register file. */
export interface FlagLocals {
  readonly result: number;
  readonly a: number;
  readonly b: number;
  readonly bits: number | undefined;
}

/** Condition codes without their lowest bit, which negates (SDM vol. 2, appendix B). */
const O = 0;
const B = 2;
const Z = 4;
const BE = 6;
const S = 8;
const P = 10;
const L = 12;

/** The flags that are conditions of their own: all but AF. */
const STATUS_CONDITIONS = [
  [O, OF],
  [B, CF],
  [Z, ZF],
  [S, SF],
  [P, PF],
] as const;

/** Every kind of lazy flags. */
export const KINDS = [
  KIND_EXPLICIT,
  KIND_LOGIC32,
  KIND_LOGIC64,
  KIND_ADD32,
  KIND_ADD64,
  KIND_SUB32,
  KIND_SUB64,
  KIND_MIXED32,
  KIND_MIXED64,
] as const;

/** Pushes 1 where a condition holds, else 0, given the kind of the lazy flags. */
export function pushCondition(code: Code, locals: FlagLocals, kind: number, condition: number): void {
  new ConditionWriter(code, locals, kind).push(condition & ~1);
  if ((condition & 1) !== 0) code.op("i32_eqz");
}

/** Pushes the six status flags as RFLAGS has them, given their kind. */
export function pushStatusFlags(code: Code, locals: FlagLocals, kind: number): void {
  if (kind === KIND_EXPLICIT) {
    code.i32(0).access("i32_load", stateOffset(R_FLAGS)).i32(STATUS_FLAGS).op("i32_and");
    return;
  }
  const writer = new ConditionWriter(code, locals, kind);
  writer.adjust();
  for (const [condition, flag] of STATUS_CONDITIONS) {
    writer.push(condition);
    code.i32(Math.log2(flag)).op("i32_shl", "i32_or");
  }
}

class ConditionWriter {
  private readonly wide: boolean;

  constructor(
    private readonly code: Code,
    private readonly locals: FlagLocals,
    private readonly kind: number,
  ) {
    this.wide = (kind & 1) !== 0;
  }

  push(condition: number): void {
    const { code } = this;
    switch (condition) {
      case O:
        this.overflow();
        return;
      case B:
        this.carry();
        return;
      case Z:
        this.zero();
        return;
      case BE:
        if (this.isSub()) this.compare("i32_le_u", "i64_le_u");
        else {
          this.carry();
          this.zero();
          code.op("i32_or");
        }
        return;
      case S:
        this.sign();
        return;
      case P:
        this.parity();
        return;
      case L:
        this.less();
        return;
      default:
        if (this.isSub()) this.compare("i32_le_s", "i64_le_s");
        else {
          this.zero();
          this.less();
          code.op("i32_or");
        }
    }
  }

  /** Pushes AF in its place. */
  adjust(): void {
    const { code, kind } = this;
    const { a, b, result } = this.locals;
    switch (kind & ~1) {
      case KIND_LOGIC32:
        code.i32(0);
        return;
      case KIND_ADD32:
      case KIND_SUB32:
        code.get(a).get(b).op("i64_xor").get(result).op("i64_xor", "i32_wrap_i64");
        break;
      default:
        code.i32(0).access("i32_load", stateOffset(R_FLAGS));
    }
    code.i32(AF).op("i32_and");
  }

  private less(): void {
    if (this.isSub()) this.compare("i32_lt_s", "i64_lt_s");
    else {
      this.sign();
      this.overflow();
      this.code.op("i32_xor");
    }
  }

  private isSub(): boolean {
    return this.kind === KIND_SUB32 || this.kind === KIND_SUB64;
  }

  private overflow(): void {
    const { a, b, result } = this.locals;
    switch (this.kind & ~1) {
      case KIND_LOGIC32:
        this.code.i32(0);
        return;
      case KIND_ADD32:
        this.negative(a, result, b, result);
        return;
      case KIND_SUB32:
        this.negative(a, b, a, result);
        return;
      default:
        this.bit(OF);
    }
  }

  /** Whether the top bit of (p ^ q) & (r ^ s) is set. */
  private negative(p: number, q: number, r: number, s: number): void {
    const { code, wide } = this;
    code.get(p).get(q).op("i64_xor").get(r).get(s).op("i64_xor", "i64_and");
    if (wide) code.i64(0).op("i64_lt_s");
    else code.op("i32_wrap_i64").i32(0).op("i32_lt_s");
  }

  private carry(): void {
    const { a, result } = this.locals;
    switch (this.kind & ~1) {
      case KIND_LOGIC32:
        this.code.i32(0);
        return;
      case KIND_ADD32:
        this.two(result, a, "i32_lt_u", "i64_lt_u");
        return;
      case KIND_SUB32:
        this.compare("i32_lt_u", "i64_lt_u");
        return;
      default:
        this.bit(CF);
    }
  }

  /** Compares the operands. */
  private compare(narrow: Operation, wide: Operation): void {
    this.two(this.locals.a, this.locals.b, narrow, wide);
  }

  private two(p: number, q: number, narrow: Operation, wide: Operation): void {
    const { code } = this;
    if (this.wide) code.get(p).get(q).op(wide);
    else code.get(p).op("i32_wrap_i64").get(q).op("i32_wrap_i64", narrow);
  }

  private zero(): void {
    const { code } = this;
    if (this.kind === KIND_EXPLICIT) this.explicit(ZF);
    else if (this.wide) code.get(this.locals.result).op("i64_eqz");
    else code.get(this.locals.result).op("i32_wrap_i64", "i32_eqz");
  }

  private sign(): void {
    const { code } = this;
    if (this.kind === KIND_EXPLICIT) this.explicit(SF);
    else if (this.wide) code.get(this.locals.result).i64(0).op("i64_lt_s");
    else code.get(this.locals.result).op("i32_wrap_i64").i32(0).op("i32_lt_s");
  }

  private parity(): void {
    if (this.kind === KIND_EXPLICIT) this.explicit(PF);
    else {
      const { code } = this;
      code.get(this.locals.result).op("i32_wrap_i64").i32(0xff).op("i32_and", "i32_popcnt");
      code.i32(1).op("i32_and", "i32_eqz");
    }
  }

  /** A flag that no result tells of. */
  private bit(flag: number): void {
    const { bits } = this.locals;
    if (this.kind === KIND_EXPLICIT || bits === undefined) this.explicit(flag);
    else this.code.get(bits).op("i32_wrap_i64").i32(flag).op("i32_and").i32(0).op("i32_ne");
  }

  private explicit(flag: number): void {
    this.code.i32(0).access("i32_load", stateOffset(R_FLAGS));
    this.code.i32(flag).op("i32_and").i32(0).op("i32_ne");
  }
}
