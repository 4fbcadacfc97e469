import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BootOptions, bootImage } from "../../src/boot/boot";
import { SETUP_HEADER } from "../../src/boot/bzImage";
import { ImageError, UsageError } from "../../src/boot/errors";
import { type BzImageToWrite, HEADER_END, withSize, writeBzImage } from "../support/bzImageWriter";
import { COMPRESSORS, compress, missing } from "../support/compressors";
import { patched, pvhNote, writeElf } from "../support/elfWriter";
import { GIB, HALT, KERNEL_MAP, kernel, largePages, MIB, memoryOf, placed, textAt } from "./images";

const BOOT_PARAMS = 0x10000;

/** A kernel linked like Linux, with relocations behind its end as the kernel's build appends them. */
const VMLINUX = Uint8Array.from([...kernel(), ...new Uint8Array(64).fill(0x81)]);
const bzImage = (changes: Partial<BzImageToWrite> = {}): Uint8Array =>
  writeBzImage({ payload: gzipSync(VMLINUX), ...changes });
const compressed = (options: BootOptions = {}, changes: Partial<BzImageToWrite> = {}) =>
  bootImage(bzImage(changes), { entry: "linux64-compressed", ...options });

describe("a bzImage", () => {
  for (const compressor of COMPRESSORS) {
    const reason = missing(compressor);
    const title = `compressed with ${compressor.name} boots the kernel inside`;
    test.skipIf(reason !== undefined)(reason === undefined ? title : `${title} (${reason})`, () => {
      const boot = bootImage(bzImage({ payload: compress(compressor, VMLINUX) }));
      expect(boot).toMatchObject({ entry: "linux64", loadDelta: 0 });
      expect(boot.start.rip).toBe(0x1000000n);
      expect(memoryOf(boot).readBytes(0x1000000, 3)).toEqual(HALT);
    });
  }

  test("hands its own setup header to the kernel, with what a loader fills in", () => {
    const image = patched(bzImage(), 0x20c, 0xabcd, 2);
    const initrd = Uint8Array.of(1, 2, 3);
    for (const entry of ["linux64", "linux64-compressed"] as const) {
      const boot = bootImage(image, { entry, cmdline: "nokaslr", initrd });
      expect(boot.start.registers).toEqual({ rsi: BigInt(BOOT_PARAMS) });
      const given = memoryOf(boot).readBytes(BOOT_PARAMS, 4096);
      const wanted = image.slice(0x1f1, HEADER_END);
      const view = new DataView(wanted.buffer);
      wanted[SETUP_HEADER.type_of_loader - 0x1f1] = 0xff;
      view.setUint32(SETUP_HEADER.code32_start - 0x1f1, 0x1000000, true);
      view.setUint32(SETUP_HEADER.cmd_line_ptr - 0x1f1, 0x20000, true);
      view.setUint32(SETUP_HEADER.ramdisk_image - 0x1f1, placed(boot, "ramdisk").start, true);
      view.setUint32(SETUP_HEADER.ramdisk_size - 0x1f1, 3, true);
      expect(given.slice(0x1f1, HEADER_END)).toEqual(wanted);
      expect(given.slice(HEADER_END, 0x2d0).every((byte) => byte === 0)).toBe(true);
      expect(textAt(memoryOf(boot), 0x20000)).toBe("nokaslr");
    }
  });

  test("keeps its RAM disk below initrd_addr_max, and above only where it may lie anywhere", () => {
    const initrd = new Uint8Array(MIB);
    const end = (changes: Partial<BzImageToWrite>, memory = 4 * GIB) =>
      placed(bootImage(bzImage(changes), { memory, initrd }), "ramdisk").end;
    expect(end({})).toBe(0x80000000);
    expect(end({ initrdAddrMax: 0x3fffffff })).toBe(0x40000000);
    expect(end({ initrdAddrMax: 0xffffffff })).toBe(0xbffe0000);
    expect(end({ initrdAddrMax: 0x17ffff })).toBe(5 * GIB);
    expect(() => end({ initrdAddrMax: 0x17ffff, xloadflags: 1 })).toThrow(/no free memory .* for ramdisk/);
  });

  test("limits the command line to its cmdline_size", () => {
    const boot = (length: number) =>
      bootImage(bzImage({ cmdlineSize: 255 }), { cmdline: "x".repeat(length) });
    expect(boot(255).entry).toBe("linux64");
    expect(() => boot(256)).toThrow(/is 256 bytes long, but at most 255/);
  });

  test("is entered by PVH where the kernel inside has the note", () => {
    const inside = writeElf({
      entry: 0x1000000n,
      segments: [
        { virtualAddress: KERNEL_MAP + 0x1000000n, physicalAddress: 0x1000000n, bytes: HALT },
        pvhNote(0x1000001),
      ],
    });
    const image = bzImage({ payload: gzipSync(inside) });
    expect(bootImage(image).entry).toBe("linux64");
    const boot = bootImage(image, { entry: "pvh" });
    expect(boot).toMatchObject({ entry: "pvh" });
    expect(boot.start.rip).toBe(0x1000001n);
    expect(() => bootImage(image, { entry: "pvh", load: 0x2000000 })).toThrow(
      /runs where it was linked to only/,
    );
    expect(() => bootImage(bzImage(), { entry: "pvh" })).toThrow(/the image has no PVH entry/);
  });

  test("is loaded where it is asked to, by its kernel_alignment", () => {
    const boot = bootImage(bzImage(), { load: 0x2200000 });
    expect(boot.loadDelta).toBe(0x1200000);
    expect(boot.start.rip).toBe(0x2200000n);
    for (const entry of ["linux64", "linux64-compressed"] as const) {
      expect(() => bootImage(bzImage(), { entry, load: 0x2100000 })).toThrow(UsageError);
      expect(() => bootImage(bzImage(), { entry, load: 0x2100000 })).toThrow(/multiples of 2 MiB/);
    }
  });
});

describe("the 32-bit entry of a bzImage", () => {
  const entered = (options: BootOptions = {}, changes: Partial<BzImageToWrite> = {}) =>
    bootImage(bzImage(changes), { entry: "linux32-compressed", ...options });

  test("is the start of the protected-mode kernel at 1 MiB, with paging off and flat segments", () => {
    const boot = entered({ cmdline: "nokaslr" });
    expect(boot.entry).toBe("linux32-compressed");
    expect(boot.start).toMatchObject({ rip: 0x100000n, cr0: 0x11, cr3: 0n, cr4: 0, efer: 0 });
    expect(boot.start.registers).toEqual({ rsi: BigInt(BOOT_PARAMS) });
    expect(boot.start.segments).toMatchObject({
      cs: { selector: 0x10, base: 0n, limit: 0xffffffff },
      ss: { selector: 0x18, base: 0n, limit: 0xffffffff },
    });
    const memory = memoryOf(boot);
    expect(memory.read8(0x100200)).toBe(0xf4);
    expect(memory.read32(BOOT_PARAMS + SETUP_HEADER.code32_start)).toBe(0x100000);
    expect(textAt(memory, 0x20000)).toBe("nokaslr");
    expect(placed(boot, "protected-mode kernel").start).toBe(0x100000);
    expect(placed(boot, "kernel (init_size)")).toEqual({ start: 0x1000000, end: 0x1800000 });
  });

  test("of a kernel that prefers a lower address goes on at the next multiple of its alignment", () => {
    const boot = entered({}, { prefAddress: 0 });
    expect(placed(boot, "kernel (init_size)")).toEqual({ start: 0x200000, end: 0xa00000 });
  });

  test("is loaded elsewhere where it is asked to, below 4 GiB", () => {
    expect(entered({ load: 0x1000000 }).start.rip).toBe(0x1000000n);
    expect(() => entered({ load: 0x1100000 })).toThrow(/multiples of 2 MiB or 1 MiB$/);
    expect(entered({ load: MIB }).start.rip).toBe(0x100000n);
    expect(compressed({ load: MIB }).start.rip).toBe(0x100200n);
    expect(() => entered({ memory: 8 * GIB, load: 5 * GIB })).toThrow(/ends above what its loader reaches/);
    const fixed = entered({}, { relocatable: false, prefAddress: 0x2000000 });
    expect(fixed.start.rip).toBe(0x100000n);
    expect(placed(fixed, "kernel (init_size)").start).toBe(0x2000000);
    expect(() => entered({ load: 0x1000000 }, { relocatable: false })).toThrow(/loaded at 1 MiB only/);
  });

  test("needs memory for all of init_size", () => {
    expect(() => entered({ memory: 20 * MIB })).toThrow(/kernel \(init_size\) \(0x1000000-0x1800000\)/);
  });

  test("keeps what is behind the image free for its decompressor, until that has moved", () => {
    const initrd = new Uint8Array(2 * MIB);
    for (const boot of [entered, compressed]) {
      const low = boot({ memory: 32 * MIB, load: MIB, initrd });
      expect(placed(low, "ramdisk").start).toBeGreaterThanOrEqual(0x1800000);
      expect(() => boot({ memory: 25 * MIB, load: MIB, initrd })).toThrow(
        /no free memory for ramdisk \(2 MiB\)/,
      );
    }
  });

  test("of a kernel that chooses its place has no names, and says why", () => {
    expect(entered({ cmdline: "nokaslr" }).nameless).toBeUndefined();
    expect(entered().nameless).toMatch(/chooses its place unless its command line has "nokaslr"/);
    const unknown = entered({ cmdline: "nokaslr" }, { payload: new Uint8Array(64) });
    expect(unknown.nameless).toMatch(/cannot be decompressed before it runs/);
  });

  test("is no entry of an ELF file", () => {
    expect(() => bootImage(VMLINUX, { entry: "linux32-compressed" })).toThrow(/only a bzImage/);
  });
});

test("a vmlinux is moved by multiples of its segments' alignment only", () => {
  const segments = [
    { virtualAddress: KERNEL_MAP + 0x1000000n, physicalAddress: 0x1000000n, bytes: HALT, align: 0x200000 },
  ];
  expect(bootImage(kernel({ segments }), { load: 0x1400000 }).start.rip).toBe(0x1400000n);
  expect(() => bootImage(kernel({ segments }), { load: 0x1300000 })).toThrow(/multiples of 2 MiB only/);
});

describe("the decompressor of a bzImage", () => {
  test("begins 0x200 behind the start of the protected-mode kernel, in long mode with all of init_size mapped", () => {
    const boot = compressed();
    expect(boot.entry).toBe("linux64-compressed");
    expect(boot.start).toMatchObject({ rip: 0x1000200n, cr0: 0x80000031, cr4: 0x20, efer: 0x500 });
    const memory = memoryOf(boot);
    expect(memory.read8(0x1000200)).toBe(0xf4);
    expect(placed(boot, "kernel (init_size)")).toEqual({ start: 0x1000000, end: 0x1800000 });
    const mapped = largePages(memory, Number(boot.start.cr3)).map(([linear]) => linear);
    expect(mapped).toEqual([0, 0x1000000, 0x1200000, 0x1400000, 0x1600000]);
  });

  test("moves up where its place is not free", () => {
    const boot = compressed({ e820: "0-640K:usable,32M-64M:usable" });
    expect(boot.start.rip).toBe(0x2000200n);
  });

  test("needs memory for all of init_size", () => {
    expect(() => compressed({ memory: 20 * MIB })).toThrow(
      /no free memory for kernel \(init_size\) \(8 MiB\)/,
    );
    expect(() => compressed({ memory: 32 * MIB, load: 0x1a00000 })).toThrow(UsageError);
  });

  test("above 4 GiB needs a kernel that says it can", () => {
    const high = { memory: 8 * GIB, load: 5 * GIB };
    expect(compressed(high).start.rip).toBe(BigInt(5 * GIB + 0x200));
    expect(() => compressed(high, { xloadflags: 1 })).toThrow(/ends above what its loader reaches/);
  });

  test("below its preferred place has room there too", () => {
    const boot = compressed({ load: 0x400000 });
    expect(boot.start.rip).toBe(0x400200n);
    expect(placed(boot, "kernel (init_size)")).toEqual({ start: 0x1000000, end: 0x1800000 });
  });

  test("of a kernel that is not relocatable lies at 1 MiB", () => {
    const boot = compressed({}, { relocatable: false });
    expect(boot.start.rip).toBe(0x100200n);
    expect(placed(boot, "kernel (init_size)").start).toBe(0x1000000);
    expect(() => compressed({ load: 0x1000000 }, { relocatable: false })).toThrow(/loaded at 1 MiB only/);
  });

  test("makes a kernel whose place is known with nokaslr only", () => {
    expect(compressed().image.segments).toEqual([]);
    const boot = compressed({ cmdline: "quiet nokaslr", load: 0x2000000 });
    expect(boot.image.entry).toBe(0x1000000n);
    expect(boot.loadDelta).toBe(0x1000000);
  });

  test("runs whatever the compression is", () => {
    const lzo = withSize(Uint8Array.of(0x89, 0x4c, 0x5a, 0x4f, 0, 0, 0, 0), 100);
    expect(compressed({ cmdline: "nokaslr" }, { payload: lzo }).start.rip).toBe(0x1000200n);
    expect(() => bootImage(bzImage({ payload: lzo }))).toThrow(/compressed with LZO/);
  });

  test("is for bzImages only", () => {
    expect(() => bootImage(kernel(), { entry: "linux64-compressed" })).toThrow(
      /only a bzImage has a decompressor/,
    );
  });
});

describe("a bzImage is refused", () => {
  const at = SETUP_HEADER;
  const cases: [string, Uint8Array, RegExp][] = [
    ["with another boot flag", patched(bzImage(), at.boot_flag, 0, 2), /its boot_flag is 0x0, not 0xaa55/],
    ["of an old protocol", patched(bzImage(), at.version, 0x0209, 2), /boot protocol 2\.09/],
    ["that is a zImage", patched(bzImage(), at.loadflags, 0, 1), /is a zImage/],
    ["that is 32-bit", patched(bzImage(), at.xloadflags, 0, 2), /32-bit kernel/],
    ["with a header that is too short", patched(bzImage(), at.jump + 1, 0x10, 1), /header ends at 0x212/],
    ["with a header that is too long", patched(bzImage(), at.jump + 1, 0xff, 1), /header ends at 0x301/],
    [
      "with more sectors than there are",
      patched(bzImage(), at.setup_sects, 0xff, 1),
      /protected-mode kernel takes/,
    ],
    [
      "with a kernel beyond the file",
      patched(bzImage(), at.syssize, 0xffffffff, 4),
      /protected-mode kernel takes/,
    ],
    ["without a kernel", patched(bzImage(), at.syssize, 0, 4), /protected-mode kernel takes 0x0 bytes/],
    ["with a payload beyond it", patched(bzImage(), at.payload_offset, 0xfffffff0, 4), /payload takes/],
    ["without a payload", patched(bzImage(), at.payload_length, 0, 4), /payload takes 0x0 bytes/],
    [
      "with an odd alignment",
      patched(bzImage(), at.kernel_alignment, 0x3000, 4),
      /kernel_alignment is 0x3000/,
    ],
    ["without alignment", patched(bzImage(), at.kernel_alignment, 0, 4), /kernel_alignment is 0x0/],
    ["that needs too little memory", patched(bzImage(), at.init_size, 16, 4), /init_size is 0x10/],
    [
      "that needs too much memory",
      patched(bzImage(), at.init_size, 0xffffffff, 4),
      /init_size is 0xffffffff/,
    ],
    ["at no place", patched(bzImage(), at.pref_address, 0x1000001, 8), /pref_address 0x1000001/],
    ["that is cut off in its header", bzImage().subarray(0, 0x220), /its setup header is cut off/],
    ["that is cut off", bzImage().subarray(0, 0x500), /truncated or corrupt/],
    ["whose payload is no ELF file", bzImage({ payload: gzipSync(new Uint8Array(100)) }), /not an ELF image/],
  ];
  test.each(cases)("%s", (_, bytes, message) => {
    expect(() => bootImage(bytes)).toThrow(ImageError);
    expect(() => bootImage(bytes)).toThrow(message);
  });

  test("or booted, whatever bytes are in its header", () => {
    const image = bzImage();
    const changes = fc.array(fc.tuple(fc.integer({ min: 0x1f1, max: 0x270 }), fc.nat(255)), {
      minLength: 1,
      maxLength: 6,
    });
    const entries = fc.constantFrom("auto", "linux32-compressed", "linux64-compressed" as const);
    fc.assert(
      fc.property(changes, entries, fc.nat(image.length), (list, entry, length) => {
        const changed = image.slice(0, length % 3 === 0 ? length : image.length);
        for (const [offset, byte] of list) if (offset < changed.length) changed[offset] = byte;
        try {
          bootImage(changed, { entry: entry as "auto", cmdline: "nokaslr" });
        } catch (error) {
          expect(error instanceof ImageError || error instanceof UsageError).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});
