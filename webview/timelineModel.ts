/**
 * The timeline without elements: which part of the run is seen, at which pixel which instruction lies, and which marks
 * are drawn. What is too near to be told apart is one mark with a count, so that the number of marks depends on the
 * width alone.
 */
import type { TimelineData } from "./messages";
import { LANES, type LaneName, laneOf, rankOf } from "./timelineKinds";
import { GUTTER } from "./view";

/** Instructions from `from` up to `to`; not whole numbers while zooming. */
export interface TimeSpan {
  readonly from: number;
  readonly to: number;
}

/** Instructions that fill the width at the closest zoom. */
export const NARROWEST_SPAN = 8;
/** Pixels that a mark needs. */
export const MARK_WIDTH = 12;
/** Pixels right of the track. */
const MARGIN = 12;
/** Pixels around a mark that are still it. */
const REACH = 7;

/** The run that is known. A run without instructions has a width too. */
export function wholeOf({ start, end }: Pick<TimelineData, "start" | "end">): TimeSpan {
  return { from: start, to: Math.max(end, start + NARROWEST_SPAN) };
}

/** A part of a place and width, inside the whole. */
export function inside({ from, to }: TimeSpan, whole: TimeSpan): TimeSpan {
  const most = whole.to - whole.from;
  const width = Math.min(most, Math.max(Math.min(most, NARROWEST_SPAN), to - from));
  const start = Math.min(whole.to - width, Math.max(whole.from, from));
  return { from: start, to: start + width };
}

/** @param at the instruction that stays where it is */
export function zoomedAt({ from, to }: TimeSpan, factor: number, at: number, whole: TimeSpan): TimeSpan {
  // At the closest zoom, too, the instruction stays where it is.
  const width = Math.min(whole.to - whole.from, Math.max(NARROWEST_SPAN, (to - from) * factor));
  const part = (at - from) / (to - from);
  return inside({ from: at - part * width, to: at + (1 - part) * width }, whole);
}

/** @param part of the width; positive to later instructions */
export function movedBy({ from, to }: TimeSpan, part: number, whole: TimeSpan): TimeSpan {
  const by = (to - from) * part;
  return inside({ from: from + by, to: to + by }, whole);
}

/** The same part, moved as little as shows an instruction. */
export function showing(span: TimeSpan, instruction: number, whole: TimeSpan): TimeSpan {
  if (instruction >= span.from && instruction <= span.to) return inside(span, whole);
  const width = span.to - span.from;
  const from = instruction < span.from ? instruction - width * 0.1 : instruction - width * 0.9;
  return inside({ from, to: from + width }, whole);
}

/** A part of the run in a picture of some width. */
export class TimeView {
  constructor(
    readonly width: number,
    readonly span: TimeSpan,
  ) {}

  get inner(): number {
    return Math.max(1, this.width - GUTTER - MARGIN);
  }

  /** The pixel of an instruction, which may lie outside of what is seen. */
  x(instruction: number): number {
    const { from, to } = this.span;
    return GUTTER + ((instruction - from) / (to - from)) * this.inner;
  }

  /** The instruction nearest to a pixel, inside of what is seen. */
  instruction(x: number): number {
    const { from, to } = this.span;
    const part = Math.min(1, Math.max(0, (x - GUTTER) / this.inner));
    return Math.round(from + part * (to - from));
  }

  shows(first: number, last = first): boolean {
    return last >= this.span.from && first <= this.span.to;
  }

  /** Instructions that a step by key goes: about a mark's width, one at least. */
  get step(): number {
    return Math.max(1, Math.round(((this.span.to - this.span.from) / this.inner) * MARK_WIDTH));
  }
}

/** Events that are drawn as one. */
export interface TimeMark {
  readonly lane: LaneName;
  /** The kinds in it, the most telling first. */
  readonly kinds: readonly string[];
  readonly count: number;
  readonly first: number;
  readonly last: number;
  /** Of the events of a single instruction. */
  readonly text?: string;
  /** The pixel of its middle. */
  readonly x: number;
}

interface Happening {
  readonly kind: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly text?: string;
}

/** The marks of what is seen, lane by lane. @param hidden kinds that are left out */
export function marksOf(data: TimelineData, view: TimeView, hidden: ReadonlySet<string>): TimeMark[] {
  const lanes = new Map<LaneName, Happening[]>(LANES.map(({ name }) => [name, []]));
  for (const each of happenings(data)) {
    if (!hidden.has(each.kind) && view.shows(each.first, each.last)) lanes.get(laneOf(each.kind))?.push(each);
  }
  return [...lanes].flatMap(([lane, all]) => merged(lane, all, view));
}

function happenings({ events, counts, edits, from }: TimelineData): Happening[] {
  return [
    ...events.map(({ kind, instruction, text }) => ({
      kind,
      first: instruction,
      last: instruction,
      count: 1,
      text,
    })),
    ...counts.flatMap(({ kind, width, buckets }) =>
      buckets.flatMap((count, i) =>
        count === 0 ? [] : [{ kind, first: from + i * width, last: from + (i + 1) * width - 1, count }],
      ),
    ),
    ...edits.map((at) => ({ kind: EDIT, first: at, last: at, count: 1, text: "The user changed something" })),
  ];
}

/** The kind that the user's own changes have. */
export const EDIT = "edit";

function merged(lane: LaneName, all: readonly Happening[], view: TimeView): TimeMark[] {
  const groups: { left: number; x: number; members: Happening[] }[] = [];
  for (const each of [...all].sort((a, b) => a.first - b.first)) {
    const x = view.x((each.first + each.last) / 2);
    const near = groups.at(-1);
    if (near !== undefined && x - near.left < MARK_WIDTH) {
      near.members.push(each);
      near.x = x;
    } else groups.push({ left: x, x, members: [each] });
  }
  return groups.map(({ left, x, members }) => {
    const first = members[0].first;
    const last = members.reduce((most, each) => Math.max(most, each.last), first);
    const texts = members.flatMap(({ text }) => (text === undefined ? [] : [text]));
    return {
      lane,
      kinds: [...new Set(members.map(({ kind }) => kind))].sort((a, b) => rankOf(a) - rankOf(b)),
      count: members.reduce((sum, { count }) => sum + count, 0),
      first,
      last,
      ...(first === last && texts.length > 0 ? { text: texts.join("; ") } : {}),
      x: clamped(view, (left + x) / 2),
    };
  });
}

function clamped(view: TimeView, x: number): number {
  return Math.min(GUTTER + view.inner, Math.max(GUTTER, x));
}

/** The mark at a place of the picture: the nearest of the lane, where it is near enough. */
export function markAt(marks: readonly TimeMark[], lane: LaneName | undefined, x: number) {
  let best: TimeMark | undefined;
  for (const mark of marks) {
    const distance = Math.abs(mark.x - x);
    if (mark.lane === lane && distance <= REACH && distance < Math.abs((best?.x ?? Infinity) - x))
      best = mark;
  }
  return best;
}

/** The event before or behind an instruction, of those that are drawn; for single steps from mark to mark. */
export function neighbour(marks: readonly TimeMark[], now: number, direction: 1 | -1): number | undefined {
  const places = marks.flatMap(({ first, last, count }) => (count === 1 ? [first] : [first, last]));
  const beyond = places.filter((at) => (direction > 0 ? at > now : at < now));
  if (beyond.length === 0) return undefined;
  return direction > 0 ? Math.min(...beyond) : Math.max(...beyond);
}

/** Round instruction counts for the axis, not nearer to each other than some pixels. */
export function ticksOf({ span, inner }: TimeView, apart = 90): number[] {
  const least = ((span.to - span.from) / inner) * apart;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= least) ?? 10 * power;
  const ticks: number[] = [];
  for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) ticks.push(at);
  return ticks;
}

/** An instruction count for the axis: "12.5 M" where ticks are far apart, all digits where they are not. */
export function tickText(instruction: number, step: number): string {
  for (const [unit, size] of [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ] as const) {
    if (instruction >= size && step >= size / 100)
      return `${Number((instruction / size).toFixed(2))} ${unit}`;
  }
  return grouped(instruction);
}

/** "1,234,567". */
export function grouped(count: number): string {
  return count.toLocaleString("en");
}
