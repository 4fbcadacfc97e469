import { describe, expect, it } from "vitest";
import { IoBus } from "../../../src/machine/devices/ioBus";
import { PciConfiguration } from "../../../src/machine/devices/pci";

const ADDRESS = 0xcf8;
const DATA = 0xcfc;

function bus() {
  const io = new IoBus();
  const resets: number[] = [];
  io.register(
    PciConfiguration.FIRST_PORT,
    PciConfiguration.LAST_PORT,
    new PciConfiguration(() => resets.push(1)),
  );
  const select = (busNumber: number, device: number, fn: number, register: number) =>
    io.out(ADDRESS, 4, (0x80000000 | (busNumber << 16) | (device << 11) | (fn << 8) | register) >>> 0);
  return {
    io,
    resets,
    select,
    read(device: number, fn: number, register: number, size: 1 | 2 | 4 = 4): number {
      select(0, device, fn, register & 0xfc);
      return io.in(DATA + (register & 3), size);
    },
    write(device: number, fn: number, register: number, value: number, size: 1 | 2 | 4 = 4): void {
      select(0, device, fn, register & 0xfc);
      io.out(DATA + (register & 3), size, value);
    },
  };
}

describe("PCI configuration mechanism #1 (PCI 3.0, 3.2.2.3.2)", () => {
  it("keeps the address that was written as a doubleword, and no other", () => {
    const { io } = bus();
    io.out(ADDRESS, 4, 0xffffffff);
    expect(io.in(ADDRESS, 4)).toBe(0x80fffffc);
    io.out(ADDRESS + 3, 1, 0x01);
    io.out(ADDRESS, 2, 0);
    expect(io.in(ADDRESS, 4)).toBe(0x80fffffc);
  });

  it("finds the functions of a PC on bus 0, and all ones everywhere else", () => {
    const { io, read, select } = bus();
    const found: string[] = [];
    for (let device = 0; device < 32; device++) {
      for (let fn = 0; fn < 8; fn++) {
        const id = read(device, fn, 0);
        if (id !== 0xffffffff)
          found.push(`${device}.${fn} ${id.toString(16)} ${read(device, fn, 8).toString(16)}`);
      }
    }
    expect(found).toEqual([
      "0.0 12378086 6000002",
      "1.0 70008086 6010000",
      "1.1 70108086 1018000",
      "1.3 71138086 6800003",
    ]);
    select(1, 0, 0, 0);
    expect(io.in(DATA, 4)).toBe(0xffffffff);
    io.out(ADDRESS, 4, 0);
    expect(io.in(DATA, 4)).toBe(0xffffffff);
  });

  it("gives bytes and words at their offset in the doubleword", () => {
    const { read } = bus();
    expect([read(1, 0, 0x0a, 2), read(1, 0, 0x0b, 1), read(1, 0, 0x0e, 1)]).toEqual([0x0601, 0x06, 0x80]);
    expect([read(1, 3, 0x3c, 1), read(1, 3, 0x3d, 1)]).toEqual([9, 1]);
  });

  it("a base address register tells its size when all ones are written, and holds an address", () => {
    const { read, write } = bus();
    expect(read(1, 1, 0x20)).toBe(0xc001);
    write(1, 1, 0x20, 0xffffffff);
    expect(read(1, 1, 0x20)).toBe(0xfffffff1);
    write(1, 1, 0x20, 0xc041);
    expect(read(1, 1, 0x20)).toBe(0xc041);
    // The other functions have none.
    write(1, 3, 0x20, 0xffffffff);
    expect(read(1, 3, 0x20)).toBe(0);
  });

  it("identification cannot be written; command, cache line and interrupt line can, as far as QEMU's", () => {
    const { read, write } = bus();
    for (const [register, before, ones] of [
      [0x00, 0x71138086, 0x71138086],
      [0x04, 0x02800103, 0x02800507],
      [0x08, 0x06800003, 0x06800003],
      [0x0c, 0x00000000, 0x000000ff],
      [0x2c, 0x11001af4, 0x11001af4],
      [0x3c, 0x00000109, 0x000001ff],
    ]) {
      expect([register, read(1, 3, register)]).toEqual([register, before]);
      write(1, 3, register, 0xffffffff);
      expect([register, read(1, 3, register)]).toEqual([register, ones]);
    }
    write(0, 0, 0x59, 0x30, 1);
    expect(read(0, 0, 0x58)).toBe(0x11113000);
  });

  it("a byte at CF9H is the reset control register, whatever the address", () => {
    const { io, resets } = bus();
    io.out(ADDRESS, 4, 0x80000600);
    expect(resets).toEqual([]);
    io.out(0xcf9, 1, 0x02);
    io.out(0xcf9, 1, 0x06);
    expect([resets.length, io.in(0xcf9, 1), io.in(ADDRESS, 4)]).toEqual([1, 6, 0x80000600]);
  });
});
