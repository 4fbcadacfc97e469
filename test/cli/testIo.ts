/** A world for the command line in which a test sees what is written and decides what happens. */
import { readFile } from "node:fs/promises";
import type { CliIo } from "../../src/cli/io";
import { main } from "../../src/cli/main";

export const DEMAND = new URL("../reference/cli/demand.elf", import.meta.url).pathname;
const GUESTS = new URL("../../guests/", import.meta.url);

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line; time stands still, so that what it writes is the same each time. */
export async function pagewalk(argv: readonly string[], world: Partial<CliIo> = {}): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  const io: CliIo = {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    stderrIsTerminal: false,
    readFile: (path) => readFile(path),
    readGuest: (path) => readFile(new URL(path, GUESTS)),
    now: () => 0,
    breathe: () => Promise.resolve(),
    interrupted: () => false,
    outputClosed: () => false,
    debug: false,
    serveDap: () => Promise.resolve(),
    version: "1.2.3",
    ...world,
  };
  const status = await main(argv, io);
  return { status, stdout, stderr };
}

/** The lines of a run with --json. */
export async function json(...argv: string[]): Promise<Record<string, unknown>[]> {
  const { stdout } = await pagewalk([...argv, "--json"]);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
