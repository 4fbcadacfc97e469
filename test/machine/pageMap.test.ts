import fc from "fast-check";
import { expect, test } from "vitest";
import { PageMap } from "../../src/machine/pageMap";

/** Near each other, and near the ends of linear memory. */
const page = fc
  .tuple(
    fc.constantFrom(0, 63, 0x100000, 2 ** 31, 0xfffff8880000, 2 ** 45 - 200),
    fc.integer({ min: 0, max: 130 }),
  )
  .map(([base, offset]) => base + offset);
const action = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), page, value: fc.integer() }),
  fc.record({ kind: fc.constant("delete" as const), page }),
  fc.record({ kind: fc.constant("get" as const), page }),
  fc.record({ kind: fc.constant("clear" as const), page: fc.constant(0) }),
);

test("a map of pages has what a map has", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const [pages, map] = [new PageMap<number>(), new Map<number, number>()];
      for (const one of actions) {
        if (one.kind === "set") {
          pages.set(one.page, one.value);
          map.set(one.page, one.value);
        } else if (one.kind === "clear") {
          pages.clear();
          map.clear();
        } else {
          expect(pages.get(one.page)).toBe(map.get(one.page));
          if (one.kind === "delete") {
            const had = map.get(one.page);
            map.delete(one.page);
            expect(pages.delete(one.page)).toBe(had);
          }
        }
        expect(pages.size).toBe(map.size);
      }
      const sorted = (values: Iterable<number>) => [...values].sort((a, b) => a - b);
      expect(sorted(pages.values())).toEqual(sorted(map.values()));
    }),
  );
});
