import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BootOptions, bootImage } from "../../src/boot/boot";
import { ImageError, UsageError } from "../../src/boot/errors";
import {
  E_ENTRY,
  E_TYPE,
  P_FILESZ,
  P_MEMSZ,
  P_OFFSET,
  P_PADDR,
  PROGRAM_HEADER_SIZE,
  PROGRAM_HEADERS,
  patched,
  writeElf,
} from "../support/elfWriter";
import { multibootElf, multibootFlat } from "../support/multiboot";
import { GIB, HALT, KERNEL_MAP, kernel, memoryOf, pvhKernel } from "./images";

const TWO = writeElf({
  segments: [
    { virtualAddress: KERNEL_MAP + 0x100000n, physicalAddress: 0x100000n, bytes: HALT, memorySize: 0x2000 },
    { virtualAddress: KERNEL_MAP + 0x200000n, physicalAddress: 0x200000n, bytes: HALT, memorySize: 0x1000 },
  ],
});
const second = PROGRAM_HEADERS + PROGRAM_HEADER_SIZE;

describe("an image is refused", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["that is relocatable", patched(TWO, E_TYPE, 1, 2), /is a relocatable object file/],
    [
      "that is a shared object",
      patched(TWO, E_TYPE, 3, 2),
      /is a shared object or position-independent executable/,
    ],
    ["that is a core dump", patched(TWO, E_TYPE, 4, 2), /is a core dump/],
    ["of a type nobody knows", patched(TWO, E_TYPE, 99, 2), /is of type 99 \(e_type\)/],
    ["without loadable segments", writeElf({ segments: [] }), /has no loadable segments/],
    [
      "whose segments overlap",
      patched(TWO, second + P_PADDR, 0x101fff, 8),
      /segment 0 \(0x100000-0x102000\) and segment 1 \(0x101fff-0x102fff\) overlap in physical memory/,
    ],
    [
      "whose entry lies outside",
      patched(TWO, E_ENTRY, 0x5000, 8),
      /e_entry\) 0x5000 lies in no loadable segment/,
    ],
    [
      "with more in the file than in memory",
      patched(TWO, second + P_MEMSZ, 2, 8),
      /segment 1 has more bytes .* \(p_memsz 0x2\)/,
    ],
    [
      "with a segment beyond the file",
      patched(TWO, second + P_OFFSET, 2n ** 40n, 8),
      /segment 1 lies at 0x10000000000/,
    ],
    [
      "with a segment longer than the file",
      patched(patched(TWO, second + P_FILESZ, 0x800, 8), second + P_MEMSZ, 0x1000, 8),
      /segment 1 lies at .* of the file, but the file has only/,
    ],
    [
      "with a segment that is too large",
      patched(TWO, second + P_MEMSZ, 2n ** 63n, 8),
      /segment 1 is too large/,
    ],
    [
      "that was linked without load addresses",
      patched(TWO, second + P_PADDR, KERNEL_MAP, 8),
      /segment 1 has the physical address \(p_paddr\) 0xffffffff80000000, which is beyond the 52 bits/,
    ],
  ];
  test.each(cases)("%s", (_name, bytes, message) => {
    expect(() => bootImage(bytes)).toThrow(ImageError);
    expect(() => bootImage(bytes)).toThrow(message);
  });
});

describe("a boot is refused", () => {
  const cases: [string, BootOptions, RegExp][] = [
    [
      "where the image lies behind the memory",
      { memory: 4 * GIB, load: 6 * GIB },
      /^kernel segment 0 \(0x180000000-0x180002000\) lies outside of the machine's memory \(4 GiB\)/,
    ],
    [
      "where the image reaches into a hole",
      { load: 0x9e000 },
      /^kernel segment 0 \(0x9e000-0xa0000\) reaches into 0x9f000-0x100000, which is not usable memory/,
    ],
    [
      "where the CPU's physical addresses end before the memory",
      { memory: 1024 * GIB, maxPhysicalBits: 40 },
      /reaches up to 0x10040000000, but the CPU has only 40 bits of physical address \(1 TiB\)/,
    ],
    [
      "where both a map and a size are given",
      { memory: GIB, e820: "0-1G:usable" },
      /give either the map or a memory size/,
    ],
    [
      "where there is no room for the loader's tables",
      { e820: "0x100000-0x102000:usable,0x200000-0x201000:usable", entry: "elf" },
      /there is no free memory for GDT/,
    ],
    [
      "where a ramdisk is larger than memory",
      { memory: 16 * 2 ** 20, initrd: new Uint8Array(20 * 2 ** 20) },
      /no free memory for ramdisk/,
    ],
  ];
  test.each(cases)("%s", (_name, options, message) => {
    expect(() => bootImage(TWO, options)).toThrow(UsageError);
    expect(() => bootImage(TWO, options)).toThrow(message);
  });
});

/** Boots, or refuses with one sentence. */
function bootsOrRefuses(bytes: Uint8Array, options: BootOptions): void {
  try {
    const boot = bootImage(bytes, options);
    if (boot.placements.every(({ start, end }) => end - start < 2 ** 24)) memoryOf(boot);
    for (let i = 1; i < boot.placements.length; i++) {
      expect(boot.placements[i].start).toBeGreaterThanOrEqual(boot.placements[i - 1].end);
    }
  } catch (error) {
    if (!(error instanceof ImageError || error instanceof UsageError)) throw error;
    expect(error.message).toMatch(/^[^\n]{10,400}$/);
    expect(error.message).not.toMatch(/undefined|NaN|\[object|[ (]-0x|0x-/);
  }
}

describe("whatever is done to an image, it boots or is refused in one sentence", () => {
  const images = [
    kernel({ symbols: [{ name: "boot_settings", value: 5n }] }),
    TWO,
    pvhKernel(),
    multibootElf(HALT, 3),
    multibootFlat(HALT, { load: 0x200000, bssEnd: 0x203000 }),
    kernel({ class: 32, entry: 0x1000000n, segments: [{ virtualAddress: 0x1000000n, bytes: HALT }] }),
  ];
  const image = fc.nat(images.length - 1).map((index) => images[index]);
  const options = fc.constantFrom<BootOptions>(
    {},
    { memory: 1024 * GIB, cmdline: "x" },
    { load: 0x2000000 },
    { entry: "elf" },
    { entry: "multiboot", initrd: HALT },
    { entry: "linux64", initrd: HALT },
  );
  const run = { seed: 20130124, numRuns: 1000 };

  test("bytes changed", () => {
    // Mostly in the headers, and mostly to values at which things turn.
    const byte = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255));
    const change = fc.tuple(fc.oneof(fc.nat(200), fc.nat(2000)), byte);
    fc.assert(
      fc.property(
        image,
        options,
        fc.array(change, { minLength: 1, maxLength: 6 }),
        (bytes, given, changes) => {
          const copy = bytes.slice();
          for (const [at, value] of changes) copy[at % copy.length] = value;
          bootsOrRefuses(copy, given);
        },
      ),
      run,
    );
  });

  test("cut off", () => {
    fc.assert(
      fc.property(image, options, fc.nat(1000), (bytes, given, length) => {
        bootsOrRefuses(bytes.subarray(0, length), given);
      }),
      { ...run, numRuns: 500 },
    );
  });

  test("parts of one put into another", () => {
    const part = fc.record({ from: fc.nat(800), to: fc.nat(800), length: fc.integer({ min: 1, max: 64 }) });
    fc.assert(
      fc.property(
        image,
        image,
        options,
        fc.array(part, { minLength: 1, maxLength: 4 }),
        (bytes, other, given, parts) => {
          const copy = bytes.slice();
          for (const { from, to, length } of parts) {
            const piece = other.subarray(from, from + length);
            if (to + piece.length <= copy.length) copy.set(piece, to);
          }
          bootsOrRefuses(copy, given);
        },
      ),
      run,
    );
  });

  test("options of all kinds", () => {
    const address = fc.oneof(
      fc.nat(2 ** 24),
      fc.constantFrom(0, 4 * GIB, 511 * GIB, 2 ** 46, 2 ** 47, 2 ** 52 - 1),
    );
    const given = fc.record(
      {
        memory: fc.oneof(fc.nat(2 ** 31), fc.constantFrom(2 ** 21, 4 * GIB, 2 ** 40, 2 ** 46, 2 ** 52)),
        load: address,
        cmdline: fc.string({ unit: "grapheme" }),
        e820: fc.constantFrom("0-4G:usable", "0-1M:usable,16M-20M:usable", "1M-2M:reserved", "x"),
        entry: fc.constantFrom("auto", "pvh", "linux64", "elf", "multiboot"),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(image, given, (bytes, options) => bootsOrRefuses(bytes, options as BootOptions)),
      run,
    );
  });
});
