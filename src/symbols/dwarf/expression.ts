/**
 * Location descriptions and expressions (DWARF 5, 2.5 and 2.6): a stack machine, run under a budget.
 *
 * Values are 64 bits wide (32 in 32-bit files), as 2.5.1 has it for untyped operands; typed ones of other widths are
 * not supported, and say so.
 */
import type { FrameContext, Location } from "../debugInfo";
import { indexedAddress } from "./addr";
import { DW_OP } from "./constants";
import type { Encoding } from "./form";
import { DwarfError, DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";

/** What an expression may ask for. */
export interface ExpressionContext {
  readonly sections: DwarfSections;
  readonly encoding: Encoding;
  readonly addrBase: number;
  readonly frame: FrameContext;
  /** The function's frame base; undefined where it has none. */
  frameBase(): Location | undefined;
}

/** Operations of one evaluation, and values on its stack, at most. */
const MOST_OPERATIONS = 10_000;
const DEEPEST = 256;

/** The evaluation came to something that has no value here. */
class Unavailable extends Error {}

/** Where an expression says that an object is. Throws nothing. */
export function locate(bytes: Uint8Array, context: ExpressionContext): Location {
  return guarded(() => new Evaluation(bytes, context).location());
}

/**
 * The value that an expression leaves on its stack.
 * @param initial what is on it at the start
 * @returns undefined where it cannot be computed
 */
export function evaluate(
  bytes: Uint8Array,
  context: ExpressionContext,
  initial: readonly bigint[] = [],
): bigint | undefined {
  const result = guarded(() => ({
    kind: "memory" as const,
    address: new Evaluation(bytes, context, initial).value(),
  }));
  return result.kind === "memory" ? result.address : undefined;
}

function guarded(run: () => Location): Location {
  try {
    return run();
  } catch (error) {
    if (error instanceof Unavailable || error instanceof DwarfError) {
      return { kind: "unavailable", reason: error.message };
    }
    throw error;
  }
}

/** A simple location, before pieces are put together. */
type Simple = Exclude<Location, { kind: "pieces" }>;

class Evaluation {
  private readonly reader: DwarfReader;
  private readonly stack: bigint[];
  private readonly width: number;
  private operations = 0;

  constructor(
    bytes: Uint8Array,
    private readonly context: ExpressionContext,
    initial: readonly bigint[] = [],
  ) {
    this.reader = new DwarfReader({ name: "a location expression", bytes });
    this.stack = [...initial];
    this.width = context.encoding.addressSize * 8;
  }

  value(): bigint {
    while (this.reader.remaining > 0) {
      if (this.operation() !== undefined) throw new Unavailable("the expression gives a place, not a value");
    }
    return this.pop();
  }

  location(): Location {
    const pieces: { location: Location; size: number }[] = [];
    let simple: Simple | undefined;
    if (this.reader.remaining === 0) throw new Unavailable("it was optimized away");
    while (this.reader.remaining > 0) {
      const at = this.reader.position;
      const opcode = this.reader.u8();
      if (opcode === DW_OP.piece) {
        const size = this.reader.uleb();
        const missing: Location = { kind: "unavailable", reason: "this part of it was optimized away" };
        const found = simple ?? (this.stack.length > 0 ? this.memory() : missing);
        pieces.push({ location: found, size });
        simple = undefined;
        this.stack.length = 0;
        continue;
      }
      if (opcode === DW_OP.bit_piece) throw new Unavailable("locations in pieces of bits are not supported");
      this.reader.position = at;
      simple = this.operation() ?? simple;
    }
    if (pieces.length > 0) return { kind: "pieces", pieces };
    return simple ?? this.memory();
  }

  private memory(): Simple {
    return { kind: "memory", address: this.pop() };
  }

  /** Runs one operation; what says where the object is, is returned. */
  private operation(): Simple | undefined {
    const { reader, context } = this;
    if (++this.operations > MOST_OPERATIONS) throw new Unavailable("its location expression does not end");
    const at = reader.position;
    const opcode = reader.u8();
    if (opcode >= DW_OP.lit0 && opcode <= DW_OP.lit31) this.push(BigInt(opcode - DW_OP.lit0));
    else if (opcode >= DW_OP.reg0 && opcode <= DW_OP.reg31) {
      return { kind: "register", register: opcode - DW_OP.reg0 };
    } else if (opcode >= DW_OP.breg0 && opcode <= DW_OP.breg31) {
      this.push(this.register(opcode - DW_OP.breg0) + reader.sleb64());
    } else {
      switch (opcode) {
        case DW_OP.regx:
          return { kind: "register", register: reader.uleb() };
        case DW_OP.bregx:
          this.push(this.register(reader.uleb()) + reader.sleb64());
          break;
        case DW_OP.fbreg:
          this.push(this.frameBase() + reader.sleb64());
          break;
        case DW_OP.call_frame_cfa:
          if (context.frame.cfa === undefined) throw new Unavailable("the frame's address is not known");
          this.push(context.frame.cfa);
          break;
        case DW_OP.stack_value:
          return { kind: "value", bytes: bytesOf(this.pop(), this.width / 8) };
        case DW_OP.implicit_value:
          return { kind: "value", bytes: reader.bytes(reader.uleb()) };
        case DW_OP.entry_value:
        case DW_OP.GNU_entry_value:
          throw new Unavailable(
            "only the value that it had at the function's entry is known, and that is gone",
          );
        case DW_OP.implicit_pointer:
        case DW_OP.GNU_implicit_pointer:
          throw new Unavailable("what it pointed at was optimized away");
        default:
          if (!this.constant(opcode) && !this.stackOperation(opcode) && !this.arithmetic(opcode)) {
            throw reader.error(`the operation 0x${opcode.toString(16)} is not supported`, at);
          }
      }
    }
    return undefined;
  }

  private constant(opcode: number): boolean {
    const { reader, context } = this;
    switch (opcode) {
      case DW_OP.addr:
        this.push(reader.address(context.encoding.addressSize));
        return true;
      case DW_OP.addrx:
      case DW_OP.constx:
        this.push(indexedAddress(context.sections, context.addrBase, reader.uleb(), context.encoding));
        return true;
      case DW_OP.const1u:
        this.push(BigInt(reader.u8()));
        return true;
      case DW_OP.const1s:
        this.push(BigInt(reader.s8()));
        return true;
      case DW_OP.const2u:
        this.push(BigInt(reader.u16()));
        return true;
      case DW_OP.const2s:
        this.push(BigInt.asIntN(16, BigInt(reader.u16())));
        return true;
      case DW_OP.const4u:
        this.push(BigInt(reader.u32()));
        return true;
      case DW_OP.const4s:
        this.push(BigInt.asIntN(32, BigInt(reader.u32())));
        return true;
      case DW_OP.const8u:
      case DW_OP.const8s:
        this.push(reader.u64());
        return true;
      case DW_OP.constu:
        this.push(reader.uleb64());
        return true;
      case DW_OP.consts:
        this.push(reader.sleb64());
        return true;
      default:
        return false;
    }
  }

  private stackOperation(opcode: number): boolean {
    const { reader, stack } = this;
    switch (opcode) {
      case DW_OP.dup:
        this.push(this.peek(0));
        return true;
      case DW_OP.drop:
        this.pop();
        return true;
      case DW_OP.over:
        this.push(this.peek(1));
        return true;
      case DW_OP.pick:
        this.push(this.peek(reader.u8()));
        return true;
      case DW_OP.swap: {
        const [first, second] = [this.pop(), this.pop()];
        stack.push(first, second);
        return true;
      }
      case DW_OP.rot: {
        const [first, second, third] = [this.pop(), this.pop(), this.pop()];
        stack.push(first, third, second);
        return true;
      }
      case DW_OP.deref:
        this.push(this.load(this.pop(), this.width / 8));
        return true;
      case DW_OP.deref_size:
        this.push(this.load(this.pop(), reader.u8()));
        return true;
      case DW_OP.skip:
        this.jump(BigInt.asIntN(16, BigInt(reader.u16())));
        return true;
      case DW_OP.bra: {
        const by = BigInt.asIntN(16, BigInt(reader.u16()));
        if (this.pop() !== 0n) this.jump(by);
        return true;
      }
      case DW_OP.nop:
        return true;
      case DW_OP.convert:
      case DW_OP.GNU_convert:
        // To the generic type only, which changes nothing of what is held here.
        if (reader.uleb() !== 0)
          throw new Unavailable("its location converts between types, which is not supported");
        return true;
      default:
        return false;
    }
  }

  private arithmetic(opcode: number): boolean {
    switch (opcode) {
      case DW_OP.plus_uconst:
        this.push(this.pop() + this.reader.uleb64());
        return true;
      case DW_OP.neg:
        this.push(-this.pop());
        return true;
      case DW_OP.not:
        this.push(~this.pop());
        return true;
      case DW_OP.abs: {
        const value = this.signed(this.pop());
        this.push(value < 0n ? -value : value);
        return true;
      }
    }
    const operate = this.binary(opcode);
    if (operate === undefined) return false;
    const second = this.pop();
    const first = this.pop();
    const result = operate(first, second);
    this.push(typeof result === "boolean" ? BigInt(result) : result);
    return true;
  }

  private binary(opcode: number): ((first: bigint, second: bigint) => bigint | boolean) | undefined {
    const signed = (value: bigint) => this.signed(value);
    const nonZero = (value: bigint) => {
      if (value === 0n) throw new Unavailable("its location expression divides by zero");
      return value;
    };
    switch (opcode) {
      case DW_OP.and:
        return (a, b) => a & b;
      case DW_OP.or:
        return (a, b) => a | b;
      case DW_OP.xor:
        return (a, b) => a ^ b;
      case DW_OP.plus:
        return (a, b) => a + b;
      case DW_OP.minus:
        return (a, b) => a - b;
      case DW_OP.mul:
        return (a, b) => a * b;
      case DW_OP.div:
        return (a, b) => signed(a) / signed(nonZero(b));
      case DW_OP.mod:
        return (a, b) => a % nonZero(b);
      case DW_OP.shl:
        return (a, b) => (b >= BigInt(this.width) ? 0n : a << b);
      case DW_OP.shr:
        return (a, b) => (b >= BigInt(this.width) ? 0n : a >> b);
      case DW_OP.shra:
        return (a, b) => signed(a) >> (b >= BigInt(this.width) ? BigInt(this.width - 1) : b);
      case DW_OP.eq:
        return (a, b) => a === b;
      case DW_OP.ne:
        return (a, b) => a !== b;
      case DW_OP.lt:
        return (a, b) => signed(a) < signed(b);
      case DW_OP.le:
        return (a, b) => signed(a) <= signed(b);
      case DW_OP.gt:
        return (a, b) => signed(a) > signed(b);
      case DW_OP.ge:
        return (a, b) => signed(a) >= signed(b);
      default:
        return undefined;
    }
  }

  private frameBase(): bigint {
    const base = this.context.frameBase();
    if (base?.kind === "memory") return base.address;
    if (base?.kind === "register") return this.register(base.register);
    throw new Unavailable(
      base?.kind === "unavailable" ? base.reason : "the function's frame base is not known",
    );
  }

  private register(number: number): bigint {
    const value = this.context.frame.register(number);
    if (value === undefined) throw new Unavailable(`register ${number} of this frame is not known`);
    return value;
  }

  private load(address: bigint, size: number): bigint {
    if (size < 1 || size > 8) throw this.reader.error(`a load of ${size} bytes`);
    const bytes = this.context.frame.read(address, size);
    if (bytes === undefined) throw new Unavailable(`0x${address.toString(16)} is not mapped`);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
    return value;
  }

  private jump(by: bigint): void {
    const to = this.reader.position + Number(by);
    if (to < 0 || to > this.reader.end) throw this.reader.error("a jump out of the expression");
    this.reader.position = to;
  }

  private signed(value: bigint): bigint {
    return BigInt.asIntN(this.width, value);
  }

  private push(value: bigint): void {
    if (this.stack.length >= DEEPEST) throw this.reader.error("the expression's stack overflows");
    this.stack.push(BigInt.asUintN(this.width, value));
  }

  private pop(): bigint {
    const value = this.stack.pop();
    if (value === undefined) throw this.reader.error("the expression's stack is empty");
    return value;
  }

  private peek(depth: number): bigint {
    const value = this.stack[this.stack.length - 1 - depth];
    if (value === undefined) throw this.reader.error("the expression's stack is not so deep");
    return value;
  }
}

/** A value's bytes, little endian. */
export function bytesOf(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}
