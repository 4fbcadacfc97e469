/** What became of mappings between two looks. */
import type { Mark } from "../protocol/memoryMap";
import { type Explored, type MappedRun, type Range, rightsOf } from "./explore";

export interface RangeChange extends Range {
  readonly mark: Mark;
}

/**
 * The linear ranges that are not mapped as they were, in order, as long as possible. What either look left
 * unexplored tells of no change.
 */
export function changesBetween(before: Explored, after: Explored): RangeChange[] {
  const changes: RangeChange[] = [];
  const [old, now] = [new Sweep(before.mapped), new Sweep(after.mapped)];
  const unknown = [new Sweep(before.unexplored), new Sweep(after.unexplored)];
  const edges = edgesOf(before.mapped, after.mapped, before.unexplored, after.unexplored);
  for (let i = 0; i + 1 < edges.length; i++) {
    const [start, end] = [edges[i], edges[i + 1]];
    const mark = markOf(old.at(start), now.at(start), start);
    const isUnknown = unknown.map((sweep) => sweep.at(start)).some((range) => range !== undefined);
    if (mark === undefined || isUnknown) continue;
    const last = changes.at(-1);
    if (last?.end === start && last.mark === mark) changes[changes.length - 1] = { ...last, end };
    else changes.push({ start, end, mark });
  }
  return changes;
}

function markOf(old: MappedRun | undefined, now: MappedRun | undefined, at: bigint): Mark | undefined {
  if (old === undefined) return now === undefined ? undefined : "added";
  if (now === undefined) return "cleared";
  const same =
    old.pageSize === now.pageSize &&
    rightsOf(old) === rightsOf(now) &&
    old.physical + Number(at - old.start) === now.physical + Number(at - now.start);
  return same ? undefined : "changed";
}

function edgesOf(...lists: readonly (readonly Range[])[]): bigint[] {
  const all = new Set<bigint>();
  for (const { start, end } of lists.flat()) all.add(start).add(end);
  return [...all].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Finds ranges of an ascending list at rising addresses. */
class Sweep<R extends Range> {
  private index = 0;

  constructor(private readonly ranges: readonly R[]) {}

  at(address: bigint): R | undefined {
    const { ranges } = this;
    while (this.index < ranges.length && ranges[this.index].end <= address) this.index++;
    const range = ranges[this.index];
    return range !== undefined && range.start <= address ? range : undefined;
  }
}
