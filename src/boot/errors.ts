/** What can be wrong with a boot: the image (`ImageError`), or what the user asked for (`UsageError`). */
export { ImageError } from "../bytes/cursor";

/** What was asked for cannot be done. The message is one sentence that says why, and where it helps what to do. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}
