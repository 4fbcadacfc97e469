import { describe, expect, test } from "vitest";
import { type Boot, type BootOptions, bootImage } from "../../src/boot/boot";
import { ImageError, UsageError } from "../../src/boot/errors";
import { parseCpu } from "../../src/machine/cpu/model";
import { Machine } from "../../src/machine/machine";
import { pvhNote, writeElf } from "../support/elfWriter";
import { runToEnd } from "../support/longMode";
import { type AddressFields, multibootElf, multibootFlat, multibootHeader } from "../support/multiboot";
import { GIB, HALT, kernel, MIB, memoryOf, placed, textAt } from "./images";

/** The fields of the information structure that a kernel is handed, by the offsets of section 3.3. */
function information(boot: Boot) {
  const memory = memoryOf(boot);
  const at = Number(boot.start.registers!.rbx);
  const field = (offset: number) => memory.read32(at + offset) >>> 0;
  return { memory, field, flags: field(0) };
}

/** mov al, STATUS; out 0xf4, al: ends with a status, 32-bit code. */
const exitWith = (status: number) => Uint8Array.of(0xb0, status, 0xe6, 0xf4);

describe("The state that Multiboot enters with (specification 0.6.96, 3.2)", () => {
  const { start, entry } = bootImage(multibootElf(HALT));

  test("is chosen for an image with a header and without a PVH note", () => {
    expect(entry).toBe("multiboot");
    const header = multibootHeader(0);
    const both = writeElf({
      class: 32,
      segments: [
        { virtualAddress: 0x100000n, bytes: Uint8Array.of(...header, ...HALT) },
        pvhNote(0x100000 + header.length),
      ],
    });
    expect(bootImage(both).entry).toBe("pvh");
    expect(bootImage(both, { entry: "multiboot" }).entry).toBe("multiboot");
    expect(bootImage(multibootElf(HALT), { entry: "elf" }).entry).toBe("elf");
  });

  test("is protected mode without paging, flat segments, interrupts off, the magic in EAX", () => {
    expect(start).toMatchObject({ rip: 0x10000cn, cr0: 0x11, cr3: 0n, cr4: 0, efer: 0 });
    expect(start.registers!.rax).toBe(0x2badb002n);
    expect(start.rflags ?? 2).toBe(2);
    for (const name of ["ds", "es", "fs", "gs", "ss"] as const) {
      expect(start.segments[name]).toMatchObject({ base: 0n, limit: 0xffffffff, attributes: 0xc093 });
    }
    expect(start.segments.cs).toMatchObject({ base: 0n, limit: 0xffffffff, attributes: 0xc09b });
  });

  test("is the same for a 64-bit ELF file", () => {
    const wide = bootImage(multibootElf(HALT, 0, 64));
    expect(wide.start).toMatchObject({ rip: 0x10000cn, cr0: 0x11, efer: 0 });
    expect(wide.start.segments.cs.attributes).toBe(0xc09b);
  });

  test("lets code run that finds its information through EBX", () => {
    // mov esi, [ebx+16]; mov al, [esi]; out 0xf4, al: exits with the command line's first character.
    const code = Uint8Array.of(0x8b, 0x73, 0x10, 0x8a, 0x06, 0xe6, 0xf4);
    const boot = bootImage(multibootElf(code), { cmdline: "A" });
    const machine = new Machine({ ram: boot.ram, cpu: parseCpu("max") });
    boot.apply(machine.memory);
    machine.start(boot.start);
    expect(runToEnd(machine).at(-1)).toMatchObject({ event: "exit", status: 65 });
  });
});

describe("The Multiboot information (3.3)", () => {
  test("tells memory sizes in KiB, up to the first hole above 1 MiB", () => {
    const { field, flags } = information(bootImage(multibootElf(HALT), { memory: 8 * GIB }));
    expect(flags & 1).toBe(1);
    expect(field(4)).toBe(639);
    expect(field(8)).toBe((3 * GIB - 128 * 1024 - MIB) / 1024);
  });

  test("tells the memory map, whose sizes do not count themselves", () => {
    const boot = bootImage(multibootElf(HALT), { memory: 8 * GIB });
    const { memory, field, flags } = information(boot);
    expect(flags & 0x40).toBe(0x40);
    const entries: unknown[] = [];
    for (let at = field(48); at < field(48) + field(44); at += memory.read32(at) + 4) {
      const start = Number(memory.read64(at + 4));
      entries.push({ start, end: start + Number(memory.read64(at + 12)), type: memory.read32(at + 20) });
    }
    expect(entries).toEqual(boot.e820);
  });

  test("hands over the command line as it was given, and the loader's name", () => {
    const { memory, field, flags } = information(bootImage(multibootElf(HALT), { cmdline: "a b=c" }));
    expect(flags & 0x204).toBe(0x204);
    expect(textAt(memory, field(16))).toBe("a b=c");
    expect(textAt(memory, field(64))).toBe("Pagewalk");
    const without = information(bootImage(multibootElf(HALT)));
    expect(textAt(without.memory, without.field(16))).toBe("");
  });

  test("names an initial RAM disk as a module at a page, and no module without one", () => {
    expect(information(bootImage(multibootElf(HALT))).flags & 8).toBe(0);
    const boot = bootImage(multibootElf(HALT, 1), { memory: 8 * GIB, initrd: Uint8Array.of(1, 2, 3) });
    const { memory, field, flags } = information(boot);
    expect(flags & 8).toBe(8);
    expect(field(20)).toBe(1);
    const [start, end] = [memory.read32(field(24)) >>> 0, memory.read32(field(24) + 4) >>> 0];
    expect([start % 4096, end - start]).toEqual([0, 3]);
    expect(memory.readBytes(start, 3)).toEqual(Uint8Array.of(1, 2, 3));
    expect([memory.read32(field(24) + 8), memory.read32(field(24) + 12)]).toEqual([0, 0]);
    expect(placed(boot, "ramdisk")).toEqual({ start, end });
  });

  test("claims nothing that is not there: boot device, symbols, drives, APM, VBE, frame buffer", () => {
    expect(information(bootImage(multibootElf(HALT), { initrd: HALT })).flags).toBe(0x24d);
  });
});

describe("The address fields of the header (3.1.3)", () => {
  const LOAD = 0x200000;
  const code = exitWith(7);
  const flat = (changes?: Partial<AddressFields>) => multibootFlat(code, { load: LOAD, ...changes });
  const run = (boot: Boot) => {
    const machine = new Machine({ ram: boot.ram, cpu: parseCpu("max") });
    boot.apply(machine.memory);
    machine.start(boot.start);
    return runToEnd(machine).at(-1);
  };

  test("boot a file that is no ELF file", () => {
    const boot = bootImage(flat());
    expect(boot.entry).toBe("multiboot");
    expect(placed(boot, "kernel segment 0")).toEqual({ start: LOAD, end: LOAD + 36 });
    expect(run(boot)).toMatchObject({ event: "exit", status: 7 });
  });

  test("say where data end and how much of zeros follows", () => {
    const boot = bootImage(flat({ loadEnd: LOAD + 36, bssEnd: LOAD + 0x5000 }));
    expect(placed(boot, "kernel segment 0").end).toBe(LOAD + 0x5000);
    expect(memoryOf(boot).read32(LOAD + 36)).toBe(0);
  });

  test("go before the program headers of an ELF file", () => {
    const bytes = Uint8Array.of(...multibootHeader(0x10000, [LOAD, LOAD, 0, 0, LOAD + 32]), ...exitWith(9));
    const image = writeElf({ class: 32, segments: [{ virtualAddress: 0x100000n, bytes }] });
    const boot = bootImage(image);
    expect(boot.start.rip).toBe(BigInt(LOAD + 32));
    expect(run(boot)).toMatchObject({ event: "exit", status: 9 });
  });

  test("that contradict each other are refused in a sentence", () => {
    const refused = (changes: Partial<AddressFields>, why: RegExp) => {
      expect(() => bootImage(flat(changes))).toThrow(ImageError);
      expect(() => bootImage(flat(changes))).toThrow(why);
    };
    refused({ header: LOAD - 4 }, /which does not fit its header_addr/);
    refused({ header: LOAD + 0x1000 }, /lies at 0x10 of the file, which does not fit/);
    refused({ loadEnd: LOAD - 1 }, /do not ascend/);
    refused({ loadEnd: LOAD + 36, bssEnd: LOAD + 35 }, /do not ascend/);
    refused({ loadEnd: LOAD + 0x1000 }, /truncated or corrupt/);
    refused({ entry: 0x5 }, /entry point .* 0x5 lies in no loadable segment/);
  });
});

describe("What a loader must refuse (3.1.2)", () => {
  const boot =
    (image: Uint8Array, options: BootOptions = {}) =>
    () =>
      bootImage(image, options);

  test("a video mode, and feature bits that it does not know", () => {
    expect(boot(multibootElf(HALT, 4))).toThrow(ImageError);
    expect(boot(multibootElf(HALT, 4))).toThrow(/demands a video mode \(flag bit 2\)/);
    expect(boot(multibootElf(HALT, 0x100))).toThrow(/knows: flag bit 8$/);
  });

  test("but not the optional ones, nor alignment and memory information", () => {
    expect(bootImage(multibootElf(HALT, 0xfffe0003)).entry).toBe("multiboot");
  });

  test("an image without a header, or with a wrong checksum or too far into the file", () => {
    expect(boot(kernel(), { entry: "multiboot" })).toThrow(UsageError);
    expect(boot(kernel(), { entry: "multiboot" })).toThrow(/^the image has no Multiboot header/);
    const wrong = multibootElf(HALT);
    const magic = wrong.findIndex((_, at) =>
      [0x02, 0xb0, 0xad, 0x1b].every((byte, k) => wrong[at + k] === byte),
    );
    wrong[magic + 8] ^= 1;
    const far = writeElf({
      class: 32,
      segments: [
        { virtualAddress: 0x100000n, bytes: Uint8Array.of(...new Uint8Array(8192), ...multibootHeader(0)) },
      ],
    });
    for (const image of [wrong, far]) expect(bootImage(image).entry).toBe("elf");
  });

  test("an image that 32-bit code does not reach", () => {
    expect(boot(multibootElf(HALT), { memory: 8 * GIB, load: 5 * GIB })).toThrow(/reaches only 4 GiB/);
  });
});
