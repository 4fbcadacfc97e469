/** The whole of memory in one answer, of bounded size. */
import { leafRuns, MODE_NAMES } from "../../paging/ranges";
import { listTables, tableKey } from "../../paging/tables";
import type { Target } from "../../target/target";
import { nameOfTable } from "../pageTables/names";
import type { MappedRange, MemoryMapAnswer } from "../protocol/memoryMap";
import { toHex } from "../protocol/values";
import { ownersOf } from "./owners";
import { poolsOf } from "./pools";

/** Ranges of linear memory in one answer. */
const MOST_RANGES = 2000;
/** Milliseconds that looking for them may take: a direct map in 4 KiB pages has millions of leaves. */
const MOST_TIME = 50;

export class MemoryMap {
  /** Tables and their entries at the last resume, to tell what changed. */
  private before = new Map<string, number>();
  private ranges = new Set<string>();
  private known: ReadonlySet<string> = new Set();
  private changedTables: ReadonlySet<string> = new Set();

  constructor(
    private readonly target: Target,
    private readonly now: () => number,
  ) {}

  onResume(): void {
    this.before = this.checksums();
    this.ranges = new Set(this.mapped().ranges.map(keyOf));
    this.known = new Set(this.ranges);
  }

  onStop(): void {
    const changed = new Set<string>();
    for (const [key, sum] of this.checksums()) if (this.before.get(key) !== sum) changed.add(key);
    this.changedTables = this.before.size === 0 ? new Set() : changed;
  }

  answer(): MemoryMapAnswer {
    const { target } = this;
    const { pagingState: state, memory, machine } = target;
    const tables = listTables(state, memory);
    const reached = new Set(tables.map(({ physical }) => physical));
    const { ranges, cut } = this.mapped();
    const first = this.known.size === 0;
    return {
      mode: MODE_NAMES[state.levels],
      root: toHex(state.root),
      rootName: nameOfTable(target, state.root),
      instructions: machine.instructions,
      owners: ownersOf(target, tables, ({ physical, level }) =>
        this.changedTables.has(tableKey(physical, level)),
      ),
      mapped: ranges.map((range) =>
        first || this.known.has(keyOf(range)) ? range : { ...range, changed: true },
      ),
      cut,
      pools: poolsOf(target, (physical) => reached.has(physical)),
    };
  }

  private mapped(): { ranges: MappedRange[]; cut: boolean } {
    const { pagingState, memory } = this.target;
    const ranges: MappedRange[] = [];
    const start = this.now();
    for (const { start: from, end, physical, pageSize, flags, pages } of leafRuns(pagingState, memory)) {
      ranges.push({ start: toHex(from), end: toHex(end), physical: toHex(physical), pageSize, flags, pages });
      if (ranges.length >= MOST_RANGES || this.now() - start > MOST_TIME) return { ranges, cut: true };
    }
    return { ranges, cut: false };
  }

  /** A number for the contents of each table. */
  private checksums(): Map<string, number> {
    const { pagingState, memory } = this.target;
    const sums = new Map<string, number>();
    for (const { physical, level } of listTables(pagingState, memory).slice(0, MOST_RANGES)) {
      let sum = 0;
      for (let at = 0; at < 4096; at += 4) sum = (Math.imul(sum, 31) + memory.read32(physical + at)) | 0;
      sums.set(tableKey(physical, level), sum);
    }
    return sums;
  }
}

function keyOf({ start, end, physical, flags }: MappedRange): string {
  return `${start}-${end}:${physical}:${flags.filter((flag) => flag !== "A" && flag !== "D").join()}`;
}
