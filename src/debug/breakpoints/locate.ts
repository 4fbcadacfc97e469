/** From what breakpoints are set on, to addresses: source lines, functions. Addresses are linked ones. */
import type { LineRow } from "../../symbols/debugInfo";
import type { Target } from "../../target/target";
import { bodyOf } from "../stack/stepPlace";

export interface Located {
  readonly addresses: readonly bigint[];
  /** The line that really has code, at or behind the one asked for. */
  readonly line: number;
}

/** Lines behind the one asked for in which code is looked for. */
const FARTHEST = 100;

/**
 * The places of a source line: one in each function, or inlined copy, that has code of it.
 * @param files names that the file may have in the debugging information
 */
export function locateLine(target: Target, files: readonly string[], line: number): Located | undefined {
  const { lines } = target.symbols;
  if (lines === undefined) return undefined;
  for (const file of files) {
    const withCode = lines.linesOf(file).find((candidate) => candidate >= line);
    if (withCode === undefined || withCode - line > FARTHEST) continue;
    const rows = lines.rowsOf(file, withCode).filter(({ statement }) => statement);
    const addresses = firstOfEach(target, rows);
    if (addresses.length > 0) return { addresses, line: withCode };
  }
  return undefined;
}

/** The lines of a range that have code. */
export function linesWithCode(target: Target, files: readonly string[], from: number, to: number): number[] {
  for (const file of files) {
    const all = target.symbols.lines?.linesOf(file) ?? [];
    if (all.length > 0) return all.filter((line) => line >= from && line <= to);
  }
  return [];
}

/** The body of a function. */
export function locateFunction(target: Target, name: string): bigint | undefined {
  const address = target.symbols.addressOf(name);
  return address === undefined ? undefined : (bodyOf(target, address) ?? address);
}

/** The lowest row of each function; behind the prologue where that is the function's first line. */
function firstOfEach(target: Target, rows: readonly LineRow[]): bigint[] {
  const byFunction = new Map<string, bigint>();
  const addresses: bigint[] = [];
  for (const { address } of rows) {
    const scope = target.symbols.debug?.functionsAt(address)[0];
    if (scope === undefined) {
      if (!rows.some((row) => row.end === address)) addresses.push(address);
      continue;
    }
    const key = `${scope.low}:${scope.name}`;
    const place = address === scope.low ? (bodyOf(target, address) ?? address) : address;
    const known = byFunction.get(key);
    if (known === undefined || address < known) byFunction.set(key, place);
  }
  return [...addresses, ...byFunction.values()];
}
