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
/** Those around 60 often reach across the border of the page. */
const displacement = fc.oneof(fc.integer({ min: 0, max: 120 }), fc.integer({ min: 57, max: 63 }));
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
/** ROL ROR SHL SHR SAR. */
const SHIFTS = fc.constantFrom(0, 1, 4, 5, 7);
const shift = fc
  .tuple(SHIFTS, size, register, byte)
  .map(([op, bytes, rm, count]) => [...encode(bytes, [sized(0xc1, bytes)], op, rm), count]);
const shiftByCl = fc
  .tuple(SHIFTS, size, register)
  .map(([op, bytes, rm]) => encode(bytes, [sized(0xd3, bytes)], op, rm));
const shiftMemory = fc
  .tuple(SHIFTS, size, displacement, byte)
  .map(([op, bytes, d, count]) => [...encode(bytes, [sized(0xc1, bytes)], op, RSI, d), count]);
const shiftMemoryByCl = fc
  .tuple(SHIFTS, size, displacement)
  .map(([op, bytes, d]) => encode(bytes, [sized(0xd3, bytes)], op, RSI, d));
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
const multiplyImmediate = fc
  .tuple(wideSize, register, register, byte)
  .map(([bytes, a, b, value]) => [...encode(bytes, [0x6b], a, b), value]);
const multiplyMemory = fc
  .tuple(fc.boolean(), wideSize, register, displacement, byte)
  .map(([immediate, bytes, a, d, value]) =>
    immediate ? [...encode(bytes, [0x6b], a, RSI, d), value] : encode(bytes, [0x0f, 0xaf], a, RSI, d),
  );
/** MUL and IMUL with one operand. */
const multiplyFull = fc
  .tuple(fc.constantFrom(4, 5), size, register)
  .map(([op, bytes, rm]) => encode(bytes, [sized(0xf7, bytes)], op, rm));
const multiplyFullMemory = fc
  .tuple(fc.constantFrom(4, 5), size, displacement)
  .map(([op, bytes, d]) => encode(bytes, [sized(0xf7, bytes)], op, RSI, d));
/** Bits that make operands of multiplications large, small or negative: a shift, often to the sign's copies. */
const spread = fc
  .tuple(fc.constantFrom(5, 7), register, fc.constantFrom(1, 31, 32, 33, 48))
  .map(([op, rm, count]) => [...encode(8, [0xc1], op, rm), count]);
/** BT BTS BTR BTC. */
const bitTest = fc
  .tuple(fc.constantFrom(0xa3, 0xab, 0xb3, 0xbb), fc.constantFrom(2, 4, 8), register, register)
  .map(([op, bytes, a, b]) => encode(bytes, [0x0f, op], a, b));
const bitTestImmediate = fc
  .tuple(fc.integer({ min: 4, max: 7 }), fc.constantFrom(2, 4, 8), register, byte)
  .map(([op, bytes, rm, value]) => [...encode(bytes, [0x0f, 0xba], op, rm), value]);
const bitTestMemory = fc
  .tuple(fc.integer({ min: 4, max: 7 }), fc.constantFrom(2, 4, 8), displacement, byte)
  .map(([op, bytes, d, value]) => [...encode(bytes, [0x0f, 0xba], op, RSI, d), value]);
/** The index is made small enough to stay within the data: movsx reg, byte reg; then the test. */
const bitTestString = fc
  .tuple(fc.constantFrom(0xa3, 0xab, 0xb3, 0xbb), fc.constantFrom(2, 4, 8), register, displacement)
  .map(([op, bytes, a, d]) => [...encode(8, [0x0f, 0xbe], a, a), ...encode(bytes, [0x0f, op], a, RSI, d)]);
const scan = fc
  .tuple(fc.constantFrom(0xbc, 0xbd), fc.boolean(), wideSize, register, register)
  .map(([op, repeat, bytes, a, b]) => [...(repeat ? [0xf3] : []), ...encode(bytes, [0x0f, op], a, b)]);
const scanMemory = fc
  .tuple(fc.constantFrom(0xbc, 0xbd), fc.boolean(), wideSize, register, displacement)
  .map(([op, repeat, bytes, a, d]) => [...(repeat ? [0xf3] : []), ...encode(bytes, [0x0f, op], a, RSI, d)]);
const byteSwap = fc
  .tuple(wideSize, register)
  .map(([bytes, rm]) => [0x40 | (bytes === 8 ? 8 : 0) | (rm >> 3), 0x0f, 0xc8 | (rm & 7)]);
/** XADD and CMPXCHG. */
const exchangeIf = fc
  .tuple(fc.constantFrom(0xb1, 0xc1), size, register, register)
  .map(([op, bytes, a, b]) => encode(bytes, [0x0f, sized(op, bytes)], a, b));
const exchangeIfMemory = fc
  .tuple(fc.constantFrom(0xb1, 0xc1), size, register, displacement)
  .map(([op, bytes, a, d]) => encode(bytes, [0x0f, sized(op, bytes)], a, RSI, d));
/** mov rax, [memory], so that the comparison often finds what it looks for. */
const exchangeEqual = fc
  .tuple(fc.constantFrom(4, 8), register, displacement)
  .map(([bytes, a, d]) => [...encode(bytes, [0x8b], 0, RSI, d), ...encode(bytes, [0x0f, 0xb1], a, RSI, d)]);
const exchangeRegisters = fc
  .tuple(size, register, register)
  .map(([bytes, a, b]) => encode(bytes, [sized(0x87, bytes)], a, b));
const setMemory = fc.tuple(condition, displacement).map(([cc, d]) => encode(1, [0x0f, 0x90 | cc], 0, RSI, d));
const stepMemory = fc
  .tuple(fc.constantFrom(0, 1), size, displacement)
  .map(([op, bytes, d]) => encode(bytes, [sized(0xff, bytes)], op, RSI, d));
const negateMemory = fc
  .tuple(fc.constantFrom(2, 3), size, displacement)
  .map(([op, bytes, d]) => encode(bytes, [sized(0xf7, bytes)], op, RSI, d));
/** With LOCK: of the arithmetic those that may have it, all but CMP. */
const locked = fc
  .oneof(
    fc
      .tuple(fc.constantFrom(...ALU.filter((op) => op !== 0x39)), size, register, displacement)
      .map(([op, bytes, a, d]) => encode(bytes, [sized(op, bytes)], a, RSI, d)),
    bitTestMemory.filter((bytes) => (bytes.at(-3)! & 0x38) !== 0x20),
    exchangeIfMemory,
    stepMemory,
    negateMemory,
  )
  .map((bytes) => [0xf0, ...bytes]);
/** PAUSE LFENCE MFENCE SFENCE. */
const nothing = fc.constantFrom([0xf3, 0x90], [0x0f, 0xae, 0xe8], [0x0f, 0xae, 0xf0], [0x0f, 0xae, 0xf8]);
const pushPop = fc
  .tuple(register, register)
  .map(([a, b]) => [...[0x40 | (a >> 3), 0x50 | (a & 7)], ...[0x40 | (b >> 3), 0x58 | (b & 7)]]);
const exchange = fc
  .tuple(size, register, displacement)
  .map(([bytes, a, d]) => encode(bytes, [sized(0x87, bytes)], a, RSI, d));
const flagsOnStack = fc.constant([0x9c, 0x58]);
/** pushf; pop reg; add [memory], reg: what is added up tells of all flags there ever were. */
const flagsToMemory = fc
  .tuple(register, fc.integer({ min: 0, max: 7 }))
  .map(([a, d]) => [0x9c, 0x40 | (a >> 3), 0x58 | (a & 7), ...encode(8, [0x01], a, RSI, 0x40 + 8 * d)]);
const callFunction = fc.constant([0x41, 0xff, 0xd6]);

const single = fc.oneof(
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
  shiftMemory,
  shiftMemoryByCl,
  multiply,
  multiplyImmediate,
  multiplyMemory,
  multiplyFull,
  multiplyFullMemory,
  spread,
  bitTest,
  bitTestImmediate,
  bitTestMemory,
  bitTestString,
  scan,
  scanMemory,
  byteSwap,
  exchangeIf,
  exchangeIfMemory,
  exchangeEqual,
  exchangeRegisters,
  setMemory,
  stepMemory,
  negateMemory,
  locked,
  nothing,
  pushPop,
  exchange,
  flagsOnStack,
  callFunction,
);
const plain = fc.oneof(
  { arbitrary: single, weight: 2 },
  { arbitrary: fc.tuple(single, flagsToMemory).map(([one, flags]) => [...one, ...flags]), weight: 1 },
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
