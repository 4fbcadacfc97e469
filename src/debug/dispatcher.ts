/** Which handler answers which request; arguments are checked by the request's schema before the handler sees them. */
import * as v from "valibot";
import type { AnswerOf, CheckedOf, RequestDeclaration } from "./protocol/declare";

/** A request that cannot be answered: the message goes to the user as it is, one sentence. */
export class RequestError extends Error {
  override name = "RequestError";
}

/** What was asked about belongs to an earlier stop: an answer that came too late for the client, and nothing to tell its user. */
export class StaleError extends RequestError {
  override name = "StaleError";
}

type Handler = (args: unknown) => unknown;

export class Dispatcher {
  private readonly handlers = new Map<string, Handler>();

  /** Answers a request from now on. The handler may return a promise; what it throws becomes an error response. */
  on<S extends v.GenericSchema, R>(
    declaration: RequestDeclaration<S, R>,
    handler: (
      args: CheckedOf<RequestDeclaration<S, R>>,
    ) => AnswerOf<RequestDeclaration<S, R>> | Promise<AnswerOf<RequestDeclaration<S, R>>>,
  ): void {
    this.handlers.set(declaration.command, (args) => {
      const checked = v.safeParse(declaration.schema, args ?? {});
      if (!checked.success) throw new RequestError(argumentsProblem(declaration.command, checked.issues[0]));
      return handler(checked.output as never);
    });
  }

  /** @throws RequestError where nobody answers the request, or its arguments are malformed; what the handler throws */
  async dispatch(command: string, args: unknown): Promise<unknown> {
    const handler = this.handlers.get(command);
    if (handler === undefined) throw new RequestError(`the request "${command}" is not supported`);
    return handler(args);
  }
}

function argumentsProblem(command: string, issue: v.BaseIssue<unknown>): string {
  const path = issue.path?.map(({ key }) => String(key)).join(".");
  const where = path === undefined ? "its arguments" : `"${path}"`;
  return `the request "${command}" cannot be answered: ${where}: ${issue.message}`;
}
