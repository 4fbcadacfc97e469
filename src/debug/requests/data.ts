/** Variables, expressions and completions. */
import type { DebugProtocol } from "@vscode/debugprotocol";
import { typeName } from "../../symbols/types";
import { registerNames } from "../../target/registers";
import { runCommand } from "../consoleCommands";
import { placeOf } from "../evaluation";
import { format } from "../expression/format";
import { COMPLETIONS, EVALUATE, SET_EXPRESSION, SET_VARIABLE, VARIABLES } from "../protocol/standard";
import type { Session } from "../session";
import { variableOf } from "../variables/valueContainer";

/** Completions of one answer at most. */
const MOST_COMPLETIONS = 200;
const COMMANDS = ["/walk", "/entry", "/help"];

/** Registers the handlers. */
export function registerDataRequests(session: Session): void {
  const { dispatcher, evaluation } = session;
  dispatcher.on(VARIABLES, ({ variablesReference, filter, start, count, format: shown }) => ({
    variables: session.stopped.variables
      .get(variablesReference)
      .list({ filter, start, count, hex: shown?.hex === true }),
  }));
  dispatcher.on(SET_VARIABLE, ({ variablesReference, name, value, format: shown }) => {
    const answer = session.stopped.variables.get(variablesReference).set(name, value, shown?.hex === true);
    session.changed(["variables"]);
    return answer;
  });
  dispatcher.on(SET_EXPRESSION, ({ expression, value, frameId, format: shown }) => {
    void session.stopped;
    evaluation.assign(evaluation.value(expression, frameId), value, frameId);
    session.changed(["variables"]);
    const now = evaluation.value(expression, frameId);
    return { value: format(now, evaluation.formatOptions(shown?.hex === true)), type: typeName(now.type) };
  });
  dispatcher.on(EVALUATE, ({ expression, frameId, context, format: shown }) => {
    const debuggee = session.stopped;
    if (expression.startsWith("/"))
      return { result: runCommand(session, expression, frameId), variablesReference: 0 };
    const { text, hex } = formatSuffix(expression);
    const value = evaluation.value(text, frameId, context === "repl");
    if (context === "repl") session.changed(["variables"]);
    const access = { evaluation, store: debuggee.variables, frameId };
    const variable = variableOf(access, text, value, text, hex || shown?.hex === true);
    const { value: result, type = "", variablesReference, indexedVariables, memoryReference } = variable;
    return {
      result,
      type,
      variablesReference,
      ...(indexedVariables === undefined ? {} : { indexedVariables }),
      ...(placeOf(value) === undefined || memoryReference === undefined ? {} : { memoryReference }),
    };
  });
  dispatcher.on(COMPLETIONS, ({ text, column, frameId }) => {
    const end = session.client.columnsStartAt1 ? column - 1 : column;
    return { targets: completionsOf(session, text.slice(0, end), frameId) };
  });
}

/** gdb's habit: `expression,x` shows hexadecimal numbers. */
function formatSuffix(expression: string): { text: string; hex: boolean } {
  const match = /^(.*),\s*x\s*$/s.exec(expression);
  return match === null ? { text: expression, hex: false } : { text: match[1], hex: true };
}

function completionsOf(
  session: Session,
  before: string,
  frameId: number | undefined,
): DebugProtocol.CompletionItem[] {
  const { target, stack } = session.stopped;
  const { symbols } = target;
  const [word] = /[/$]?[A-Za-z0-9_]*$/.exec(before) ?? [""];
  const start = before.length - word.length;
  const item = (label: string, type: DebugProtocol.CompletionItemType): DebugProtocol.CompletionItem => ({
    label,
    type,
    start,
    length: word.length,
  });
  if (word.startsWith("/")) {
    return COMMANDS.filter((command) => command.startsWith(word)).map((command) => item(command, "keyword"));
  }
  if (word.startsWith("$")) {
    return registerNames()
      .filter((name) => name.startsWith(word.slice(1).toLowerCase()))
      .map((name) => item(`$${name}`, "variable"));
  }
  const frame = stack.all()[(frameId ?? 1) - 1];
  const locals =
    frame?.lookup === undefined || frame.scope === undefined
      ? []
      : (symbols.debug?.variablesAt(frame.lookup, frame.scope) ?? []).map(({ name }) => name);
  const names = new Set([
    ...locals.filter((name) => name.startsWith(word)),
    ...(symbols.debug?.globalNames(word, MOST_COMPLETIONS) ?? []),
    ...symbols.names(word, MOST_COMPLETIONS),
  ]);
  return [...names].slice(0, MOST_COMPLETIONS).map((name) => item(name, "variable"));
}
