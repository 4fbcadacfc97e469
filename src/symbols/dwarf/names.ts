/**
 * Globals, types and enumerators by name: of one unit when somebody stands in it, of all units when nobody knows
 * where a name is. Only what stands at the top of a unit is read; a name keeps one offset.
 */
import { DW_AT, DW_TAG } from "./constants";
import type { Die, DieReader } from "./die";
import type { Unit } from "./unit";

/** What a name can be of. */
export const NAME_KINDS = [
  "global",
  /** A variable that is defined elsewhere, in assembly say: for its type. */
  "declared",
  "struct",
  "union",
  "enum",
  /** Typedefs and base types: "pmd_t", "unsigned long". */
  "plain",
  /** The entry is the enumeration. */
  "enumerator",
] as const;
export type NameKind = (typeof NAME_KINDS)[number];

/** Offsets in .debug_info by name. */
export type NameTable = Readonly<Record<NameKind, Map<string, number>>>;

/** Of the tags that name types. */
export const KIND_OF_TAG: Readonly<Record<number, NameKind>> = {
  [DW_TAG.structure_type]: "struct",
  [DW_TAG.union_type]: "union",
  [DW_TAG.enumeration_type]: "enum",
  [DW_TAG.typedef]: "plain",
  [DW_TAG.base_type]: "plain",
};

/** Adds what stands at the top of a unit. Earlier units keep their names. @throws DwarfError */
export function addNames(dies: DieReader, unit: Unit, table: NameTable): void {
  const top = dies.top(unit);
  if (top === undefined) return;
  for (const die of dies.children(top)) {
    if (die.tag === DW_TAG.variable) addGlobal(dies, die, table);
    else if (die.tag in KIND_OF_TAG) addType(dies, die, table);
  }
}

/** An empty table. */
export function nameTable(): NameTable {
  return Object.fromEntries(
    NAME_KINDS.map((kind) => [kind, new Map<string, number>()]),
  ) as unknown as NameTable;
}

/** The kind and name of a type as C calls it: "struct pool", "pmd_t". */
export function splitTypeName(name: string): { kind: NameKind; name: string } {
  const tagged = /^(struct|union|enum) (.+)$/.exec(name);
  return tagged === null ? { kind: "plain", name } : { kind: tagged[1] as NameKind, name: tagged[2] };
}

/** A definition may take its name from its declaration. */
function addGlobal(dies: DieReader, die: Die, { global, declared }: NameTable): void {
  const name = die.text(DW_AT.name) ?? dies.withAttribute(die, DW_AT.name)?.text(DW_AT.name);
  add(die.has(DW_AT.location) || die.has(DW_AT.const_value) ? global : declared, name, die);
}

function addType(dies: DieReader, die: Die, table: NameTable): void {
  if (die.flag(DW_AT.declaration)) return;
  add(table[KIND_OF_TAG[die.tag]], die.text(DW_AT.name), die);
  if (die.tag !== DW_TAG.enumeration_type) return;
  for (const child of dies.children(die)) {
    if (child.tag === DW_TAG.enumerator) add(table.enumerator, child.text(DW_AT.name), die);
  }
}

function add(names: Map<string, number>, name: string | undefined, { offset }: Die): void {
  if (name !== undefined && name !== "" && !names.has(name)) names.set(name, offset);
}
