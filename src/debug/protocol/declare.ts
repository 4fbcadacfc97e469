/**
 * Requests declared once: the command, the schema that its arguments are checked by, and the type of the answer. The
 * adapter answers them (`Dispatcher`), the views ask them; both derive their types from the declaration.
 */
import type { GenericSchema, InferInput, InferOutput } from "valibot";

/** A request of the Debug Adapter Protocol, standard or of our own ("pagewalk/..."). */
export interface RequestDeclaration<S extends GenericSchema, R> {
  readonly command: string;
  readonly schema: S;
  /** Only a type: the answer's body. */
  readonly answer?: R;
}

/** Declares a request: `request<Answer>()("pagewalk/walk", v.object({ ... }))`. */
export function request<R>() {
  return <S extends GenericSchema>(command: string, schema: S): RequestDeclaration<S, R> => ({
    command,
    schema,
  });
}

/** What an asker gives. */
export type ArgumentsOf<D> = D extends RequestDeclaration<infer S, unknown> ? InferInput<S> : never;
/** What the adapter gets, after checks and defaults. */
export type CheckedOf<D> = D extends RequestDeclaration<infer S, unknown> ? InferOutput<S> : never;
export type AnswerOf<D> = D extends RequestDeclaration<GenericSchema, infer R> ? R : never;
