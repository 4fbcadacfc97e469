/**
 * The bits of paging-structure entries, once, as data (SDM vol. 3A, 4.3 to 4.5, tables 4-4 to 4-20). The masks of the
 * walk, the decoder and the hover derive from it.
 */
import type { PagingLevels } from "./state";

/** Size and meaning of entries: 32-bit paging, PAE, or 4- and 5-level. */
export type EntryFormat = "32-bit" | "pae" | "long";

/** What an entry refers to. */
export type EntryKind = "table" | "page";

/** A field of an entry. `reserved`: must be 0, else a present entry faults with RSVD. */
export interface BitField {
  readonly first: number;
  readonly last: number;
  readonly name: string;
  readonly role: "flag" | "address" | "key" | "ignored" | "reserved";
  readonly meaning: string;
}

/** The fields of one kind of entry. */
export interface EntryLayout {
  readonly format: EntryFormat;
  /** 1 (PT) to 5 (PML5). */
  readonly level: number;
  readonly kind: EntryKind;
  /** log2 of the page size, for pages. */
  readonly pageShift: number;
  readonly table: string;
  readonly fields: readonly BitField[];
}

function field(first: number, last: number, name: string, role: BitField["role"], meaning: string): BitField {
  return { first, last, name, role, meaning };
}

const P = field(0, 0, "P", "flag", "present");
const RW = field(1, 1, "RW", "flag", "writes may be allowed");
const US = field(2, 2, "US", "flag", "user-mode accesses may be allowed");
const PWT = field(3, 3, "PWT", "flag", "page-level write-through");
const PCD = field(4, 4, "PCD", "flag", "page-level cache disable");
const A = field(5, 5, "A", "flag", "accessed: used for a translation");
const D = field(6, 6, "D", "flag", "dirty: written through");
const PS = field(7, 7, "PS", "flag", "page size: the entry maps a page");
const PS_CLEAR = field(7, 7, "PS", "flag", "page size: 0, the entry refers to a table");
const PS_RESERVED = field(7, 7, "PS", "reserved", "no page of this size exists");
const PS_IGNORED = field(7, 7, "PS", "ignored", "ignored without CR4.PSE");
const PAT_PTE = field(7, 7, "PAT", "flag", "page-attribute-table index, highest bit");
const PAT_LARGE = field(12, 12, "PAT", "flag", "page-attribute-table index, highest bit");
const G = field(8, 8, "G", "flag", "global, with CR4.PGE");
const SOFTWARE = field(9, 11, "SW", "ignored", "free for software");
const IGNORED_6 = field(6, 6, "-", "ignored", "ignored");
const IGNORED_8 = field(8, 8, "-", "ignored", "ignored");
const IGNORED_HIGH = field(52, 58, "-", "ignored", "ignored");
const IGNORED_TABLE_HIGH = field(52, 62, "-", "ignored", "ignored");
const KEY = field(59, 62, "PK", "key", "protection key");
const PAE_HIGH = field(52, 62, "-", "reserved", "reserved in PAE paging");
/** Reserved while EFER.NXE = 0. What depends on the CPU's state is no mask: the walk and the decoder add it. */
const XD = field(63, 63, "XD", "flag", "execute-disable, with EFER.NXE");

function address(first: number, last: number): BitField {
  return field(first, last, "address", "address", "physical address");
}

const RIGHTS = [P, RW, US, PWT, PCD, A];

function pageFields(format: EntryFormat, pageShift: number): BitField[] {
  const large = pageShift > 12;
  const fields = [...RIGHTS, D, large ? PS : PAT_PTE, G, SOFTWARE];
  if (format === "32-bit") {
    if (!large) return [...fields, address(12, 31)];
    return [
      ...fields,
      PAT_LARGE,
      field(13, 20, "address", "address", "physical-address bits 32 to 39, with PSE-36"),
      field(21, 21, "-", "reserved", "reserved"),
      address(22, 31),
    ];
  }
  if (large) fields.push(PAT_LARGE, field(13, pageShift - 1, "-", "reserved", "below the page: reserved"));
  fields.push(address(pageShift, 51));
  return format === "pae" ? [...fields, PAE_HIGH, XD] : [...fields, IGNORED_HIGH, KEY, XD];
}

function tableFields(format: EntryFormat, level: number): BitField[] {
  if (format === "pae" && level === 3) {
    return [
      P,
      field(1, 2, "-", "reserved", "reserved: the PDPTE holds no rights"),
      PWT,
      PCD,
      field(5, 8, "-", "reserved", "reserved"),
      SOFTWARE,
      address(12, 51),
      field(52, 63, "-", "reserved", "reserved"),
    ];
  }
  const ps = level >= 4 ? PS_RESERVED : format === "32-bit" ? PS_IGNORED : PS_CLEAR;
  const fields = [...RIGHTS, IGNORED_6, ps, IGNORED_8, SOFTWARE];
  if (format === "32-bit") return [...fields, address(12, 31)];
  fields.push(address(12, 51));
  return format === "pae" ? [...fields, PAE_HIGH, XD] : [...fields, IGNORED_TABLE_HIGH, XD];
}

function layout(
  format: EntryFormat,
  level: number,
  kind: EntryKind,
  pageShift: number,
  table: string,
): EntryLayout {
  const fields = kind === "page" ? pageFields(format, pageShift) : tableFields(format, level);
  return { format, level, kind, pageShift, table, fields };
}

/** Every kind of entry. */
export const ENTRY_LAYOUTS: readonly EntryLayout[] = [
  layout("32-bit", 2, "page", 22, "4-4"),
  layout("32-bit", 2, "table", 0, "4-5"),
  layout("32-bit", 1, "page", 12, "4-6"),
  layout("pae", 3, "table", 0, "4-8"),
  layout("pae", 2, "page", 21, "4-9"),
  layout("pae", 2, "table", 0, "4-10"),
  layout("pae", 1, "page", 12, "4-11"),
  layout("long", 5, "table", 0, "4-14"),
  layout("long", 4, "table", 0, "4-15"),
  layout("long", 3, "page", 30, "4-16"),
  layout("long", 3, "table", 0, "4-17"),
  layout("long", 2, "page", 21, "4-18"),
  layout("long", 2, "table", 0, "4-19"),
  layout("long", 1, "page", 12, "4-20"),
];

/** The entry format of a paging mode. */
export function formatOf(levels: PagingLevels): EntryFormat {
  return levels === 2 ? "32-bit" : levels === 3 ? "pae" : "long";
}

/** The layout of an entry at a level; undefined where none exists (a page at level 4). */
export function layoutOf(format: EntryFormat, level: number, kind: EntryKind): EntryLayout | undefined {
  return ENTRY_LAYOUTS.find((it) => it.format === format && it.level === level && it.kind === kind);
}

/** The bits of a role, as a mask. */
export function maskOf(fields: readonly BitField[], role: BitField["role"]): bigint {
  let mask = 0n;
  for (const { first, last, role: its } of fields) {
    if (its === role) mask |= ((1n << BigInt(last - first + 1)) - 1n) << BigInt(first);
  }
  return mask;
}

/** The SDM's name of an entry at a level: PTE, PDE, PDPTE, PML4E, PML5E. */
export const ENTRY_NAMES = ["", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"] as const;

/** log2 of the linear span of an entry at a level. */
export function levelShift(levels: PagingLevels, level: number): number {
  return levels === 2 ? 12 + 10 * (level - 1) : 12 + 9 * (level - 1);
}

/** Bytes of an entry. */
export function entrySize(levels: PagingLevels): 4 | 8 {
  return levels === 2 ? 4 : 8;
}

/** Entries of a table at a level. */
export function entryCount(levels: PagingLevels, level: number): number {
  if (levels === 2) return 1024;
  return levels === 3 && level === 3 ? 4 : 512;
}
