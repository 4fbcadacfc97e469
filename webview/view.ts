/** What part of the scales is seen, and at which pixel what of it lies. Knows no elements. */
import type { Span } from "./model";
import type { Scale } from "./scale";

/** Part of the scales: positions from `from` to `to`, 0 to 1. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export const WHOLE: Window = { from: 0, to: 1 };
/** Half of a position's double precision is left at this zoom. */
const NARROWEST = 1e-9;
/** Pixels left of the rows, for their names. */
export const GUTTER = 66;
/** Pixels right of the rows. */
const MARGIN = 8;

/** The window of a place and width, inside the whole. */
export function windowOf({ from, to }: Window): Window {
  const width = Math.min(1, Math.max(NARROWEST, to - from));
  const start = Math.min(1 - width, Math.max(0, from));
  return { from: start, to: start + width };
}

/** @param at the part of the width that stays where it is, 0 to 1 */
export function zoomed({ from, to }: Window, factor: number, at: number): Window {
  const fixed = from + (to - from) * at;
  return windowOf({ from: fixed - (fixed - from) * factor, to: fixed + (to - fixed) * factor });
}

/** @param part of the width; positive to higher addresses */
export function panned({ from, to }: Window, part: number): Window {
  const by = (to - from) * part;
  return windowOf({ from: from + by, to: to + by });
}

/** The window that shows on another scale what it showed on the old one. */
export function carried(window: Window, old: Scale, now: Scale): Window {
  if (window.from <= 0 && window.to >= 1) return WHOLE;
  const [from, to] = [window.from, window.to].map((position) => now.position(old.address(position)));
  return to > from ? windowOf({ from, to }) : window;
}

/** A window in a picture of some width. */
export class View {
  constructor(
    readonly width: number,
    readonly window: Window,
  ) {}

  /** Pixels that the scales have. */
  get inner(): number {
    return Math.max(1, this.width - GUTTER - MARGIN);
  }

  /** The pixel of an address; what is not seen lies at the nearer edge. */
  x(scale: Scale, address: bigint): number {
    const { from, to } = this.window;
    const x = GUTTER + ((scale.position(address) - from) / (to - from)) * this.inner;
    return Math.min(GUTTER + this.inner, Math.max(GUTTER, x));
  }

  /** The part of the width that a pixel is at, 0 to 1. */
  part(x: number): number {
    return Math.min(1, Math.max(0, (x - GUTTER) / this.inner));
  }

  shows(scale: Scale, { first, last }: Span): boolean {
    const [start, end] = [scale.position(first), scale.position(last)];
    return start === end ? start >= this.window.from && start <= this.window.to : this.overlaps(start, end);
  }

  /** What is seen of a range; undefined where nothing is. */
  seen(scale: Scale, { first, last }: Span): Span | undefined {
    const [low, high] = [scale.address(this.window.from), scale.address(this.window.to)];
    const span = { first: first > low ? first : low, last: last < high || this.window.to >= 1 ? last : high };
    return span.first < span.last ? span : undefined;
  }

  private overlaps(start: number, end: number): boolean {
    return end > this.window.from && start < this.window.to;
  }
}

/** Neighbours that are drawn as one. */
export interface Fit<T> {
  readonly items: readonly T[];
  readonly left: number;
  readonly right: number;
}

/**
 * What is seen of a row, where neighbours that are too narrow to be told apart go together: so the number of shapes
 * depends on the width of the picture and not on how much there is.
 * @param items ascending, without overlaps
 * @param smallest pixels that an item needs
 */
export function fitted<T extends Span>(
  items: readonly T[],
  scale: Scale,
  view: View,
  smallest: number,
): Fit<T>[] {
  const fits: { items: T[]; left: number; right: number }[] = [];
  for (const item of items) {
    if (!view.shows(scale, item)) continue;
    const [left, right] = [view.x(scale, item.first), view.x(scale, item.last)];
    const last = fits.at(-1);
    const narrow = right - left < smallest;
    if (narrow && last !== undefined && last.right - last.left < smallest && left - last.left < smallest) {
      last.items.push(item);
      last.right = right;
    } else fits.push({ items: [item], left, right });
  }
  return fits;
}

/** A label beside others. */
export interface Label {
  readonly x: number;
  readonly width: number;
}

/** The line of each label, from 0, such that none covers another. */
export function staggered(labels: readonly Label[]): number[] {
  const ends: number[] = [];
  const lines = labels.map(() => 0);
  const order = labels.map((_, index) => index).sort((a, b) => labels[a].x - labels[b].x);
  for (const index of order) {
    const { x, width } = labels[index];
    const free = ends.findIndex((end) => end <= x);
    const line = free < 0 ? ends.length : free;
    lines[index] = line;
    ends[line] = x + width;
  }
  return lines;
}
