/** The answers to a debugger's questions, from DWARF. Nothing is read before it is asked for. */
import type { DebugInfo, FunctionScope, UnwoundFrame, VariableInfo } from "../debugInfo";
import type { CType } from "../types";
import { Budget } from "./budget";
import { CallFrames } from "./cfi";
import { DieReader } from "./die";
import { addNames, type NameTable, nameTable } from "./names";
import { DwarfError } from "./reader";
import { Scopes, type ScopeWithDie } from "./scopes";
import { Types } from "./types";
import type { Unit } from "./unit";
import type { Units } from "./units";

/** Entries that are read in a session at most: the names of a large kernel take some 20 million. */
const STEPS = 400_000_000;

export class DwarfDebugInfo implements DebugInfo {
  private readonly dies: DieReader;
  private readonly types: Types;
  private readonly scopes: Scopes;
  private readonly frames: CallFrames;
  private readonly byUnit = new Map<Unit, NameTable>();
  private everywhere: NameTable | undefined;

  /** @param ehFrame where .eh_frame is linked to */
  constructor(
    private readonly units: Units,
    readonly addressSize: 4 | 8,
    ehFrame: bigint,
  ) {
    const budget = new Budget(STEPS);
    const guarded = <T>(read: () => T) => units.guarded(read);
    this.dies = new DieReader(units.sections, budget, (offset) => units.holding(offset));
    this.types = new Types({ dies: this.dies, complete: (name) => this.type(name), guarded });
    this.scopes = new Scopes({
      dies: this.dies,
      types: this.types,
      budget,
      addressSize,
      fileOf: (unit, file) => units.fileOf(unit, file),
      guarded,
    });
    this.frames = new CallFrames(units.sections, { address: ehFrame }, addressSize, (error) => {
      if (!(error instanceof DwarfError)) throw error;
      units.guarded(() => {
        throw error;
      });
    });
  }

  functionsAt(address: bigint): readonly FunctionScope[] {
    const unit = this.units.at(address);
    return unit === undefined ? [] : this.scopes.at(unit, address);
  }

  variablesAt(address: bigint, scope: FunctionScope): readonly VariableInfo[] {
    const unit = this.units.at(address);
    if (unit === undefined) return [];
    const found =
      "die" in scope
        ? (scope as ScopeWithDie)
        : this.scopes.at(unit, address).find(({ low, name }) => low === scope.low && name === scope.name);
    return found === undefined ? [] : this.scopes.variables(found, address);
  }

  global(name: string, near?: bigint): VariableInfo | undefined {
    const offset =
      this.find(near, ({ globals }) => globals.get(name)) ??
      this.find(near, ({ declared }) => declared.get(name));
    return offset === undefined ? undefined : this.globalAt(offset);
  }

  globalNames(prefix: string, limit: number): readonly string[] {
    return [...this.all().globals.keys()]
      .filter((name) => name.startsWith(prefix))
      .sort()
      .slice(0, limit);
  }

  globalsOfUnit(address: bigint): readonly VariableInfo[] {
    const unit = this.units.at(address);
    if (unit === undefined) return [];
    return [...this.namesOf(unit).globals.values()]
      .map((offset) => this.globalAt(offset))
      .filter((variable) => variable !== undefined);
  }

  type(name: string): CType | undefined {
    const offset = this.find(undefined, ({ types }) => types.get(name));
    return offset === undefined ? undefined : this.types.at(offset);
  }

  enumerator(name: string): bigint | undefined {
    for (const offset of this.all().enumerations) {
      const type = this.types.at(offset);
      const found = type?.kind === "enum" && type.enumerators.find((enumerator) => enumerator.name === name);
      if (found) return found.value;
    }
    return undefined;
  }

  unwind(
    registers: ReadonlyMap<number, bigint>,
    read: (address: bigint, length: number) => Uint8Array | undefined,
  ): UnwoundFrame | undefined {
    return this.frames.unwind(registers, read);
  }

  private globalAt(offset: number): VariableInfo | undefined {
    return this.units.guarded(() => {
      const die = this.dies.at(offset);
      return die === undefined ? undefined : this.scopes.global(die);
    });
  }

  /** In the unit that holds `near`, then anywhere. */
  private find<T>(near: bigint | undefined, get: (table: NameTable) => T | undefined): T | undefined {
    const unit = near === undefined ? undefined : this.units.at(near);
    return (unit && get(this.namesOf(unit))) ?? get(this.all());
  }

  private namesOf(unit: Unit): NameTable {
    let table = this.byUnit.get(unit);
    if (table === undefined) {
      const made = nameTable();
      this.units.guarded(() => addNames(this.dies, unit, made));
      table = made;
      this.byUnit.set(unit, table);
    }
    return table;
  }

  private all(): NameTable {
    if (this.everywhere === undefined) {
      const table = nameTable();
      for (const unit of this.units.all) this.units.guarded(() => addNames(this.dies, unit, table));
      this.everywhere = table;
    }
    return this.everywhere;
  }
}
