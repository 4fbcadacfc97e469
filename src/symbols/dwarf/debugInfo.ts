/** The answers to a debugger's questions, from DWARF. Nothing is read before it is asked for. */
import type { DebugInfo, FunctionScope, UnwoundFrame, VariableInfo } from "../debugInfo";
import type { OrcFrames } from "../orc";
import type { CType } from "../types";
import { Budget } from "./budget";
import { CallFrames } from "./cfi";
import { DieReader } from "./die";
import { NameScan } from "./nameScan";
import { addNames, type NameTable, nameTable, splitTypeName } from "./names";
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
  /** Of all units up to `scanned`. */
  private readonly everywhere = nameTable();
  private scan: NameScan | undefined;
  private scanned = 0;

  /**
   * @param ehFrame where .eh_frame is linked to
   * @param orc what unwinds code without call frame information, assembly say
   */
  constructor(
    private readonly units: Units,
    readonly addressSize: 4 | 8,
    ehFrame: bigint,
    private readonly orc?: OrcFrames | undefined,
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
    const unit = near === undefined ? undefined : this.units.at(near);
    const own = unit === undefined ? undefined : this.namesOf(unit);
    const offset =
      own?.global.get(name) ??
      this.search(({ global }) => global.get(name)) ??
      own?.declared.get(name) ??
      this.everywhere.declared.get(name);
    return offset === undefined ? undefined : this.globalAt(offset);
  }

  globalNames(prefix: string, limit: number): readonly string[] {
    this.search(() => undefined);
    return [...this.everywhere.global.keys()]
      .filter((name) => name.startsWith(prefix))
      .sort()
      .slice(0, limit);
  }

  globalsOfUnit(address: bigint): readonly VariableInfo[] {
    const unit = this.units.at(address);
    if (unit === undefined) return [];
    return [...this.namesOf(unit).global.values()]
      .map((offset) => this.globalAt(offset))
      .filter((variable) => variable !== undefined);
  }

  type(name: string): CType | undefined {
    const wanted = splitTypeName(name);
    const offset = this.search((table) => table[wanted.kind].get(wanted.name));
    return offset === undefined ? undefined : this.types.at(offset);
  }

  enumerator(name: string): bigint | undefined {
    const offset = this.search((table) => table.enumerator.get(name));
    const type = offset === undefined ? undefined : this.types.at(offset);
    if (type?.kind !== "enum") return undefined;
    return type.enumerators.find((enumerator) => enumerator.name === name)?.value;
  }

  unwind(
    registers: ReadonlyMap<number, bigint>,
    read: (address: bigint, length: number) => Uint8Array | undefined,
  ): UnwoundFrame | undefined {
    const frame = this.frames.unwind(registers, read);
    const own = this.orc?.unwind(registers, read);
    // ORC is made from the instructions: it knows what inline assembly pushes, and where a function has no other
    // information. Where both agree, call frame information has more registers.
    return frame === undefined || (own !== undefined && own.cfa !== frame.cfa) ? (own ?? frame) : frame;
  }

  private globalAt(offset: number): VariableInfo | undefined {
    return this.units.guarded(() => {
      const die = this.dies.at(offset);
      return die === undefined ? undefined : this.scopes.global(die);
    });
  }

  readNames(goOn: () => boolean): boolean {
    while (this.scanned < this.units.all.length) {
      if (!goOn()) return false;
      this.scanUnit();
    }
    return true;
  }

  /** Reads unit after unit until a name is found, from where the last search ended. */
  private search<T>(get: (table: NameTable) => T | undefined): T | undefined {
    for (;;) {
      const found = get(this.everywhere);
      if (found !== undefined || !this.scanUnit()) return found;
    }
  }

  /** @returns whether there was a unit left */
  private scanUnit(): boolean {
    const unit = this.units.all[this.scanned];
    if (unit === undefined) return false;
    this.scanned++;
    this.scan ??= new NameScan(this.units.sections, this.everywhere);
    const { scan } = this;
    this.units.guarded(() => {
      if (!scan.add(unit)) addNames(this.dies, unit, this.everywhere);
    });
    return true;
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
}
