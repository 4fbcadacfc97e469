/** The locals and imports of a region's function, and where translated code finds the CPU's state. */
import { ARENA_REGISTERS } from "../../memory";

/** Parameters: the block to begin with, and the instructions that may still be retired. */
export const ENTRY = 0;
export const LEFT = 1;
/** The block to go on with. */
export const NEXT = 2;
/** i32 temporaries: a cache entry's place, a condition, two operands and a result of up to 32 bits. */
export const SLOT = 3;
export const CONDITION = 4;
export const X32 = 5;
export const Y32 = 6;
export const V32 = 7;
/** The lazy flags' kind, where it is not known when the code is made. */
export const FLAGS_KIND = 8;
/** i64: a linear address, two operands and a result. */
export const ADDRESS = 9;
export const X = 10;
export const Y = 11;
export const V = 12;
/** The lazy flags: result and operands. Of the mixed kinds the first operand is CF, OF and AF. */
export const FLAGS_RESULT = 13;
export const FLAGS_A = 14;
export const FLAGS_B = 15;
/** Copies of general registers. */
export const REGISTERS = 16;

/** Behind the parameters. */
export const LOCAL_COUNTS = { i32: 7, i64: 7 + 16 } as const;

/** Import indexes. */
export const IMPORT_STEP = 0;
/** Of the condition with code 0; the others follow by half their codes. */
export const IMPORT_CONDITIONS = 1;
/** Pushes the six status flags as RFLAGS has them; the parameters are those of a condition. */
export const IMPORT_STATUS = 9;
/** The upper halves of 128-bit products, of unsigned and of signed numbers. */
export const IMPORT_HIGH_UNSIGNED = 10;
export const IMPORT_HIGH_SIGNED = 11;

/** Type indexes in each module. */
export const TYPE_REGION = 0;
export const TYPE_CONDITION = 1;
export const TYPE_HIGH = 2;

/** Arena offset of a word of the register file. */
export function stateOffset(word: number): number {
  return ARENA_REGISTERS + 4 * word;
}
