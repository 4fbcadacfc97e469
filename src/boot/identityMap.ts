/**
 * The identity map that a 64-bit loader hands over: 4-level tables of 2 MiB pages over just the ranges given
 * (SDM vol. 3A, 4.5). Entries have A and D set, so that the CPU changes nothing in them; none is global.
 */
import type { PhysicalRange } from "../machine/memory";
import { Struct } from "./bytes";
import { UsageError } from "./errors";
import type { Layout } from "./layout";
import { alignDown, alignUp, IDENTITY_LIMIT, MIB, rangeInWords } from "./values";

const PAGE = 4096;
const LARGE_PAGE = 2 * MIB;
/** Bytes that one entry spans, by level: a PML4 entry, a PDPT entry, a page-directory entry. */
const SPAN = [2 ** 39, 2 ** 30, LARGE_PAGE] as const;
/** P RW A D; PS for the large page. */
const TABLE_FLAGS = 0x63;
const LARGE_PAGE_FLAGS = 0xe3;

/** A table under construction: the tables or frames its entries lead to, by index. */
interface Table {
  children: Map<number, Table | number>;
}

/**
 * Builds the map and allocates its tables in the lowest free memory.
 * @param ranges what is to be mapped, in any order, overlapping or not; rounded outward to 2 MiB
 * @returns the physical address of the PML4, for CR3
 * @throws UsageError where a range lies beyond the reach of 4-level paging, or there is no room for the tables
 */
export function buildIdentityMap(layout: Layout, ranges: readonly PhysicalRange[]): number {
  const root: Table = { children: new Map() };
  for (const range of ranges) {
    if (range.end > IDENTITY_LIMIT) {
      throw new UsageError(
        `the identity map of a 64-bit loader ends at 128 TiB, but ${rangeInWords(range.start, range.end)} is needed`,
      );
    }
    for (
      let page = alignDown(range.start, LARGE_PAGE);
      page < alignUp(range.end, LARGE_PAGE);
      page += LARGE_PAGE
    ) {
      mapPage(root, page);
    }
  }
  const tables = flatten(root);
  const base = layout.allocate("loader page tables", tables.length * PAGE);
  const addressOf = new Map(tables.map((table, index) => [table, base + index * PAGE]));
  for (const table of tables) layout.write(addressOf.get(table)!, encode(table, addressOf));
  return base;
}

function mapPage(root: Table, page: number): void {
  let table = root;
  for (const span of SPAN.slice(0, 2)) {
    const index = Math.floor(page / span) % 512;
    let next = table.children.get(index);
    if (next === undefined) {
      next = { children: new Map() };
      table.children.set(index, next);
    }
    table = next as Table;
  }
  table.children.set(Math.floor(page / LARGE_PAGE) % 512, page);
}

/** The root first, then each table before the tables below it. */
function flatten(table: Table): Table[] {
  const below = [...table.children.values()].filter((child) => typeof child !== "number");
  return [table, ...below.flatMap(flatten)];
}

function encode(table: Table, addressOf: ReadonlyMap<Table, number>): Uint8Array {
  const entries = new Struct(PAGE);
  for (const [index, child] of table.children) {
    const entry = typeof child === "number" ? child + LARGE_PAGE_FLAGS : addressOf.get(child)! + TABLE_FLAGS;
    entries.u64(index * 8, entry);
  }
  return entries.bytes;
}
