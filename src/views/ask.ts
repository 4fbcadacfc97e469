/** Asks the debug adapter: requests as they are declared, answers with their types. */
import type { GenericSchema } from "valibot";
import type { DebugSession } from "vscode";
import type { AnswerOf, ArgumentsOf, RequestDeclaration } from "../debug/protocol/declare";

/** @throws an Error with the adapter's sentence where it cannot answer */
export async function ask<S extends GenericSchema, R>(
  session: DebugSession,
  declaration: RequestDeclaration<S, R>,
  args: ArgumentsOf<RequestDeclaration<S, R>>,
): Promise<AnswerOf<RequestDeclaration<S, R>>> {
  return session.customRequest(declaration.command, args) as Promise<AnswerOf<RequestDeclaration<S, R>>>;
}
