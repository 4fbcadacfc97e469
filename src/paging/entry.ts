/** What an entry says, for people: decoded by its layout. */
import {
  type BitField,
  ENTRY_LAYOUTS,
  ENTRY_NAMES,
  type EntryKind,
  type EntryLayout,
  formatOf,
  layoutOf,
} from "./layout";
import {
  type EntryState,
  isPage,
  isReserved,
  pageAddress,
  patIndexOf,
  pdpteReserved,
  tableAddress,
} from "./walk";

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

/** Where the shown flags of a layout are; all lie in the low half. */
const FLAG_BITS: ReadonlyMap<EntryLayout, readonly { readonly name: string; readonly mask: number }[]> =
  new Map(ENTRY_LAYOUTS.map((layout) => [layout, SHOWN_FLAGS.flatMap((name) => flagBit(layout, name))]));

function flagBit({ fields }: EntryLayout, name: string): { name: string; mask: number }[] {
  const field = fields.find((it) => it.name === name && it.role === "flag");
  return field === undefined ? [] : [{ name, mask: 1 << field.first }];
}

/**
 * Decodes an entry as the table of a level has it.
 * @param level 1 (PTE) up to the levels of the mode
 */
export function decodeEntry(value: bigint, level: number, context: EntryState): DecodedEntry {
  const low = Number(BigInt.asIntN(32, value));
  const high = Number(BigInt.asIntN(32, value >> 32n));
  const present = (low & 1) !== 0;
  const page = isPage(context, level, low);
  const kind: EntryKind = page ? "page" : "table";
  const layout = layoutOf(formatOf(context.levels), level, kind);
  const entry: Mutable<DecodedEntry> = {
    value,
    level,
    name: ENTRY_NAMES[level],
    present,
    kind: "not-present",
    address: 0,
    flags: [],
    reserved: [],
    patIndex: 0,
    layout,
  };
  if (!present || layout === undefined) return entry;
  entry.kind = kind;
  entry.address = page ? pageAddress(context, level, low, high) : tableAddress(context, low, high);
  entry.flags = flagsOf(low, high, layout, context.nxe);
  if (hasReserved(context, level, page, low, high)) entry.reserved = reservedBits(low, high, layout, context);
  if (page) {
    entry.pageSize = pageSizeName(layout.pageShift);
    entry.patIndex = patIndexOf(low, level > 1);
  }
  return entry;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Of PDPTEs of PAE paging: whether they could be loaded. */
function hasReserved(context: EntryState, level: number, page: boolean, low: number, high: number): boolean {
  if (context.levels === 3 && level === 3) return pdpteReserved(low, high, context.maxPhysicalBits);
  return isReserved(context, level, page, low, high);
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

/** The names of the flags that are set in the halves of an entry, in the order in which rows show them. */
export function flagsOf(low: number, high: number, layout: EntryLayout, nxe: boolean): string[] {
  const flags: string[] = [];
  for (const { name, mask } of FLAG_BITS.get(layout) ?? []) if ((low & mask) !== 0) flags.push(name);
  if (layout.format === "32-bit") return flags;
  if (nxe && high < 0) flags.push("NX");
  const key = layout.fields.find(({ role }) => role === "key");
  const number = key === undefined ? 0 : (high >>> (key.first - 32)) & 15;
  if (number !== 0) flags.push(`PK${number}`);
  return flags;
}

/** The reserved bits that are set, lowest first, each with the reason. */
function reservedBits(low: number, high: number, layout: EntryLayout, context: EntryState): ReservedBit[] {
  const found: ReservedBit[] = [];
  for (let bit = 0; bit < 64; bit++) {
    const half = bit < 32 ? low : high;
    if ((half & (1 << (bit & 31))) === 0) continue;
    const reason = whyReserved(bit, layout, context);
    if (reason !== undefined) found.push({ bit, reason });
  }
  return found;
}

function whyReserved(bit: number, layout: EntryLayout, context: EntryState): string | undefined {
  const it = layout.fields.find(({ first, last }) => bit >= first && bit <= last);
  if (it === undefined) return undefined;
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
function pse36Bits(context: EntryState): number {
  return context.pse36 ? Math.min(40, context.maxPhysicalBits) : 32;
}

function reservedMeaning(it: BitField, layout: EntryLayout, bit: number): string {
  if (it.name === "PS") return `PS, page size, which a ${ENTRY_NAMES[layout.level]} cannot have`;
  if (bit >= 52) return "reserved in PAE paging";
  if (layout.kind === "page") return `part of the address below a ${pageSizeName(layout.pageShift)} page`;
  return it.meaning;
}
