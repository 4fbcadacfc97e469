/**
 * What linear memory is mapped, with bounded work: a direct map of a terabyte in pages of 4 KiB has 268 million
 * entries. What was not looked into is told, by the entries of the upper tables that lead there.
 */
import { canonicalAddress } from "../../paging/canonical";
import { entryCount, entrySize, levelShift } from "../../paging/layout";
import { type LeafRun, leafRuns } from "../../paging/ranges";
import type { PagingState, TableMemory } from "../../paging/state";
import { type RawEntry, readTableEntry, tableOf } from "../../paging/tables";
import type { PhysicalSpace } from "./space";

/** A half-open range of linear addresses; the top of the address space is 2^64, or 2^32. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/** Pages that continue each other with one size and one set of rights. */
export interface MappedRun extends Range {
  readonly physical: number;
  /** Of its first page, where `physical` is of another space. */
  readonly machine?: number;
  readonly pageSize: LeafRun["pageSize"];
  /** A and D only where all of its pages have them. */
  readonly flags: readonly string[];
  readonly pages: number;
}

export interface Explored {
  readonly mapped: readonly MappedRun[];
  readonly unexplored: readonly Range[];
}

/** Runs in one answer. */
export const MOST_RUNS = 2000;
/** Reads of 32 bits: two for an entry. Some 20 ms. */
export const MOST_READS = 1 << 20;

/** The runs from `from` on that begin before `to`. */
export function explore(
  state: PagingState,
  memory: TableMemory,
  from: bigint,
  to: bigint,
  space?: PhysicalSpace,
  limits = { runs: MOST_RUNS, reads: MOST_READS },
): Explored {
  const top = topOf(state);
  const budgeted = new BudgetedMemory(memory, limits.reads, entrySize(state.levels));
  const mapped: MappedRun[] = [];
  let reached = from;
  let full = false;
  for (const leaves of leafRuns(state, budgeted, from)) {
    if (leaves.start >= to) break;
    const whole = runOf(leaves, top);
    reached = whole.end;
    for (const run of space === undefined ? [whole] : inSpace(whole, space)) {
      const last = mapped.at(-1);
      const joined = last === undefined ? undefined : join(last, run);
      if (joined !== undefined) mapped[mapped.length - 1] = joined;
      else mapped.push(run);
    }
    full = mapped.length >= limits.runs;
    if (full) break;
  }
  if (!full && !budgeted.spent) return { mapped, unexplored: [] };
  return { mapped, unexplored: reached >= to ? [] : presentFrom(state, memory, reached, to) };
}

/** The top of the linear address space that a mode translates. */
export function topOf({ levels }: PagingState): bigint {
  return levels >= 4 ? 1n << 64n : 1n << 32n;
}

/**
 * Memory that ends after a number of reads: nothing more is present then, so that a walk over the tables comes to
 * its end by itself. The high half of an entry is read with its low half.
 */
class BudgetedMemory implements TableMemory {
  constructor(
    private readonly memory: TableMemory,
    private left: number,
    private readonly entrySize: number,
  ) {}

  get spent(): boolean {
    return this.left <= 0;
  }

  read32(address: number): number {
    if (this.left <= 0 && address % this.entrySize === 0) return 0;
    this.left--;
    return this.memory.read32(address);
  }
}

function runOf({ start, end, physical, pageSize, flags, pages }: LeafRun, top: bigint): MappedRun {
  return { start, end: end === 0n ? top : end, physical, pageSize, flags, pages };
}

/** The pages of a run by their addresses in another space; those that have none there are left out. */
function* inSpace(run: MappedRun, space: PhysicalSpace): Generator<MappedRun> {
  const size = (run.end - run.start) / BigInt(run.pages);
  for (let i = 0; i < run.pages; i++) {
    const machine = run.physical + i * Number(size);
    const physical = space.of(machine);
    const start = run.start + BigInt(i) * size;
    if (physical !== undefined) yield { ...run, start, end: start + size, physical, machine, pages: 1 };
  }
}

/** Two runs as one, where the second continues the first and they differ only in how they were used. */
function join(a: MappedRun, b: MappedRun): MappedRun | undefined {
  const continues =
    a.end === b.start && a.pageSize === b.pageSize && a.physical + Number(a.end - a.start) === b.physical;
  if (!continues || rightsOf(a) !== rightsOf(b)) return undefined;
  return {
    ...a,
    end: b.end,
    pages: a.pages + b.pages,
    flags: a.flags.filter((flag) => b.flags.includes(flag)),
  };
}

/** The flags that are no trace of use, as a key. */
export function rightsOf({ flags }: Pick<MappedRun, "flags">): string {
  return flags.filter((flag) => flag !== "A" && flag !== "D").join(" ");
}

/** Where entries are present from an address on, by the tables on the way to it; joined where they touch. */
function presentFrom(state: PagingState, memory: TableMemory, from: bigint, to: bigint): Range[] {
  const spans: Range[] = [];
  const entry: RawEntry = { low: 0, high: 0 };
  const add = (start: bigint, end: bigint) => {
    const [low, high] = [start < from ? from : start, end > to ? to : end];
    const last = spans.at(-1);
    if (high <= low) return;
    if (last?.end === low) spans[spans.length - 1] = { start: last.start, end: high };
    else spans.push({ start: low, end: high });
  };
  const visit = (table: number, level: number, base: bigint) => {
    const shift = BigInt(levelShift(state.levels, level));
    for (let index = 0; index < entryCount(state.levels, level); index++) {
      const start = canonicalAddress(base + (BigInt(index) << shift), state.levels);
      const end = start + (1n << shift);
      if (end <= from) continue;
      if (start >= to) return;
      readTableEntry(state, memory, table, level, index, entry);
      if ((entry.low & 1) === 0) continue;
      const next = start < from ? tableOf(state, level, entry.low, entry.high) : -1;
      if (next >= 0) visit(next, level - 1, base + (BigInt(index) << shift));
      else add(start, end);
    }
  };
  visit(state.root, state.levels, 0n);
  return spans;
}
