/** A row in words: what stands behind its label, and the tooltip. */

import type { EntryChange } from "../../paging/diff";
import { type DecodedEntry, describeEntry } from "../../paging/entry";
import { ENTRY_NAMES, entrySize } from "../../paging/layout";
import type { Target } from "../../target/target";
import { bytesInWords, hex64, plural } from "../../target/values";
import { isGuestKernelEntry } from "../../xen/entryRules";
import { isTableType, typeInWords } from "../../xen/pageInfo";
import { toHex } from "../protocol/values";
import { domainAddress, nameOfTable, ownerText, placeText, useText } from "./names";
import { pageBytes, type Span, type TablePlace, type TablePlaces } from "./places";

/** Other ways to a table that are named; there can be thousands. */
const NAMED_ALIASES = 3;
const FRAME = 4096;

/** What a row tells of, beside its entries. */
export interface RowFacts {
  readonly table: TablePlace;
  readonly span: Span;
  /** The linear addresses of the row, canonical; `end` exclusive, 0 for the top. */
  readonly start: bigint;
  readonly end: bigint;
  /** Entries elsewhere that lead to the same table: "early_level4_pgt[0]". */
  readonly aliases: readonly string[];
  readonly changes: readonly EntryChange[];
  /** What memory holds where CR3 points, where the CPU has another PDPTE in its register. */
  readonly unloaded: bigint | undefined;
}

/** "PDE 3", "PDE 0–511". */
export function labelOf({ level }: TablePlace, { first, last }: Span): string {
  return `${ENTRY_NAMES[level]} ${first === last ? first : `${first}–${last}`}`;
}

/** The line behind the label. */
export function descriptionOf(
  target: Target,
  places: TablePlaces,
  { span, start, aliases }: RowFacts,
): string {
  const { decoded, first, last, same } = span;
  const where = addressText(places, start);
  if (!decoded.present) return `${where} · ${decoded.value === 0n ? "empty" : "not present"}`;
  const flags = decoded.flags.length === 0 ? "" : ` ${decoded.flags.join(" ")}`;
  const count = last - first + 1;
  if (decoded.kind === "table") {
    const equal = count === 1 ? "" : ` · ${count} equal entries`;
    const alias = aliases.length === 0 ? "" : ` · alias: also ${listed(aliases)}`;
    const pin = isPinned(target, decoded.address) ? " · pinned" : "";
    return `→ ${placeText(target, decoded.address)}${flags} · ${where}${equal}${pin}${alias}`;
  }
  const use = count === 1 ? tableUse(target, decoded.address) : "";
  const pages = count === 1 ? decoded.pageSize : `${count} × ${decoded.pageSize}`;
  const name = nameOfPage(target, decoded);
  const to =
    count === 1
      ? `${toHex(decoded.address)}${name}${ownerOf(target, decoded.address)}`
      : same
        ? `${toHex(decoded.address)} each${name}`
        : rangeOf(target, decoded, count);
  return `${where} → ${to} · ${pages}${flags}${use}`;
}

/** Markdown. */
export function tooltipOf(target: Target, places: TablePlaces, facts: RowFacts): string {
  const { table, span, start, end, aliases, changes, unloaded } = facts;
  const { first, last, decoded, same } = span;
  const { state } = places;
  const register = state.levels === 3 && table.level === 3;
  const what = register ? "PDPTE register" : ENTRY_NAMES[table.level];
  const count = last - first + 1;
  const bytes = places.spanSize(table) * BigInt(count);
  const value = `\`${entryText(places, decoded.value)}\``;
  const entry = places.entryAddress(table, first);
  const where = register ? `loaded from \`${toHex(entry)}\`` : `at \`${toHex(entry)}\``;
  const lines = [
    `**${what} ${count === 1 ? first : `${first} to ${last}`}** of ${placeText(target, table.physical)}`,
    `${value} ${where}: ${describeEntry(decoded, (physical) => placeText(target, physical))}`,
    `translates \`${addressText(places, start)}\` to \`${addressText(places, lastOf(places, end))}\`, ${bytesInWords(bytes)}`,
  ];
  if (count > 1) {
    lines.push(
      same
        ? `${plural(count, "entry", "entries")} that say the same`
        : `${plural(count, "entry", "entries")}, each for the page behind that of the one before`,
    );
  }
  if (unloaded !== undefined) {
    lines.push(
      `Memory holds \`${hex64(unloaded)}\` by now, which the CPU takes with the next load of CR3 (SDM vol. 3A, 4.4.1).`,
    );
  }
  if (decoded.present && count === 1) lines.push(...hypervisorText(target, decoded));
  if (changes.length > 0) lines.push(changeText(places, changes, count));
  if (aliases.length > 0) lines.push(`*alias*: the table is also reached by ${listed(aliases)}`);
  return lines.join("\n\n");
}

function changeText(places: TablePlaces, changes: readonly EntryChange[], count: number): string {
  const [{ kind, old }] = changes;
  if (count === 1) return `*${kind} since the last stop*: was \`${entryText(places, old)}\``;
  return `*${changes.length} of ${count} entries changed since the last stop*`;
}

/** Pages that continue each other: by their physical addresses, or by the guest's frames. */
function rangeOf(target: Target, decoded: DecodedEntry, count: number): string {
  const first = ownerText(target, decoded.address);
  if (target.xen === undefined || first === "the hypervisor's") {
    const end = decoded.address + count * pageBytes(decoded);
    return `${toHex(decoded.address)}–${toHex(end)}${first === undefined ? "" : ` (${first})`}`;
  }
  const last = domainAddress(target, decoded.address) / FRAME + count * (pageBytes(decoded) / FRAME) - 1;
  return `${first}–${toHex(last)}`;
}

/** What a hypervisor knows of what an entry leads to. */
function hypervisorText(target: Target, { address, value }: DecodedEntry): string[] {
  if (target.xen === undefined) return [];
  const use = useText(target, address);
  const lines = [use === undefined ? "The frame is the hypervisor's own." : `The frame is ${use}.`];
  const entry = { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) };
  if (isGuestKernelEntry(entry.low, entry.high)) {
    lines.push(
      "Bit 52 is the hypervisor's mark: the guest wrote the entry without US, for its kernel alone.",
    );
  }
  return lines;
}

function isPinned({ xen }: Target, physical: number): boolean {
  return xen?.pages.info.isPinned(Math.floor(physical / FRAME)) ?? false;
}

function ownerOf(target: Target, physical: number): string {
  const owner = ownerText(target, physical);
  return owner === undefined ? "" : ` (${owner})`;
}

/** Of a page that is a table of the hypervisor's guest: what it is in use as. */
function tableUse({ xen }: Target, physical: number): string {
  const mfn = Math.floor(physical / FRAME);
  if (xen === undefined || xen.pages.info.countOf(mfn) === 0) return "";
  const type = xen.pages.info.typeOf(mfn);
  return isTableType(type) ? ` · ${typeInWords(type)}` : "";
}

/** The symbol that a page begins with, where it is one that stands there by itself. */
function nameOfPage(target: Target, { address }: DecodedEntry): string {
  const name = nameOfTable(target, address);
  return name === undefined || name.includes("+") ? "" : ` (${name})`;
}

function listed(aliases: readonly string[]): string {
  const more = aliases.length - NAMED_ALIASES;
  return more > 0
    ? `${aliases.slice(0, NAMED_ALIASES).join(", ")} and ${plural(more, "more place")}`
    : aliases.join(", ");
}

/** A linear address in all the digits of the mode. */
export function addressText({ state }: TablePlaces, address: bigint): string {
  return state.levels >= 4 ? hex64(address) : `0x${address.toString(16).padStart(8, "0")}`;
}

function entryText({ state }: TablePlaces, value: bigint): string {
  return `0x${value.toString(16).padStart(2 * entrySize(state.levels), "0")}`;
}

function lastOf({ state }: TablePlaces, end: bigint): bigint {
  return BigInt.asUintN(state.levels >= 4 ? 64 : 32, end - 1n);
}
