/**
 * Random 64-bit programs: a loop over random instructions, which becomes hot, and then halts. It calls functions in
 * other pages, which call each other.
 */
import fc from "fast-check";
import { DATA } from "./longMode";

/** Registers that the instructions use: all but RSP, RSI (data), R14 (a function) and R15 (the loop's counter). */
const REGISTERS = [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13] as const;
const RSI = 6;
const ALU = [0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39] as const;
/** Short enough that a displacement of 8 bits crosses into the next page. */
export const DATA_POINTER = BigInt(DATA + 0x1000 - 64);
export const DATA_BYTES = 0x2000;

const register = fc.constantFrom(...REGISTERS);
const byte = fc.integer({ min: 0, max: 255 });
const displacement = fc.integer({ min: 0, max: 120 });
const condition = fc.integer({ min: 0, max: 15 });
const size = fc.constantFrom(1, 2, 4, 8);
const wideSize = fc.constantFrom(4, 8);

/** Prefixes, opcode and ModRM for a register or memory operand. */
function encode(bytes: number, opcode: readonly number[], reg: number, rm: number, disp?: number): number[] {
  const prefix = bytes === 2 ? [0x66] : [];
  const rex = 0x40 | (bytes === 8 ? 8 : 0) | ((reg >> 3) << 2) | (rm >> 3);
  const mod = disp === undefined ? 0xc0 : 0x40;
  const modrm = mod | ((reg & 7) << 3) | (rm & 7);
  return [...prefix, rex, ...opcode, modrm, ...(disp === undefined ? [] : [disp])];
}

/** An opcode with bit 0 clear for bytes. */
const sized = (opcode: number, bytes: number) => (bytes === 1 ? opcode & ~1 : opcode);

const alu = fc
  .tuple(fc.constantFrom(...ALU), size, register, register)
  .map(([op, bytes, a, b]) => encode(bytes, [sized(op, bytes)], a, b));
const aluToMemory = fc
  .tuple(fc.constantFrom(...ALU, 0x85), size, register, displacement)
  .map(([op, bytes, a, d]) => encode(bytes, [sized(op, bytes)], a, RSI, d));
const aluFromMemory = fc
  .tuple(fc.constantFrom(...ALU), size, register, displacement)
  .map(([op, bytes, a, d]) => encode(bytes, [sized(op + 2, bytes)], a, RSI, d));
const aluImmediate = fc
  .tuple(fc.integer({ min: 0, max: 7 }), fc.constantFrom(2, 4, 8), register, byte)
  .map(([op, bytes, rm, value]) => [...encode(bytes, [0x83], op, rm), value]);
const aluByteImmediate = fc
  .tuple(fc.integer({ min: 0, max: 7 }), register, byte)
  .map(([op, rm, value]) => [...encode(1, [0x80], op, rm), value]);
const moveToMemory = fc
  .tuple(size, register, displacement)
  .map(([bytes, a, d]) => encode(bytes, [sized(0x89, bytes)], a, RSI, d));
const moveFromMemory = fc
  .tuple(size, register, displacement)
  .map(([bytes, a, d]) => encode(bytes, [sized(0x8b, bytes)], a, RSI, d));
const moveImmediate = fc
  .tuple(register, byte, byte)
  .map(([rm, low, high]) => [...encode(8, [0xc7], 0, rm), low, high, low ^ high, high]);
const shift = fc
  .tuple(fc.constantFrom(0, 1, 4, 5, 7), size, register, byte)
  .map(([op, bytes, rm, count]) => [...encode(bytes, [sized(0xc1, bytes)], op, rm), count]);
const shiftByCl = fc
  .tuple(fc.constantFrom(4, 5, 7), size, register)
  .map(([op, bytes, rm]) => encode(bytes, [sized(0xd3, bytes)], op, rm));
const step = fc
  .tuple(fc.constantFrom(0, 1), size, register)
  .map(([op, bytes, rm]) => encode(bytes, [sized(0xff, bytes)], op, rm));
const negate = fc
  .tuple(fc.constantFrom(2, 3), size, register)
  .map(([op, bytes, rm]) => encode(bytes, [sized(0xf7, bytes)], op, rm));
const conditionalMove = fc
  .tuple(condition, fc.constantFrom(2, 4, 8), register, register)
  .map(([cc, bytes, a, b]) => encode(bytes, [0x0f, 0x40 | cc], a, b));
const conditionalLoad = fc
  .tuple(condition, wideSize, register, displacement)
  .map(([cc, bytes, a, d]) => encode(bytes, [0x0f, 0x40 | cc], a, RSI, d));
const set = fc.tuple(condition, register).map(([cc, rm]) => encode(1, [0x0f, 0x90 | cc], 0, rm));
const extend = fc
  .tuple(fc.constantFrom(0xb6, 0xb7, 0xbe, 0xbf), wideSize, register, register)
  .map(([op, bytes, a, b]) => encode(bytes, [0x0f, op], a, b));
const extendLoad = fc
  .tuple(fc.constantFrom(0xb6, 0xb7, 0xbe, 0xbf), wideSize, register, displacement)
  .map(([op, bytes, a, d]) => encode(bytes, [0x0f, op], a, RSI, d));
const multiply = fc
  .tuple(wideSize, register, register)
  .map(([bytes, a, b]) => encode(bytes, [0x0f, 0xaf], a, b));
const pushPop = fc
  .tuple(register, register)
  .map(([a, b]) => [...[0x40 | (a >> 3), 0x50 | (a & 7)], ...[0x40 | (b >> 3), 0x58 | (b & 7)]]);
const exchange = fc
  .tuple(size, register, displacement)
  .map(([bytes, a, d]) => encode(bytes, [sized(0x87, bytes)], a, RSI, d));
const flagsOnStack = fc.constant([0x9c, 0x58]);
const callFunction = fc.constant([0x41, 0xff, 0xd6]);

const plain = fc.oneof(
  alu,
  aluToMemory,
  aluFromMemory,
  aluImmediate,
  aluByteImmediate,
  moveToMemory,
  moveFromMemory,
  moveImmediate,
  shift,
  shiftByCl,
  step,
  negate,
  conditionalMove,
  conditionalLoad,
  set,
  extend,
  extendLoad,
  multiply,
  pushPop,
  exchange,
  flagsOnStack,
  callFunction,
);
/** An instruction that may be jumped over. */
const skipped = fc.tuple(condition, plain).map(([cc, over]) => [0x70 | cc, over.length, ...over]);

/** `lea rax, [rax + 3*...]`, `ret`: what R14 points to is this many bytes before the program's loop. */
const FUNCTION = [0x48, 0x8d, 0x44, 0x58, 0x03, 0xc3];
export const FUNCTION_OFFSET = 2;

/** Functions in other pages, and what they end with in place of a return: a jump to one in yet another page. */
const FUNCTIONS = 6;
const PAGE = 0x1000;
const THUNK = 3 * PAGE;
const RET = 0xc3;

/** Bytes of instructions, or a call of a function by its number. */
type Part = readonly number[] | { readonly call: number };

interface RandomFunction {
  readonly parts: readonly Part[];
  readonly returnsByThunk: boolean;
}

/** Where a function begins, from the program's begin. */
export function functionOffset(number: number): number {
  return PAGE * (1 + (number & 1)) + 0x180 * number;
}

const parts = (call: fc.Arbitrary<Part>, maxLength: number) =>
  fc.array(
    fc.oneof(
      { arbitrary: plain as fc.Arbitrary<Part>, weight: 6 },
      { arbitrary: skipped as fc.Arbitrary<Part>, weight: 2 },
      { arbitrary: call, weight: 1 },
    ),
    { minLength: 1, maxLength },
  );

/** Calls only those behind it, so that all return. */
const randomFunction = (number: number): fc.Arbitrary<RandomFunction> =>
  fc.record({
    parts: parts(
      number + 1 < FUNCTIONS
        ? fc.integer({ min: number + 1, max: FUNCTIONS - 1 }).map((call) => ({ call }))
        : fc.constant([0x90]),
      8,
    ),
    returnsByThunk: fc.boolean(),
  });

const relative = (distance: number) => [0, 8, 16, 24].map((bits) => (distance >> bits) & 0xff);

/** The bytes of parts that begin at an offset of the program. */
function place(all: readonly Part[], offset: number): number[] {
  const bytes: number[] = [];
  for (const part of all) {
    if (!("call" in part)) bytes.push(...part);
    else bytes.push(0xe8, ...relative(functionOffset(part.call) - (offset + bytes.length + 5)));
  }
  return bytes;
}

/** A program of a loop that runs `rounds` times. */
export function randomProgram(rounds: number): fc.Arbitrary<Uint8Array> {
  const call = fc.integer({ min: 0, max: FUNCTIONS - 1 }).map((number) => ({ call: number }));
  const functions = fc.tuple(...Array.from({ length: FUNCTIONS }, (_, number) => randomFunction(number)));
  return fc.tuple(parts(call, 40), functions).map(([loop, called]) => {
    const program = new Uint8Array(THUNK + 1).fill(0xf4);
    // jmp over the function; mov r15d, rounds; body; dec r15; jnz near body; hlt
    const start = [0xeb, FUNCTION.length, ...FUNCTION, 0x41, 0xbf, rounds & 0xff, rounds >> 8, 0, 0];
    const body = place(loop, start.length);
    const back = relative(-(body.length + 3 + 6));
    program.set([...start, ...body, 0x49, 0xff, 0xcf, 0x0f, 0x85, ...back, 0xf4]);
    called.forEach((one, number) => {
      const offset = functionOffset(number);
      const bytes = place(one.parts, offset);
      const end = one.returnsByThunk ? [0xe9, ...relative(THUNK - (offset + bytes.length + 5))] : [RET];
      program.set([...bytes, ...end], offset);
    });
    program[THUNK] = RET;
    return program;
  });
}
