import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DebugExit } from "../../../src/machine/devices/debugExit";
import { IoBus, type IoDevice } from "../../../src/machine/devices/ioBus";

/** Remembers what reached it; answers the low byte of the port. */
class Recorder implements IoDevice {
  save() {}
  restore() {}
  readonly accesses: string[] = [];

  constructor(readonly wide: boolean) {}

  read(port: number, size: number): number {
    this.accesses.push(`in ${port.toString(16)} ${size}`);
    return this.wide ? -1 : port & 0xff;
  }

  write(port: number, size: number, value: number): void {
    this.accesses.push(`out ${port.toString(16)} ${size} ${value.toString(16)}`);
  }
}

describe("The I/O bus", () => {
  it("reads all ones where nobody answers, and loses what is written there", () => {
    const io = new IoBus();
    expect([io.in(0x1234, 1), io.in(0x1234, 2), io.in(0x1234, 4)]).toEqual([0xff, 0xffff, 0xffffffff]);
    expect(() => io.out(0x1234, 4, 0xffffffff)).not.toThrow();
  });

  it("splits a wide access to a byte device into bytes, lowest port first in writes", () => {
    const io = new IoBus();
    const device = new Recorder(false);
    io.register(0x100, 0x103, device);
    expect(io.in(0x100, 4)).toBe(0x03020100);
    expect(io.in(0x102, 2)).toBe(0x0302);
    device.accesses.length = 0;
    io.out(0x100, 4, 0x89abcdef);
    expect(device.accesses).toEqual(["out 100 1 ef", "out 101 1 cd", "out 102 1 ab", "out 103 1 89"]);
  });

  it("gives a wide device the whole access, unsigned and no wider than it is", () => {
    const io = new IoBus();
    const device = new Recorder(true);
    io.register(0x200, 0x203, device);
    expect([io.in(0x200, 1), io.in(0x200, 2), io.in(0x200, 4)]).toEqual([0xff, 0xffff, 0xffffffff]);
    device.accesses.length = 0;
    io.out(0x200, 4, -1);
    io.out(0x200, 2, 0x12345678);
    io.out(0x200, 1, 0x12345678);
    expect(device.accesses).toEqual(["out 200 4 ffffffff", "out 200 2 5678", "out 200 1 78"]);
  });

  it("an access across the end of a device reaches its neighbour, or nobody", () => {
    const io = new IoBus();
    io.register(0x300, 0x300, new Recorder(false));
    io.register(0x301, 0x301, new Recorder(false));
    expect(io.in(0x300, 4)).toBe(0xffff0100);
  });

  it("ports wrap round at 64 Ki", () => {
    const io = new IoBus();
    io.register(0xffff, 0xffff, new Recorder(false));
    io.register(0, 0, new Recorder(false));
    expect(io.in(0xffff, 2)).toBe(0x00ff);
  });

  it("a byte device sees bytes only, whatever is written where", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0xfd, max: 0x105 }),
        fc.constantFrom(1 as const, 2 as const, 4 as const),
        fc.integer(),
        (port, size, value) => {
          const io = new IoBus();
          const seen: [number, number][] = [];
          io.register(0x100, 0x103, {
            save: () => undefined,
            restore: () => {},
            read: () => 0,
            write: (at, _size, byte) => {
              seen.push([at, byte]);
            },
          });
          io.out(port, size, value);
          const expected = Array.from({ length: size }, (_, i): [number, number] => [
            port + i,
            (value >>> (8 * i)) & 0xff,
          ]);
          expect(seen).toEqual(expected.filter(([at]) => at >= 0x100 && at <= 0x103));
        },
      ),
      { seed: 8254, numRuns: 500 },
    );
  });
});

describe("The debug-exit port", () => {
  it("hands on each value as it was written, in one, two or four bytes", () => {
    const io = new IoBus();
    const values: number[] = [];
    io.register(DebugExit.PORT, DebugExit.PORT + 3, new DebugExit((value) => values.push(value)));
    io.out(0xf4, 1, 0);
    io.out(0xf4, 2, 0x1234);
    io.out(0xf4, 4, 0x89abcdef);
    expect(values).toEqual([0, 0x1234, 0x89abcdef]);
  });

  it("ends nothing when it is read", () => {
    const io = new IoBus();
    const values: number[] = [];
    io.register(DebugExit.PORT, DebugExit.PORT + 3, new DebugExit((value) => values.push(value)));
    expect(io.in(0xf4, 4)).toBe(0);
    expect(values).toEqual([]);
  });
});
