/** What is in scope in a frame: locals, globals of its unit, and the registers by group. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import type { VariableInfo } from "../../symbols/debugInfo";
import type { Debuggee } from "../debuggee";
import type { Session } from "../session";
import type { Frame } from "../stack/stack";
import { REGISTER_SCOPES, RegisterContainer } from "./registerContainers";
import { NamedContainer } from "./valueContainer";

/** The scopes of a frame; the containers behind them are valid until the debuggee moves. */
export function scopesOf(
  session: Session,
  debuggee: Debuggee,
  frame: Frame,
  frameId: number,
): DebugProtocol.Scope[] {
  const { evaluation } = session;
  const { target, variables: store } = debuggee;
  const { debug } = target.symbols;
  const { lookup, scope } = frame;
  const access = { evaluation, store, frameId };
  const valuesOf = (variables: readonly VariableInfo[]) =>
    variables.map((variable) => ({ name: variable.name, value: () => evaluation.variable(variable, frame) }));
  const scopes: DebugProtocol.Scope[] = [];
  const add = (
    name: string,
    container: NamedContainer | RegisterContainer,
    extra: Partial<DebugProtocol.Scope>,
  ) => scopes.push({ name, variablesReference: store.add(container), expensive: false, ...extra });
  if (debug !== undefined && lookup !== undefined) {
    if (scope !== undefined) {
      const locals = () => valuesOf(debug.variablesAt(lookup, scope));
      add("Locals", new NamedContainer(access, locals), { presentationHint: "locals" });
    }
    const globals = () => valuesOf(debug.globalsOfUnit(lookup));
    add("Globals", new NamedContainer(access, globals), { expensive: true });
  }
  const registers = {
    target,
    store,
    evaluate: (text: string) => evaluation.number(text, frameId),
    write: (register: Parameters<Debuggee["writeRegister"]>[0], value: bigint) =>
      debuggee.writeRegister(register, value),
  };
  for (const { name, group } of REGISTER_SCOPES) {
    add(name, new RegisterContainer(registers, group), { presentationHint: "registers" });
  }
  return scopes;
}
