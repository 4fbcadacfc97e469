import { describe, expect, test } from "vitest";
import { bootImage } from "../../src/boot/boot";
import { ImageError } from "../../src/boot/errors";
import reference from "../reference/boot/pvh-entry-amd64-4G-qemu64.json";
import { pvhNote, writeElf, writeNote } from "../support/elfWriter";
import { GIB, HALT, kernel, largePages, MIB, memoryOf, placed, pvhKernel, textAt } from "./images";

describe("PVH", () => {
  const boot = bootImage(pvhKernel(), { memory: 4 * GIB, cmdline: "nokaslr" });
  const memory = memoryOf(boot);

  test("is chosen where the image has the note, and begins at the address in it", () => {
    expect(boot.entry).toBe("pvh");
    expect(boot.start.rip).toBe(0x100001n);
  });

  test("begins with the registers that QEMU's loader leaves", () => {
    const { regs } = reference;
    const registers = boot.start.registers as Record<string, bigint>;
    for (const name of ["rax", "rbx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r15"] as const) {
      expect([name, registers[name] ?? 0n]).toEqual([name, BigInt(regs[name])]);
    }
    expect(registers.rcx).toBe(boot.start.rip);
    expect(boot.start).toMatchObject({
      cr0: Number(regs.cr0),
      cr3: 0n,
      cr4: 0,
      efer: 0,
      rflags: Number(regs.eflags),
    });
    const { segments, gdtr } = boot.start;
    for (const name of ["cs", "ss", "ds", "es", "fs", "gs"] as const) {
      expect(segments[name]).toMatchObject({ selector: Number(regs[name]), base: 0n, limit: 0xffffffff });
    }
    expect(gdtr).toEqual({ base: BigInt(reference.gdtr.base), limit: Number(reference.gdtr.limit) });
  });

  test("hands over the hvm_start_info that QEMU makes, byte for byte and in the same place", () => {
    const { raw, paddr } = reference.start_info;
    const bytes = memory.readBytes(Number(paddr), raw.length / 2);
    expect([...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")).toBe(raw);
    expect(textAt(memory, Number(reference.start_info.cmdline_paddr))).toBe("nokaslr");
  });

  test("hands over the memory map", () => {
    const table = Number(reference.start_info.memmap_paddr);
    reference.start_info.memmap.forEach(([start, size, type], index) => {
      const at = table + index * 24;
      expect(memory.read64(at)).toBe(BigInt(start));
      expect(memory.read64(at + 8)).toBe(BigInt(size));
      expect(memory.read64(at + 16)).toBe(BigInt(type));
    });
  });

  test("leaves low memory empty otherwise", () => {
    const known = boot.placements.filter(({ start }) => start < 0xa0000);
    let at = 0;
    for (const { start, end } of [...known, { start: 0xa0000, end: 0xa0000 }]) {
      expect(memory.readBytes(at, start - at).every((byte) => byte === 0)).toBe(true);
      at = end;
    }
    expect(known.map(({ name }) => name)).toEqual(["PVH memory map", "command line", "hvm_start_info"]);
  });

  test("hands over an initial RAM disk as a module below 4 GiB", () => {
    const withModule = bootImage(pvhKernel(), { memory: 8 * GIB, initrd: Uint8Array.of(1, 2, 3) });
    const bytes = memoryOf(withModule);
    const info = Number(withModule.start.registers!.rbx);
    expect(bytes.read32(info + 12)).toBe(1);
    const module = Number(bytes.read64(info + 16));
    const ramdisk = Number(bytes.read64(module));
    expect(placed(withModule, "ramdisk")).toEqual({ start: ramdisk, end: ramdisk + 3 });
    expect(bytes.read64(module + 8)).toBe(3n);
    expect(ramdisk).toBeLessThan(3 * GIB);
    expect(bytes.readBytes(ramdisk, 3)).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("gives way to an image that lies where its structures usually do", () => {
    const image = writeElf({
      class: 32,
      segments: [{ virtualAddress: 0x1000n, bytes: HALT, memorySize: 0x4000 }, pvhNote(0x1000)],
    });
    const low = bootImage(image, { cmdline: "x" });
    expect(placed(low, "hvm_start_info").start).toBeGreaterThanOrEqual(0x5000);
    expect(low.start.registers!.rbx).toBe(BigInt(placed(low, "hvm_start_info").start));
  });

  test("moves its entry with the image", () => {
    expect(bootImage(pvhKernel(), { load: 0x300000 }).start.rip).toBe(0x300001n);
  });

  test("refuses an image above 4 GiB, an entry outside of the image, and a note of the wrong size", () => {
    expect(() => bootImage(pvhKernel(), { memory: 8 * GIB, load: 5 * GIB })).toThrow(
      /32-bit entry reaches only 4 GiB/,
    );
    expect(() => bootImage(pvhKernel(0x5))).toThrow(/the PVH entry 0x5 lies in no loadable segment/);
    const odd = { type: 4, virtualAddress: 0n, bytes: writeNote("Xen", 18, Uint8Array.of(1, 2)) };
    const image = writeElf({ segments: [{ virtualAddress: 0x100000n, bytes: HALT }, odd] });
    expect(() => bootImage(image)).toThrow(/the PVH note .* holds 2 bytes, not 4 or 8/);
  });

  test("is refused for an image without the note", () => {
    expect(() => bootImage(kernel(), { entry: "pvh" })).toThrow(/the image has no PVH entry/);
  });
});

describe("the plain ELF entry", () => {
  const plain = (elf = {}) =>
    writeElf({ segments: [{ virtualAddress: 0x400000n, bytes: HALT, memorySize: 0x1000 }], ...elf });

  test("of a 64-bit image is in long mode with the low 4 GiB mapped to themselves", () => {
    const boot = bootImage(plain());
    expect(boot.entry).toBe("elf");
    expect(boot.start).toMatchObject({ rip: 0x400000n, cr0: 0x80000031, efer: 0x500 });
    const pages = largePages(memoryOf(boot), Number(boot.start.cr3));
    expect(pages).toEqual(Array.from({ length: 2048 }, (_, i) => [i * 2 * MIB, i * 2 * MIB, 0xe3]));
  });

  test("also maps an image above 4 GiB", () => {
    const boot = bootImage(plain(), { memory: 16 * GIB, load: 9 * GIB });
    const pages = largePages(memoryOf(boot), Number(boot.start.cr3));
    expect(pages).toHaveLength(2049);
    expect(pages.at(-1)![0]).toBe(9 * GIB);
  });

  test("of a 32-bit image is in protected mode with paging off", () => {
    const boot = bootImage(plain({ class: 32 }));
    expect(boot.start).toMatchObject({ rip: 0x400000n, cr0: 0x11, cr3: 0n, cr4: 0, efer: 0 });
    expect(boot.start.segments.cs).toMatchObject({ selector: 0x10, attributes: 0xc09b });
    expect(memoryOf(boot).read64(Number(boot.start.gdtr!.base) + 0x10)).toBe(0x00cf9b000000ffffn);
    expect(() => bootImage(plain({ class: 32 }), { memory: 8 * GIB, load: 6 * GIB })).toThrow(
      /reaches only 4 GiB/,
    );
  });

  test("hands over neither a command line nor a ramdisk", () => {
    expect(() => bootImage(plain(), { cmdline: "x" })).toThrow(/no way to hand over a command line/);
    expect(() => bootImage(plain(), { initrd: HALT })).toThrow(/no way to hand over an initial RAM disk/);
  });
});

describe("a paravirtual domain", () => {
  const BASE = 0xffffffff80000000n;
  const number = (type: number, value: bigint) => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return { type: 4, virtualAddress: 0n, bytes: writeNote("Xen", type, bytes) };
  };
  const image = (...notes: ReturnType<typeof number>[]) =>
    writeElf({ segments: [{ virtualAddress: BASE, physicalAddress: 0n, bytes: HALT }, ...notes] });
  const whole = image(number(1, BASE), number(3, BASE));

  test("begins in ring 3 on its own tables", () => {
    const boot = bootImage(whole, { entry: "xen-pv", memory: 16 * MIB });
    expect(boot.entry).toBe("xen-pv");
    expect(boot.start).toMatchObject({ rip: BASE, segments: { cs: { selector: 0xe033 } } });
    expect(boot.e820).toEqual([{ start: 0, end: 16 * MIB, type: 1 }]);
    expect(boot.domain).toMatchObject({ ptwr: true });
  });

  test("without notes, or with others than it needs, is refused in a sentence", () => {
    const asked = { entry: "xen-pv", memory: 16 * MIB } as const;
    expect(() => bootImage(kernel(), asked)).toThrow(/^the image has no Xen note ENTRY/);
    expect(() => bootImage(image(number(1, BASE)), asked)).toThrow(/^the image has no Xen note VIRT_BASE/);
    expect(() => bootImage(kernel(), asked)).toThrow(ImageError);
    expect(() => bootImage(whole, { ...asked, memory: 2 * MIB })).toThrow(/the domain has 512 \(2 MiB\)/);
    expect(() => bootImage(whole, { ...asked, cmdline: "x".repeat(1024) })).toThrow(/command line/);
  });
});

test("a bzImage, which is not supported yet, is named", () => {
  const bzImage = new Uint8Array(1024);
  bzImage.set([0x48, 0x64, 0x72, 0x53], 0x202);
  expect(() => bootImage(bzImage)).toThrow(ImageError);
  expect(() => bootImage(bzImage)).toThrow(/a bzImage, which is not supported yet/);
});
