/**
 * C types as the debugging information gives them (DWARF 5, chapter 5). Sizes and offsets are in bytes unless a name
 * says bits. Members and targets are read when asked for: a kernel's types are a graph of some 100,000 nodes, with
 * cycles.
 */

/** How the bits of a base type are read (DW_AT.encoding, DWARF 5, 5.1.1). */
export type BaseEncoding = "signed" | "unsigned" | "boolean" | "signed-char" | "unsigned-char" | "float";

export interface BaseType {
  readonly kind: "base";
  readonly name: string;
  readonly size: number;
  readonly encoding: BaseEncoding;
}

/** A pointer, or a C++-like reference to be read the same way. `target` is undefined for `void *`. */
export interface PointerType {
  readonly kind: "pointer";
  readonly size: number;
  readonly target: CType | undefined;
}

/** A field of a struct or union. */
export interface Member {
  /** Undefined for an anonymous struct or union, whose members belong to the outer one. */
  readonly name: string | undefined;
  readonly type: CType;
  /** From the beginning of the struct. For a bit-field that of the byte where `bitOffset` counts from. */
  readonly offset: number;
  /** For bit-fields: the lowest bit within the little-endian bytes at `offset`. */
  readonly bitOffset?: number;
  /** For bit-fields: how many bits. */
  readonly bitSize?: number;
}

export interface StructType {
  readonly kind: "struct" | "union";
  /** The tag; undefined where there is none. */
  readonly name: string | undefined;
  /** 0 for a declaration that no unit completes. */
  readonly size: number;
  /** Whether only declared (an incomplete type). */
  readonly declaration: boolean;
  readonly members: readonly Member[];
}

export interface Enumerator {
  readonly name: string;
  readonly value: bigint;
}

export interface EnumType {
  readonly kind: "enum";
  readonly name: string | undefined;
  readonly size: number;
  readonly signed: boolean;
  readonly enumerators: readonly Enumerator[];
}

export interface ArrayType {
  readonly kind: "array";
  readonly element: CType;
  /** Elements of the outermost dimension (inner ones are arrays as `element`); undefined for `[]`. */
  readonly count: number | undefined;
  /** 0 where the count is unknown. */
  readonly size: number;
}

export interface TypedefType {
  readonly kind: "typedef";
  readonly name: string;
  /** Undefined for a typedef of void. */
  readonly target: CType | undefined;
  readonly size: number;
}

export interface QualifiedType {
  readonly kind: "qualified";
  readonly qualifier: "const" | "volatile" | "restrict" | "atomic";
  /** Undefined for `const void`. */
  readonly target: CType | undefined;
  readonly size: number;
}

export interface FunctionType {
  readonly kind: "function";
  /** Undefined for void. */
  readonly result: CType | undefined;
  readonly parameters: readonly CType[];
  readonly variadic: boolean;
  readonly size: 1;
}

export type CType =
  | BaseType
  | PointerType
  | StructType
  | EnumType
  | ArrayType
  | TypedefType
  | QualifiedType
  | FunctionType;

/** The type without typedefs and qualifiers; undefined for void. */
export function bareType(type: CType | undefined): Exclude<CType, TypedefType | QualifiedType> | undefined {
  let bare = type;
  // A cycle of typedefs alone is malformed: C has none.
  for (let depth = 0; depth < 100; depth++) {
    if (bare === undefined || (bare.kind !== "typedef" && bare.kind !== "qualified")) return bare;
    bare = bare.target;
  }
  return undefined;
}

/** A type as C writes it, without a declared name: `unsigned long`, `struct pool *`, `char [16]`. */
export function typeName(type: CType | undefined): string {
  return declaration(type, "");
}

/** A declaration as C writes it: `pmd_t (*next)[512]`. */
export function declaration(type: CType | undefined, declarator: string): string {
  const spaced = declarator === "" ? "" : ` ${declarator}`;
  if (type === undefined) return `void${spaced}`;
  switch (type.kind) {
    case "pointer": {
      const target = type.target;
      const grouped = target?.kind === "array" || target?.kind === "function";
      return declaration(target, grouped ? `(*${declarator})` : `*${declarator}`);
    }
    case "array":
      return declaration(type.element, `${declarator}[${type.count ?? ""}]`);
    case "function": {
      const parameters = type.parameters.map(typeName);
      if (type.variadic) parameters.push("...");
      return declaration(type.result, `${declarator}(${parameters.join(", ") || "void"})`);
    }
    case "qualified":
      if (type.target?.kind === "pointer") return declaration(type.target, `${type.qualifier}${spaced}`);
      return `${type.qualifier} ${declaration(type.target, declarator)}`;
    case "struct":
    case "union":
    case "enum":
      return `${type.kind} ${type.name ?? "{...}"}${spaced}`;
    default:
      return `${type.name}${spaced}`;
  }
}
