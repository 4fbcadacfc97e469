/** An expression that cannot be read or evaluated; the message is one sentence for the user. */
export class ExpressionError extends Error {
  override name = "ExpressionError";
}
