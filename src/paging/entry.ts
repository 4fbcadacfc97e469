/** What an entry says, for people: decoded by its layout. */
import { type BitField, ENTRY_NAMES, type EntryKind, type EntryLayout, formatOf, layoutOf } from "./layout";
import type { PagingState } from "./state";
import { isPage, patIndexOf } from "./walk";

/** An entry, decoded. */
export interface DecodedEntry {
  readonly value: bigint;
  /** 1 (PTE) to 5 (PML5E). */
  readonly level: number;
  /** PTE, PDE, PDPTE, PML4E or PML5E. */
  readonly name: string;
  readonly present: boolean;
  readonly kind: EntryKind | "not-present";
  /** Physical address of the table or page; 0 where not present. */
  readonly address: number;
  /** Of pages, e.g. "2M". */
  readonly pageSize?: PageSizeName;
  /** In the order RW US PWT PCD A D PAT G NX PK<n>. */
  readonly flags: string[];
  /** Reserved bits that are set. */
  readonly reserved: ReservedBit[];
  /** PAT, PCD, PWT of a page as an index into IA32_PAT. */
  readonly patIndex: number;
  /** Where the fields are documented. */
  readonly layout: EntryLayout | undefined;
}

export interface ReservedBit {
  readonly bit: number;
  /** Why it is reserved, in words. */
  readonly reason: string;
}

export type PageSizeName = "4K" | "2M" | "4M" | "1G";

/** The name of a page size. */
export function pageSizeName(pageShift: number): PageSizeName {
  return pageShift === 12 ? "4K" : pageShift === 21 ? "2M" : pageShift === 22 ? "4M" : "1G";
}

/** The flags that rows and hovers show, in their order, by field name; NX is the field XD. */
const SHOWN_FLAGS = ["RW", "US", "PWT", "PCD", "A", "D", "PAT", "G"];

/** What decides how an entry reads. */
export type EntryContext = Pick<
  PagingState,
  "levels" | "maxPhysicalBits" | "nxe" | "pages1G" | "pse" | "pse36"
>;

/**
 * Decodes an entry as the table of a level has it.
 * @param level 1 (PTE) up to the levels of the mode
 */
export function decodeEntry(value: bigint, level: number, context: EntryContext): DecodedEntry {
  const low = Number(BigInt.asIntN(32, value));
  const present = (low & 1) !== 0;
  const page = isPage(context as PagingState, level, low);
  const kind: EntryKind = page ? "page" : "table";
  const format = formatOf(context.levels);
  const layout = layoutOf(format, level, kind);
  const base = { value, level, name: ENTRY_NAMES[level], present, layout };
  if (!present || layout === undefined) {
    return { ...base, kind: "not-present", address: 0, flags: [], reserved: [], patIndex: 0 };
  }
  return {
    ...base,
    kind,
    address: addressOf(value, layout),
    ...(page ? { pageSize: pageSizeName(layout.pageShift) } : {}),
    flags: flagsOf(value, layout, context.nxe),
    reserved: reservedBits(value, layout, context),
    patIndex: page ? patIndexOf(low, level > 1) : 0,
  };
}

/**
 * An entry in a few words, e.g. "2M page 0x200000 RW A D NX", "table 0x2003000 RW US A" or "not present".
 * @param nameOf names a physical address, e.g. by its symbol
 */
export function describeEntry(entry: DecodedEntry, nameOf: (physical: number) => string = hexOf): string {
  if (entry.kind === "not-present") return entry.value === 0n ? "empty" : "not present";
  const what = entry.kind === "page" ? `${entry.pageSize} page` : "table";
  const wrong = entry.reserved.map(({ bit, reason }) => `, reserved bit ${bit} set (${reason})`).join("");
  return [what, nameOf(entry.address), ...entry.flags].join(" ") + wrong;
}

function hexOf(address: number): string {
  return `0x${address.toString(16)}`;
}

function bits(value: bigint, first: number, last: number): bigint {
  return (value >> BigInt(first)) & ((1n << BigInt(last - first + 1)) - 1n);
}

/** The address fields put together; the PSE-36 field of a 4 MiB page holds bits 32 and up. */
function addressOf(value: bigint, layout: EntryLayout): number {
  let address = 0n;
  for (const { first, last, role } of layout.fields) {
    if (role !== "address") continue;
    const shift = layout.pageShift === 22 && first === 13 ? 32 : first;
    address |= bits(value, first, last) << BigInt(shift);
  }
  return Number(address);
}

/** The names of the flags that are set, in the order in which rows show them. */
export function flagsOf(value: bigint, layout: EntryLayout, nxe: boolean): string[] {
  const flags: string[] = [];
  for (const name of SHOWN_FLAGS) {
    const it = layout.fields.find((candidate) => candidate.name === name && candidate.role === "flag");
    if (it !== undefined && bits(value, it.first, it.last) !== 0n) flags.push(name);
  }
  if (nxe && layout.fields.some(({ name }) => name === "XD") && value >> 63n !== 0n) flags.push("NX");
  const key = layout.fields.find(({ role }) => role === "key");
  if (key !== undefined) {
    const number = bits(value, key.first, key.last);
    if (number !== 0n) flags.push(`PK${number}`);
  }
  return flags;
}

/** The reserved bits that are set, lowest first, each with the reason. */
function reservedBits(value: bigint, layout: EntryLayout, context: EntryContext): ReservedBit[] {
  const found: ReservedBit[] = [];
  for (let bit = 0; bit < (layout.format === "32-bit" ? 32 : 64); bit++) {
    if (((value >> BigInt(bit)) & 1n) === 0n) continue;
    const reason = whyReserved(bit, layout, context);
    if (reason !== undefined) found.push({ bit, reason });
  }
  return found;
}

function whyReserved(bit: number, layout: EntryLayout, context: EntryContext): string | undefined {
  const it = layout.fields.find(({ first, last }) => bit >= first && bit <= last)!;
  if (it.role === "reserved") return reservedMeaning(it, layout, bit);
  if (it.name === "PS" && layout.level === 3 && layout.format === "long" && !context.pages1G) {
    return "PS, page size, on a CPU without 1 GiB pages";
  }
  if (it.name === "XD" && !context.nxe) return "XD, execute-disable, while EFER.NXE = 0";
  if (it.role !== "address") return undefined;
  const physical = layout.pageShift === 22 && it.first === 13 ? bit - 13 + 32 : bit;
  const limit = layout.pageShift === 22 ? pse36Bits(context) : context.maxPhysicalBits;
  if (physical < limit || physical < 32) return undefined;
  if (layout.pageShift === 22) return `physical-address bit ${physical}, where a 4 MiB page has ${limit}`;
  return `physical-address bit ${physical}, where this CPU has ${limit} (MAXPHYADDR)`;
}

/** Physical-address bits that a 4 MiB page can have (SDM 4.3). */
function pse36Bits(context: EntryContext): number {
  return context.pse36 ? Math.min(40, context.maxPhysicalBits) : 32;
}

function reservedMeaning(it: BitField, layout: EntryLayout, bit: number): string {
  if (it.name === "PS") return `PS, page size, which a ${ENTRY_NAMES[layout.level]} cannot have`;
  if (bit >= 52) return "reserved in PAE paging";
  if (layout.kind === "page") return `part of the address below a ${pageSizeName(layout.pageShift)} page`;
  return it.meaning;
}
