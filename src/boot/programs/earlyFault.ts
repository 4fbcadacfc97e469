/** `early-fault`: early mappings made on demand by #PF, in two revisions. */
import { UsageError } from "../errors";
import { microcodeRamdisk, SMALLEST_RAMDISK } from "../microcodeRamdisk";
import { type SparseFile, wholeFile } from "../ramdisk";
import type { SettingDeclaration, Settings } from "../settings";
import { GIB, TIB } from "../values";
import type { BootProgram, ProgramPlan, SymbolPatch } from "./program";

const SETTINGS: readonly SettingDeclaration[] = [
  {
    name: "revision",
    type: "choice",
    values: ["merged", "prototype"],
    default: "merged",
    description: "The change that Linux took in January 2013, or its illustration of December 2012",
  },
  {
    name: "load",
    type: "address",
    description:
      "Physical load address of the kernel; as linked (16M) unless given. It should be 2 MiB aligned",
  },
  {
    name: "boot_params",
    type: "address",
    description: "Physical address of boot_params; 0x10000 unless given",
  },
  {
    name: "cmdline_at",
    type: "address",
    description: "Physical address of the command line; 0x20000 unless given",
  },
  {
    name: "ramdisk_at",
    type: "address",
    description:
      "Physical address of the ramdisk; the highest free memory below 4 GiB that it fits in unless given",
  },
  {
    name: "ramdisk",
    type: "size",
    default: "64K",
    minimum: SMALLEST_RAMDISK,
    maximum: 64 * TIB,
    description: "Size of the generated ramdisk; each of its GiB holds an archive header to be read",
  },
  {
    name: "microcode",
    type: "choice",
    values: ["intel", "amd", "none"],
    default: "intel",
    description: "Whose microcode update the generated ramdisk holds",
  },
  {
    name: "microcode_at",
    type: "choice",
    values: ["first", "last"],
    default: "last",
    description: "Where in the generated ramdisk the microcode update lies",
  },
  {
    name: "pool",
    type: "count",
    default: "64",
    minimum: 4,
    maximum: 64,
    description: "Page-table pages in the pool of the early handler (EARLY_DYNAMIC_PAGE_TABLES)",
  },
  {
    name: "gbpages",
    type: "switch",
    default: "on",
    description: "1 GiB pages in the direct map, where the CPU has them",
  },
  {
    name: "checksum",
    type: "switch",
    default: "off",
    description: "Read every byte of the ramdisk, not only its headers",
  },
  {
    name: "stray",
    type: "switch",
    default: "off",
    description:
      "Touch unmapped memory just after the switchover, where the early handler must not act again",
  },
  {
    name: "e820",
    type: "text",
    description: "The memory map, such as 0-0x9fc00:usable,0x100000-8G:usable; that of a PC unless given",
  },
];

/** `struct boot_settings` of the image (guests/early-fault/early_fault.h): 32-bit fields by offset. */
const BOOT_SETTINGS = { pool: 0, gbpages: 4, checksum: 8, stray: 12 } as const;

export const earlyFault: BootProgram = {
  name: "early-fault",
  description: "Early mappings made on demand by #PF: demand faults, resets of the pool, the switchover",
  settings: SETTINGS,
  defaultMemory: 8 * GIB,
  defaultCmdline: "early-fault",
  image: (settings) => `early-fault/early-fault-${settings.text("revision")}.elf`,
  plan,
};

function plan(settings: Settings, ramdisk: Uint8Array | undefined): ProgramPlan {
  const addresses = {
    bootParamsAddress: settings.number("boot_params"),
    cmdlineAddress: settings.number("cmdline_at"),
    ramdiskAddress: settings.number("ramdisk_at"),
  };
  return {
    ...given({ load: settings.number("load") }),
    ...(settings.isGiven("e820") ? { e820: settings.text("e820") } : {}),
    handover: { entry: "linux64", ...given(addresses), ramdisk: ramdiskOf(settings, ramdisk) },
    patches: patches(settings),
  };
}

function ramdiskOf(settings: Settings, file: Uint8Array | undefined): SparseFile {
  if (file !== undefined) {
    const generated = ["ramdisk", "microcode", "microcode_at"].find((name) => settings.isGiven(name));
    if (generated !== undefined) {
      throw new UsageError(
        `${generated} is for a generated ramdisk: give either that setting or a ramdisk file`,
      );
    }
    return wholeFile(file);
  }
  return microcodeRamdisk({
    size: settings.number("ramdisk")!,
    microcode: settings.text("microcode") as "intel" | "amd" | "none",
    position: settings.text("microcode_at") as "first" | "last",
  });
}

function patches(settings: Settings): SymbolPatch[] {
  const values: Record<keyof typeof BOOT_SETTINGS, number> = {
    pool: settings.number("pool")!,
    gbpages: Number(settings.switch("gbpages")),
    checksum: Number(settings.switch("checksum")),
    stray: Number(settings.switch("stray")),
  };
  return Object.entries(BOOT_SETTINGS).map(([field, offset]) => ({
    symbol: "boot_settings",
    offset,
    value: values[field as keyof typeof BOOT_SETTINGS],
  }));
}

/** Only what is defined. */
function given<K extends string>(values: Record<K, number | undefined>): Partial<Record<K, number>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<
    Record<K, number>
  >;
}
