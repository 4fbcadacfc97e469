/** `early-fault`: early mappings made on demand by #PF, in two revisions. */
import { UsageError } from "../errors";
import { microcodeRamdisk, SMALLEST_RAMDISK } from "../microcodeRamdisk";
import { type SparseFile, wholeFile } from "../ramdisk";
import type { SettingDeclaration, Settings } from "../settings";
import { GIB, TIB } from "../values";
import { BOOT_PARAMS, CMDLINE_AT, E820, given, LOAD, linux64Plan, patchBootSettings } from "./handover";
import type { BootProgram, ProgramPlan } from "./program";

const SETTINGS: readonly SettingDeclaration[] = [
  {
    name: "revision",
    type: "choice",
    values: ["merged", "prototype"],
    default: "merged",
    description: "The change that Linux took in January 2013, or its illustration of December 2012",
  },
  LOAD,
  BOOT_PARAMS,
  CMDLINE_AT,
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
  E820,
];

/** `struct boot_settings` of the image (guests/early-fault/early_fault.h): 32-bit fields by offset. */
const BOOT_SETTINGS = { pool: 0, gbpages: 4, checksum: 8, stray: 12 } as const;

export const earlyFault: BootProgram = {
  name: "early-fault",
  description: "Early mappings made on demand by #PF: demand faults, resets of the pool, the switchover",
  settings: SETTINGS,
  variants: "revision",
  milestones: [],
  defaultMemory: 8 * GIB,
  defaultCmdline: "early-fault",
  image: (settings) => `early-fault/early-fault-${settings.text("revision")}.elf`,
  plan,
};

function plan(settings: Settings, ramdisk: Uint8Array | undefined): ProgramPlan {
  const { handover, ...rest } = linux64Plan(settings);
  const ramdiskAddress = given({ ramdiskAddress: settings.number("ramdisk_at") });
  return {
    ...rest,
    handover: { ...handover, ...ramdiskAddress, ramdisk: ramdiskOf(settings, ramdisk) },
    patches: patchBootSettings(BOOT_SETTINGS, {
      pool: settings.number("pool")!,
      gbpages: Number(settings.switch("gbpages")),
      checksum: Number(settings.switch("checksum")),
      stray: Number(settings.switch("stray")),
    }),
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
