import fc from "fast-check";
import { expect, test } from "vitest";
import { IntervalMap } from "../../src/symbols/intervals";

const LIMIT = 40;
const intervals = fc.array(fc.tuple(fc.nat(LIMIT), fc.nat(12)), { maxLength: 12 });

/** The interval that began last, and of those with one start the last in the order. */
function byHand(
  list: readonly (readonly [number, number])[],
  order: readonly number[],
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
      const order = list.map((_, index) => index).sort((a, b) => list[a][0] - list[b][0] || a - b);
      const map = IntervalMap.build(
        BigUint64Array.from(list, ([start]) => BigInt(start)),
        BigUint64Array.from(list, ([start, length]) => BigInt(start + length)),
        order,
      );
      for (let address = 0; address <= LIMIT + 13; address++) {
        expect(map.find(BigInt(address))).toBe(byHand(list, order, address));
      }
    }),
    { seed: 20130124, numRuns: 500 },
  );
});
