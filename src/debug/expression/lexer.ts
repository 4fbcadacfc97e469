/** Tokens of C expressions, with registers as `$name`. */
import { ExpressionError } from "./error";

export type Token =
  | {
      readonly kind: "number";
      readonly value: bigint;
      readonly unsigned: boolean;
      readonly long: boolean;
      readonly at: number;
    }
  | { readonly kind: "string"; readonly value: string; readonly at: number }
  | { readonly kind: "name" | "register" | "operator"; readonly text: string; readonly at: number }
  | { readonly kind: "end"; readonly at: number };

/** Characters of an expression at most. */
const LONGEST = 10_000;

/** The longest first, so that `<<` is not two `<`. */
const OPERATORS = [
  "<<=",
  ">>=",
  "->",
  "<<",
  ">>",
  "<=",
  ">=",
  "==",
  "!=",
  "&&",
  "||",
  "+=",
  "-=",
  "*=",
  "/=",
  "%=",
  "&=",
  "|=",
  "^=",
  "+",
  "-",
  "*",
  "/",
  "%",
  "&",
  "|",
  "^",
  "~",
  "!",
  "<",
  ">",
  "=",
  "?",
  ":",
  "(",
  ")",
  "[",
  "]",
  ".",
  "@",
  ",",
];

const ESCAPES: Readonly<Record<string, number>> = {
  n: 10,
  t: 9,
  r: 13,
  "0": 0,
  a: 7,
  b: 8,
  f: 12,
  v: 11,
  "\\": 92,
  "'": 39,
  '"': 34,
};

/** @throws ExpressionError for what is no token */
export function tokensOf(text: string): Token[] {
  if (text.length > LONGEST) throw new ExpressionError(`the expression is longer than ${LONGEST} characters`);
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    const space = /^\s+/.exec(rest);
    if (space !== null) {
      at += space[0].length;
      continue;
    }
    const [token, length] = tokenAt(rest, at);
    tokens.push(token);
    at += length;
  }
  tokens.push({ kind: "end", at: text.length });
  return tokens;
}

function tokenAt(rest: string, at: number): [Token, number] {
  const register = /^\$[A-Za-z_][A-Za-z0-9_]*/.exec(rest);
  if (register !== null) return [{ kind: "register", text: register[0].slice(1), at }, register[0].length];
  const name = /^[A-Za-z_][A-Za-z0-9_$]*/.exec(rest);
  if (name !== null) return [{ kind: "name", text: name[0], at }, name[0].length];
  const number = /^[0-9][0-9A-Za-z_]*/.exec(rest);
  if (number !== null) return [numberToken(number[0], at), number[0].length];
  if (rest[0] === "'") return characterToken(rest, at);
  if (rest[0] === '"') return stringToken(rest, at);
  const operator = OPERATORS.find((candidate) => rest.startsWith(candidate));
  if (operator === undefined)
    throw new ExpressionError(`"${rest[0]}" at position ${at + 1} means nothing here`);
  return [{ kind: "operator", text: operator, at }, operator.length];
}

function numberToken(text: string, at: number): Token {
  const match = /^(0x[0-9a-f_]+|0b[01_]+|[0-9][0-9_]*?)(u?l{0,2}|l{1,2}u)$/i.exec(text);
  const digits = match?.[1].replaceAll("_", "") ?? "";
  const octal = /^0[0-7]+$/.test(digits);
  if (match === null || (/^0[0-9]+$/.test(digits) && !octal)) {
    throw new ExpressionError(`"${text}" at position ${at + 1} is no number`);
  }
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  if (value >= 1n << 64n) throw new ExpressionError(`${text} has more than 64 bits`);
  const suffix = match[2].toLowerCase();
  const decimal = /^[1-9]/.test(digits);
  const unsigned = suffix.includes("u") || (!decimal && value >= 1n << 63n) || value >= 1n << 63n;
  return { kind: "number", value, unsigned, long: suffix.includes("l") || value >= 1n << 31n, at };
}

function characterToken(rest: string, at: number): [Token, number] {
  const match = /^'(?:\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)|([^'\\]))'/.exec(rest);
  if (match === null) throw new ExpressionError(`the character at position ${at + 1} does not end`);
  const value = match[1] === undefined ? match[2].charCodeAt(0) : escaped(match[1], at);
  return [{ kind: "number", value: BigInt(value), unsigned: false, long: false, at }, match[0].length];
}

function stringToken(rest: string, at: number): [Token, number] {
  const match = /^"((?:\\.|[^"\\])*)"/.exec(rest);
  if (match === null) throw new ExpressionError(`the text at position ${at + 1} does not end`);
  const value = match[1].replace(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)/g, (_, code: string) =>
    String.fromCharCode(escaped(code, at)),
  );
  return [{ kind: "string", value, at }, match[0].length];
}

function escaped(code: string, at: number): number {
  if (/^x/.test(code)) return Number.parseInt(code.slice(1), 16);
  if (/^[0-7]+$/.test(code)) return Number.parseInt(code, 8) & 0xff;
  const value = ESCAPES[code];
  if (value === undefined) throw new ExpressionError(`\\${code} at position ${at + 1} is no character`);
  return value;
}
