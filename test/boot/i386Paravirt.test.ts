import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type BootOptions, bootProgram, programImage, requireProgram } from "../../src/boot/boot";
import { UsageError } from "../../src/boot/errors";
import { Symbols } from "../../src/symbols/symbols";
import { MIB, memoryOf, placed, textAt } from "./images";

const program = requireProgram("i386-paravirt");
const boot = (settings: Record<string, string> = {}, options: BootOptions = {}) => {
  const given = new Map(Object.entries(settings));
  const image = readFileSync(new URL(`../../guests/${programImage(program, given)}`, import.meta.url));
  return bootProgram(program, given, image, options);
};

describe("i386-paravirt", () => {
  test("has an image for each variant", () => {
    const image = (variant: string) => programImage(program, new Map([["variant", variant]]));
    expect(image("native")).toBe("i386-paravirt/i386-paravirt-native.elf");
    expect(image("native-pae")).toBe("i386-paravirt/i386-paravirt-native-pae.elf");
    expect(image("xen-pae")).toBe("i386-paravirt/i386-paravirt-xen-pae.elf");
    expect(programImage(program, new Map())).toBe(image("native-pae"));
  });

  test("is entered through PVH: protected mode, paging off, EBX = hvm_start_info, the kernel at 1 MiB", () => {
    const started = boot();
    expect(started.entry).toBe("pvh");
    expect(started.start).toMatchObject({ rip: BigInt(MIB), cr0: 0x11, cr4: 0, efer: 0 });
    expect(started.start.registers!.rbx).toBe(BigInt(placed(started, "hvm_start_info").start));
    expect(textAt(memoryOf(started), placed(started, "command line").start)).toBe("i386-paravirt");
    expect(boot({}, { entry: "pvh" }).entry).toBe("pvh");
  });

  test("hands its settings over in the order of struct boot_settings", () => {
    const fields = (settings: Record<string, string>) => {
      const started = boot(settings);
      const symbols = Symbols.fromElf(started.image, { loadDelta: started.loadDelta });
      const physical = symbols.physicalOf(symbols.addressOf("boot_settings")!)!;
      const memory = memoryOf(started);
      return [0, 4, 8, 12, 16].map((offset) => memory.read32(physical + offset));
    };
    expect(fields({})).toEqual([1, 1, 1, 0, 0]);
    expect(fields({ pse: "off", low_end: "61M", defect: "fixmap-end" })).toEqual([0, 1, 1, 61 * MIB, 3]);
    expect(fields({ pge: "off", nx: "off", defect: "no-low-alias" })).toEqual([1, 0, 0, 0, 4]);
  });

  test("xen-pae is a domain, with the same settings in its image", () => {
    const started = boot({ variant: "xen-pae", ptwr: "off", frames: "offset", defect: "direct-write" });
    expect(started.entry).toBe("xen-pv");
    const { domain, ptwr } = started.domain!;
    expect([domain.abi.bits, ptwr]).toEqual([32, false]);
    expect(domain.frames.mfnOf(7) - domain.frames.mfnOf(6)).toBe(1);
    const symbols = Symbols.fromElf(started.image, { loadDelta: 0 });
    const physical = Number(symbols.addressOf("boot_settings")!) - 0xc0000000;
    const at = domain.frames.mfnOf(Math.floor(physical / 4096)) * 4096 + (physical % 4096);
    const memory = memoryOf(started);
    expect([0, 4, 8, 12, 16].map((offset) => memory.read32(at + offset))).toEqual([1, 1, 1, 0, 7]);
  });

  const REFUSED: [string, Record<string, string>, BootOptions, RegExp][] = [
    ["another entry", {}, { entry: "linux64" }, /i386-paravirt is entered by pvh, not by linux64/],
    ["a ramdisk", {}, { initrd: Uint8Array.of(1) }, /no use for an initial RAM disk/],
    [
      "a variant that is none",
      { variant: "xen" },
      {},
      /variant takes native or native-pae or xen-pae, not "xen"/,
    ],
    [
      "an order of machine frames without a hypervisor",
      { frames: "offset" },
      {},
      /^the setting frames is about a hypervisor, which only variant=xen-pae has$/,
    ],
    [
      "emulation of writes without a hypervisor",
      { variant: "native", ptwr: "off" },
      {},
      /^the setting ptwr is about a hypervisor/,
    ],
    [
      "a defect that only a hypervisor minds",
      { defect: "writable-table" },
      {},
      /^the defect writable-table is about a hypervisor, which only variant=xen-pae has$/,
    ],
    [
      "the entry of a native boot for a domain",
      { variant: "xen-pae" },
      { entry: "pvh" },
      /entered by xen-pv/,
    ],
    ["low memory beyond 896 MiB", { low_end: "1G" }, {}, /low_end takes 0x400000 to 0x38000000/],
    ["a machine that cannot hold it", {}, { memory: 2 * MIB }, /memory/],
  ];
  test.each(REFUSED)("refuses %s", (_name, settings, options, message) => {
    expect(() => boot(settings, options)).toThrow(UsageError);
    expect(() => boot(settings, options)).toThrow(message);
  });
});
