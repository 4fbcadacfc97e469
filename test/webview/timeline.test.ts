import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EVENT_KINDS } from "../../src/machine/events";
import type { TimelineData } from "../../webview/messages";
import { LANES, labelOf, laneOf, shapeOf } from "../../webview/timelineKinds";
import {
  inside,
  MARK_WIDTH,
  markAt,
  marksOf,
  movedBy,
  NARROWEST_SPAN,
  neighbour,
  showing,
  TimeView,
  ticksOf,
  tickText,
  wholeOf,
  zoomedAt,
} from "../../webview/timelineModel";
import { GUTTER } from "../../webview/view";

const SEED = 20130124;
const NONE = new Set<string>();

function dataOf(
  events: readonly (readonly [kind: string, instruction: number])[],
  more: Partial<TimelineData> = {},
): TimelineData {
  const end = Math.max(1_000_000, ...events.map(([, at]) => at));
  return {
    now: end,
    start: 0,
    end,
    lookingBack: false,
    looking: false,
    canGoBack: true,
    edits: [],
    kinds: [],
    from: 0,
    to: end,
    total: events.length,
    events: events.map(([kind, instruction]) => ({ kind, instruction, text: `${kind} at ${instruction}` })),
    counts: [],
    ...more,
  };
}

const spans = fc
  .tuple(fc.integer({ min: 0, max: 1e12 }), fc.integer({ min: NARROWEST_SPAN, max: 1e12 }))
  .map(([from, width]) => ({ from, to: from + width }));

describe("the part that is seen", () => {
  test("stays inside the whole, however it is zoomed and moved", () => {
    const step = fc.record({
      factor: fc.double({ min: 0.05, max: 20, noNaN: true }),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
      by: fc.double({ min: -3, max: 3, noNaN: true }),
    });
    fc.assert(
      fc.property(spans, fc.array(step, { maxLength: 30 }), (whole, steps) => {
        let span = whole as { from: number; to: number };
        for (const { factor, part, by } of steps) {
          const at = span.from + part * (span.to - span.from);
          span = movedBy(zoomedAt(span, factor, at, whole), by, whole);
          const slack = 1e-9 * whole.to;
          expect(span.from).toBeGreaterThanOrEqual(whole.from - slack);
          expect(span.to).toBeLessThanOrEqual(whole.to + slack);
          expect(span.to - span.from).toBeGreaterThanOrEqual(NARROWEST_SPAN - slack);
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("zooms around the instruction that is pointed at", () => {
    const whole = { from: 0, to: 1e9 };
    const before = new TimeView(1000, whole);
    const at = 123_456_789;
    const after = new TimeView(1000, zoomedAt(whole, 0.01, at, whole));
    expect(after.x(at)).toBeCloseTo(before.x(at), 6);
  });

  test("shows single instructions at the closest zoom, each apart", () => {
    const whole = { from: 0, to: 1e9 };
    const span = zoomedAt(whole, 1e-12, 500, whole);
    expect(span.to - span.from).toBe(NARROWEST_SPAN);
    const view = new TimeView(600, span);
    expect(view.x(501) - view.x(500)).toBeGreaterThan(MARK_WIDTH);
    expect(view.step).toBe(1);
  });

  test("follows a moment no further than it has to", () => {
    const whole = { from: 0, to: 1000 };
    const span = { from: 100, to: 200 };
    expect(showing(span, 150, whole)).toEqual(span);
    for (const at of [0, 99, 201, 640, 1000]) {
      const moved = showing(span, at, whole);
      expect(moved.to - moved.from).toBeCloseTo(100, 9);
      expect(at >= moved.from && at <= moved.to).toBe(true);
    }
  });

  test("a run of no instructions has a width too", () => {
    expect(wholeOf({ start: 0, end: 0 })).toEqual({ from: 0, to: NARROWEST_SPAN });
    expect(inside({ from: -5, to: 0 }, { from: 0, to: NARROWEST_SPAN })).toEqual({
      from: 0,
      to: NARROWEST_SPAN,
    });
  });
});

describe("pixels and instructions", () => {
  test("each seen instruction is found again at its pixel", () => {
    fc.assert(
      fc.property(
        spans,
        fc.integer({ min: 100, max: 3000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (span, width, part) => {
          const view = new TimeView(width + GUTTER + 20, span);
          const x = GUTTER + part * view.inner;
          const found = view.instruction(x);
          expect(Number.isInteger(found)).toBe(true);
          // Half an instruction, and what rounding takes.
          const perPixel = (span.to - span.from) / view.inner;
          expect(Math.abs(view.x(found) - x)).toBeLessThanOrEqual(0.5 / perPixel + 1e-3);
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("ticks are round, ascending and not too near", () => {
    fc.assert(
      fc.property(spans, (span) => {
        const view = new TimeView(900, span);
        const ticks = ticksOf(view);
        ticks.forEach((at, i) => {
          expect(view.shows(at)).toBe(true);
          if (i > 0) expect(view.x(at) - view.x(ticks[i - 1])).toBeGreaterThan(80);
        });
        expect(ticks.length).toBeLessThan(12);
      }),
      { seed: SEED, numRuns: 300 },
    );
    expect(ticksOf(new TimeView(1000, { from: 0, to: 1000 }))).toEqual([
      0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000,
    ]);
  });

  test("texts of ticks are short where that loses nothing", () => {
    expect(tickText(12_500_000, 500_000)).toBe("12.5 M");
    expect(tickText(12_500_001, 1)).toBe("12,500,001");
    expect(tickText(2_000_000_000, 1_000_000_000)).toBe("2 G");
    expect(tickText(0, 100)).toBe("0");
  });
});

describe("marks", () => {
  test("no two of a lane are nearer than their width, and none is lost", () => {
    const kinds = EVENT_KINDS.map(({ kind }) => kind);
    const event = fc.tuple(fc.constantFrom(...kinds), fc.integer({ min: 0, max: 1_000_000 }));
    fc.assert(
      fc.property(
        fc.array(event, { maxLength: 400 }),
        fc.integer({ min: 200, max: 2000 }),
        (events, width) => {
          const data = dataOf(events);
          const view = new TimeView(width, wholeOf(data));
          const marks = marksOf(data, view, NONE);
          expect(marks.reduce((sum, { count }) => sum + count, 0)).toBe(events.length);
          for (const { name } of LANES) {
            const lane = marks.filter((mark) => mark.lane === name);
            lane.forEach((mark, i) => {
              expect(mark.first).toBeLessThanOrEqual(mark.last);
              if (i > 0) expect(mark.first).toBeGreaterThan(lane[i - 1].last);
            });
            expect(lane.length).toBeLessThanOrEqual(view.inner / MARK_WIDTH + 1);
          }
        },
      ),
      { seed: SEED, numRuns: 200 },
    );
  });

  test("a kind that is hidden, and what is not seen, is left out", () => {
    const data = dataOf([
      ["page-fault", 10],
      ["cr3-load", 500_000],
      ["page-fault", 900_000],
    ]);
    const view = new TimeView(1000, wholeOf(data));
    expect(marksOf(data, view, NONE)).toHaveLength(3);
    expect(marksOf(data, view, new Set(["page-fault"])).map(({ kinds }) => kinds)).toEqual([["cr3-load"]]);
    const part = new TimeView(1000, { from: 400_000, to: 600_000 });
    expect(marksOf(data, part, NONE).map(({ first }) => first)).toEqual([500_000]);
  });

  test("a single event keeps its sentence; several are one mark with a count, which parts when zoomed", () => {
    const data = dataOf([
      ["page-fault", 500_000],
      ["exception", 500_003],
      ["page-fault", 500_006],
    ]);
    const whole = wholeOf(data);
    const [one, ...others] = marksOf(data, new TimeView(1000, whole), NONE);
    expect(others).toEqual([]);
    expect(one).toMatchObject({
      count: 3,
      first: 500_000,
      last: 500_006,
      kinds: ["page-fault", "exception"],
    });
    expect(one.text).toBeUndefined();
    const close = new TimeView(1000, zoomedAt(whole, 1e-6, 500_003, whole));
    expect(marksOf(data, close, NONE).map(({ text }) => text)).toEqual([
      "page-fault at 500000",
      "exception at 500003",
      "page-fault at 500006",
    ]);
  });

  test("of several the most telling gives the shape; of one instruction all is told", () => {
    const data = dataOf([
      ["cr3-load", 700],
      ["switchover", 700],
    ]);
    expect(marksOf(data, new TimeView(1000, wholeOf(data)), NONE)).toMatchObject([
      { kinds: ["switchover", "cr3-load"], count: 2, text: "cr3-load at 700; switchover at 700" },
    ]);
  });

  test("buckets count like events", () => {
    const buckets = Array.from({ length: 256 }, (_, i) => (i % 3 === 0 ? 7 : 0));
    const counts = [{ kind: "table-write", label: "Table write", count: 7 * 86, width: 4000, buckets }];
    const data = dataOf([], { end: 1_024_000, now: 1_024_000, to: 1_024_000, counts });
    const marks = marksOf(data, new TimeView(800, wholeOf(data)), NONE);
    expect(marks.reduce((sum, { count }) => sum + count, 0)).toBe(7 * 86);
    expect(marks[0].kinds).toEqual(["table-write"]);
  });

  test("the user's changes are marks too", () => {
    const data = dataOf([], { edits: [5] });
    expect(marksOf(data, new TimeView(500, wholeOf(data)), NONE)).toMatchObject([
      { kinds: ["edit"], first: 5 },
    ]);
  });

  test("are hit where they are, in their lane, the nearest first", () => {
    const data = dataOf([
      ["page-fault", 500_000],
      ["page-fault", 520_000],
      ["cr3-load", 500_000],
    ]);
    const view = new TimeView(1000, wholeOf(data));
    const marks = marksOf(data, view, NONE);
    const [fault, next] = marks.filter(({ lane }) => lane === "faults");
    expect(markAt(marks, "faults", fault.x + 2)).toBe(fault);
    expect(markAt(marks, "faults", next.x - 2)).toBe(next);
    expect(markAt(marks, "roots", view.x(500_000))).toMatchObject({ kinds: ["cr3-load"] });
    expect(markAt(marks, "faults", fault.x - 40)).toBeUndefined();
    expect(markAt(marks, undefined, fault.x)).toBeUndefined();
  });

  test("keys go from one to the next, in both directions", () => {
    const data = dataOf([
      ["page-fault", 100_000],
      ["reset", 200_000],
      ["exit", 300_000],
    ]);
    const marks = marksOf(data, new TimeView(1000, wholeOf(data)), NONE);
    expect(neighbour(marks, 150_000, 1)).toBe(200_000);
    expect(neighbour(marks, 200_000, 1)).toBe(300_000);
    expect(neighbour(marks, 200_000, -1)).toBe(100_000);
    expect(neighbour(marks, 100_000, -1)).toBeUndefined();
  });
});

describe("kinds", () => {
  test("every event of the vocabulary has a shape of its own and a lane", () => {
    const shapes = EVENT_KINDS.map(({ kind }) => shapeOf(kind));
    expect(new Set(shapes).size).toBe(shapes.length);
    for (const { kind } of EVENT_KINDS) {
      expect(LANES.map(({ name }) => name)).toContain(laneOf(kind));
      expect(labelOf(kind)).not.toBe("Event");
    }
  });
});
