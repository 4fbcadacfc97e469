/**
 * Globals, types and enumerators by name: of one unit when somebody stands in it, of all units when nobody knows
 * where a name is. Only what stands at the top of a unit is read; a name keeps one offset.
 */
import { DW_AT, DW_TAG } from "./constants";
import type { Die, DieReader } from "./die";
import type { Unit } from "./unit";

/** Offsets in .debug_info by name. */
export interface NameTable {
  readonly globals: Map<string, number>;
  /** Of what is defined elsewhere, in assembly say: for its type. */
  readonly declared: Map<string, number>;
  /** By what C calls them: "struct pool", "pmd_t", "unsigned long". */
  readonly types: Map<string, number>;
  /** Enumerations, for their enumerators. */
  readonly enumerations: number[];
}

const TYPE_PREFIX: Readonly<Record<number, string>> = {
  [DW_TAG.structure_type]: "struct ",
  [DW_TAG.union_type]: "union ",
  [DW_TAG.enumeration_type]: "enum ",
  [DW_TAG.typedef]: "",
  [DW_TAG.base_type]: "",
};

/** Adds what stands at the top of a unit. Earlier units keep their names. @throws DwarfError */
export function addNames(dies: DieReader, unit: Unit, table: NameTable): void {
  const top = dies.top(unit);
  if (top === undefined) return;
  for (const die of dies.children(top)) {
    if (die.tag === DW_TAG.variable) addGlobal(dies, die, table);
    else if (die.tag in TYPE_PREFIX) addType(die, table);
  }
}

/** An empty table. */
export function nameTable(): NameTable {
  return { globals: new Map(), declared: new Map(), types: new Map(), enumerations: [] };
}

/** A definition may take its name from its declaration. */
function addGlobal(dies: DieReader, die: Die, { globals, declared }: NameTable): void {
  const name = die.text(DW_AT.name) ?? dies.withAttribute(die, DW_AT.name)?.text(DW_AT.name);
  const table = die.has(DW_AT.location) || die.has(DW_AT.const_value) ? globals : declared;
  if (name !== undefined && !table.has(name)) table.set(name, die.offset);
}

function addType(die: Die, { types, enumerations }: NameTable): void {
  if (die.flag(DW_AT.declaration)) return;
  if (die.tag === DW_TAG.enumeration_type) enumerations.push(die.offset);
  const name = die.text(DW_AT.name);
  if (name === undefined) return;
  const key = TYPE_PREFIX[die.tag] + name;
  if (!types.has(key)) types.set(key, die.offset);
}
