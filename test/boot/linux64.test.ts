import { describe, expect, test } from "vitest";
import { type Boot, bootImage } from "../../src/boot/boot";
import { GIB, HALT, KERNEL_MAP, kernel, largePages, MIB, memoryOf, placed, textAt } from "./images";

const LARGE = 2 * MIB;

function pagesOf(boot: Boot): number[] {
  const pages = largePages(memoryOf(boot), Number(boot.start.cr3));
  for (const [linear, physical, flags] of pages) expect([linear, flags]).toEqual([physical, 0xe3]);
  return pages.map(([linear]) => linear);
}

describe("the 64-bit entry of Linux", () => {
  test("is chosen for an image that is linked like Linux", () => {
    const boot = bootImage(kernel());
    expect(boot.entry).toBe("linux64");
    expect(boot.loadDelta).toBe(0);
  });

  test("begins in long mode at the entry with RSI = boot_params, interrupts off and no stack", () => {
    const boot = bootImage(kernel());
    expect(boot.start).toMatchObject({ rip: 0x1000000n, cr0: 0x80000031, cr4: 0x20, efer: 0x500 });
    expect(boot.start.registers).toEqual({ rsi: 0x10000n });
    expect((boot.start.rflags ?? 2) & 0x200).toBe(0);
    const { cs, ds, es, ss } = boot.start.segments;
    expect(cs).toEqual({ selector: 0x10, base: 0n, limit: 0xffffffff, attributes: 0xa09b });
    for (const segment of [ds, es, ss]) {
      expect(segment).toEqual({ selector: 0x18, base: 0n, limit: 0xffffffff, attributes: 0xc093 });
    }
  });

  test("has the segments it starts with in its GDT", () => {
    const boot = bootImage(kernel());
    const base = Number(boot.start.gdtr!.base);
    const memory = memoryOf(boot);
    expect(boot.start.gdtr!.limit).toBe(31);
    expect(memory.read64(base + 0x10)).toBe(0x00af9b000000ffffn);
    expect(memory.read64(base + 0x18)).toBe(0x00cf93000000ffffn);
  });

  test("maps the kernel, boot_params, the command line and the GDT to themselves, and nothing else", () => {
    expect(pagesOf(bootImage(kernel()))).toEqual([0, 0x1000000, 0x1200000]);
  });

  test("maps a kernel across a 512 GiB boundary", () => {
    const load = 512 * GIB - LARGE;
    const boot = bootImage(kernel(), { memory: 1024 * GIB, load });
    expect(boot.start.rip).toBe(BigInt(load));
    expect(boot.loadDelta).toBe(load - 0x1000000);
    expect(pagesOf(boot)).toEqual([0, load, load + LARGE]);
  });

  test("maps a kernel that is not 2 MiB aligned from the page it begins in", () => {
    expect(pagesOf(bootImage(kernel(), { load: 0x1100000 }))).toEqual([0, 0x1000000, 0x1200000]);
    expect(pagesOf(bootImage(kernel(), { load: 0x1101000 }))).toEqual([0, 0x1000000, 0x1200000, 0x1400000]);
  });

  test("keeps everything above 4 GiB where there is nothing below", () => {
    const boot = bootImage(kernel(), { e820: "4G-8G:usable", load: 5 * GIB, cmdline: "quiet" });
    expect(boot.placements.every(({ start }) => start >= 4 * GIB)).toBe(true);
    const memory = memoryOf(boot);
    const bootParams = Number(boot.start.registers!.rsi);
    const cmdline = placed(boot, "command line").start;
    expect(memory.read32(bootParams + 0x228) >>> 0).toBe(cmdline % 2 ** 32);
    expect(memory.read32(bootParams + 0x0c8)).toBe(Math.floor(cmdline / 2 ** 32));
    expect(textAt(memory, cmdline)).toBe("quiet");
  });

  test("tells boot_params what there is", () => {
    const initrd = new Uint8Array(5000).fill(7);
    const boot = bootImage(kernel(), { memory: 4 * GIB, cmdline: "nokaslr é", initrd });
    const memory = memoryOf(boot);
    const at = 0x10000;
    expect(memory.read16(at + 0x1fe)).toBe(0xaa55);
    expect(textAt(memory, at + 0x202).slice(0, 4)).toBe("HdrS");
    expect(memory.read16(at + 0x206)).toBe(0x020f);
    expect(memory.read8(at + 0x210)).toBe(0xff);
    expect(memory.read8(at + 0x211) & 1).toBe(1);
    expect(memory.read32(at + 0x228)).toBe(0x20000);
    expect(textAt(memory, 0x20000)).toBe("nokaslr \u00c3\u00a9");
    const ramdisk = memory.read32(at + 0x218) >>> 0;
    expect(ramdisk).toBe(0xbffde000);
    expect(memory.read32(at + 0x21c)).toBe(5000);
    expect(memory.readBytes(ramdisk, 5001)).toEqual(Uint8Array.of(...initrd, 0));
    expect(memory.read8(at + 0x1e8)).toBe(8);
    expect(memory.read64(at + 0x2d0 + 20)).toBe(0x9fc00n);
    expect(memory.read64(at + 0x2d0 + 28)).toBe(0x400n);
    expect(memory.read32(at + 0x2d0 + 36)).toBe(2);
    expect(memory.read32(at + 0x1e0)).toBe((0xbffe0000 - 0x100000) / 1024);
    expect(memory.read32(at + 0x230)).toBe(0x200000);
    expect(memory.read32(at + 0x260)).toBe(3 * MIB);
  });

  test("puts the loader's things elsewhere where the kernel takes their place", () => {
    const boot = bootImage(kernel(), { e820: "0-1G:usable", load: 0x1000, cmdline: "x" });
    expect(placed(boot, "kernel segment 0").start).toBe(0x1000);
    for (const name of ["boot_params", "command line", "GDT", "loader page tables"]) {
      expect(placed(boot, name).start).toBeGreaterThanOrEqual(0x1000 + 3 * MIB);
    }
  });

  test("puts nothing between the segments of the kernel", () => {
    const segments = [0n, 0x800000n].map((offset) => ({
      virtualAddress: KERNEL_MAP + 0x1000000n + offset,
      physicalAddress: 0x1000000n + offset,
      bytes: HALT,
    }));
    const boot = bootImage(kernel({ segments }), {
      e820: "16M-64M:usable",
      initrd: new Uint8Array(39 * MIB),
    });
    expect(boot.placements.filter(({ start }) => start > 0x1000000 && start < 0x1800000)).toEqual([]);
    expect(placed(boot, "ramdisk").start).toBeGreaterThan(0x1800000);
  });

  test("refuses a 32-bit image, a command line that is too long and a map that is too long", () => {
    const image32 = kernel({
      class: 32,
      entry: 0x100000n,
      segments: [{ virtualAddress: 0x100000n, bytes: HALT }],
    });
    expect(() => bootImage(image32, { entry: "linux64" })).toThrow(/32-bit, so it has no 64-bit Linux entry/);
    expect(() => bootImage(kernel(), { cmdline: "x".repeat(2048) })).toThrow(
      /is 2048 bytes long, but at most 2047/,
    );
    expect(bootImage(kernel(), { cmdline: "x".repeat(2047) }).entry).toBe("linux64");
    expect(() => bootImage(kernel(), { cmdline: "a\0b" })).toThrow(/holds a NUL/);
    const many = Array.from({ length: 129 }, (_, i) => `${i}G-${i}.5G:usable`).join();
    expect(() => bootImage(kernel(), { e820: many })).toThrow(
      /129 ranges, but boot_params holds at most 128/,
    );
  });

  test("ends at 128 TiB", () => {
    const e820 = "0-4G:usable,127T-129T:usable";
    expect(bootImage(kernel(), { e820, load: 127 * 2 ** 40 }).start.rip).toBe(127n << 40n);
    expect(() => bootImage(kernel(), { e820, load: 128 * 2 ** 40 })).toThrow(
      /identity map .* ends at 128 TiB/,
    );
  });
});

test("memory that was written before is zeroed where the image says so", () => {
  const boot = bootImage(kernel());
  const memory = memoryOf(boot);
  memory.fill(0x1000000, 3 * MIB + 4096, 0xcc);
  boot.apply(memory);
  expect(memory.readBytes(0x1000000, 4)).toEqual(Uint8Array.of(...HALT, 0));
  expect(memory.read8(0x1000000 + 3 * MIB - 1)).toBe(0);
  expect(memory.read8(0x1000000 + 3 * MIB)).toBe(0xcc);
});

test("the entry may be a virtual address of the image", () => {
  const boot = bootImage(kernel({ entry: KERNEL_MAP + 0x1000001n }), { load: 0x2000000 });
  expect(boot.start.rip).toBe(0x2000001n);
});
