import fc from "fast-check";
import { expect, it } from "vitest";
import { PIT_HZ, Pit8254, TSC_HZ } from "../../../src/machine/devices/pit8254";
import { PitCounter } from "../../../src/machine/devices/pitCounter";

it("a counter says when its output next rises, in every mode: the first tick at which it is seen to", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 5 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 200 }),
      fc.boolean(),
      (mode, count, elapsed, gated) => {
        let now = 1000;
        const counter = new PitCounter(() => now, !gated);
        counter.control(0x30 | (mode << 1));
        counter.write(count);
        counter.write(0);
        if (gated) counter.setGate(true);
        now += elapsed;
        const said = counter.nextRise();
        const from = now;
        let seen = Number.POSITIVE_INFINITY;
        for (let before = counter.output(); now < from + 130 && seen === Number.POSITIVE_INFINITY; ) {
          now++;
          const level = counter.output();
          if (level && !before) seen = now;
          before = level;
        }
        expect(said).toBe(seen);
      },
    ),
    { numRuns: 500 },
  );
});

it("the timer says it in instructions: the first one at which the output is up", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 0xffff }), fc.integer({ min: 0, max: 1e12 }), (count, start) => {
      let now = start;
      const pit = new Pit8254({ now: () => now });
      pit.write(0x43, 1, 0x34);
      pit.write(0x40, 1, count & 0xff);
      pit.write(0x40, 1, count >> 8);
      const tick = (instruction: number) => Math.floor((instruction * PIT_HZ) / TSC_HZ);
      const rise = pit.nextRise();
      expect(tick(rise)).toBe(tick(start) + count);
      expect(tick(rise - 1)).toBe(tick(start) + count - 1);
      // Once there, it is the next one.
      now = rise;
      expect(tick(pit.nextRise())).toBe(tick(start) + 2 * count);
    }),
  );
});
