/**
 * Expressions in a session: names are the variables of a frame, globals, symbols and enumerators; registers are
 * those of the frame where unwinding knows them, of the CPU otherwise.
 */
import { REGISTER_NAMES } from "../machine/cpu/registers";
import type { MachineEvent } from "../machine/events";
import type { FrameContext, Location, VariableInfo } from "../symbols/debugInfo";
import { bareType, type CType } from "../symbols/types";
import { findRegister, readRegister } from "../target/registers";
import type { BreakpointExpressions } from "./breakpoints/breakpoints";
import { eventField } from "./breakpoints/eventFields";
import type { EventConditions } from "./breakpoints/exceptionFilters";
import type { Debuggee } from "./debuggee";
import type { Expression } from "./expression/ast";
import type { Environment } from "./expression/environment";
import { ExpressionError } from "./expression/error";
import { Evaluator } from "./expression/evaluate";
import { parseCondition } from "./expression/fields";
import { type FormatOptions, format, latin } from "./expression/format";
import { parseExpression } from "./expression/parser";
import { CTypes, computed, inMemory, isScalar, numberOf, type Value, withoutPlace } from "./expression/value";
import { dwarfRegisters } from "./stack/registers";
import type { Frame } from "./stack/stack";

/** Bytes of a text in memory that are looked at. */
const LONGEST_TEXT = 256;

export class Evaluation implements BreakpointExpressions, EventConditions {
  private readonly parsed = new Map<string, Expression>();

  constructor(private readonly debuggee: () => Debuggee) {}

  /**
   * The value of an expression in a frame.
   * @param frameId as of `stackTrace`; the innermost frame unless given
   * @throws ExpressionError
   */
  value(text: string, frameId?: number, mayAssign = false): Value {
    const frame = this.frame(frameId);
    const environment = this.environment(frame);
    const expression = parseExpression(text, (name) => environment.type(name) !== undefined);
    return this.debuggee().control.quietly(() => new Evaluator(environment, mayAssign).evaluate(expression));
  }

  /** An expression's number. @throws ExpressionError */
  number(text: string, frameId?: number): bigint {
    const value = this.value(text, frameId);
    const { lvalue, type } = value;
    const place = lvalue?.kind === "memory" ? lvalue.address : undefined;
    const bare = bareType(type);
    if (!isScalar(type) && place !== undefined && (bare?.kind === "array" || bare?.kind === "function"))
      return place;
    return BigInt.asUintN(64, numberOf(value));
  }

  /** Where in memory an expression's value is; undefined where it is not in memory. @throws ExpressionError */
  locate(text: string, frameId?: number): { address: bigint; length: number } | undefined {
    return placeOf(this.value(text, frameId));
  }

  /** Gives a place a value. @throws ExpressionError, RegisterError */
  assign(target: Value, text: string, frameId?: number): void {
    const value = this.value(text, frameId);
    this.debuggee().control.quietly(() => this.evaluator(frameId).store(target, value));
  }

  /** @throws RegisterError */
  setRegister(name: string, value: bigint): void {
    const register = findRegister(name);
    if (register === undefined) throw new ExpressionError(`there is no register $${name}`);
    this.debuggee().writeRegister(register, value);
  }

  /** What evaluates in a frame. */
  evaluator(frameId?: number): Evaluator {
    return new Evaluator(this.environment(this.frame(frameId)), true);
  }

  /** The values of variables that are in scope, as their debugging information locates them. */
  variable(variable: VariableInfo, frame: Frame): Value {
    return this.variableValue(variable, this.debuggee().stack.context(frame), frame);
  }

  formatOptions(hex: boolean): FormatOptions {
    const { target } = this.debuggee();
    return {
      hex,
      nameOf: (address) => target.places.symbol(address),
      textAt: (address) => {
        const bytes = target.readLinear(address, LONGEST_TEXT);
        const zero = bytes.indexOf(0);
        return bytes.length === 0 ? undefined : latin(zero < 0 ? bytes : bytes.subarray(0, zero));
      },
    };
  }

  // --- breakpoints ---

  holds(condition: string): boolean {
    this.debuggee().stack.invalidate();
    const environment = this.environment(this.frame(undefined));
    let expression = this.parsed.get(condition);
    if (expression === undefined) {
      expression = parseExpression(condition, (name) => environment.type(name) !== undefined);
      this.parsed.set(condition, expression);
    }
    return new Evaluator(environment, false).truth(expression);
  }

  interpolate(message: string): string {
    this.debuggee().stack.invalidate();
    return message.replace(/\{([^{}]*)\}/g, (_, text: string) => {
      try {
        return format(this.value(text), this.formatOptions(false));
      } catch (error) {
        return `<${(error as Error).message}>`;
      }
    });
  }

  check(condition: string): void {
    parseExpression(condition, (name) => this.debuggee().target.symbols.debug?.type(name) !== undefined);
  }

  parse(condition: string, fields: readonly string[]): (event: MachineEvent, hits: number) => boolean {
    const holds = parseCondition(condition, fields);
    return (event, hits) => holds((name) => eventField(event, name, hits));
  }

  // --- below ---

  private frame(frameId: number | undefined): Frame {
    const debuggee = this.debuggee();
    const frame = debuggee.frame(frameId ?? 1);
    if (frame === undefined) throw new ExpressionError(`there is no frame ${frameId} at this stop`);
    // The line between a handler and what it interrupted stands for the interrupted code.
    return frame;
  }

  private environment(frame: Frame): Environment {
    const debuggee = this.debuggee();
    const { target } = debuggee;
    const { debug } = target.symbols;
    const types = new CTypes(debug?.addressSize ?? 8);
    return {
      types,
      name: (name) => this.named(name, frame, types),
      type: (name) => debug?.type(name),
      register: (name) => this.register(name, frame, types),
      read: (address, length) => this.read(address, length),
      write: (address, bytes) => this.write(address, bytes),
      writeRegister: (name, value) => {
        if (frame.registers !== debuggee.stack.top().registers && isGeneral(name)) {
          throw new ExpressionError(`$${name} can only be changed in the innermost frame`);
        }
        this.setRegister(name, value);
      },
    };
  }

  private named(name: string, frame: Frame, types: CTypes): Value | undefined {
    const { target, stack } = this.debuggee();
    const { debug } = target.symbols;
    const context = stack.context(frame);
    if (debug !== undefined && frame.lookup !== undefined && frame.scope !== undefined) {
      const local = debug.variablesAt(frame.lookup, frame.scope).find((variable) => variable.name === name);
      if (local !== undefined) return this.variableValue(local, context, frame);
    }
    const global = debug?.global(name, frame.lookup);
    const symbol = target.symbols.addressOf(name);
    if (global !== undefined) {
      const located = global.locate(context);
      if (located.kind !== "unavailable" || symbol === undefined || global.type === undefined) {
        return this.variableValue(global, context, frame);
      }
      return this.memory(global.type, symbol);
    }
    if (symbol !== undefined) return this.memory(this.symbolType(name, symbol, types), symbol);
    const enumerator = debug?.enumerator(name);
    return enumerator === undefined ? undefined : computed(types.int, enumerator);
  }

  /** What the symbol table tells of a type: a function, a table of words, or bytes. */
  private symbolType(name: string, address: bigint, types: CTypes): CType {
    const { symbols } = this.debuggee().target;
    const section = symbols.sections.find(
      (each) => address >= each.address && address < each.address + BigInt(each.size),
    );
    if (section?.executable === true) {
      return { kind: "function", result: undefined, parameters: [], variadic: true, size: 1 };
    }
    const size = Number(symbols.sizeOf(name) ?? 0n);
    const element = size % 8 === 0 && size > 0 ? types.unsignedLong : types.byte;
    const count = size === 0 ? 1 : size / element.size;
    return size === 8 ? element : { kind: "array", element, count, size: count * element.size };
  }

  private memory(type: CType, address: bigint): Value {
    return inMemory(type, address, (at, length) => this.read(at, length));
  }

  /** Before the image has page tables of its own, what it is linked to is found where it lies. */
  private unmappedImage(address: bigint): number | undefined {
    const { target } = this.debuggee();
    return target.physicalOf(address) === undefined ? target.symbols.physicalOf(address) : undefined;
  }

  private read(address: bigint, length: number): Uint8Array | undefined {
    const { target } = this.debuggee();
    const physical = this.unmappedImage(address);
    return physical === undefined
      ? target.readExactly(address, length)
      : target.memory.readBytes(physical, length);
  }

  private write(address: bigint, bytes: Uint8Array): void {
    const { target, stack } = this.debuggee();
    const physical = this.unmappedImage(address);
    if (physical !== undefined) target.machine.writePhysical(physical, bytes);
    else if (target.readExactly(address, bytes.length) === undefined) {
      throw new ExpressionError(`0x${address.toString(16)} is not mapped`);
    } else target.writeLinear(address, bytes);
    stack.invalidate();
  }

  private variableValue(variable: VariableInfo, context: FrameContext, frame: Frame): Value {
    const { type } = variable;
    if (type === undefined) throw new ExpressionError(`the type of ${variable.name} is not known`);
    return this.located(variable.locate(context), type, frame);
  }

  private located(location: Location, type: CType, frame: Frame): Value {
    switch (location.kind) {
      case "memory":
        return this.memory(type, location.address);
      case "value":
        return withoutPlace(type, () => padded(location.bytes, type.size));
      case "register": {
        const name = this.registerName(location.register);
        const value = frame.registers.get(location.register);
        const reason = "the register that holds it is not known in this frame";
        if (value === undefined) return unavailable(type, reason);
        const whole = computed({ kind: "base", name: "", size: 8, encoding: "unsigned" }, value);
        return {
          ...withoutPlace(type, () => padded(whole.bytes(), type.size)),
          lvalue: name === undefined ? undefined : { kind: "register", name },
        };
      }
      case "pieces": {
        const parts = location.pieces.map((piece) => ({
          size: piece.size,
          value: this.located(
            piece.location,
            { kind: "base", name: "", size: piece.size, encoding: "unsigned" },
            frame,
          ),
        }));
        const bytes = () => Uint8Array.from(parts.flatMap(({ value }) => [...value.bytes()]));
        return withoutPlace(type, () => padded(bytes(), type.size));
      }
      case "unavailable":
        return unavailable(type, location.reason);
    }
  }

  private registerName(dwarf: number): string | undefined {
    const encoding = dwarfRegisters(this.debuggee().target.symbols.debug?.addressSize ?? 8).encoding[dwarf];
    return encoding === undefined ? undefined : GENERAL_NAMES[encoding];
  }

  /** General registers of outer frames are what unwinding found; all others the CPU's. */
  private register(name: string, frame: Frame, types: CTypes): Value | undefined {
    const register = findRegister(name);
    if (register === undefined) return undefined;
    const { cpu } = this.debuggee().target.machine;
    const type =
      register.width === 64
        ? types.unsignedLong
        : ({ kind: "base", name: "", size: register.width / 8, encoding: "unsigned" } as const);
    const outer = this.outerRegister(register.name, frame);
    const value = outer ?? readRegister(cpu, register);
    if (value === undefined) throw new ExpressionError(`this CPU has no $${register.name}`);
    return { ...computed(type, value), lvalue: { kind: "register", name: register.name } };
  }

  private outerRegister(name: string, frame: Frame): bigint | undefined {
    const numbers = dwarfRegisters(this.debuggee().target.symbols.debug?.addressSize ?? 8);
    if (name === "rip") return frame.rip;
    const number = numbers.encoding.findIndex((encoding) => GENERAL_NAMES[encoding] === name);
    if (number < 0) return undefined;
    const value = frame.registers.get(number);
    if (value === undefined) throw new ExpressionError(`$${name} of this frame is not known`);
    return value;
  }
}

const GENERAL_NAMES: readonly string[] = REGISTER_NAMES;

function isGeneral(name: string): boolean {
  return GENERAL_NAMES.includes(name) || name === "rip";
}

/** What of memory a value is; undefined where it is not in memory. */
export function placeOf({ lvalue, type }: Value): { address: bigint; length: number } | undefined {
  if (lvalue?.kind !== "memory") return undefined;
  return { address: lvalue.address, length: Math.max(1, type?.size ?? 1) };
}

function unavailable(type: CType, reason: string): Value {
  return withoutPlace(type, () => {
    throw new ExpressionError(reason);
  });
}

function padded(bytes: Uint8Array, size: number): Uint8Array {
  if (bytes.length === size) return bytes;
  const result = new Uint8Array(size);
  result.set(bytes.subarray(0, size));
  return result;
}
