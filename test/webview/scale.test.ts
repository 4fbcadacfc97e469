import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Scale } from "../../webview/scale";

const extents = fc
  .array(fc.tuple(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.bigInt({ min: 1n, max: 1n << 40n })), {
    minLength: 1,
    maxLength: 20,
  })
  .map((all) => all.map(([start, size]) => ({ start, end: start + size })));

describe("the compressed scale", () => {
  test("positions never fall as addresses rise, and stay between 0 and 1", () => {
    fc.assert(
      fc.property(
        extents,
        fc.bigInt({ min: 0n, max: 1n << 64n }),
        fc.bigInt({ min: 0n, max: 1n << 64n }),
        (all, a, b) => {
          const scale = Scale.of(all);
          const [low, high] = a < b ? [a, b] : [b, a];
          expect(scale.position(low)).toBeLessThanOrEqual(scale.position(high));
          expect(scale.position(low)).toBeGreaterThanOrEqual(0);
          expect(scale.position(high)).toBeLessThanOrEqual(1);
        },
      ),
      { seed: 20130124, numRuns: 500 },
    );
  });

  test("the address at a position is at that position", () => {
    fc.assert(
      fc.property(extents, fc.double({ min: 0, max: 1, noNaN: true }), (all, position) => {
        const scale = Scale.of(all);
        expect(scale.position(scale.address(position))).toBeCloseTo(position, 2);
      }),
      { seed: 20130124, numRuns: 500 },
    );
  });

  test("a page in 2^64 bytes can be seen, and a gap is narrower than what is mapped", () => {
    const scale = Scale.of([
      { start: 0n, end: 4096n },
      { start: 0xffffffff80000000n, end: 1n << 64n },
    ]);
    expect(scale.position(4096n)).toBeGreaterThan(0.1);
    const [gap] = scale.gaps();
    expect(gap).toMatchObject({ start: 4096n, end: 0xffffffff80000000n });
    expect(scale.position(gap.end) - scale.position(gap.start)).toBeLessThan(scale.position(4096n));
  });

  test("nothing at all has a scale too", () => {
    const scale = Scale.of([]);
    expect(scale.position(5n)).toBe(0);
    expect(scale.address(0.5)).toBe(0n);
  });
});
