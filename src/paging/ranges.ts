/**
 * What a table tree maps: leaves one at a time, coalesced runs of them, the gaps between the runs, and figures.
 *
 * Everything is lazy and in the order of linear addresses. A table that is reached twice is enumerated twice, as the
 * CPU would walk it, unless nothing is mapped below it: so that each step costs a bounded number of reads, however
 * tables refer to each other.
 */
import { flagsOf, type PageSizeName, pageSizeName } from "./entry";
import { entryCount, formatOf, layoutOf, levelShift } from "./layout";
import type { PagingLevels, PagingState, TableMemory } from "./state";
import { listTables, type RawEntry, readTableEntry, tableKey, tableOf } from "./tables";
import { isPage, isReserved, pageAddress } from "./walk";

/** Leaves that continue each other linearly and physically, with the same size and flags. */
export interface LeafRun {
  /** Canonical linear address. */
  readonly start: bigint;
  /** Exclusive; the top of the address space, 2^64 (or 2^32), is given as 0. */
  readonly end: bigint;
  readonly physical: number;
  readonly pageSize: PageSizeName;
  /** Those of the leaves themselves, in the order RW US PWT PCD A D PAT G NX PK<n>. */
  readonly flags: string[];
  readonly pages: number;
}

/** Linear addresses that nothing is mapped at. `end` as in `LeafRun`. */
export interface Gap {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * A place in a table tree that moves from leaf to leaf. Linear addresses are counted in pages of 4 KiB from zero to
 * the end of what is translated, without sign extension, and are exact numbers so.
 */
class LeafCursor {
  /** The leaf: first linear page, physical address, log2 of the size, and the entry. */
  page = 0;
  physical = 0;
  pageShift = 12;
  readonly entry: RawEntry = { low: 0, high: 0 };

  private level: number;
  /** By level: the table, the entry to read next, the first linear page, and whether a leaf was found below. */
  private readonly tables = [0, 0, 0, 0, 0, 0];
  private readonly next = [0, 0, 0, 0, 0, 0];
  private readonly first = [0, 0, 0, 0, 0, 0];
  private readonly found = [false, false, false, false, false, false];
  /** Tables without any leaf, as `tableKey`. */
  private readonly empty = new Set<string>();

  /** @param from the first linear page that is wanted: leaves that end before it are passed over without a look */
  constructor(
    private readonly state: PagingState,
    private readonly memory: TableMemory,
    private readonly from = 0,
  ) {
    this.level = state.levels;
    this.tables[this.level] = state.root;
    this.start(0);
  }

  /** Moves on to the next leaf; false at the end. */
  advance(): boolean {
    const { state, entry } = this;
    if (state.levels === 0) return false;
    for (;;) {
      const { level } = this;
      const index = this.next[level]++;
      if (index === entryCount(state.levels, level)) {
        if (level === state.levels) return false;
        this.leave();
        continue;
      }
      readTableEntry(state, this.memory, this.tables[level], level, index, entry);
      if ((entry.low & 1) === 0) continue;
      const page = this.first[level] + index * 2 ** (levelShift(state.levels, level) - 12);
      if (isPage(state, level, entry.low)) {
        if (isReserved(state, level, true, entry.low, entry.high)) continue;
        this.found[level] = true;
        this.page = page;
        this.physical = pageAddress(state, level, entry.low, entry.high);
        this.pageShift = levelShift(state.levels, level);
        return true;
      }
      const table = tableOf(state, level, entry.low, entry.high);
      if (table >= 0 && !this.empty.has(tableKey(table, level - 1))) this.enter(table, page);
    }
  }

  private enter(table: number, page: number): void {
    this.tables[--this.level] = table;
    this.start(page);
  }

  /** Begins a table whose first linear page is `page`. One that is not read from its beginning counts as not empty. */
  private start(page: number): void {
    const { level, state } = this;
    const span = 2 ** (levelShift(state.levels, level) - 12);
    this.next[level] = Math.max(0, Math.floor((this.from - page) / span));
    this.first[level] = page;
    this.found[level] = this.next[level] > 0;
  }

  private leave(): void {
    const level = this.level++;
    if (this.found[level]) this.found[level + 1] = true;
    else this.empty.add(tableKey(this.tables[level], level));
  }
}

/**
 * The leaves as runs. A run does not reach over the middle of the address space, where canonical addresses part.
 * @param from canonical address: of what is mapped below it, at most the leaf that holds it is in the first run
 */
export function* leafRuns(state: PagingState, memory: TableMemory, from = 0n): Generator<LeafRun> {
  const cursor = new LeafCursor(state, memory, pageOf(from, state.levels));
  let run: OpenRun | undefined;
  while (cursor.advance()) {
    if (run?.takes(cursor)) continue;
    if (run !== undefined) yield run.close(state);
    run = new OpenRun(cursor, state);
  }
  if (run !== undefined) yield run.close(state);
}

/** A run that may still grow. */
class OpenRun {
  private readonly page: number;
  private readonly physical: number;
  private readonly pageShift: number;
  private readonly low: number;
  private readonly high: number;
  private readonly size: number;
  private readonly lowMask: number;
  private readonly middle: number;
  private nextPage: number;
  private nextPhysical: number;

  constructor({ page, physical, pageShift, entry }: LeafCursor, state: PagingState) {
    this.page = page;
    this.physical = physical;
    this.pageShift = pageShift;
    this.low = entry.low;
    this.high = entry.high;
    this.size = 2 ** pageShift;
    this.lowMask = pageShift === 12 ? SHOWN_4K : SHOWN_LARGE;
    this.middle = middleOf(state.levels);
    this.nextPage = page + this.size / 4096;
    this.nextPhysical = physical + this.size;
  }

  /** Adds the leaf of a cursor, if it continues the run. */
  takes({ page, physical, pageShift, entry }: LeafCursor): boolean {
    const continues =
      page === this.nextPage &&
      physical === this.nextPhysical &&
      pageShift === this.pageShift &&
      page !== this.middle &&
      ((entry.low ^ this.low) & this.lowMask) === 0 &&
      (entry.high ^ this.high) >>> SHOWN_HIGH_SHIFT === 0;
    if (!continues) return false;
    this.nextPage += this.size / 4096;
    this.nextPhysical += this.size;
    return true;
  }

  close({ levels, nxe }: PagingState): LeafRun {
    const layout = layoutOf(formatOf(levels), levelOf(levels, this.pageShift), "page")!;
    return {
      start: linearOf(this.page, levels),
      end: linearEnd(this.nextPage, levels),
      physical: this.physical,
      pageSize: pageSizeName(this.pageShift),
      flags: flagsOf(this.low, this.high, layout, nxe),
      pages: (this.nextPhysical - this.physical) / this.size,
    };
  }
}

/** RW US PWT PCD A D G, and PAT where it is: the bits of a leaf's low half that rows show. */
const SHOWN_4K = 0x1fe;
const SHOWN_LARGE = 0x117e;
/** The key and XD: bits 59 to 63. */
const SHOWN_HIGH_SHIFT = 27;

function levelOf(levels: PagingLevels, pageShift: number): number {
  return levels === 2 ? (pageShift === 22 ? 2 : 1) : (pageShift - 12) / 9 + 1;
}

/** log2 of the linear span that a mode translates. */
function linearBits(levels: PagingLevels): number {
  return levels <= 3 ? 32 : levels === 4 ? 48 : 57;
}

/** The first page of the upper half, whose canonical addresses do not continue those of the lower; -1 without one. */
function middleOf(levels: PagingLevels): number {
  return levels >= 4 ? 2 ** (linearBits(levels) - 1 - 12) : -1;
}

function linearOf(page: number, levels: PagingLevels): bigint {
  const address = BigInt(page) << 12n;
  return levels >= 4 ? BigInt.asUintN(64, BigInt.asIntN(linearBits(levels), address)) : address;
}

/** The reverse of `linearOf`. */
function pageOf(address: bigint, levels: PagingLevels): number {
  return Number(BigInt.asUintN(linearBits(levels), address) >> 12n);
}

/** The end of a range from its last page, which may be the last of the lower half. */
function linearEnd(endPage: number, levels: PagingLevels): bigint {
  return BigInt.asUintN(levels >= 4 ? 64 : 32, linearOf(endPage - 1, levels) + 4096n);
}

/** The runs with the gaps before, between and after them. Addresses that are not canonical belong to no gap. */
export function* runsAndGaps(state: PagingState, memory: TableMemory): Generator<LeafRun | Gap> {
  const { levels } = state;
  if (levels === 0) return;
  let end = 0n;
  for (const run of leafRuns(state, memory)) {
    if (run.start !== end) yield* gapsBetween(end, run.start, levels);
    yield run;
    end = run.end;
    if (end === 0n) return;
  }
  yield* gapsBetween(end, 0n, levels);
}

/**
 * What lies between two addresses, in two parts where the middle of the address space does.
 * @param end exclusive; 0 for the top of the address space
 */
function* gapsBetween(start: bigint, end: bigint, levels: PagingLevels): Generator<Gap> {
  const middle = levels >= 4 ? 1n << BigInt(linearBits(levels) - 1) : 0n;
  const upper = BigInt.asUintN(64, -middle);
  if (levels < 4 || start >= upper || (end !== 0n && end <= middle)) {
    yield { start, end };
    return;
  }
  if (start !== middle) yield { start, end: middle };
  if (end !== upper) yield { start: upper, end };
}

/** The SDM's names of the paging modes, by levels. */
export const MODE_NAMES: Readonly<Record<number, string>> = {
  0: "off",
  2: "32-bit",
  3: "PAE",
  4: "4-level",
  5: "5-level",
};

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
