/** Operators on numbers of any width; who asks cuts the result to a type. */
import type { BinaryOperator } from "./ast";
import { ExpressionError } from "./error";

/** What a comparison says; undefined for operators that compare nothing. */
export function compare(operator: BinaryOperator, a: bigint, b: bigint): boolean | undefined {
  switch (operator) {
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    case "==":
      return a === b;
    case "!=":
      return a !== b;
    default:
      return undefined;
  }
}

/**
 * Sums, products and bits; division truncates toward zero (C11, 6.5.5).
 * @throws ExpressionError for a division by zero, and for an operator that is none of these
 */
export function calculate(operator: BinaryOperator, a: bigint, b: bigint): bigint {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "&":
      return a & b;
    case "|":
      return a | b;
    case "^":
      return a ^ b;
    case "/":
    case "%":
      if (b === 0n) throw new ExpressionError("a division by zero");
      return operator === "/" ? a / b : a % b;
    default:
      throw new ExpressionError(`${operator} has no meaning here`);
  }
}
