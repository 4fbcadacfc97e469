/** Commands of the debug console, beside expressions: they begin with a slash. */
import { decodeEntry, describeEntry } from "../paging/entry";
import { explainWalk } from "../paging/explain";
import { ENTRY_NAMES } from "../paging/layout";
import { hex64 } from "../target/values";
import { RequestError } from "./dispatcher";
import type { Session } from "./session";

const HELP = [
  "Expressions of C over the program's symbols; registers as $cr3; expression,x in hexadecimal; *p@4.",
  "/walk ADDRESS          the page walk of a linear address, step by step",
  "/entry VALUE [LEVEL]   a page-table entry decoded, at a level (1 = PTE) or at all",
].join("\n");

/** @returns the text to show @throws RequestError for a command that there is none of, ExpressionError */
export function runCommand(session: Session, line: string, frameId: number | undefined): string {
  const [command, ...words] = line.trim().split(/\s+/);
  const text = words.join(" ");
  switch (command) {
    case "/help":
      return HELP;
    case "/walk":
      return walkText(session, session.evaluation.number(text, frameId));
    case "/entry":
      return entryText(session, text, frameId);
    default:
      throw new RequestError(`there is no command ${command}; there are /walk, /entry and /help`);
  }
}

function walkText(session: Session, address: bigint): string {
  const { target } = session.debuggee;
  if (target.pagingState.levels === 0) return `paging is off: ${hex64(address)} is the physical address`;
  const walk = explainWalk(target.pagingState, target.memory, address, 0, (physical) =>
    target.places.physical(physical),
  );
  const steps = walk.steps.map(
    ({ name, index, table, value, decoded }) =>
      `${name.padEnd(5)} ${String(index).padStart(3)} of ${target.places.table(table)}: ${hex64(value)}  ${describeEntry(decoded)}`,
  );
  return [...steps, walk.outcome].join("\n");
}

/** The value may be an expression; the level is a last word of one digit. */
function entryText(session: Session, text: string, frameId: number | undefined): string {
  const { target } = session.debuggee;
  const { levels } = target.pagingState;
  const context = levels === 0 ? { ...target.pagingState, levels: 4 as const } : target.pagingState;
  const match = /^(.*\S)\s+([1-5])$/.exec(text);
  const value = session.evaluation.number(match?.[1] ?? text, frameId);
  const wanted = match === null ? undefined : Number(match[2]);
  if (wanted !== undefined && wanted > context.levels) {
    throw new RequestError(`level ${wanted} does not exist in ${context.levels}-level paging`);
  }
  const all = Array.from({ length: context.levels }, (_, index) => index + 1);
  return (wanted === undefined ? all : [wanted])
    .map((level) => {
      const entry = decodeEntry(value, level, context);
      return `as ${ENTRY_NAMES[level]}: ${describeEntry(entry, (physical) => target.places.table(physical))}`;
    })
    .join("\n");
}
