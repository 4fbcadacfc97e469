import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PIT_HZ, Pit8254, TSC_HZ } from "../../../src/machine/devices/pit8254";

/** A PIT whose time is set by hand, in its own ticks. */
function pitAt() {
  const time = { ticks: 0 };
  const pit = new Pit8254({ now: () => Math.ceil((time.ticks * TSC_HZ) / PIT_HZ) });
  const out = (port: number, value: number) => pit.write(port, 1, value);
  const load = (control: number, value: number) => {
    out(0x43, control);
    const port = 0x40 + (control >> 6);
    out(port, value & 0xff);
    out(port, value >> 8);
  };
  const count = (port: number) => pit.read(port) | (pit.read(port) << 8);
  const output = () => (pit.read(0x61) & 0x20) !== 0;
  return { time, pit, out, load, count, output };
}

describe("the 8254 timer", () => {
  it("counts channel 2 down in mode 0 and raises its output at the end", () => {
    const { time, out, load, count, output } = pitAt();
    out(0x61, 1);
    load(0xb0, 1000);
    time.ticks = 400;
    expect(count(0x42)).toBe(600);
    time.ticks = 999;
    expect(output()).toBe(false);
    time.ticks = 1000;
    expect(output()).toBe(true);
  });

  it("keeps the output low after a control word of mode 0, however late the count comes", () => {
    const { time, out, output } = pitAt();
    out(0x61, 1);
    time.ticks = 1_000_000;
    out(0x43, 0xb0);
    expect(output()).toBe(false);
  });

  it("takes the time that a guest measures with TSC_HZ instructions a second", () => {
    let now = 0;
    const pit = new Pit8254({ now: () => now });
    pit.write(0x61, 1, 1);
    pit.write(0x43, 1, 0xb0);
    // 50 ms, as calibration loops wait for.
    const latch = Math.floor(PIT_HZ / 20);
    pit.write(0x42, 1, latch & 0xff);
    pit.write(0x42, 1, latch >> 8);
    while ((pit.read(0x61) & 0x20) === 0) now += 100;
    expect(Math.abs(now * 20 - TSC_HZ) / TSC_HZ).toBeLessThan(1e-4);
  });

  it("stands still while the gate is closed, and goes on from there", () => {
    const { time, out, load, count } = pitAt();
    out(0x61, 1);
    load(0xb0, 1000);
    time.ticks = 100;
    out(0x61, 0);
    time.ticks = 500;
    expect(count(0x42)).toBe(900);
    out(0x61, 1);
    time.ticks = 600;
    expect(count(0x42)).toBe(800);
  });

  it("starts mode 1 again with each rising edge of the gate", () => {
    const { time, out, load, count } = pitAt();
    load(0xb2, 1000);
    time.ticks = 300;
    out(0x61, 1);
    time.ticks = 350;
    expect(count(0x42)).toBe(950);
  });

  it("starts over in mode 2 and is low for the last tick of a period", () => {
    const { time, out, load, count, output } = pitAt();
    out(0x61, 1);
    load(0xb4, 100);
    time.ticks = 299;
    expect(output()).toBe(false);
    time.ticks = 310;
    expect(output()).toBe(true);
    expect(count(0x42)).toBe(90);
  });

  it("gives mode 3 a square wave and counts by two", () => {
    const { time, out, load, count, output } = pitAt();
    out(0x61, 1);
    load(0xb6, 100);
    time.ticks = 20;
    expect(count(0x42)).toBe(60);
    expect(output()).toBe(true);
    time.ticks = 70;
    expect(count(0x42)).toBe(60);
    expect(output()).toBe(false);
  });

  it("holds a latched count until both bytes are read, also against a second latch", () => {
    const { time, out, load, count } = pitAt();
    load(0x34, 0x8000);
    time.ticks = 0x100;
    out(0x43, 0x00);
    time.ticks = 0x200;
    out(0x43, 0x00);
    expect(count(0x40)).toBe(0x7f00);
    expect(count(0x40)).toBe(0x7e00);
  });

  it("tells the status before the count after a read-back command", () => {
    const { time, pit, out, load, count } = pitAt();
    load(0x34, 1000);
    time.ticks = 10;
    out(0x43, 0xc2);
    time.ticks = 50;
    expect(pit.read(0x40)).toBe(0x80 | 0x34);
    expect(count(0x40)).toBe(990);
  });

  it("tells a null count between the control word and the count", () => {
    const { pit, out } = pitAt();
    out(0x43, 0x34);
    out(0x43, 0xe2);
    expect(pit.read(0x40) & 0x40).toBe(0x40);
  });

  it("takes a count of 0 for 65,536", () => {
    const { time, out, load, count, output } = pitAt();
    out(0x61, 1);
    load(0xb0, 0);
    time.ticks = 0xffff;
    expect(count(0x42)).toBe(1);
    expect(output()).toBe(false);
    time.ticks = 0x10000;
    expect(output()).toBe(true);
  });

  it("gives counts of 16 bits and never stops, whatever it is told", () => {
    const access = fc.record({
      port: fc.constantFrom(0x40, 0x41, 0x42, 0x43, 0x61),
      value: fc.integer({ min: 0, max: 255 }),
      wait: fc.integer({ min: 0, max: 100_000 }),
      write: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
        const { time, pit, out } = pitAt();
        for (const { port, value, wait, write } of accesses) {
          time.ticks += wait;
          if (write) out(port, value);
          const byte = pit.read(port);
          expect(Number.isInteger(byte) && byte >= 0 && byte <= 255).toBe(true);
        }
      }),
      { seed: 8254, numRuns: 500 },
    );
  });
});
