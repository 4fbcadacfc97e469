import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Scale } from "../../webview/scale";
import { carried, fitted, panned, staggered, View, WHOLE, windowOf, zoomed } from "../../webview/view";

const SEED = 20130124;
const PAGE = 4096n;
/** Single pages with a page between. */
const pages = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ first: BigInt(2 * i) * PAGE, last: BigInt(2 * i + 1) * PAGE }));
const scaleOf = (spans: readonly { first: bigint; last: bigint }[], places: readonly bigint[] = []) =>
  Scale.of(
    spans.map(({ first, last }) => ({ start: first, end: last })),
    places,
  );

describe("the window", () => {
  test("stays inside the whole however it is zoomed and moved", () => {
    const step = fc.tuple(
      fc.double({ min: 0.1, max: 10, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: -2, max: 2, noNaN: true }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let window = WHOLE;
        for (const [factor, at, part] of steps) window = panned(zoomed(window, factor, at), part);
        expect(window.from).toBeGreaterThanOrEqual(0);
        expect(window.to).toBeLessThanOrEqual(1 + 1e-12);
        expect(window.to).toBeGreaterThan(window.from);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("shows the same addresses when the map has grown", () => {
    const old = scaleOf(pages(10));
    const now = scaleOf(pages(40));
    const window = { from: old.position(4n * PAGE), to: old.position(8n * PAGE) };
    const after = carried(window, old, now);
    expect(after.from).toBeCloseTo(now.position(4n * PAGE), 6);
    expect(after.to).toBeCloseTo(now.position(8n * PAGE), 6);
    expect(carried(WHOLE, old, now)).toEqual(WHOLE);
  });
});

describe("a row", () => {
  test("has a number of shapes that its width bounds, and nothing of it is lost", () => {
    for (const [count, width] of [
      [10, 800],
      [2000, 800],
      [6000, 300],
    ]) {
      const items = pages(count);
      const fits = fitted(items, scaleOf(items), new View(width, WHOLE), 3);
      expect(fits.length).toBeLessThanOrEqual(width / 3 + 1);
      expect(fits.flatMap((fit) => fit.items)).toEqual(items);
    }
  });

  test("shows one by one what is wide enough", () => {
    const items = pages(10);
    const fits = fitted(items, scaleOf(items), new View(800, WHOLE), 3);
    expect(fits.map((fit) => fit.items.length)).toEqual(items.map(() => 1));
  });

  test("has only what is seen, and comes apart when zoomed into", () => {
    const items = pages(2000);
    const scale = scaleOf(items);
    const window = windowOf({ from: scale.position(items[500].first), to: scale.position(items[509].last) });
    const view = new View(800, window);
    expect(fitted(items, scale, view, 3).map((fit) => fit.items)).toEqual(
      items.slice(500, 510).map((item) => [item]),
    );
    expect(view.seen(scale, { first: 0n, last: 1n << 40n })!.first).toBeGreaterThan(items[499].first);
    expect(view.seen(scale, items[0])).toBeUndefined();
  });
});

describe("places on the scale", () => {
  test("lie between what is next to them, and change nothing where something is", () => {
    const items = pages(3);
    const scale = scaleOf(items, [1n << 40n]);
    expect(scale.position(1n << 40n)).toBe(1);
    expect(scale.position(items[2].last)).toBeLessThan(1);
    expect(scaleOf(items, [items[1].first + 8n]).position(items[1].last)).toBe(
      scaleOf(items).position(items[1].last),
    );
  });
});

describe("labels", () => {
  test("get lines such that none covers another, and few lines", () => {
    expect(staggered([])).toEqual([]);
    expect(
      staggered([
        { x: 100, width: 30 },
        { x: 0, width: 30 },
        { x: 110, width: 30 },
      ]),
    ).toEqual([0, 0, 1]);
    const label = fc.record({ x: fc.integer({ min: 0, max: 200 }), width: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(fc.array(label, { maxLength: 8 }), (labels) => {
        const lines = staggered(labels);
        labels.forEach((a, i) => {
          labels.forEach((b, j) => {
            const apart = a.x + a.width <= b.x || b.x + b.width <= a.x;
            expect(i === j || lines[i] !== lines[j] || apart).toBe(true);
          });
        });
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});
