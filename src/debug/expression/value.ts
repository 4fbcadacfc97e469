/** Values of expressions: bytes with a C type, and the place that they were read from. */
import { type BaseType, bareType, type CType, type Member, type PointerType } from "../../symbols/types";
import { ExpressionError } from "./error";

/** Where a value is, so that it can be changed, watched, or have its address taken. */
export type Lvalue =
  | { readonly kind: "memory"; readonly address: bigint; readonly bits?: { offset: number; size: number } }
  | { readonly kind: "register"; readonly name: string };

export interface Value {
  /** Undefined for what has no type, such as a symbol of assembly. */
  readonly type: CType | undefined;
  readonly lvalue: Lvalue | undefined;
  /**
   * The bytes, little endian, or some of them; read when asked for.
   * @throws ExpressionError where they cannot be read
   */
  bytes(from?: number, length?: number): Uint8Array;
}

/** The widths of C's own types. */
export class CTypes {
  readonly int = base("int", 4, "signed");
  readonly unsignedInt = base("unsigned int", 4, "unsigned");
  readonly long: BaseType;
  readonly unsignedLong: BaseType;
  readonly character = base("char", 1, "signed-char");
  readonly byte = base("unsigned char", 1, "unsigned-char");

  /** @param addressSize bytes of a pointer and of `long` */
  constructor(readonly addressSize: 4 | 8) {
    this.long = addressSize === 8 ? base("long", 8, "signed") : base("long long", 8, "signed");
    this.unsignedLong =
      addressSize === 8 ? base("unsigned long", 8, "unsigned") : base("unsigned long long", 8, "unsigned");
  }

  pointerTo(target: CType | undefined): PointerType {
    return { kind: "pointer", size: this.addressSize, target };
  }

  /** A base type by the words that C allows for it; undefined for other names. */
  named(name: string): CType | undefined {
    const words = name.split(" ").sort();
    const unsigned = words.includes("unsigned");
    const longs = words.filter((word) => word === "long").length;
    const rest = words.filter(
      (word) => !["unsigned", "signed", "long", "int", "short", "char"].includes(word),
    );
    if (rest.length > 0 || words.length === 0) return undefined;
    const sign = unsigned ? "unsigned" : "signed";
    if (words.includes("char")) {
      return base(unsigned ? "unsigned char" : "char", 1, unsigned ? "unsigned-char" : "signed-char");
    }
    if (words.includes("short")) return base(unsigned ? "unsigned short" : "short", 2, sign);
    if (longs === 2) return base(unsigned ? "unsigned long long" : "long long", 8, sign);
    if (longs === 1) return base(unsigned ? "unsigned long" : "long", this.addressSize, sign);
    return unsigned ? this.unsignedInt : this.int;
  }
}

function base(name: string, size: number, encoding: BaseType["encoding"]): BaseType {
  return { kind: "base", name, size, encoding };
}

/** A value that was computed. */
export function computed(type: CType, value: bigint): Value {
  const bytes = Uint8Array.from({ length: type.size }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
  return withoutPlace(type, () => bytes);
}

/** A value that is in no place which could be changed. */
export function withoutPlace(type: CType, whole: () => Uint8Array): Value {
  const bytes = (from = 0, length = type.size - from) => whole().subarray(from, from + length);
  return { type, lvalue: undefined, bytes };
}

/** An object in linear memory. @param read undefined where memory is not mapped */
export function inMemory(
  type: CType,
  address: bigint,
  read: (address: bigint, length: number) => Uint8Array | undefined,
): Value {
  return {
    type,
    lvalue: { kind: "memory", address },
    bytes: (from = 0, length = type.size - from) => {
      const bytes = read(address + BigInt(from), length);
      if (bytes === undefined) throw new ExpressionError(`0x${address.toString(16)} is not mapped`);
      return bytes;
    },
  };
}

/** An element of an array. */
export function elementOf(array: Value, element: CType, index: number): Value {
  return part(array, element, index * element.size, element.size);
}

/** A member of a struct or union. */
export function memberOf(whole: Value, { type, offset, bitOffset = 0, bitSize }: Member): Value {
  if (bitSize === undefined) return part(whole, type, offset, type.size);
  const size = Math.max(type.size, Math.ceil((bitOffset + bitSize) / 8));
  const field = part(whole, type, offset, size);
  if (field.lvalue?.kind === "memory") {
    return { ...field, lvalue: { ...field.lvalue, bits: { offset: bitOffset, size: bitSize } } };
  }
  const number = () => (littleEndian(field.bytes()) >> BigInt(bitOffset)) & ((1n << BigInt(bitSize)) - 1n);
  const value = () => (isSigned(type) ? BigInt.asIntN(bitSize, number()) : number());
  return withoutPlace(type, () => computed(type, value()).bytes());
}

function part(whole: Value, type: CType, offset: number, size: number): Value {
  const { lvalue } = whole;
  return {
    type,
    lvalue:
      lvalue?.kind === "memory" ? { kind: "memory", address: lvalue.address + BigInt(offset) } : undefined,
    bytes: (from = 0, length = size - from) => whole.bytes(offset + from, length),
  };
}

/** Whether a type's values are numbers, pointers and enumerators included. */
export function isScalar(type: CType | undefined): boolean {
  const bare = bareType(type);
  return (
    (bare?.kind === "base" && bare.encoding !== "float") || bare?.kind === "pointer" || bare?.kind === "enum"
  );
}

export function isSigned(type: CType | undefined): boolean {
  const bare = bareType(type);
  if (bare?.kind === "enum") return bare.signed;
  return bare?.kind === "base" && (bare.encoding === "signed" || bare.encoding === "signed-char");
}

/** A scalar's number. @throws ExpressionError where the value is none */
export function numberOf(value: Value): bigint {
  if (!isScalar(value.type)) throw new ExpressionError("a number is needed here");
  const bytes = value.bytes();
  const { lvalue } = value;
  const bits = lvalue?.kind === "memory" ? lvalue.bits : undefined;
  let number = littleEndian(bytes);
  const width = bits?.size ?? 8 * bytes.length;
  if (bits !== undefined) number = (number >> BigInt(bits.offset)) & ((1n << BigInt(width)) - 1n);
  return isSigned(value.type) ? BigInt.asIntN(width, number) : number;
}

/** An unsigned number from its bytes. */
export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}
