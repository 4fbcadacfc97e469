import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/boot/errors";
import { parseE820, pcMemoryMap } from "../../src/boot/memoryMap";
import { parseAddress, parseSize, sizeInWords } from "../../src/boot/values";
import type { Vendor } from "../../src/machine/cpu/model";
import recorded from "../reference/boot/pc-memory-maps.json";

const GIB = 2 ** 30;
const lines = (map: ReturnType<typeof parseE820>) =>
  map.e820.map(({ start, end, type }) => [
    `0x${start.toString(16)}`,
    `0x${(end - start).toString(16)}`,
    type,
  ]);

describe("the memory of a PC", () => {
  test.each(recorded)("of $megabytes MiB with a CPU of $vendor is reported as QEMU reports it", (machine) => {
    const map = pcMemoryMap(machine.megabytes * 2 ** 20, machine.vendor as Vendor);
    expect(lines(map)).toEqual(machine.memmap);
  });

  test("of 4 GiB has RAM below 3 GiB and above 4 GiB", () => {
    expect(pcMemoryMap(4 * GIB).ram).toEqual([
      { start: 0, end: 0xa0000 },
      { start: 0xc0000, end: 3 * GIB },
      { start: 4 * GIB, end: 5 * GIB },
    ]);
  });

  test("is in one piece below 3.5 GiB", () => {
    expect(pcMemoryMap(3 * GIB + GIB / 4).ram.at(-1)).toEqual({ start: 0xc0000, end: 3 * GIB + GIB / 4 });
    expect(pcMemoryMap(3.5 * GIB).ram.at(-1)).toEqual({ start: 4 * GIB, end: 4.5 * GIB });
  });

  test("has no HyperTransport window with Intel's CPUs, nor where RAM reaches it", () => {
    const window = 0xfd00000000;
    const hasWindow = (map: ReturnType<typeof pcMemoryMap>) =>
      map.e820.some((entry) => entry.start === window);
    expect(hasWindow(pcMemoryMap(GIB, "GenuineIntel"))).toBe(false);
    expect(hasWindow(pcMemoryMap(window - GIB))).toBe(true);
    expect(hasWindow(pcMemoryMap(window))).toBe(false);
  });

  test.each([
    [4 * GIB + 1, /not a multiple of 4 KiB/],
    [2 ** 20, /1 MiB of memory are too few/],
    [0, /too few/],
    [2 ** 52, /too many/],
  ])("cannot be of %d bytes", (size, message) => {
    expect(() => pcMemoryMap(size)).toThrow(UsageError);
    expect(() => pcMemoryMap(size)).toThrow(message);
  });
});

describe("an e820 map of the user's", () => {
  test("is sorted, and its usable ranges become RAM, rounded inward", () => {
    const map = parseE820("0x100000-8G:usable, 0-0x9fc00:usable ,0xf0000-0x100000:reserved");
    expect(map.e820).toEqual([
      { start: 0, end: 0x9fc00, type: 1 },
      { start: 0xf0000, end: 0x100000, type: 2 },
      { start: 0x100000, end: 8 * GIB, type: 1 },
    ]);
    expect(map.ram).toEqual([
      { start: 0, end: 0x9f000 },
      { start: 0x100000, end: 8 * GIB },
    ]);
    expect(map.size).toBe(0x9f000 + 8 * GIB - 0x100000);
  });

  test("keeps a page that two usable ranges share", () => {
    expect(parseE820("0-0x1800:usable,0x1800-0x3000:usable").ram).toEqual([{ start: 0, end: 0x3000 }]);
  });

  test("may end with the physical address space", () => {
    expect(parseE820("4095T-4096T:usable").ram).toEqual([{ start: 4095 * 2 ** 40, end: 2 ** 52 }]);
  });

  test.each([
    ["", /leaves no whole page/],
    ["0x100-0x800:usable", /leaves no whole page/],
    ["0-1G:reserved", /leaves no whole page/],
    ["0-1G", /is written START-END:TYPE, such as .*, not "0-1G"/],
    ["0-1G:ram", /"ram" is no e820 type; there are usable, reserved/],
    ["1G-1G:usable", /ends before it begins/],
    ["2G-1G:usable", /0x80000000-0x40000000 ends before it begins/],
    ["x-1G:usable", /wants a physical address .*, not "x"/],
    ["0-5000T:usable", /wants a physical address .*, not "5000T"/],
    [
      "0-2G:usable,1G-3G:reserved",
      /0x0-0x80000000 \(usable\) and 0x40000000-0xc0000000 \(reserved\) overlap/,
    ],
  ])("is refused: %s", (text, message) => {
    expect(() => parseE820(text)).toThrow(UsageError);
    expect(() => parseE820(text)).toThrow(message);
  });
});

describe("sizes and addresses", () => {
  test.each([
    ["8G", 8 * GIB],
    ["512M", 2 ** 29],
    ["1T", 2 ** 40],
    ["64k", 65536],
    ["0.5T", 2 ** 39],
    ["512MiB", 2 ** 29],
    ["0x1000", 4096],
    ["0x10M", 2 ** 24],
    ["4096", 4096],
    ["1_048_576", 2 ** 20],
  ])("%s is read exactly", (text, value) => {
    expect(parseSize(text, "it")).toBe(value);
    expect(parseAddress(text, "it")).toBe(value);
  });

  test.each(["", "G", "8X", "-1", "1e9", "0x", "0xfffffffffffffffff", "0.3", "8 G", "9007199254740993"])(
    '"%s" is refused',
    (text) => {
      expect(() => parseSize(text, "memory")).toThrow(
        `memory wants a size such as 512M or 8G, not "${text}"`,
      );
      expect(() => parseAddress(text, "load")).toThrow(UsageError);
    },
  );

  test("an address may be 0 but not reach 2^52, a size must not be 0", () => {
    expect(parseAddress("0", "load")).toBe(0);
    expect(() => parseSize("0", "memory")).toThrow(UsageError);
    expect(() => parseAddress("4096T", "load")).toThrow(UsageError);
    expect(parseAddress("0xfffffffffffff", "load")).toBe(2 ** 52 - 1);
  });

  test("sizes are shown in the largest whole unit", () => {
    expect([0, 5, 1024, 639 * 1024, 8 * GIB].map(sizeInWords)).toEqual([
      "0 bytes",
      "5 bytes",
      "1 KiB",
      "639 KiB",
      "8 GiB",
    ]);
  });
});
