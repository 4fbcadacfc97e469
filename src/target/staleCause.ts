/** What made a cached translation stale, in words. */
import type { TableChange } from "../machine/tableChanges";
import type { Places } from "./places";
import { grouped, hex, hex64 } from "./values";

/** "made stale at instruction 1,234 in set_pte+0x4 (tables.c:12): entry 0x4a80 goes from 0x5063 to 0x0" */
export function causeInWords(cause: TableChange, places: Places): string {
  const { instruction, rip } = cause;
  if (cause.kind === "edit") return `made stale by the user in the debugger: ${changeInWords(cause, places)}`;
  const symbol = places.symbol(rip) ?? hex64(rip);
  const source = places.source(rip);
  const where = `${symbol}${source === undefined ? "" : ` (${source})`}`;
  return `made stale at instruction ${grouped(instruction)} in ${where}: ${changeInWords(cause, places)}`;
}

function changeInWords(cause: TableChange, places: Places): string {
  if (cause.kind === "root") return `CR3 goes from ${places.table(cause.from)} to ${places.table(cause.to)}`;
  const { entry } = cause;
  const name = places.physical(entry);
  const where = name === undefined ? hex(entry) : `${name} (${hex(entry)})`;
  return `entry ${where} goes from ${hex(cause.old)} to ${hex(cause.new)}`;
}
