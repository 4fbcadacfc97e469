/**
 * What the tables of direct-map's variant xen have to be: computed from the domain as the hypervisor has built it, the
 * slow and obvious way.
 */
import { GIB, KIB, MIB, type Table } from "./bootProgram";
import type { DirectMap } from "./directMap";

const PAGE = 4 * KIB;
const LARGE = 2 * MIB;
const SLOT = 512 * GIB;
const FIRST_TABLE_PAGES = 1024;
const NX = 1n << 63n;
/** What the hypervisor makes of an entry for a page of the guest's kernel: US, and its mark. */
const GUEST_KERNEL = (1n << 52n) | 0x4n;
/** Without A and D. */
export const LINK = 0x7n;
export const PAGE_RW = 0x3n | NX | GUEST_KERNEL;
export const PAGE_RO = 0x1n | NX | GUEST_KERNEL;
/** As the domain builder writes them; the hypervisor leaves its tables as they are. */
export const BUILDERS_RW = 0x7n;
export const BUILDERS_RO = 0x5n;

export interface ExpectedXenTables {
  /** Tables of the direct map by the guest frame that they are in. */
  tables: Map<number, Table>;
  /** The root's entries for the direct map, by how many 512 GiB they are from its start. */
  root: Map<number, bigint>;
  /** Table pages in the order in which they are taken, by guest physical address. */
  taken: { phys: number; level: number }[];
  pages: { DirectMap4k: number; DirectMap2M: number; DirectMap1G: number };
  tableSpace: { start: number; end: number };
}

/** The direct map of a domain that boots without defects, in one pass. */
export function expectedXenTables(guest: DirectMap): ExpectedXenTables {
  const { domain } = guest.xen!;
  const { frames, mapping } = domain;
  const ram = frames.populated.map(({ start, end }) => ({ start: start * PAGE, end: end * PAGE }));
  const end = Math.max(...ram.map((range) => range.end));
  const initialEnd = Number(mapping.end - mapping.start);
  const physical = (address: bigint) => Number(address - mapping.start);
  const list = domain.p2m.outside!;
  const listRange = { start: list.firstPfn * PAGE, end: list.endPfn * PAGE };
  const bytes = [GIB, LARGE, PAGE].reduce((sum, maps) => sum + up(Math.ceil(end / maps) * 8, PAGE), 0);
  const tableSpace = lowestPlace(bytes, ram, [
    { start: physical(guest.linear("_text")), end: physical(mapping.stack) + PAGE },
    listRange,
  ]);

  // Static tables, in the order in which they are used.
  const named = (name: string, index = 0) => physical(guest.linear(name)) / PAGE + index;
  const early = new Map<string, number>();
  const useEarly = (key: string) => {
    if (!early.has(key)) early.set(key, named("early_pgts", early.size));
  };
  useEarly("3:0");
  useEarly("2:0");
  const first = { start: tableSpace.start, end: tableSpace.start };
  if (tableSpace.start >= initialEnd)
    first.end = Math.min(tableSpace.end, first.start + FIRST_TABLE_PAGES * PAGE);
  for (let at = first.start; at < first.end; at += PAGE) {
    useEarly(`2:${Math.floor(at / GIB)}`);
    useEarly(`1:${Math.floor(at / LARGE)}`);
  }
  const builders = (start: number) => builderL1(guest, start);
  const statics = ["init_level4_pgt", "level3_kernel_pgt", "level2_fixmap_pgt", "level1_fixmap_pgt"];
  const readOnly = new Set([...statics.map((name) => named(name)), ...early.values()]);

  const result: ExpectedXenTables = {
    tables: new Map(),
    root: new Map(),
    taken: [],
    pages: { DirectMap4k: 0, DirectMap2M: 0, DirectMap1G: 0 },
    tableSpace,
  };
  const entry = (pfn: number, flags: bigint) => (BigInt(frames.mfnOf(pfn)) << 12n) | flags;

  function table(level: number, at: number, known: number | undefined, make: (i: number) => bigint): bigint {
    let pfn = known;
    if (pfn === undefined) {
      const phys = tableSpace.start + PAGE * result.taken.length;
      result.taken.push({ phys, level });
      pfn = phys / PAGE;
    }
    result.tables.set(
      pfn,
      Array.from({ length: 512 }, (_, i) => make(at + i * 512 ** (level - 1))),
    );
    return entry(pfn, LINK);
  }

  const pte = (pfn: number) => (frames.mfnOf(pfn) < 0 ? 0n : entry(pfn, 0n));

  function pmd(pfn: number): bigint {
    const at = pfn * PAGE;
    if (at >= end) return 0n;
    const known = at < initialEnd ? builders(at) : early.get(`1:${at / LARGE}`);
    return table(1, pfn, known, pte);
  }

  function pud(pfn: number): bigint {
    const at = pfn * PAGE;
    if (at >= end || !ram.some((range) => range.start < at + GIB && at < range.end)) return 0n;
    return table(2, pfn, early.get(`2:${at / GIB}`), pmd);
  }

  for (let slot = 0; slot * SLOT < end; slot++) {
    result.root.set(slot, table(3, (slot * SLOT) / PAGE, early.get(`3:${slot}`), pud));
  }

  // Rights can only be told when all tables are known.
  for (const { phys } of result.taken) readOnly.add(phys / PAGE);
  const isTable = new Set([...readOnly, ...result.tables.keys()]);
  const buildersTables = { start: physical(mapping.tables), end: physical(mapping.stack) };
  const rights = (pfn: number): bigint => {
    const at = pfn * PAGE;
    if (readOnly.has(pfn) || within(listRange, at)) return PAGE_RO;
    if (within(buildersTables, at)) return BUILDERS_RO;
    if (at < initialEnd && !within(tableSpace, at)) return BUILDERS_RW;
    if (isTable.has(pfn)) throw new Error(`the table in frame ${pfn} would be writable`);
    return PAGE_RW;
  };
  for (const [pfn, entries] of result.tables) {
    if (levelOf(result, early, pfn) !== 1) continue;
    entries.forEach((leaf, i) => {
      if (leaf === 0n) return;
      entries[i] = leaf | rights(frames.pfnOf(Number(leaf >> 12n)));
      result.pages.DirectMap4k += PAGE / KIB;
    });
  }
  return result;
}

function levelOf({ taken }: ExpectedXenTables, early: Map<string, number>, pfn: number): number {
  const found = taken.find(({ phys }) => phys === pfn * PAGE)?.level;
  const key = [...early].find(([, frame]) => frame === pfn)?.[0];
  return found ?? (key === undefined ? 1 : Number(key[0]));
}

/** The guest frame of the builder's level-1 table for 2 MiB of the initial mapping, by its place among the tables. */
function builderL1(guest: DirectMap, at: number): number {
  const { mapping } = guest.xen!.domain;
  // The root, the level-3 table and the level-2 table come first.
  return Number((mapping.tables - mapping.start) >> 12n) + 3 + at / LARGE;
}

interface Range {
  start: number;
  end: number;
}

const within = ({ start, end }: Range, at: number) => at >= start && at < end;
const up = (value: number, unit: number) => Math.ceil(value / unit) * unit;

/** The lowest page from 0x8000 on behind which there is RAM that nobody has. */
function lowestPlace(bytes: number, ram: readonly Range[], reserved: readonly Range[]): Range {
  const overlaps = (a: Range) => reserved.find((b) => a.start < b.end && b.start < a.end);
  for (const range of ram) {
    for (let start = Math.max(range.start, 0x8000); start + bytes <= range.end; ) {
      const place = { start, end: start + bytes };
      const other = overlaps(place);
      if (other === undefined) return place;
      start = other.end;
    }
  }
  throw new Error("there is no place for the tables");
}
