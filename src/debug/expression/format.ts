/** Values as text, and the parts that they can be expanded into. */
import { bareType, type CType, type Member } from "../../symbols/types";
import { ExpressionError } from "./error";
import type { Evaluator } from "./evaluate";
import { elementOf, isScalar, isSigned, memberOf, numberOf, type Value } from "./value";

export interface FormatOptions {
  /** All numbers in hexadecimal. */
  readonly hex: boolean;
  /** Names an address: "early_level4_pgt+0x8". */
  nameOf(address: bigint): string | undefined;
  /** A text in memory, up to its zero byte; undefined where it is not mapped. */
  textAt(address: bigint): string | undefined;
}

/** A part of a value. */
export interface Part {
  readonly name: string;
  /** An expression for the part, where its whole has one. */
  readonly evaluateName: string | undefined;
  readonly value: Value;
}

/** Elements and members that the short form of a value shows. */
const SHOWN_PARTS = 6;
const SHOWN_TEXT = 200;
const DEEPEST = 3;

/** A value on one line. Values that cannot be read say why. */
export function format(value: Value, options: FormatOptions, depth = 0): string {
  try {
    return formatted(value, options, depth);
  } catch (error) {
    if (error instanceof ExpressionError) return `<${error.message}>`;
    throw error;
  }
}

function formatted(value: Value, options: FormatOptions, depth: number): string {
  const type = bareType(value.type);
  if (type === undefined) return "<no type>";
  switch (type.kind) {
    case "base":
      return baseText(value, options);
    case "enum":
      return enumText(value, options);
    case "pointer":
      return pointerText(value, type.target, options);
    case "function": {
      const address = value.lvalue?.kind === "memory" ? value.lvalue.address : 0n;
      return `{function} ${hexOf(address)}${named(address, options)}`;
    }
    case "array":
      return arrayText(value, type.element, type.count ?? 0, options, depth);
    default:
      if (depth >= DEEPEST) return "{...}";
      return structText(value, type.members, options, depth);
  }
}

function baseText(value: Value, options: FormatOptions): string {
  const type = bareType(value.type);
  if (type?.kind !== "base") return "";
  if (type.encoding === "float") return floatText(value.bytes());
  const number = numberOf(value);
  if (type.encoding === "boolean") return number === 0n ? "false" : number === 1n ? "true" : `${number}`;
  if (options.hex) return hexOf(BigInt.asUintN(8 * type.size, number));
  if (type.encoding === "signed-char" || type.encoding === "unsigned-char")
    return `${number}${glyph(number)}`;
  const large = !isSigned(type) && type.size >= 4 && number > 0xffffn;
  return large ? hexOf(number) : `${number}`;
}

function glyph(number: bigint): string {
  return number >= 32n && number < 127n ? ` '${String.fromCharCode(Number(number))}'` : "";
}

function floatText(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length === 4) return `${view.getFloat32(0, true)}`;
  if (bytes.length === 8) return `${view.getFloat64(0, true)}`;
  return `<a floating-point number of ${bytes.length} bytes>`;
}

/** An enumerator, or several whose bits make up the value. */
function enumText(value: Value, options: FormatOptions): string {
  const type = bareType(value.type);
  if (type?.kind !== "enum") return "";
  const number = numberOf(value);
  const plain = options.hex ? hexOf(BigInt.asUintN(8 * type.size, number)) : `${number}`;
  const exact = type.enumerators.find((enumerator) => enumerator.value === number);
  if (exact !== undefined) return `${exact.name} (${plain})`;
  const set = type.enumerators.filter((each) => each.value > 0n && (number & each.value) === each.value);
  const covered = set.reduce((sum, each) => sum | each.value, 0n);
  return covered === number && set.length > 1 ? `${set.map(({ name }) => name).join("|")} (${plain})` : plain;
}

function pointerText(value: Value, target: CType | undefined, options: FormatOptions): string {
  const address = numberOf(value);
  const bare = bareType(target);
  const isText = bare?.kind === "base" && bare.size === 1 && address !== 0n;
  const text = isText ? options.textAt(address) : undefined;
  return `${hexOf(address)}${named(address, options)}${text === undefined ? "" : ` ${quoted(text)}`}`;
}

function named(address: bigint, { nameOf }: FormatOptions): string {
  const name = address === 0n ? undefined : nameOf(address);
  return name === undefined ? "" : ` <${name}>`;
}

function arrayText(
  value: Value,
  element: CType,
  count: number,
  options: FormatOptions,
  depth: number,
): string {
  const bare = bareType(element);
  if (bare?.kind === "base" && bare.size === 1 && bare.encoding === "signed-char") {
    const bytes = value.bytes();
    const zero = bytes.indexOf(0);
    return quoted(latin(zero < 0 ? bytes : bytes.subarray(0, zero)));
  }
  if (count === 0) return "[0] {}";
  if (depth >= DEEPEST || !isScalar(element)) return `[${count}]`;
  const shown = Array.from({ length: Math.min(count, SHOWN_PARTS) }, (_, index) =>
    format(elementOf(value, element, index), options, depth + 1),
  );
  return `[${count}] {${shown.join(", ")}${count > SHOWN_PARTS ? ", ..." : ""}}`;
}

function structText(value: Value, members: readonly Member[], options: FormatOptions, depth: number): string {
  const shown = members.slice(0, SHOWN_PARTS).map((member) => {
    const part = format(memberOf(value, member), options, depth + 1);
    return member.name === undefined ? part : `${member.name} = ${part}`;
  });
  return `{${shown.join(", ")}${members.length > SHOWN_PARTS ? ", ..." : ""}}`;
}

/** How many parts a value has, and whether they are elements. */
export function partsOf(type: CType | undefined): { indexed: number; named: number } {
  const bare = bareType(type);
  if (bare?.kind === "array") return { indexed: bare.count ?? 0, named: 0 };
  if (bare?.kind === "struct" || bare?.kind === "union") return { indexed: 0, named: bare.members.length };
  const target = bare?.kind === "pointer" ? bareType(bare.target) : undefined;
  if (target === undefined || target.kind === "function") return { indexed: 0, named: 0 };
  if (target.kind === "struct" || target.kind === "union")
    return { indexed: 0, named: target.members.length };
  return { indexed: 0, named: 1 };
}

/** Some of a value's parts. A pointer to a struct has the struct's; another pointer what it points at. */
export function listParts(
  value: Value,
  evaluator: Evaluator,
  expression: string | undefined,
  start: number,
  count: number,
): Part[] {
  const bare = bareType(value.type);
  const wrapped =
    expression === undefined ? undefined : isSimple(expression) ? expression : `(${expression})`;
  if (bare?.kind === "array") {
    const all = Math.max(0, Math.min(count, (bare.count ?? 0) - start));
    return Array.from({ length: all }, (_, i) => ({
      name: `[${start + i}]`,
      evaluateName: wrapped && `${wrapped}[${start + i}]`,
      value: elementOf(value, bare.element, start + i),
    }));
  }
  if (bare?.kind === "struct" || bare?.kind === "union") {
    return bare.members.slice(start, start + count).map((member, index) => ({
      name: member.name ?? `{${index + start}}`,
      // Members of an anonymous member are members of its whole.
      evaluateName: member.name === undefined ? expression : wrapped && `${wrapped}.${member.name}`,
      value: memberOf(value, member),
    }));
  }
  if (bare?.kind !== "pointer" || bare.target === undefined) return [];
  const target = evaluator.inMemory(bare.target, numberOf(value));
  const inner = bareType(bare.target);
  if (inner?.kind === "struct" || inner?.kind === "union") {
    return listParts(target, evaluator, wrapped && `*${wrapped}`, start, count);
  }
  return start > 0
    ? []
    : [{ name: `*${expression ?? ""}`, evaluateName: wrapped && `*${wrapped}`, value: target }];
}

function isSimple(expression: string): boolean {
  return /^[A-Za-z_$][A-Za-z0-9_.[\]$]*$/.test(expression);
}

/** A text in double quotes, cut where it is long. */
export function quoted(text: string): string {
  const shown = text.length > SHOWN_TEXT ? `${text.slice(0, SHOWN_TEXT)}...` : text;
  const escaped = shown.replace(/[\\"\n\t\r]|[^\x20-\x7e]/g, (character) => {
    const known: Readonly<Record<string, string>> = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };
    if (character === "\\" || character === '"') return `\\${character}`;
    return known[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${escaped}"`;
}

/** Bytes as characters of one byte each. */
export function latin(bytes: Uint8Array): string {
  return [...bytes].map((byte) => String.fromCharCode(byte)).join("");
}

function hexOf(value: bigint): string {
  return `0x${value.toString(16)}`;
}
