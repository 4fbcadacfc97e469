/** Tokens of C expressions, with registers as `$name`. */
import type { IntegerConstant } from "./ast";
import { ExpressionError } from "./error";

/** `at` counts from 0. */
export type Token = { readonly at: number } & (
  | IntegerConstant
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "name" | "register" | "operator"; readonly text: string }
  | { readonly kind: "end" }
);

/** Characters of an expression at most. */
const LONGEST = 10_000;
/** Tokens at most: a chain of operators makes a tree as deep as it is long, and evaluation follows it. */
const MOST_TOKENS = 1000;

/** The longest first, so that `<<` is not two `<`. */
const OPERATORS = [
  ...["<<=", ">>="],
  ...["->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||"],
  ...["+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "++", "--"],
  ...[
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
  ],
];

const ESCAPES: Readonly<Record<string, number>> = {
  n: 10,
  t: 9,
  r: 13,
  a: 7,
  b: 8,
  f: 12,
  v: 11,
  e: 27,
  "\\": 92,
  "'": 39,
  '"': 34,
  "?": 63,
};

const SPACE = /\s+/y;
const REGISTER = /\$[A-Za-z_][A-Za-z0-9_]*/y;
const NAME = /[A-Za-z_][A-Za-z0-9_$]*/y;
const NUMBER = /[0-9][0-9A-Za-z_]*(?:\.[0-9][0-9A-Za-z_]*)?/y;
const CHARACTER = /'(\\(?:x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)|[^'\\])'/suy;
const STRING = /"((?:\\.|[^"\\])*)"/sy;
const INTEGER =
  /^(?:(0x[0-9a-f](?:_?[0-9a-f])*|0b[01](?:_?[01])*)|(0(?:_?[0-7])*)|([1-9](?:_?[0-9])*))(u?(?:ll?)?|ll?u)$/i;

/** @throws ExpressionError for what is no token, and for texts of too many */
export function tokensOf(text: string): Token[] {
  if (text.length > LONGEST) throw new ExpressionError(`the expression is longer than ${LONGEST} characters`);
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const space = matched(SPACE, text, at);
    if (space !== undefined) {
      at += space[0].length;
      continue;
    }
    if (tokens.length === MOST_TOKENS) {
      throw new ExpressionError(`the expression has more than ${MOST_TOKENS} parts`);
    }
    const [token, length] = tokenAt(text, at);
    tokens.push(token);
    at += length;
  }
  tokens.push({ kind: "end", at: text.length });
  return tokens;
}

function matched(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function tokenAt(text: string, at: number): [Token, number] {
  const register = matched(REGISTER, text, at)?.[0];
  if (register !== undefined) return [{ kind: "register", text: register.slice(1), at }, register.length];
  const name = matched(NAME, text, at)?.[0];
  if (name !== undefined) return [{ kind: "name", text: name, at }, name.length];
  const number = matched(NUMBER, text, at)?.[0];
  if (number !== undefined) return [{ ...integer(number, at), at }, number.length];
  if (text[at] === "'") return characterAt(text, at);
  if (text[at] === '"') return stringAt(text, at);
  const operator = OPERATORS.find((candidate) => text.startsWith(candidate, at));
  if (operator === undefined) {
    const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
    throw new ExpressionError(`"${character}" at position ${at + 1} means nothing here`);
  }
  if (operator === "++" || operator === "--") {
    throw new ExpressionError(`${operator} at position ${at + 1} is not supported: write += 1 or -= 1`);
  }
  return [{ kind: "operator", text: operator, at }, operator.length];
}

function integer(text: string, at: number): IntegerConstant {
  const match = INTEGER.exec(text);
  if (match === null) throw new ExpressionError(`"${text}" at position ${at + 1} is no integer`);
  const [, prefixed, octal, decimal, suffix] = match;
  const digits = (prefixed ?? octal ?? decimal).replaceAll("_", "");
  const value = BigInt(octal !== undefined && digits.length > 1 ? `0o${digits.slice(1)}` : digits);
  if (value >= 1n << 64n) throw new ExpressionError(`${text} has more than 64 bits`);
  const longs = suffix.replace(/u/i, "").length as 0 | 1 | 2;
  return { kind: "number", value, decimal: decimal !== undefined, unsigned: /u/i.test(suffix), longs };
}

/** A character constant is an int with the value of a char, which is signed (C11, 6.4.4.4). */
function characterAt(text: string, at: number): [Token, number] {
  const match = matched(CHARACTER, text, at);
  if (match === undefined) {
    throw new ExpressionError(`the character at position ${at + 1} does not end behind one character`);
  }
  const code = match[1].startsWith("\\") ? escaped(match[1].slice(1), at) : (match[1].codePointAt(0) ?? 0);
  if (code > 0xff) throw new ExpressionError(`'${match[1]}' at position ${at + 1} is wider than a char`);
  const value = BigInt.asIntN(8, BigInt(code));
  return [{ kind: "number", value, decimal: true, unsigned: false, longs: 0, at }, match[0].length];
}

function stringAt(text: string, at: number): [Token, number] {
  const match = matched(STRING, text, at);
  if (match === undefined) throw new ExpressionError(`the text at position ${at + 1} does not end`);
  const value = match[1].replace(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)/gs, (_, code: string) =>
    String.fromCharCode(escaped(code, at)),
  );
  return [{ kind: "string", value, at }, match[0].length];
}

/** The code of an escape sequence, given without its backslash. */
function escaped(code: string, at: number): number {
  if (/^x./.test(code)) return Number.parseInt(code.slice(1), 16);
  if (/^[0-7]/.test(code)) return Number.parseInt(code, 8) & 0xff;
  const value = ESCAPES[code];
  if (value === undefined) throw new ExpressionError(`\\${code} at position ${at + 1} is no character`);
  return value;
}
