/** The leaves of a table tree: one at a time with the gaps between them, as coalesced runs, and in figures. */
import { canonicalAddress } from "./canonical";
import { flagsOf, type PageSizeName, pageSizeName } from "./entry";
import { entryCount, formatOf, layoutOf, levelShift } from "./layout";
import type { PagingState, TableMemory } from "./state";
import { listTables, readTableEntry, tableKey, tableOf } from "./tables";
import { isPage, isReserved } from "./walk";

/** A page that the tables map, as its leaf has it. `flags` are the raw bits of the leaf but for the address. */
export interface Leaf {
  /** Linear address; canonical. */
  address: bigint;
  physical: number;
  pageShift: number;
  low: number;
  high: number;
}

/** Leaves that continue each other linearly and physically, with the same size and flags. */
export interface LeafRun {
  readonly start: bigint;
  /** Exclusive; 2^64 (or 2^32) for the top of the address space is given as 0. */
  readonly end: bigint;
  readonly physical: number;
  readonly pageSize: PageSizeName;
  /** In the order RW US PWT PCD A D PAT G NX PK<n>. */
  readonly flags: string[];
  readonly pages: number;
}

/**
 * Every leaf in the order of linear addresses. The object that is handed out is used again for the next one. Tables
 * reached twice are walked twice, as the CPU would.
 */
export function* leaves(state: PagingState, memory: TableMemory): Generator<Leaf> {
  if (state.levels === 0) return;
  const leaf: Leaf = { address: 0n, physical: 0, pageShift: 12, low: 0, high: 0 };
  yield* leavesOf(state, memory, state.root, state.levels, 0n, leaf);
}

function* leavesOf(
  state: PagingState,
  memory: TableMemory,
  table: number,
  level: number,
  start: bigint,
  leaf: Leaf,
): Generator<Leaf> {
  const entry = { low: 0, high: 0 };
  const shift = levelShift(state.levels, level);
  for (let index = 0; index < entryCount(state.levels, level); index++) {
    readTableEntry(state, memory, table, level, index, entry);
    if ((entry.low & 1) === 0) continue;
    const { low, high } = entry;
    const address = start + (BigInt(index) << BigInt(shift));
    if (isPage(state, level, low)) {
      if (isReserved(state, level, true, low, high)) continue;
      leaf.address = canonicalAddress(address, state.levels);
      leaf.physical = pageAddress(state, level, low, high);
      leaf.pageShift = shift;
      leaf.low = low;
      leaf.high = high;
      yield leaf;
      continue;
    }
    const next = tableOf(state, level, low, high);
    if (next >= 0) yield* leavesOf(state, memory, next, level - 1, address, leaf);
  }
}

/** The physical address of the page that a leaf maps. */
export function pageAddress(state: PagingState, level: number, low: number, high: number): number {
  const base = (low & (-1 << levelShift(state.levels, level))) >>> 0;
  if (state.levels !== 2) return (high & 0xfffff) * 0x100000000 + base;
  return base + (level === 2 ? ((low >>> 13) & 0xff) * 0x100000000 : 0);
}

/** The bits of a leaf that rows show, as one number that is equal for equal flags. */
function flagBits({ low, high, pageShift }: Leaf): number {
  const pat = pageShift === 12 ? 0x80 : 0x1000;
  return (low & (0x17e | pat)) * 0x100 + (high >>> 27);
}

/** The leaves as runs. */
export function* leafRuns(state: PagingState, memory: TableMemory): Generator<LeafRun> {
  let run: OpenRun | undefined;
  for (const leaf of leaves(state, memory)) {
    if (run?.takes(leaf)) continue;
    if (run !== undefined) yield run.close(state);
    run = new OpenRun(leaf);
  }
  if (run !== undefined) yield run.close(state);
}

/** A run that may still grow. */
class OpenRun {
  private readonly start: bigint;
  private readonly physical: number;
  private readonly pageShift: number;
  private readonly low: number;
  private readonly high: number;
  private readonly bits: number;
  private pages = 1;
  private nextAddress: bigint;

  constructor(leaf: Leaf) {
    this.start = leaf.address;
    this.physical = leaf.physical;
    this.pageShift = leaf.pageShift;
    this.low = leaf.low;
    this.high = leaf.high;
    this.bits = flagBits(leaf);
    this.nextAddress = leaf.address + (1n << BigInt(leaf.pageShift));
  }

  /** Adds a leaf that continues the run. */
  takes(leaf: Leaf): boolean {
    const continues =
      leaf.pageShift === this.pageShift &&
      leaf.physical === this.physical + this.pages * 2 ** this.pageShift &&
      leaf.address === this.nextAddress &&
      flagBits(leaf) === this.bits;
    if (!continues) return false;
    this.pages++;
    this.nextAddress += 1n << BigInt(this.pageShift);
    return true;
  }

  close(state: PagingState): LeafRun {
    const level = levelOf(state, this.pageShift);
    const layout = layoutOf(formatOf(state.levels), level, "page")!;
    const value = (BigInt(this.high >>> 0) << 32n) | BigInt(this.low >>> 0);
    return {
      start: this.start,
      end: BigInt.asUintN(state.levels >= 4 ? 64 : 32, this.nextAddress),
      physical: this.physical,
      pageSize: pageSizeName(this.pageShift),
      flags: flagsOf(value, layout, state.nxe),
      pages: this.pages,
    };
  }
}

function levelOf(state: PagingState, pageShift: number): number {
  return state.levels === 2 ? (pageShift === 22 ? 2 : 1) : (pageShift - 12) / 9 + 1;
}

/** A tree in figures. */
export interface TableSummary {
  /** "4-level", ... */
  readonly mode: string;
  readonly root: number;
  /** Pages that serve as tables, each once for a level. The PDPT of PAE paging, though no page, counts. */
  readonly tablePages: number;
  /** Leaves by page size, along every path that reaches them. */
  readonly leafPages: Partial<Record<PageSizeName, number>>;
}

/** The SDM's names of the paging modes, by levels. */
export const MODE_NAMES: Readonly<Record<number, string>> = {
  0: "off",
  2: "32-bit",
  3: "PAE",
  4: "4-level",
  5: "5-level",
};

/** Counts tables and leaves; a table reached by many paths is read once. */
export function summarize(state: PagingState, memory: TableMemory): TableSummary {
  const sizes: PageSizeName[] = state.levels === 2 ? ["4K", "4M"] : ["4K", "2M", "1G"];
  const counts =
    state.levels === 0 ? new Map() : countLeaves(state, memory, state.root, state.levels, new Map());
  const leafPages: Partial<Record<PageSizeName, number>> = {};
  for (const size of sizes) leafPages[size] = counts.get(size) ?? 0;
  return {
    mode: MODE_NAMES[state.levels],
    root: state.root,
    tablePages: listTables(state, memory).length,
    leafPages,
  };
}

type Counts = Map<PageSizeName, number>;

function countLeaves(
  state: PagingState,
  memory: TableMemory,
  table: number,
  level: number,
  known: Map<string, Counts>,
): Counts {
  const key = tableKey(table, level);
  const before = known.get(key);
  if (before !== undefined) return before;
  const counts: Counts = new Map();
  known.set(key, counts);
  const entry = { low: 0, high: 0 };
  const size = pageSizeName(levelShift(state.levels, level));
  for (let index = 0; index < entryCount(state.levels, level); index++) {
    readTableEntry(state, memory, table, level, index, entry);
    if ((entry.low & 1) === 0) continue;
    if (isPage(state, level, entry.low)) {
      if (!isReserved(state, level, true, entry.low, entry.high))
        counts.set(size, (counts.get(size) ?? 0) + 1);
      continue;
    }
    const next = tableOf(state, level, entry.low, entry.high);
    if (next < 0) continue;
    for (const [name, count] of countLeaves(state, memory, next, level - 1, known)) {
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return counts;
}
