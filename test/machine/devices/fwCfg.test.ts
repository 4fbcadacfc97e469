import { describe, expect, it } from "vitest";
import { parseCpu } from "../../../src/machine/cpu/model";
import { FwCfg } from "../../../src/machine/devices/fwCfg";
import { IoBus } from "../../../src/machine/devices/ioBus";
import { Machine } from "../../../src/machine/machine";

const GIB = 2 ** 30;
const RAM = [
  { start: 0, end: 3 * GIB },
  { start: 4 * GIB, end: 5 * GIB + 4096 },
];

function device() {
  const io = new IoBus();
  io.register(FwCfg.SELECTOR_PORT, FwCfg.DATA_PORT, new FwCfg(RAM));
  const select = (key: number) => io.out(0x510, 2, key);
  const bytes = (count: number) => Array.from({ length: count }, () => io.in(0x511, 1));
  return { io, select, bytes };
}

describe("fw_cfg", () => {
  it("is there in every machine, and says who it is", () => {
    const { io } = new Machine({ ram: [{ start: 0, end: 4096 }], cpu: parseCpu("max") });
    io.out(0x510, 2, 0);
    expect(String.fromCharCode(...Array.from({ length: 4 }, () => io.in(0x511, 1)))).toBe("QEMU");
  });

  it("has the interface of two ports, without DMA, and no files", () => {
    const { select, bytes } = device();
    select(1);
    expect(bytes(4)).toEqual([1, 0, 0, 0]);
    select(0x19);
    expect(bytes(4)).toEqual([0, 0, 0, 0]);
  });

  it("tells one CPU, of one at most, and the size of RAM without its holes", () => {
    const { select, bytes } = device();
    select(5);
    expect(bytes(2)).toEqual([1, 0]);
    select(15);
    expect(bytes(2)).toEqual([1, 0]);
    select(3);
    expect(bytes(8)).toEqual([0, 0x10, 0, 0, 1, 0, 0, 0]);
  });

  it("reads 0 behind the end of an item, and of items that it does not have", () => {
    const { select, bytes } = device();
    select(5);
    expect(bytes(4)).toEqual([1, 0, 0, 0]);
    for (const key of [2, 4, 0x11, 0x20, 0x8000, 0x8005, 0xffff & ~0x4000]) {
      select(key);
      expect([key, bytes(3)]).toEqual([key, [0, 0, 0]]);
    }
  });

  it("begins an item anew with each selection, and ignores that somebody wants to write", () => {
    const { io, select, bytes } = device();
    select(0);
    expect(bytes(2)).toEqual([0x51, 0x45]);
    io.out(0x511, 1, 0xff);
    expect(bytes(2)).toEqual([0x4d, 0x55]);
    select(0x4000);
    expect(bytes(1)).toEqual([0x51]);
  });

  it("has a selector that is written in one access of 16 bits and cannot be read", () => {
    const { io, select, bytes } = device();
    select(5);
    io.out(0x510, 1, 0);
    io.out(0x510, 4, 0);
    expect(bytes(1)).toEqual([1]);
    expect([io.in(0x510, 1), io.in(0x510, 2)]).toEqual([0xff, 0xffff]);
  });
});
