/** A map to which a part that was asked for later is added. */
import type { LinearRangeData, MapData, MappedData, WindowData } from "./messages";
import { addressText, type Span, spanOf } from "./model";

/** The map with what a window has found in place of what was not looked into there. */
export function withWindow(data: MapData, found: WindowData): MapData {
  const covered = [found, ...found.mapped].map(spanOf).reduce(hull);
  const left = data.unexplored.flatMap((range) => without(spanOf(range), covered));
  return {
    ...data,
    mapped: united([...data.mapped, ...found.mapped]),
    unexplored: ascending([...left.map(rangeOf), ...found.unexplored]),
  };
}

function hull(a: Span, b: Span): Span {
  const [low, high] = a.first <= b.first ? [a, b] : [b, a];
  return high.last <= low.last ? low : { first: low.first, last: high.last };
}

function without(span: Span, hole: Span): Span[] {
  if (hole.last <= span.first || hole.first >= span.last) return [span];
  return [
    ...(span.first < hole.first ? [{ first: span.first, last: hole.first }] : []),
    ...(span.last > hole.last ? [{ first: hole.last, last: span.last }] : []),
  ];
}

function rangeOf({ first, last }: Span): LinearRangeData {
  return { start: addressText(first), end: addressText(BigInt.asUintN(64, last)) };
}

function ascending<R extends LinearRangeData>(ranges: readonly R[]): R[] {
  const keyed = ranges.map((range) => ({ range, first: BigInt(range.start) }));
  return keyed.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0)).map(({ range }) => range);
}

/** Ranges that overlap are views of the same mappings, since memory stands still: one range then. */
function united(ranges: readonly MappedData[]): MappedData[] {
  const result: MappedData[] = [];
  for (const range of ascending(ranges)) {
    const last = result.at(-1);
    if (last === undefined || spanOf(last).last <= spanOf(range).first) result.push(range);
    else result[result.length - 1] = union(last, range);
  }
  return result;
}

function union(a: MappedData, b: MappedData): MappedData {
  const [one, other] = [spanOf(a), spanOf(b)];
  const both = hull(one, other);
  const pageBytes = (one.last - one.first) / BigInt(a.pages);
  return {
    ...a,
    ...rangeOf(both),
    pages: Number((both.last - both.first) / pageBytes),
    flags: a.flags.filter((flag) => b.flags.includes(flag)),
  };
}
