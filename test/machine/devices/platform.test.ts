import { describe, expect, it } from "vitest";
import { CmosRtc } from "../../../src/machine/devices/cmos";
import { IoBus } from "../../../src/machine/devices/ioBus";
import { registerPlatform } from "../../../src/machine/devices/platform";
import { Interrupts } from "../../../src/machine/interrupts";
import type { PhysicalRange } from "../../../src/machine/memory";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

function platform(ram: readonly PhysicalRange[] = [{ start: 0, end: 64 * MIB }]) {
  const io = new IoBus();
  const resets: string[] = [];
  registerPlatform(
    io,
    new Interrupts(
      { now: () => 0 },
      () => undefined,
      () => {},
    ),
    new CmosRtc(ram),
    (through) => resets.push(through),
  );
  return {
    io,
    resets,
    in: (port: number) => io.in(port, 1),
    out: (port: number, value: number) => io.out(port, 1, value),
    cmos: (register: number) => {
      io.out(0x70, 1, register);
      return io.in(0x71, 1);
    },
  };
}

describe("The interrupt controllers", () => {
  for (const [name, base] of [
    ["master", 0x20],
    ["slave", 0xa0],
  ] as const) {
    it(`the ${name} gives its mask back, and takes initialisation words for no mask`, () => {
      const pc = platform();
      pc.out(base + 1, 0xfb);
      expect(pc.in(base + 1)).toBe(0xfb);
      pc.out(base, 0x11);
      expect(pc.in(base + 1)).toBe(0);
      for (const word of [0x20, 0x04, 0x01]) pc.out(base + 1, word);
      expect(pc.in(base + 1)).toBe(0);
      pc.out(base + 1, 0x5a);
      expect(pc.in(base + 1)).toBe(0x5a);
    });
  }

  it("a single controller has no third word, and without ICW4 no fourth", () => {
    for (const [icw1, words] of [
      [0x10, 2],
      [0x11, 3],
      [0x12, 1],
      [0x13, 2],
    ]) {
      const pc = platform();
      pc.out(0x20, icw1);
      for (let i = 0; i < words; i++) pc.out(0x21, 0x20);
      pc.out(0x21, 0xa5);
      expect([icw1, pc.in(0x21)]).toEqual([icw1, 0xa5]);
    }
  });

  it("end of interrupt and register selection leave the mask alone, and nothing is ever in service", () => {
    const pc = platform();
    pc.out(0x21, 0x77);
    for (const word of [0x20, 0x0a, 0x0b]) {
      pc.out(0x20, word);
      expect([pc.in(0x20), pc.in(0x21)]).toEqual([0, 0x77]);
    }
  });
});

describe("The real-time clock", () => {
  it("always says Thursday, 24 January 2013, 12:00:00, in BCD", () => {
    const pc = platform();
    const registers = [0x32, 0x09, 0x08, 0x07, 0x06, 0x04, 0x02, 0x00];
    const before = registers.map((register) => pc.cmos(register).toString(16));
    expect(before).toEqual(["20", "13", "1", "24", "5", "12", "0", "0"]);
    expect(new Date("2013-01-24T12:00:00Z").getUTCDay() + 1).toBe(5);
    for (const register of registers) {
      pc.out(0x70, register);
      pc.out(0x71, 0x99);
    }
    expect(registers.map((register) => pc.cmos(register).toString(16))).toEqual(before);
  });

  it("is never in an update, has a good battery and no interrupt pending, as QEMU's registers say too", () => {
    const pc = platform();
    expect([0x0a, 0x0b, 0x0c, 0x0d].map(pc.cmos)).toEqual([0x26, 0x02, 0x00, 0x80]);
    for (const register of [0x0a, 0x0c, 0x0d]) {
      pc.out(0x70, register);
      pc.out(0x71, register === 0x0a ? 0xff : 0x7f);
    }
    expect([0x0a, 0x0c, 0x0d].map(pc.cmos)).toEqual([0x7f, 0x00, 0x80]);
  });

  it("the bit that masks NMIs is no part of the index, and the index cannot be read", () => {
    const pc = platform();
    expect(pc.cmos(0x8d)).toBe(0x80);
    expect(pc.in(0x70)).toBe(0xff);
  });

  it("other registers hold what was written", () => {
    const pc = platform();
    pc.out(0x70, 0x0f);
    pc.out(0x71, 0x0a);
    expect(pc.cmos(0x0f)).toBe(0x0a);
  });

  it("tells the size of memory as QEMU 7.2 does with 6 GiB", () => {
    const pc = platform([
      { start: 0, end: 3 * GIB },
      { start: 4 * GIB, end: 7 * GIB },
    ]);
    const registers = [0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x5b, 0x5c, 0x5d];
    const qemu = [0x80, 0x02, 0xff, 0xff, 0xff, 0xff, 0x00, 0xbf, 0x00, 0xc0, 0x00];
    expect(registers.map(pc.cmos)).toEqual(qemu);
  });

  it("sizes below and above what the registers can say are cut off, not wrapped", () => {
    const small = platform([{ start: 0, end: 512 * 1024 }]);
    expect([0x17, 0x18, 0x34, 0x35, 0x5b, 0x5c, 0x5d].map(small.cmos)).toEqual([0, 0, 0, 0, 0, 0, 0]);
    const large = platform([
      { start: 0, end: 3 * GIB },
      { start: 4 * GIB, end: 2 ** 46 },
    ]);
    expect([0x5b, 0x5c, 0x5d].map(large.cmos)).toEqual([0xff, 0xff, 0xff]);
  });

  it("a hole in memory counts for nothing less than its end", () => {
    const pc = platform([
      { start: 0, end: 0xa0000 },
      { start: MIB, end: 33 * MIB },
    ]);
    expect(pc.cmos(0x17) | (pc.cmos(0x18) << 8)).toBe(32 * 1024);
    expect(pc.cmos(0x34) | (pc.cmos(0x35) << 8)).toBe((17 * MIB) / (64 * 1024));
  });
});

describe("The keyboard controller", () => {
  it("is ready for commands and has nothing to say", () => {
    const pc = platform();
    expect(pc.in(0x64) & 3).toBe(0);
    pc.out(0x60, 0xff);
    expect(pc.in(0x64) & 3).toBe(0);
  });

  it("passes its self-test, and the answer is there until it is read", () => {
    const pc = platform();
    pc.out(0x64, 0xaa);
    expect([pc.in(0x64), pc.in(0x64), pc.in(0x60), pc.in(0x64)]).toEqual([0x1d, 0x1d, 0x55, 0x1c]);
    pc.out(0x64, 0xab);
    expect(pc.in(0x60)).toBe(0);
  });

  it("keeps its command byte", () => {
    const pc = platform();
    pc.out(0x64, 0x60);
    pc.out(0x60, 0x47);
    pc.out(0x60, 0x00);
    pc.out(0x64, 0x20);
    expect(pc.in(0x60)).toBe(0x47);
  });

  it("gives a byte back as if keyboard or mouse had sent it, with that one's interrupt if it is enabled", () => {
    const pc = platform();
    pc.out(0xa1, 0);
    pc.out(0x21, 0);
    for (const [commandByte, requests] of [
      [0x00, [0, 0]],
      [0x03, [0x02, 0x10]],
    ] as const) {
      pc.out(0x64, 0x60);
      pc.out(0x60, commandByte);
      pc.out(0x64, 0xd2);
      pc.out(0x60, 0x5a);
      expect([pc.in(0x64) & 0x21, pc.in(0x20) & 2, pc.in(0x60)]).toEqual([0x01, requests[0], 0x5a]);
      pc.out(0x64, 0xd3);
      pc.out(0x60, 0xa5);
      expect([pc.in(0x64) & 0x21, pc.in(0xa0) & 0x10, pc.in(0x60)]).toEqual([0x21, requests[1], 0xa5]);
    }
  });

  it("turns the clocks of keyboard and mouse off and on in its command byte, and passes the mouse's test", () => {
    const pc = platform();
    const commandByte = () => {
      pc.out(0x64, 0x20);
      return pc.in(0x60);
    };
    for (const [command, expected] of [
      [0xa8, 0x50],
      [0xae, 0x40],
      [0xa7, 0x60],
      [0xad, 0x70],
    ]) {
      pc.out(0x64, command);
      expect(commandByte()).toBe(expected);
    }
    pc.out(0x64, 0xa9);
    expect(pc.in(0x60)).toBe(0);
  });

  it("A20 is on through it and through port 92H, whatever is written", () => {
    const pc = platform();
    pc.out(0x64, 0xd1);
    pc.out(0x60, 0xdd);
    pc.out(0x64, 0xd0);
    expect(pc.in(0x60) & 3).toBe(3);
    pc.out(0x92, 0);
    expect(pc.in(0x92) & 2).toBe(2);
    expect(pc.resets).toEqual([]);
  });
});

describe("A reset that the guest asks for", () => {
  it("is heard through the keyboard controller, its output port, port 92H and port CF9H", () => {
    const pc = platform();
    pc.out(0x64, 0xfe);
    pc.out(0x64, 0xd1);
    pc.out(0x60, 0xde);
    pc.out(0x92, 1);
    pc.out(0xcf9, 2);
    pc.out(0xcf9, 6);
    expect(pc.resets).toEqual(["port 0x64", "port 0x64", "port 0x92", "port 0xcf9"]);
  });

  it("needs the edge: a bit that was set already resets nothing", () => {
    const pc = platform();
    pc.out(0x92, 1);
    pc.out(0x92, 3);
    pc.out(0xcf9, 4);
    pc.out(0xcf9, 4);
    expect(pc.resets).toEqual(["port 0x92", "port 0xcf9"]);
  });

  it("is not meant by a PCI configuration address with the same byte", () => {
    const pc = platform();
    pc.io.out(0xcf8, 4, 0x80000600);
    pc.io.out(0xcf8, 4, 0x80fef300);
    expect(pc.resets).toEqual([]);
  });
});

describe("What else a PC has", () => {
  it("PCI configuration answers beside the reset control register", () => {
    const pc = platform();
    pc.io.out(0xcf8, 4, 0x80000000);
    expect([pc.io.in(0xcf8, 4), pc.io.in(0xcfc, 4)]).toEqual([0x80000000, 0x12378086]);
  });

  it("the POST code is there to be read", () => {
    const pc = platform();
    pc.out(0x80, 0x42);
    expect(pc.in(0x80)).toBe(0x42);
  });
});
