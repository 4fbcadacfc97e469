/** Conditions over named fields, such as those of events: the same grammar, with texts that can be compared. */
import { calculate, compare } from "./arithmetic";
import type { BinaryOperator, Expression } from "./ast";
import { ExpressionError } from "./error";
import { parseExpression } from "./parser";

export type FieldValue = bigint | boolean | string;

/**
 * Reads a condition once, to be asked many times.
 * @param fields the names that it may use
 * @returns what asks it; fields that an event does not have count as 0
 * @throws ExpressionError
 */
export function parseCondition(
  text: string,
  fields: readonly string[],
): (field: (name: string) => FieldValue | undefined) => boolean {
  const expression = parseExpression(text);
  check(expression, fields);
  return (field) => truth(evaluate(expression, field));
}

function check(expression: Expression, fields: readonly string[]): void {
  switch (expression.kind) {
    case "number":
    case "string":
      return;
    case "name":
      if (fields.includes(expression.name)) return;
      throw new ExpressionError(`there is no field "${expression.name}"; there are ${fields.join(", ")}`);
    case "unary":
      if (expression.operator === "*" || expression.operator === "&") break;
      check(expression.operand, fields);
      return;
    case "binary":
      check(expression.left, fields);
      check(expression.right, fields);
      return;
    case "conditional":
      for (const part of [expression.test, expression.then, expression.otherwise]) check(part, fields);
      return;
    case "assign":
      throw new ExpressionError("nothing can be changed here: for comparing write ==");
  }
  throw new ExpressionError("conditions on events can use their fields, numbers and texts only");
}

function evaluate(expression: Expression, field: (name: string) => FieldValue | undefined): FieldValue {
  switch (expression.kind) {
    case "number":
    case "string":
      return expression.value;
    case "name":
      return field(expression.name) ?? 0n;
    case "unary": {
      const value = evaluate(expression.operand, field);
      if (expression.operator === "!") return !truth(value);
      const number = numberOf(value);
      return expression.operator === "-" ? -number : expression.operator === "~" ? ~number : number;
    }
    case "conditional":
      return truth(evaluate(expression.test, field))
        ? evaluate(expression.then, field)
        : evaluate(expression.otherwise, field);
    case "binary":
      return binary(expression.operator, evaluate(expression.left, field), () =>
        evaluate(expression.right, field),
      );
    default:
      throw new ExpressionError("conditions on events can use their fields, numbers and texts only");
  }
}

function binary(operator: BinaryOperator, left: FieldValue, right: () => FieldValue): FieldValue {
  if (operator === "&&") return truth(left) && truth(right());
  if (operator === "||") return truth(left) || truth(right());
  const other = right();
  if (typeof left === "string" || typeof other === "string") {
    if (typeof left !== typeof other || (operator !== "==" && operator !== "!=")) {
      throw new ExpressionError("a text can only be compared with a text, by == or !=");
    }
    return (left === other) === (operator === "==");
  }
  const [a, b] = [numberOf(left), numberOf(other)];
  if (operator === "<<" || operator === ">>") {
    if (b < 0n || b > 64n) throw new ExpressionError(`nothing can be shifted by ${b} bits`);
    return operator === "<<" ? BigInt.asUintN(64, a << b) : a >> b;
  }
  return compare(operator, a, b) ?? calculate(operator, a, b);
}

function truth(value: FieldValue): boolean {
  return value !== false && value !== 0n && value !== "";
}

function numberOf(value: FieldValue): bigint {
  if (typeof value === "string") throw new ExpressionError("a number is needed here, not a text");
  return typeof value === "boolean" ? BigInt(value) : value;
}
