/** The upper half of the product of two 64-bit numbers, of which WebAssembly only has the lower one. */
import { Code, I64 } from "./assembler";

const LOW = 0xffffffffn;
/** Parameters, and locals: the upper halves of both numbers, and the product of a lower and an upper half. */
const [A, B, A_HIGH, B_HIGH, MIDDLE] = [0, 1, 2, 3, 4];
export const HIGH_LOCALS = [[3, I64]] as const;

/** A function's code: from two i64 to the upper half of their product. */
export function highHalf(signed: boolean): Code {
  const code = new Code();
  code.get(A).i64(32).op("i64_shr_u").set(A_HIGH);
  code.get(B).i64(32).op("i64_shr_u").set(B_HIGH);
  // None of these sums is above 64 bits: (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1.
  low(code, A);
  low(code, B);
  code.op("i64_mul").i64(32).op("i64_shr_u").get(A_HIGH);
  low(code, B);
  code.op("i64_mul", "i64_add").set(MIDDLE);
  low(code, A);
  code.get(B_HIGH).op("i64_mul");
  low(code, MIDDLE);
  code.op("i64_add").i64(32).op("i64_shr_u");
  code.get(MIDDLE).i64(32).op("i64_shr_u", "i64_add");
  code.get(A_HIGH).get(B_HIGH).op("i64_mul", "i64_add");
  if (signed) {
    // A negative number, read as unsigned, is 2^64 more.
    subtractWhereNegative(code, A, B);
    subtractWhereNegative(code, B, A);
  }
  return code;
}

function low(code: Code, local: number): void {
  code.get(local).i64(LOW).op("i64_and");
}

function subtractWhereNegative(code: Code, tested: number, subtracted: number): void {
  code.get(tested).i64(63).op("i64_shr_s").get(subtracted).op("i64_and", "i64_sub");
}
