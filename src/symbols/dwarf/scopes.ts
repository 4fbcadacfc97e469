/** Functions, what is inlined into them, and their variables (DWARF 5, 3.3, 3.5 and 4.1). */
import type { FrameContext, FunctionScope, Location, VariableInfo, VariableKind } from "../debugInfo";
import type { Budget } from "./budget";
import { DW_AT, DW_OP, DW_TAG } from "./constants";
import type { Die, DieReader } from "./die";
import { type ExpressionContext, locate } from "./expression";
import { expressionAt } from "./loclists";
import type { AddressRange } from "./rnglists";
import type { Types } from "./types";
import type { Unit } from "./unit";

/** What scopes need of the file. */
export interface ScopeWorld {
  readonly dies: DieReader;
  readonly types: Types;
  readonly budget: Budget;
  readonly addressSize: 4 | 8;
  /** The path of a file by its number in a unit's line table. */
  fileOf(unit: Unit, file: number): string | undefined;
  guarded<T>(read: () => T): T | undefined;
}

/** A function with its entry, for what is asked of it later. */
export interface ScopeWithDie extends FunctionScope {
  readonly die: Die;
}

/** A function of a unit with code. */
interface UnitFunction {
  readonly ranges: readonly AddressRange[];
  readonly die: Die;
}

export class Scopes {
  private readonly functions = new Map<Unit, readonly UnitFunction[]>();

  constructor(private readonly world: ScopeWorld) {}

  /** Functions at an address of a unit, innermost first. */
  at(unit: Unit, address: bigint): ScopeWithDie[] {
    const outer = this.functionsOf(unit).find(({ ranges }) => holds(ranges, address));
    if (outer === undefined) return [];
    const scopes = [this.scope(outer.die, outer.ranges, false)];
    const collect = (parent: Die): void => {
      for (const child of this.world.dies.children(parent)) {
        const inlined = child.tag === DW_TAG.inlined_subroutine;
        if (!inlined && child.tag !== DW_TAG.lexical_block) continue;
        const ranges = child.ranges();
        if (!holds(ranges, address)) continue;
        if (inlined) scopes.unshift(this.scope(child, ranges, true));
        collect(child);
        return;
      }
    };
    this.world.guarded(() => collect(outer.die));
    return scopes;
  }

  /** Parameters and locals in scope at an address, those of inner blocks first. */
  variables(scope: ScopeWithDie, address: bigint): VariableInfo[] {
    const found: VariableInfo[][] = [];
    const collect = (parent: Die): void => {
      const here: VariableInfo[] = [];
      found.unshift(here);
      let block: Die | undefined;
      for (const child of this.world.dies.children(parent)) {
        if (child.tag === DW_TAG.formal_parameter) here.push(this.variable(child, "parameter", scope));
        else if (child.tag === DW_TAG.variable) here.push(this.variable(child, localKind(child), scope));
        else if (child.tag === DW_TAG.lexical_block && holds(child.ranges(), address)) block = child;
      }
      if (block !== undefined) collect(block);
    };
    this.world.guarded(() => collect(scope.die));
    return found.flat().filter(({ name }) => name !== "");
  }

  /** A variable at the top of a unit. */
  global(die: Die): VariableInfo {
    const external =
      this.world.guarded(() => this.world.dies.withAttribute(die, DW_AT.external)) !== undefined;
    return this.variable(die, external ? "global" : "static", undefined);
  }

  private functionsOf(unit: Unit): readonly UnitFunction[] {
    let known = this.functions.get(unit);
    if (known === undefined) {
      known = this.world.guarded(() => this.readFunctions(unit)) ?? [];
      this.functions.set(unit, known);
    }
    return known;
  }

  private readFunctions(unit: Unit): UnitFunction[] {
    const { dies } = this.world;
    const top = dies.top(unit);
    if (top === undefined) return [];
    const found: UnitFunction[] = [];
    for (const die of dies.children(top)) {
      if (die.tag !== DW_TAG.subprogram) continue;
      const ranges = die.ranges();
      if (ranges.length > 0) found.push({ ranges, die });
    }
    return found;
  }

  private scope(die: Die, ranges: readonly AddressRange[], inlined: boolean): ScopeWithDie {
    const { world } = this;
    const read = <T>(get: () => T) => world.guarded(get);
    const named = read(() => world.dies.withAttribute(die, DW_AT.name));
    const declared = read(() => this.declared(die));
    const call = inlined ? read(() => this.call(die)) : undefined;
    const typed = read(() => world.dies.withAttribute(die, DW_AT.type));
    return {
      name: (named && read(() => named.text(DW_AT.name))) ?? "?",
      low: ranges.map(({ start }) => start).sort((a, b) => (a < b ? -1 : 1))[0],
      ranges,
      inlined,
      ...(call === undefined ? {} : { call }),
      ...(declared === undefined ? {} : { declared }),
      result: typed === undefined ? undefined : world.types.of(typed),
      die,
    };
  }

  private call(die: Die): { file: string; line: number; column: number } | undefined {
    const file = this.world.fileOf(die.unit, die.number(DW_AT.call_file) ?? 0);
    const line = die.number(DW_AT.call_line);
    if (file === undefined || line === undefined) return undefined;
    return { file, line, column: die.number(DW_AT.call_column) ?? 0 };
  }

  private declared(die: Die): { file: string; line: number } | undefined {
    const lined = this.world.dies.withAttribute(die, DW_AT.decl_line);
    const filed = this.world.dies.withAttribute(die, DW_AT.decl_file);
    const line = lined?.number(DW_AT.decl_line);
    if (filed === undefined || line === undefined) return undefined;
    const file = this.world.fileOf(filed.unit, filed.number(DW_AT.decl_file) ?? 0);
    return file === undefined ? undefined : { file, line };
  }

  private variable(die: Die, kind: VariableKind, scope: ScopeWithDie | undefined): VariableInfo {
    const { world } = this;
    const named = world.guarded(() => world.dies.withAttribute(die, DW_AT.name));
    const typed = world.guarded(() => world.dies.withAttribute(die, DW_AT.type));
    const declared = world.guarded(() => this.declared(die));
    return {
      name: (named && world.guarded(() => named.text(DW_AT.name))) ?? "",
      kind,
      type: typed === undefined ? undefined : world.types.of(typed),
      ...(declared === undefined ? {} : { declared }),
      locate: (frame) =>
        world.guarded(() => this.locate(die, scope, frame)) ?? {
          kind: "unavailable",
          reason: "its debugging information is malformed",
        },
    };
  }

  private locate(die: Die, scope: ScopeWithDie | undefined, frame: FrameContext): Location {
    const { dies } = this.world;
    const constant = dies.withAttribute(die, DW_AT.const_value)?.value(DW_AT.const_value);
    if (constant !== undefined) return constantLocation(constant);
    const located = dies.withAttribute(die, DW_AT.location);
    if (located === undefined) return { kind: "unavailable", reason: "it was optimized away" };
    const bytes = this.expression(located, DW_AT.location, frame.pc);
    if (bytes === undefined) return { kind: "unavailable", reason: "it has no value at this place" };
    return locate(bytes, this.context(located.unit, scope, frame));
  }

  private expression(die: Die, attribute: number, pc: bigint): Uint8Array | undefined {
    return expressionAt(
      this.world.dies.sections,
      die.value(attribute),
      pc,
      die.unit.context,
      this.world.budget,
    );
  }

  private context(unit: Unit, scope: ScopeWithDie | undefined, frame: FrameContext): ExpressionContext {
    const { encoding, addrBase } = unit.context;
    const base: ExpressionContext = {
      sections: this.world.dies.sections,
      encoding,
      addrBase,
      frame,
      frameBase: () => undefined,
    };
    return { ...base, frameBase: () => this.frameBase(scope, frame, base) };
  }

  /** That of the function around; a bare register stands for its value (3.3.5). */
  private frameBase(
    scope: ScopeWithDie | undefined,
    frame: FrameContext,
    context: ExpressionContext,
  ): Location | undefined {
    const unit = scope?.die.unit;
    const outer = unit === undefined ? undefined : this.at(unit, frame.pc).at(-1);
    if (outer === undefined) return undefined;
    const bytes = this.expression(outer.die, DW_AT.frame_base, frame.pc);
    return bytes === undefined ? undefined : locate(bytes, context);
  }
}

/** A local with a fixed address is a static one. */
function localKind(die: Die): VariableKind {
  const value = die.value(DW_AT.location);
  return value?.class === "block" && value.bytes[0] === DW_OP.addr ? "static" : "local";
}

function constantLocation(value: NonNullable<ReturnType<Die["value"]>>): Location {
  if (value.class === "block") return { kind: "value", bytes: value.bytes };
  if (value.class !== "constant")
    return { kind: "unavailable", reason: "its constant value is not readable" };
  const bytes = Uint8Array.from({ length: 8 }, (_, i) => Number((value.value >> BigInt(8 * i)) & 0xffn));
  return { kind: "value", bytes };
}

function holds(ranges: readonly AddressRange[], address: bigint): boolean {
  return ranges.some(({ start, end }) => address >= start && address < end);
}
