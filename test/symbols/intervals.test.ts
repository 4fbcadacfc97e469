import fc from "fast-check";
import { expect, test } from "vitest";
import { IntervalMap } from "../../src/symbols/intervals";

const LIMIT = 40;
/** Intervals lie on both sides of 0, which is between the highest address and the lowest. */
const SHIFT = 20;
const intervals = fc.array(fc.tuple(fc.nat(LIMIT), fc.nat(12)), { maxLength: 12 });

/** The interval that began last, and of those with one start the last in the order. */
function byHand(
  list: readonly (readonly [number, number])[],
  order: Iterable<number>,
  address: number,
): number {
  let found = -1;
  for (const index of order) {
    const [start, length] = list[index];
    if (address >= start && address < start + length) found = index;
  }
  return found;
}

test("an address belongs to the interval around it that began last", () => {
  fc.assert(
    fc.property(intervals, (list) => {
      const order = Uint32Array.from(list.keys()).sort((a, b) => list[a][0] - list[b][0] || a - b);
      const map = IntervalMap.build(
        Float64Array.from(list, ([start]) => start - SHIFT),
        Float64Array.from(list, ([start, length]) => start + length - SHIFT),
        order,
      );
      for (let address = 0; address <= LIMIT + 13; address++) {
        expect(map.find(BigInt.asUintN(64, BigInt(address - SHIFT)))).toBe(byHand(list, order, address));
      }
    }),
    { seed: 20130124, numRuns: 500 },
  );
});

test("addresses that are not exact as numbers belong to no interval", () => {
  const map = IntervalMap.build(Float64Array.of(-(2 ** 60)), Float64Array.of(2 ** 60), Uint32Array.of(0));
  expect(map.find(0xffff800000000000n)).toBe(0);
  expect(map.find(0xff00000000000001n)).toBe(-1);
});

test("an interval that yields owns nothing inside of one that does not", () => {
  const map = IntervalMap.build(
    Float64Array.of(0, 4, 12),
    Float64Array.of(10, 20, 14),
    Uint32Array.of(0, 1, 2),
    (index) => index > 0,
  );
  expect([0n, 4n, 9n, 10n, 12n, 15n].map((address) => map.find(address))).toEqual([0, 0, 0, -1, 2, -1]);
});
