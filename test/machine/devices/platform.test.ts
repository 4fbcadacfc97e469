import { beforeEach, describe, expect, it } from "vitest";
import { CmosRtc } from "../../../src/machine/devices/cmos";
import { IoBus } from "../../../src/machine/devices/ioBus";
import { registerPlatform } from "../../../src/machine/devices/platform";

const MIB = 1 << 20;
const GIB = 1024 * MIB;

describe("the platform's ports", () => {
  let io: IoBus;
  const cmosByte = (register: number) => {
    io.out(0x70, 1, register);
    return io.in(0x71, 1);
  };
  const cmosWord = (register: number) => cmosByte(register) | (cmosByte(register + 1) << 8);
  const build = (ram: readonly { start: number; end: number }[]) => {
    io = new IoBus();
    registerPlatform(io, { now: () => 0 }, new CmosRtc(ram));
  };

  beforeEach(() => build([{ start: 0, end: 512 * MIB }]));

  it("keeps the interrupt mask after the initialisation words", () => {
    for (const base of [0x20, 0xa0]) {
      io.out(base, 1, 0x11);
      for (const word of [0x30, 0x04, 0x01]) io.out(base + 1, 1, word);
      expect(io.in(base + 1, 1)).toBe(0);
      io.out(base + 1, 1, 0xfb);
      expect(io.in(base + 1, 1)).toBe(0xfb);
      expect(io.in(base, 1)).toBe(0);
    }
  });

  it("takes two initialisation words where ICW1 asks for no ICW4", () => {
    io.out(0x20, 1, 0x10);
    for (const word of [0x30, 0x04, 0xaa]) io.out(0x21, 1, word);
    expect(io.in(0x21, 1)).toBe(0xaa);
  });

  it("has the same date in every run, which a guest cannot set", () => {
    const date = () => [0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00].map(cmosByte);
    expect(date()).toEqual([0x20, 0x13, 0x01, 0x24, 0x12, 0x00, 0x00]);
    for (const register of [0x32, 0x09, 0x00]) {
      io.out(0x70, 1, register);
      io.out(0x71, 1, 0x55);
    }
    expect(date()).toEqual([0x20, 0x13, 0x01, 0x24, 0x12, 0x00, 0x00]);
  });

  it("is never in the middle of an update, and its battery is good", () => {
    expect(cmosByte(0x0a) & 0x80).toBe(0);
    io.out(0x70, 1, 0x0d);
    io.out(0x71, 1, 0);
    expect(cmosByte(0x0d)).toBe(0x80);
  });

  it("ignores the NMI bit of the index and keeps free registers", () => {
    io.out(0x70, 1, 0x80 | 0x0f);
    io.out(0x71, 1, 0x42);
    expect(cmosByte(0x0f)).toBe(0x42);
  });

  it("tells the size of memory below 4 GiB", () => {
    expect(cmosWord(0x15)).toBe(640);
    expect(cmosWord(0x30)).toBe(0xffff);
    expect(cmosWord(0x34)).toBe((512 - 16) * 16);
  });

  it("tells the size of memory above 4 GiB", () => {
    build([
      { start: 0, end: 3 * GIB },
      { start: 4 * GIB, end: 5 * GIB },
    ]);
    expect(cmosWord(0x34)).toBe((3 * 1024 - 16) * 16);
    expect(cmosWord(0x5b)).toBe(1024 * 16);
    expect(cmosByte(0x5d)).toBe(0);
  });

  it("tells no extended memory where there is less than 1 MiB", () => {
    build([{ start: 0, end: MIB / 2 }]);
    expect([cmosWord(0x17), cmosWord(0x30), cmosWord(0x34)]).toEqual([0, 0, 0]);
  });

  it("has a keyboard controller with nothing to read and room for commands", () => {
    expect(io.in(0x64, 1) & 3).toBe(0);
    io.out(0x64, 1, 0xad);
    expect(io.in(0x60, 1)).toBe(0);
  });

  it("has A20 on and keeps the POST code", () => {
    expect(io.in(0x92, 1) & 2).toBe(2);
    io.out(0x80, 1, 0x77);
    expect(io.in(0x80, 1)).toBe(0x77);
  });

  it("has no PCI", () => {
    io.out(0xcf8, 4, 0x80000000);
    expect([io.in(0xcf8, 4), io.in(0xcfc, 4), io.in(0xcfe, 2)]).toEqual([0xffffffff, 0xffffffff, 0xffff]);
  });
});
