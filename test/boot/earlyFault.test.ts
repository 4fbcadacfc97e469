import { describe, expect, test } from "vitest";
import {
  BOOT_PROGRAMS,
  type BootOptions,
  bootProgram,
  programImage,
  requireProgram,
} from "../../src/boot/boot";
import { UsageError } from "../../src/boot/errors";
import { GIB, KERNEL_MAP, kernel, MIB, memoryOf, placed, textAt } from "./images";

const program = requireProgram("early-fault");
/** The settings structure lies in what the file holds of the segment. */
const IMAGE = kernel(
  { symbols: [{ name: "boot_settings", value: KERNEL_MAP + 0x1000040n }] },
  new Uint8Array(0x100).fill(0xee),
);
const boot = (settings: Record<string, string> = {}, options: BootOptions = {}) =>
  bootProgram(program, new Map(Object.entries(settings)), IMAGE, options);

describe("early-fault", () => {
  test("has an image for each revision", () => {
    expect(programImage(program, new Map())).toBe("early-fault/early-fault-merged.elf");
    expect(programImage(program, new Map([["revision", "prototype"]]))).toBe(
      "early-fault/early-fault-prototype.elf",
    );
  });

  test("boots with a command line and a ramdisk of its own", () => {
    const started = boot();
    const memory = memoryOf(started);
    expect(textAt(memory, placed(started, "command line").start)).toBe("early-fault");
    expect(textAt(memory, placed(started, "ramdisk").start).slice(0, 6)).toBe("070701");
  });

  test("hands its settings over at the symbol boot_settings, wherever the kernel is loaded", () => {
    for (const load of [16 * MIB, 5 * GIB, 5 * GIB + 0x1000]) {
      const memory = memoryOf(boot({ pool: "8", gbpages: "off", load: `0x${load.toString(16)}` }));
      expect(memory.read32(load + 0x40)).toBe(8);
      expect(memory.read32(load + 0x44)).toBe(0);
    }
    const memory = memoryOf(boot());
    expect(memory.read32(16 * MIB + 0x40)).toBe(64);
    expect(memory.read32(16 * MIB + 0x44)).toBe(1);
    expect(memory.read32(16 * MIB + 0x3c) >>> 0).toBe(0xeeeeeeee);
  });

  test("puts boot data where the settings say, above 4 GiB too", () => {
    const started = boot({ boot_params: "5G", cmdline_at: "6G", ramdisk_at: "7G" }, { memory: 8 * GIB });
    expect(started.start.registers!.rsi).toBe(5n << 30n);
    expect(placed(started, "command line").start).toBe(6 * GIB);
    expect(placed(started, "ramdisk").start).toBe(7 * GIB);
    const memory = memoryOf(started);
    expect(memory.read32(5 * GIB + 0x0c0)).toBe(1);
    expect(memory.read32(5 * GIB + 0x218) >>> 0).toBe(0xc0000000);
  });

  test("makes way with what the loader chooses for what the settings place", () => {
    const started = boot({ cmdline_at: "0x10000", ramdisk_at: "0x20000" });
    expect(placed(started, "command line").start).toBe(0x10000);
    expect(placed(started, "ramdisk").start).toBe(0x20000);
    const memory = memoryOf(started);
    expect(memory.read32(Number(started.start.registers!.rsi) + 0x228)).toBe(0x10000);
    expect(memory.read32(Number(started.start.registers!.rsi) + 0x218)).toBe(0x20000);
  });

  test("takes a ramdisk of many GiB without touching the memory that it spans", () => {
    const started = boot({ ramdisk: "96G" }, { memory: 128 * GIB });
    const memory = memoryOf(started);
    const { start, end } = placed(started, "ramdisk");
    expect(end - start).toBe(96 * GIB);
    expect(memory.residentBytes).toBeLessThan(4 * MIB);
    const bootParams = Number(started.start.registers!.rsi);
    expect(memory.read32(bootParams + 0x21c)).toBe(0);
    expect(memory.read32(bootParams + 0x0c4)).toBe(24);
  });

  test("takes a ramdisk of the user's instead", () => {
    const started = boot({}, { initrd: Uint8Array.of(1, 2, 3) });
    const { start, end } = placed(started, "ramdisk");
    expect(memoryOf(started).readBytes(start, end - start)).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("takes a memory map of the user's", () => {
    expect(boot({ e820: "0-1G:usable,64G-65G:usable" }).ram).toEqual([
      { start: 0, end: GIB },
      { start: 64 * GIB, end: 65 * GIB },
    ]);
  });

  const refused: [string, Record<string, string>, BootOptions, RegExp][] = [
    [
      "a setting it does not have",
      { pol: "8" },
      {},
      /early-fault has no setting "pol"; it has revision, load/,
    ],
    ["another revision", { revision: "final" }, {}, /revision takes merged or prototype, not "final"/],
    ["a pool that is too small", { pool: "3" }, {}, /pool takes 4 to 64, not 3/],
    ["a pool that is too large", { pool: "65" }, {}, /pool takes 4 to 64, not 65/],
    ["a pool that is no number", { pool: "-8" }, {}, /pool wants a number, not "-8"/],
    ["a switch that is neither on nor off", { gbpages: "yes" }, {}, /gbpages takes on or off, not "yes"/],
    ["a load address that is none", { load: "16Q" }, {}, /load wants a physical address .*, not "16Q"/],
    ["a kernel outside of memory", { load: "512G" }, {}, /kernel segment 0 .* lies outside .* \(8 GiB\)/],
    [
      "boot_params inside of the kernel",
      { boot_params: "0x1001000" },
      {},
      /boot_params \(0x1001000-0x1002000\) overlaps kernel segment 0 \(0x1000000-0x1300000\)/,
    ],
    ["a command line outside of memory", { cmdline_at: "9T" }, {}, /command line .* lies outside/],
    [
      "a ramdisk over boot_params",
      { boot_params: "0x10000", ramdisk_at: "0xf000" },
      {},
      /ramdisk .* overlaps boot_params/,
    ],
    ["a ramdisk that is larger than memory", { ramdisk: "64G" }, {}, /no free memory for ramdisk \(64 GiB\)/],
    ["a ramdisk of odd size", { ramdisk: "5001" }, {}, /size 0x1389 is not a multiple of 4/],
    [
      "a ramdisk twice",
      { ramdisk: "1M" },
      { initrd: Uint8Array.of(1) },
      /either that setting or a ramdisk file/,
    ],
    ["memory twice", { e820: "0-1G:usable" }, { memory: GIB }, /give either the map or a memory size/],
    ["a load address twice", { load: "32M" }, { load: 64 * MIB }, /load is given twice/],
    ["another entry", {}, { entry: "pvh" }, /early-fault is entered by linux64, not by pvh/],
  ];
  test.each(refused)("refuses %s", (_name, settings, options, message) => {
    expect(() => boot(settings, options)).toThrow(UsageError);
    expect(() => boot(settings, options)).toThrow(message);
  });

  test("refuses an image that has no place for the settings", () => {
    expect(() => bootProgram(program, new Map(), kernel())).toThrow(
      /the image has no data at the symbol boot_settings/,
    );
  });
});

describe("the table of boot programs", () => {
  test("says what there is where a name is unknown", () => {
    expect(() => requireProgram("late-fault")).toThrow(
      /no bundled program "late-fault"; there are early-fault/,
    );
  });

  test("has a description for every program and setting, and defaults that can be read", () => {
    for (const { description, settings, image } of BOOT_PROGRAMS) {
      expect(description.length).toBeGreaterThan(10);
      expect(settings.every((setting) => setting.description.length > 10)).toBe(true);
      expect(image).toBeTypeOf("function");
    }
    for (const known of BOOT_PROGRAMS) expect(programImage(known, new Map())).toMatch(/\.elf$/);
  });
});
