import { describe, expect, it } from "vitest";
import { DebugExit } from "../../../src/machine/devices/debugExit";
import { IoBus, type IoDevice } from "../../../src/machine/devices/ioBus";

function recorder(wide: boolean) {
  const accesses: string[] = [];
  const device: IoDevice = {
    wide,
    read: (port, size) => {
      accesses.push(`read ${port.toString(16)} ${size}`);
      return port & 0xff;
    },
    write: (port, size, value) => {
      accesses.push(`write ${port.toString(16)} ${size} ${value.toString(16)}`);
    },
  };
  return { device, accesses };
}

describe("the I/O bus", () => {
  it("reads all ones where no device is", () => {
    const io = new IoBus();
    expect([io.in(0xcfc, 1), io.in(0xcfc, 2), io.in(0xcfc, 4)]).toEqual([0xff, 0xffff, 0xffffffff]);
    expect(() => io.out(0xcf8, 4, 0x80000000)).not.toThrow();
  });

  it("splits wide accesses to a byte-wide device, lowest port first", () => {
    const io = new IoBus();
    const { device, accesses } = recorder(false);
    io.register(0x40, 0x43, device);
    io.out(0x40, 4, 0xdeadbeef | 0);
    expect(accesses).toEqual(["write 40 1 ef", "write 41 1 be", "write 42 1 ad", "write 43 1 de"]);
    expect(io.in(0x40, 4)).toBe(0x43424140);
  });

  it("fills up with ones what reaches beyond a device", () => {
    const io = new IoBus();
    io.register(0x40, 0x40, recorder(false).device);
    expect(io.in(0x40, 2)).toBe(0xff40);
    expect(io.in(0x3f, 2)).toBe(0x40ff);
  });

  it("wraps from the last port to the first", () => {
    const io = new IoBus();
    const { device, accesses } = recorder(false);
    io.register(0, 0, device);
    io.out(0xffff, 2, 0x1234);
    expect(accesses).toEqual(["write 0 1 12"]);
  });

  it("passes accesses whole to a device that is wide", () => {
    const io = new IoBus();
    const { device, accesses } = recorder(true);
    io.register(0xf4, 0xf7, device);
    io.out(0xf4, 4, 0x12345678);
    expect(accesses).toEqual(["write f4 4 12345678"]);
  });

  it.each([
    [1, 0x7f],
    [2, 0x1234],
    [4, 0x12345678],
  ] as const)("hands a write of %i bytes to the debug-exit port on as one value", (size, value) => {
    const seen: number[] = [];
    const io = new IoBus();
    io.register(DebugExit.PORT, DebugExit.PORT + 3, new DebugExit((it) => seen.push(it)));
    io.out(DebugExit.PORT, size, value);
    expect(seen).toEqual([value]);
  });
});
