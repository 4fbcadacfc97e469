/** The command line's world: the process that it runs in. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { serveDap } from "./dap";
import { EXIT_INTERRUPTED } from "./exitStatus";
import type { CliIo } from "./io";

/** @param root the folder that holds package.json and guests/ */
export function nodeIo(root: string): CliIo {
  let interrupted = false;
  let closed = false;
  process.on("SIGINT", () => {
    // The first one ends the run at the end of its slice; who insists need not wait for that.
    if (interrupted) process.exit(EXIT_INTERRUPTED);
    interrupted = true;
  });
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      closed = true;
    });
  }
  return {
    stdout: (text) => {
      if (!closed) process.stdout.write(text);
    },
    stderr: (text) => {
      process.stderr.write(text);
    },
    stderrIsTerminal: process.stderr.isTTY === true,
    readFile: (path) => readFile(path),
    readGuest: (path) => readFile(join(root, "guests", path)),
    now: () => performance.now(),
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    interrupted: () => interrupted,
    outputClosed: () => closed,
    serveDap: () => serveDap(root),
    debug: (process.env.PAGEWALK_DEBUG ?? "") !== "",
    version: (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version,
  };
}
