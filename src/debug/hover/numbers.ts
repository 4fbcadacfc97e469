/** What a bare number can be: an entry of some level, a linear address with its walk, a physical address. */
import { decodeEntry, describeEntry } from "../../paging/entry";
import { explainWalk } from "../../paging/explain";
import { ENTRY_NAMES } from "../../paging/layout";
import type { PagingState } from "../../paging/state";
import type { Target } from "../../target/target";
import { hex64 } from "../../target/values";
import { RequestError } from "../dispatcher";
import { placeText } from "../pageTables/names";
import type { PageTables } from "../pageTables/pageTables";
import { decodings, entryMarkdown } from "../protocol/entryMarkdown";
import { toHex } from "../protocol/values";
import type { DecodedAnswer } from "../protocol/walk";

/** Bits 52 to 58: free for software, which seldom uses them, and set in every address of the upper half. */
const IGNORED_BITS = 0x7fn << 52n;
/** Below it numbers are counts and offsets more often than anything else. */
const SMALLEST = 4096n;

/** Markdown for each thing that a number can be; none for small numbers. */
export function numberMarkdown(number: bigint, target: Target, tables: PageTables): string[] {
  if (number < SMALLEST) return [];
  const parts: string[] = [];
  if (isAddress(number)) parts.push(walkMarkdown(number, target, tables));
  const physical = physicalMarkdown(number, target, tables);
  if (physical !== undefined) parts.push(physical);
  if ((number & 1n) !== 0n && (number & IGNORED_BITS) === 0n) {
    const names = (place: number) => placeText(target, place);
    for (const { entry, name } of decodings(number, entryState(target)))
      parts.push(`As ${entryMarkdown(entry, names, name)}`);
  }
  return parts;
}

/**
 * A value as an entry of one level, or of each at which it could be one.
 * @throws RequestError where the paging mode has no such level
 */
export function decoded(value: bigint, level: number | undefined, target: Target): DecodedAnswer[] {
  const state = entryState(target);
  const names = (place: number) => placeText(target, place);
  if (level === undefined) {
    return decodings(value, state).map(({ entry, name, levels }) => ({
      level: levels[0],
      name,
      text: describeEntry(entry, names),
      markdown: entryMarkdown(entry, names, name),
    }));
  }
  if (level > state.levels) {
    throw new RequestError(`there are no entries of level ${level}: paging has ${state.levels} levels`);
  }
  const entry = decodeEntry(value, level, state);
  const { name } = entry;
  return [{ level, name, text: describeEntry(entry, names), markdown: entryMarkdown(entry, names) }];
}

/** Before paging is on, entries are taken for those of the tables that it is being prepared for. */
function entryState({ pagingState }: Target): PagingState {
  return pagingState.levels === 0 ? { ...pagingState, levels: 4 } : pagingState;
}

/** Canonical for 48 bits. */
function isAddress(number: bigint): boolean {
  const high = number >> 47n;
  return high === 0n || high === 0x1ffffn;
}

function walkMarkdown(address: bigint, target: Target, tables: PageTables): string {
  const symbol = target.places.symbol(address);
  const named = symbol === undefined ? "" : `\`${symbol}\`  \n`;
  const { pagingState, memory } = target;
  if (pagingState.levels === 0) return `${named}Paging is off: the physical address`;
  const { steps, outcome, physical } = explainWalk(pagingState, memory, address, 0, (place) =>
    target.places.physical(place),
  );
  const list = steps.map(
    ({ name, index, table, value }) =>
      `1. ${name} ${index} of ${placeText(target, table)}: \`${hex64(value)}\``,
  );
  const owner = physical === undefined ? "" : `, ${ownerText(physical, target, tables)}`;
  return `${named}${list.join("\n")}\n\n${outcome}${owner}`;
}

/** A number as a physical address, where something is known to lie there. */
function physicalMarkdown(number: bigint, target: Target, tables: PageTables): string | undefined {
  if (number >= 1n << BigInt(target.pagingState.maxPhysicalBits)) return undefined;
  const physical = Number(number);
  if (!target.memory.isRam(physical)) return undefined;
  const known = tables.tableAt(physical) !== undefined || target.places.physical(physical) !== undefined;
  return known ? `As a physical address: ${ownerText(physical, target, tables)}` : undefined;
}

/** "a PDPT, early_dynamic_pgts[0]", "in RAM", "not in RAM". */
function ownerText(physical: number, target: Target, tables: PageTables): string {
  if (!target.memory.isRam(physical)) return "not in RAM";
  const table = tables.tableAt(physical);
  const name = target.places.physical(physical);
  if (table !== undefined) {
    const entry = ENTRY_NAMES[table.level];
    return `${placeText(target, table.physical)}, a table of ${entry}s${physical === table.physical ? "" : `, at its offset ${toHex(physical - table.physical)}`}`;
  }
  return name === undefined ? "in RAM" : `${name} (${toHex(physical)})`;
}
