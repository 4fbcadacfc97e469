/** What the command line needs of the world around it; tests give their own. */

export interface CliIo {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Whether stderr is a terminal: then a progress line is shown. */
  readonly stderrIsTerminal: boolean;
  /** The whole of a file. @throws an error of Node's with a code */
  readFile(path: string): Promise<Uint8Array>;
  /** An image that comes with Pagewalk, by its path under guests/. @throws like `readFile` */
  readGuest(path: string): Promise<Uint8Array>;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Lets pending input and signals in. */
  breathe(): Promise<void>;
  /** Whether the user has interrupted the run (Ctrl-C). */
  interrupted(): boolean;
  /** Whether nobody reads the output any more (the other end of a pipe is closed). */
  outputClosed(): boolean;
  /** Speaks the Debug Adapter Protocol on standard input and output, until the client is gone. */
  serveDap(): Promise<void>;
  /** Whether stack traces of internal errors are wanted. */
  readonly debug: boolean;
  readonly version: string;
}
