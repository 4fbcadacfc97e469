import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PIT_HZ, Pit8254, TSC_HZ } from "../../../src/machine/devices/pit8254";

/** A PIT whose clock the test sets, in PIT ticks. */
function timer() {
  let ticks = 0;
  const pit = new Pit8254({ now: () => Math.ceil((ticks * TSC_HZ) / PIT_HZ) });
  const io = {
    in: (port: number) => pit.read(port),
    out: (port: number, value: number) => pit.write(port, 1, value),
    pass: (more: number) => {
      ticks += more;
    },
    /** Programs counter 2. */
    program: (mode: number, count: number, bcd = 0) => {
      io.out(0x43, 0xb0 | (mode << 1) | bcd);
      io.out(0x42, count & 0xff);
      io.out(0x42, (count >> 8) & 0xff);
    },
    gate: (on: boolean) => io.out(0x61, on ? 1 : 0),
    latched: () => {
      io.out(0x43, 0x80);
      return io.in(0x42) | (io.in(0x42) << 8);
    },
    output: () => (io.in(0x61) & 0x20) !== 0,
    /** Counts of the next `n` ticks, and "+" where the output is high. */
    trace: (n: number) => {
      const steps: string[] = [];
      for (let i = 0; i < n; i++, io.pass(1)) steps.push(`${io.latched()}${io.output() ? "+" : "-"}`);
      return steps.join(" ");
    },
  };
  return io;
}

describe("Counter 2 of the 8254", () => {
  it("mode 0: the output is low from the control word on, and goes high for good when the count is 0", () => {
    const pit = timer();
    pit.gate(true);
    expect(pit.output()).toBe(true);
    pit.out(0x43, 0xb0);
    expect(pit.output()).toBe(false);
    pit.pass(100_000);
    expect(pit.output()).toBe(false);
    pit.program(0, 3);
    expect(pit.trace(6)).toBe("3- 2- 1- 0+ 65535+ 65534+");
  });

  it("mode 0: a low gate holds the count, and a high one lets it go on", () => {
    const pit = timer();
    pit.program(0, 100);
    pit.pass(50);
    expect(pit.latched()).toBe(100);
    pit.gate(true);
    pit.pass(30);
    pit.gate(false);
    pit.pass(50);
    expect(pit.latched()).toBe(70);
    pit.gate(true);
    pit.pass(69);
    expect(pit.output()).toBe(false);
    pit.pass(1);
    expect(pit.output()).toBe(true);
  });

  it("mode 1: a rising gate starts a low pulse as long as the count, and starts it anew", () => {
    const pit = timer();
    pit.program(1, 4);
    pit.pass(10);
    expect(pit.output()).toBe(true);
    pit.gate(true);
    expect(pit.trace(3)).toBe("4- 3- 2-");
    pit.gate(false);
    pit.gate(true);
    expect(pit.trace(6)).toBe("4- 3- 2- 1- 0+ 65535+");
  });

  it("mode 2: the output is low in the last tick of each period", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(2, 4);
    expect(pit.trace(9)).toBe("4+ 3+ 2+ 1- 4+ 3+ 2+ 1- 4+");
  });

  it("mode 2: a low gate makes the output high, a rising one starts a period", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(2, 4);
    pit.pass(3);
    expect(pit.output()).toBe(false);
    pit.gate(false);
    expect(pit.output()).toBe(true);
    pit.gate(true);
    expect(pit.trace(4)).toBe("4+ 3+ 2+ 1-");
  });

  it("mode 3: a square wave, counted by two", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(3, 6);
    expect(pit.trace(7)).toBe("6+ 4+ 2+ 6- 4- 2- 6+");
  });

  it("mode 3: an odd count is high for a tick longer than it is low", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(3, 5);
    expect(pit.trace(6)).toBe("4+ 2+ 0+ 4- 2- 4+");
  });

  it("mode 4: the output is low for the one tick in which the count is 0", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(4, 2);
    expect(pit.trace(4)).toBe("2+ 1+ 0- 65535+");
  });

  it("mode 5: as mode 4, but a rising gate starts it", () => {
    const pit = timer();
    pit.program(5, 2);
    pit.pass(5);
    expect(pit.output()).toBe(true);
    pit.gate(true);
    expect(pit.trace(4)).toBe("2+ 1+ 0- 65535+");
  });

  it("modes 6 and 7 are modes 2 and 3", () => {
    for (const mode of [6, 7]) {
      const [one, other] = [timer(), timer()];
      for (const pit of [one, other]) pit.gate(true);
      one.program(mode, 6);
      other.program(mode - 4, 6);
      expect(one.trace(13)).toBe(other.trace(13));
    }
  });

  it("counts in decimal when asked to", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(0, 0x1000, 1);
    pit.pass(1);
    expect(pit.latched().toString(16)).toBe("999");
    pit.program(0, 0, 1);
    pit.pass(1);
    expect(pit.latched().toString(16)).toBe("9999");
  });

  it("a count of 0 is 65,536", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(0, 0);
    pit.pass(65_535);
    expect(pit.output()).toBe(false);
    pit.pass(1);
    expect(pit.output()).toBe(true);
  });
});

describe("Reading the 8254", () => {
  it("a latched count stands still until both bytes have been read", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(0, 0x1234);
    pit.out(0x43, 0x80);
    pit.pass(0x500);
    pit.out(0x43, 0x80);
    expect([pit.in(0x42), pit.in(0x42)]).toEqual([0x34, 0x12]);
    expect(pit.in(0x42) | (pit.in(0x42) << 8)).toBe(0x1234 - 0x500);
  });

  it("without a latch low and high bytes alternate while the counter runs", () => {
    const pit = timer();
    pit.gate(true);
    pit.program(0, 0x0200);
    expect(pit.in(0x42)).toBe(0x00);
    pit.pass(1);
    expect(pit.in(0x42)).toBe(0x01);
    expect(pit.in(0x42)).toBe(0xff);
  });

  it("an access mode of one byte reads and writes that byte only", () => {
    const pit = timer();
    pit.gate(true);
    pit.out(0x43, 0x90);
    pit.out(0x42, 0x20);
    pit.pass(1);
    expect([pit.in(0x42), pit.in(0x42)]).toEqual([0x1f, 0x1f]);
    pit.out(0x43, 0xa0);
    pit.out(0x42, 0x20);
    pit.pass(1);
    expect([pit.in(0x42), pit.in(0x42)]).toEqual([0x1f, 0x1f]);
    pit.out(0x43, 0x80);
    expect(pit.in(0x42)).toBe(0x1f);
  });

  it("the read-back command latches status and count of the counters it names, status read first", () => {
    const pit = timer();
    pit.gate(true);
    pit.out(0x43, 0xb0);
    pit.out(0x43, 0xe8);
    // Null count: no count has been written since the control word.
    expect(pit.in(0x42)).toBe(0x70);
    pit.out(0x42, 0x10);
    pit.out(0x42, 0x00);
    pit.out(0x43, 0xc8);
    pit.pass(0x20);
    expect([pit.in(0x42), pit.in(0x42), pit.in(0x42)]).toEqual([0x30, 0x10, 0x00]);
    pit.out(0x43, 0xe8);
    expect(pit.in(0x42)).toBe(0xb0);
  });

  it("the control word itself is not to be read", () => {
    expect(timer().in(0x43)).toBe(0);
  });
});

describe("Time", () => {
  it("counter 0 runs from the start, as firmware leaves it", () => {
    const pit = timer();
    const count = () => {
      pit.out(0x43, 0x00);
      return pit.in(0x40) | (pit.in(0x40) << 8);
    };
    expect(count()).toBe(0);
    pit.pass(1000);
    expect(count()).toBe(0x10000 - 1000);
  });

  it("port 61H keeps gate, speaker and parity bits, and none of the others", () => {
    const pit = timer();
    pit.out(0x61, 0xff);
    expect(pit.in(0x61) & 0xcf).toBe(0x0f);
  });

  it("the refresh bit turns over every 18 ticks, so that loops which count it take their time", () => {
    const pit = timer();
    const bits: number[] = [];
    for (let i = 0; i < 72; i++, pit.pass(1)) bits.push((pit.in(0x61) >> 4) & 1);
    expect(bits.join("")).toBe("0".repeat(18) + "1".repeat(18) + "0".repeat(18) + "1".repeat(18));
  });

  it("calibrating the TSC against counter 2 finds its frequency within a thousandth", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 5_000, max: 65_535 }),
        fc.integer({ min: 50, max: 2000 }),
        (count, loop) => {
          let instructions = 0;
          const pit = new Pit8254({ now: () => instructions });
          pit.write(0x61, 1, 1);
          pit.write(0x43, 1, 0xb0);
          pit.write(0x42, 1, count & 0xff);
          pit.write(0x42, 1, count >> 8);
          const start = instructions;
          while ((pit.read(0x61) & 0x20) === 0) instructions += loop;
          const frequency = ((instructions - start) * PIT_HZ) / count;
          expect(Math.abs(frequency / TSC_HZ - 1)).toBeLessThan(0.001);
        },
      ),
      { seed: 61, numRuns: 20 },
    );
  });

  it("does not stop at long runs: ticks still follow the clock after 10^13 instructions", () => {
    let instructions = 1e13;
    const pit = new Pit8254({ now: () => instructions });
    pit.write(0x61, 1, 1);
    pit.write(0x43, 1, 0xb0);
    pit.write(0x42, 1, 0xff);
    pit.write(0x42, 1, 0xff);
    instructions += 1_000_000;
    pit.write(0x43, 1, 0x80);
    const count = pit.read(0x42) | (pit.read(0x42) << 8);
    expect(Math.abs(0xffff - count - 1193)).toBeLessThanOrEqual(1);
  });
});
