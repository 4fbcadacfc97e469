/** Moments in words, and where they stand in the sources. */
import type { Debuggee } from "../debuggee";
import type { MomentAnswer } from "../protocol/time";
import { toHex } from "../protocol/values";

/** A moment by its instruction count and RIP, with what is known of the place. */
export function momentAt({ target, sources }: Debuggee, instruction: number, rip: bigint): MomentAnswer {
  const linked = target.symbols.linkedOf(rip) ?? rip;
  const symbol = target.places.symbol(linked);
  const row = target.symbols.lineOf(linked);
  const path = row === undefined ? undefined : sources.source(row.file)?.path;
  return {
    instruction,
    rip: toHex(rip),
    ...(symbol === undefined ? {} : { symbol }),
    ...(path === undefined || row === undefined ? {} : { path, line: row.line }),
  };
}

/** "instruction 1234 at early_make_pgtable+0x4 (head64.c:96)". */
export function placeOfMoment({ instruction, symbol, rip, path, line }: MomentAnswer): string {
  const source = path === undefined ? "" : ` (${path.split("/").at(-1)}:${line})`;
  return `instruction ${instruction} at ${symbol ?? rip}${source}`;
}
