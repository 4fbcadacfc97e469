/** Errors that end the command line with a sentence for the user instead of a stack trace. */

/** What was asked for makes no sense: exit status 2. The message is one sentence. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** Exit statuses of `pagewalk` (the guest's own status comes between, where it exited with one). */
export const EXIT_OK = 0;
export const EXIT_USAGE = 2;
export const EXIT_LIMIT = 3;
export const EXIT_MACHINE = 4;
/** An error of Pagewalk itself (EX_SOFTWARE of sysexits.h). */
export const EXIT_INTERNAL = 70;
/** 128 + SIGINT, as a shell reports it. */
export const EXIT_INTERRUPTED = 130;
