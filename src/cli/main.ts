/** The command line: what it is asked for, who does it, and with which status it ends. */
import { ImageError, UsageError } from "../boot/boot";
import { CpuModelError } from "../machine/cpu/model";
import { launch } from "../target/launch";
import { Places } from "../target/places";
import { parseCommandLine, type Request, type RunRequest } from "./args";
import { EXIT_BROKEN_PIPE, EXIT_INTERNAL, EXIT_OK, EXIT_USAGE } from "./exitStatus";
import { helpText } from "./help";
import type { CliIo } from "./io";
import { JsonReport } from "./jsonReport";
import { listPrograms } from "./list";
import { printRequested, resolvePrint } from "./print";
import { Progress } from "./progress";
import type { Report } from "./report";
import { Runner } from "./runner";
import { Stopper } from "./stopper";
import { TextReport } from "./textReport";

/**
 * @param argv the arguments behind the program's name
 * @returns the exit status; every error has been told in one sentence on stderr
 */
export async function main(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    return await perform(parseCommandLine(argv), io);
  } catch (error) {
    return fail(error, io);
  }
}

async function perform(request: Request, io: CliIo): Promise<number> {
  switch (request.command) {
    case "help":
      io.stdout(helpText());
      return EXIT_OK;
    case "version":
      io.stdout(`pagewalk ${io.version}\n`);
      return EXIT_OK;
    case "list":
      io.stdout(listPrograms(request.json));
      return EXIT_OK;
    case "dap":
      await io.serveDap();
      return EXIT_OK;
    case "run":
      return run(request, io);
  }
}

async function run(request: RunRequest, io: CliIo): Promise<number> {
  const { machine, symbols, details } = await launch(request, io);
  const places = new Places(symbols);
  machine.nameOfPhysical = (physical) => places.physical(physical);
  const write = (text: string) => io.stdout(text);
  const report: Report = request.json ? new JsonReport(write, places) : new TextReport(write, places);
  const stopper = new Stopper(request.until, machine, symbols);
  const print = request.print.map((wanted) => resolvePrint(wanted, symbols));
  const progress = new Progress(io.stderrIsTerminal ? (text) => io.stderr(text) : undefined, () => io.now());
  const runner = new Runner(machine, { ...request, stopper }, report, progress, io);
  report.begin({ program: request.program, details, rip: machine.cpu.rip });
  const stop = await runner.run();
  for (const wanted of print) await printRequested(wanted, machine, report, places, io);
  report.end(stop, runner.counts);
  tellProblems(stop.problem, symbols.problems, io);
  return io.outputClosed() ? EXIT_BROKEN_PIPE : stop.status;
}

/** What went wrong on the side: the host's limit, and debugging information that cannot be read. */
function tellProblems(problem: string | undefined, symbolProblems: readonly Error[], io: CliIo): void {
  if (problem !== undefined) io.stderr(`pagewalk: ${problem}\n`);
  if (symbolProblems.length === 0) return;
  const more = symbolProblems.length > 1 ? ` (and ${symbolProblems.length - 1} more)` : "";
  io.stderr(`pagewalk: symbols are incomplete: ${symbolProblems[0].message}${more}\n`);
}

function fail(error: unknown, io: CliIo): number {
  if (error instanceof UsageError || error instanceof CpuModelError || error instanceof ImageError) {
    io.stderr(`pagewalk: ${error.message}\n`);
    return EXIT_USAGE;
  }
  const message = error instanceof Error ? error.message : String(error);
  io.stderr(`pagewalk: internal error: ${message}\n`);
  if (io.debug && error instanceof Error) io.stderr(`${error.stack}\n`);
  return EXIT_INTERNAL;
}
