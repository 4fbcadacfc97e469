/** C types from their entries (DWARF 5, chapter 5). Members and targets are read when they are asked for. */
import type { ArrayType, BaseEncoding, CType, Enumerator, EnumType, Member, StructType } from "../types";
import { DW_AT, DW_ATE, DW_TAG } from "./constants";
import type { Die, DieReader } from "./die";
import { DwarfReader } from "./reader";

const ENCODINGS: Readonly<Record<number, BaseEncoding>> = {
  [DW_ATE.boolean]: "boolean",
  [DW_ATE.float]: "float",
  [DW_ATE.signed]: "signed",
  [DW_ATE.signed_char]: "signed-char",
  [DW_ATE.unsigned]: "unsigned",
  [DW_ATE.unsigned_char]: "unsigned-char",
};

const QUALIFIERS: Readonly<Record<number, "const" | "volatile" | "restrict" | "atomic">> = {
  [DW_TAG.const_type]: "const",
  [DW_TAG.volatile_type]: "volatile",
  [DW_TAG.restrict_type]: "restrict",
  [DW_TAG.atomic_type]: "atomic",
};

/** Fields of a struct, enumerators and dimensions that are read at most. */
const MOST_CHILDREN = 20_000;

/** What types need beside the entries. */
export interface TypeWorld {
  readonly dies: DieReader;
  /** The definition of a struct, union or enum that is only declared; by its name as C writes it. */
  complete(name: string): CType | undefined;
  /** Runs something that reads; undefined where the information is malformed, which is kept as a problem. */
  guarded<T>(read: () => T): T | undefined;
}

export class Types {
  /** By offset in .debug_info: a type is one object, however it is reached. */
  private readonly known = new Map<number, CType | undefined>();

  constructor(private readonly world: TypeWorld) {}

  /** The type that an attribute refers to; undefined for void. */
  of(die: Die, attribute: number = DW_AT.type): CType | undefined {
    const offset = die.reference(attribute);
    return offset === undefined ? undefined : this.at(offset);
  }

  /** The type at an offset of .debug_info. */
  at(offset: number): CType | undefined {
    if (!this.known.has(offset)) {
      // Whoever comes back here by a cycle of plain sizes finds nothing, and stops.
      this.known.set(offset, undefined);
      this.known.set(
        offset,
        this.world.guarded(() => {
          const die = this.world.dies.at(offset);
          return die === undefined ? undefined : this.read(die);
        }),
      );
    }
    return this.known.get(offset);
  }

  private read(die: Die): CType | undefined {
    const types = this;
    const name = die.text(DW_AT.name);
    const size = die.number(DW_AT.byte_size);
    switch (die.tag) {
      case DW_TAG.base_type:
        return {
          kind: "base",
          name: name ?? "?",
          size: size ?? 0,
          encoding: ENCODINGS[die.number(DW_AT.encoding) ?? 0] ?? "unsigned",
        };
      case DW_TAG.pointer_type:
        return {
          kind: "pointer",
          size: size ?? die.unit.header.encoding.addressSize,
          get target() {
            return types.of(die);
          },
        };
      case DW_TAG.structure_type:
      case DW_TAG.union_type:
        return new Struct(this.world, this, die, name, size ?? 0);
      case DW_TAG.enumeration_type:
        return new Enumeration(this.world, this, die, name, size ?? 4);
      case DW_TAG.array_type:
        return this.array(die);
      case DW_TAG.typedef:
        return {
          kind: "typedef",
          name: name ?? "?",
          get target() {
            return types.of(die);
          },
          get size() {
            return sizeOf(this.target);
          },
        };
      case DW_TAG.subroutine_type:
      case DW_TAG.subprogram:
        return this.subroutine(die);
    }
    const qualifier = QUALIFIERS[die.tag];
    if (qualifier === undefined) return undefined;
    return {
      kind: "qualified",
      qualifier,
      get target() {
        return types.of(die);
      },
      get size() {
        return sizeOf(this.target);
      },
    };
  }

  /** One array for each dimension, the outermost first. */
  private array(die: Die): CType | undefined {
    const counts: (number | undefined)[] = [];
    for (const child of this.world.dies.children(die)) {
      if (child.tag === DW_TAG.subrange_type) counts.push(countOf(child));
      if (counts.length >= MOST_CHILDREN) break;
    }
    const element = this.of(die);
    if (element === undefined) return undefined;
    return counts.reduceRight<CType>((inner, count) => arrayOf(inner, count), element);
  }

  private subroutine(die: Die): CType {
    const parameters: CType[] = [];
    let variadic = false;
    for (const child of this.world.dies.children(die)) {
      if (child.tag === DW_TAG.unspecified_parameters) variadic = true;
      if (child.tag !== DW_TAG.formal_parameter) continue;
      const type = this.of(child);
      if (type !== undefined) parameters.push(type);
    }
    const types = this;
    return {
      kind: "function",
      parameters,
      variadic,
      size: 1,
      get result() {
        return types.of(die);
      },
    };
  }
}

class Struct implements StructType {
  readonly kind: "struct" | "union";
  readonly declaration: boolean;
  private read: readonly Member[] | undefined;
  private looked = false;
  private definition: StructType | undefined;

  constructor(
    private readonly world: TypeWorld,
    private readonly types: Types,
    private readonly die: Die,
    readonly name: string | undefined,
    private readonly ownSize: number,
  ) {
    this.kind = die.tag === DW_TAG.union_type ? "union" : "struct";
    this.declaration = die.flag(DW_AT.declaration);
  }

  get size(): number {
    return this.completed()?.size ?? this.ownSize;
  }

  get members(): readonly Member[] {
    const definition = this.completed();
    if (definition !== undefined) return definition.members;
    this.read ??= this.world.guarded(() => this.readMembers()) ?? [];
    return this.read;
  }

  private completed(): StructType | undefined {
    if (!this.declaration || this.name === undefined) return undefined;
    if (!this.looked) {
      this.looked = true;
      const found = this.world.complete(`${this.kind} ${this.name}`);
      if ((found?.kind === "struct" || found?.kind === "union") && !found.declaration)
        this.definition = found;
    }
    return this.definition;
  }

  private readMembers(): Member[] {
    const members: Member[] = [];
    for (const child of this.world.dies.children(this.die)) {
      if (child.tag !== DW_TAG.member || members.length >= MOST_CHILDREN) continue;
      const type = this.types.of(child);
      if (type !== undefined) members.push(memberOf(child, type));
    }
    return members;
  }
}

class Enumeration implements EnumType {
  readonly kind = "enum";
  private read: readonly Enumerator[] | undefined;

  constructor(
    private readonly world: TypeWorld,
    private readonly types: Types,
    private readonly die: Die,
    readonly name: string | undefined,
    readonly size: number,
  ) {}

  get signed(): boolean {
    const underlying = this.types.of(this.die);
    if (underlying !== undefined) return underlying.kind === "base" && underlying.encoding === "signed";
    return this.enumerators.some(({ value }) => value < 0n);
  }

  get enumerators(): readonly Enumerator[] {
    this.read ??= this.world.guarded(() => this.readEnumerators()) ?? [];
    return this.read;
  }

  private readEnumerators(): Enumerator[] {
    const found: Enumerator[] = [];
    for (const child of this.world.dies.children(this.die)) {
      const name = child.text(DW_AT.name);
      const value = child.value(DW_AT.const_value);
      if (child.tag !== DW_TAG.enumerator || name === undefined || value?.class !== "constant") continue;
      if (found.length < MOST_CHILDREN) found.push({ name, value: value.value });
    }
    return found;
  }
}

/** Bit-fields: counted from the low end by DW_AT_data_bit_offset, from the high end of a unit by the older way. */
function memberOf(die: Die, type: CType): Member {
  const name = die.text(DW_AT.name);
  const offset = offsetOfMember(die);
  const bitSize = die.number(DW_AT.bit_size);
  if (bitSize === undefined) return { name, type, offset };
  const dataBitOffset = die.number(DW_AT.data_bit_offset);
  if (dataBitOffset !== undefined) {
    return { name, type, offset: Math.floor(dataBitOffset / 8), bitOffset: dataBitOffset % 8, bitSize };
  }
  const storage = (die.number(DW_AT.byte_size) ?? type.size) * 8;
  const fromHigh = die.number(DW_AT.bit_offset) ?? 0;
  return { name, type, offset, bitOffset: Math.max(0, storage - fromHigh - bitSize), bitSize };
}

/** DWARF 2 wrote an expression that adds a constant (its 5.6.6). */
function offsetOfMember(die: Die): number {
  const value = die.value(DW_AT.data_member_location);
  if (value?.class !== "block") return die.number(DW_AT.data_member_location) ?? 0;
  const PLUS_UCONST = 0x23;
  if (value.bytes[0] !== PLUS_UCONST) return 0;
  return new DwarfReader({ name: "a member's location", bytes: value.bytes }, 1).uleb();
}

function countOf(die: Die): number | undefined {
  const count = die.number(DW_AT.count);
  if (count !== undefined) return count;
  const last = die.number(DW_AT.upper_bound);
  // `[0]` is written as an upper bound of -1.
  return last === undefined || last < -1 ? undefined : last >= 0xffffffff ? 0 : last + 1;
}

function arrayOf(element: CType, count: number | undefined): ArrayType {
  return { kind: "array", element, count, size: (count ?? 0) * element.size };
}

function sizeOf(type: CType | undefined): number {
  return type?.size ?? 1;
}
