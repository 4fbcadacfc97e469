/** C values in the Variables view: structs, arrays and what pointers point at. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { typeName } from "../../symbols/types";
import { RequestError } from "../dispatcher";
import { type Evaluation, placeOf } from "../evaluation";
import { ExpressionError } from "../expression/error";
import { format, listParts, type Part, partsOf } from "../expression/format";
import type { Value } from "../expression/value";
import type { Container, VariableStore, VariablesQuery } from "./store";

/** Children of one answer at most, where the client asks for no page of them. */
const MOST_CHILDREN = 4096;

/** What value containers need of the session. */
export interface ValueAccess {
  readonly evaluation: Evaluation;
  readonly store: VariableStore;
  readonly frameId: number | undefined;
}

/** A variable of the protocol. */
export function variableOf(
  access: ValueAccess,
  name: string,
  value: Value,
  evaluateName: string | undefined,
  hex: boolean,
): DebugProtocol.Variable {
  const parts = partsOf(value.type);
  const readable = parts.indexed + parts.named > 0 && canRead(value);
  const place = placeOf(value);
  return {
    name,
    value: format(value, access.evaluation.formatOptions(hex)),
    type: typeName(value.type),
    ...(evaluateName === undefined ? {} : { evaluateName }),
    variablesReference: readable ? access.store.add(new ValueContainer(access, value, evaluateName)) : 0,
    ...(parts.indexed > 0 ? { indexedVariables: parts.indexed, namedVariables: 0 } : {}),
    ...(place === undefined ? {} : { memoryReference: `0x${place.address.toString(16)}` }),
    ...(value.lvalue === undefined ? { presentationHint: { attributes: ["readOnly"] } } : {}),
  };
}

function canRead(value: Value): boolean {
  try {
    value.bytes();
    return true;
  } catch (error) {
    if (error instanceof ExpressionError) return false;
    throw error;
  }
}

/** The parts of a value. */
class ValueContainer implements Container {
  constructor(
    private readonly access: ValueAccess,
    private readonly value: Value,
    private readonly expression: string | undefined,
  ) {}

  list({ start = 0, count, hex }: VariablesQuery): DebugProtocol.Variable[] {
    const wanted = count === undefined || count === 0 ? MOST_CHILDREN : Math.min(count, MOST_CHILDREN);
    return this.parts(start, wanted).map(({ name, value, evaluateName }) =>
      variableOf(this.access, name, value, evaluateName, hex),
    );
  }

  set(name: string, text: string, hex: boolean): DebugProtocol.SetVariableResponse["body"] {
    const { evaluation, frameId } = this.access;
    evaluation.assign(this.part(name).value, text, frameId);
    return { value: format(this.part(name).value, evaluation.formatOptions(hex)) };
  }

  locate(name: string): { address: bigint; length: number } | undefined {
    return placeOf(this.part(name).value);
  }

  private part(name: string): Part {
    const index = /^\[(\d{1,9})\]$/.exec(name);
    const parts = index === null ? this.parts(0, MOST_CHILDREN) : this.parts(Number(index[1]), 1);
    const found = parts.find((part) => part.name === name);
    if (found === undefined) throw new RequestError(`there is no "${name}" here`);
    return found;
  }

  private parts(start: number, count: number): Part[] {
    const evaluator = this.access.evaluation.evaluator(this.access.frameId);
    return listParts(this.value, evaluator, this.expression, start, count);
  }
}

/** Variables that are found by name: locals of a frame, globals of a unit. */
export class NamedContainer implements Container {
  constructor(
    private readonly access: ValueAccess,
    private readonly variables: () => readonly { name: string; value: () => Value }[],
  ) {}

  list({ start = 0, count, hex }: VariablesQuery): DebugProtocol.Variable[] {
    const all = this.variables();
    const end = count === undefined || count === 0 ? all.length : start + count;
    return all.slice(start, end).map(({ name, value }) => this.shown(name, value, hex));
  }

  set(name: string, text: string, hex: boolean): DebugProtocol.SetVariableResponse["body"] {
    const { evaluation, frameId } = this.access;
    evaluation.assign(this.find(name), text, frameId);
    return { value: format(this.find(name), evaluation.formatOptions(hex)) };
  }

  locate(name: string): { address: bigint; length: number } | undefined {
    return placeOf(this.find(name));
  }

  private find(name: string): Value {
    const found = this.variables().find((variable) => variable.name === name);
    if (found === undefined) throw new RequestError(`there is no variable "${name}" here`);
    return found.value();
  }

  private shown(name: string, value: () => Value, hex: boolean): DebugProtocol.Variable {
    try {
      return variableOf(this.access, name, value(), name, hex);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return { name, value: `<${error.message}>`, variablesReference: 0 };
    }
  }
}
