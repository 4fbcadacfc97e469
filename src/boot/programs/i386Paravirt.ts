/** `i386-paravirt`: the initial page tables of a 32-bit kernel, built through hooks that the kind of boot fills. */
import { UsageError } from "../errors";
import type { SettingDeclaration, Settings } from "../settings";
import { MIB } from "../values";
import type { BootProgram, ProgramPlan } from "./program";

/** By the numbers of `enum defect` (guests/i386-paravirt/i386_paravirt.h). */
const DEFECTS = ["none", "no-advance", "overwrite", "fixmap-end", "no-low-alias"] as const;

const SETTINGS: readonly SettingDeclaration[] = [
  {
    name: "variant",
    type: "choice",
    values: ["native", "native-pae"],
    default: "native-pae",
    description: "Whose hooks: 2-level tables of a native boot, or PAE tables in the same root page",
  },
  {
    name: "pse",
    type: "switch",
    default: "on",
    description: "Large pages for low memory, where the CPU has them",
  },
  { name: "pge", type: "switch", default: "on", description: "Global pages, where the CPU has them" },
  {
    name: "nx",
    type: "switch",
    default: "on",
    description: "Execute-disable with PAE, where the CPU has it",
  },
  {
    name: "low_end",
    type: "size",
    minimum: 4 * MIB,
    maximum: 896 * MIB,
    description: "Where low memory ends and highmem begins; 896M, or at the end of RAM, unless given",
  },
  {
    name: "defect",
    type: "choice",
    values: DEFECTS,
    default: "none",
    description:
      "no-advance: all pages of a table take the executability of its first; overwrite: tables that are there are " +
      "replaced; fixmap-end: the fixmap's tables go on to the top; no-low-alias: PAE without identity mapping",
  },
];

export const i386Paravirt: BootProgram = {
  name: "i386-paravirt",
  description: "Hooks around a 32-bit kernel's initial tables: 2-level and PAE, one root page in two formats",
  settings: SETTINGS,
  variants: "variant",
  milestones: [
    { symbol: "native_pagetable_setup_start", text: "pagetable_setup_start: the root is made ready" },
    { symbol: "xen_pagetable_setup_start", text: "pagetable_setup_start: the root is made ready" },
    { symbol: "kernel_physical_mapping_init", text: "Low memory is mapped at PAGE_OFFSET" },
    { symbol: "native_pagetable_setup_done", text: "pagetable_setup_done: what the root still lacks" },
    { symbol: "xen_pagetable_setup_done", text: "pagetable_setup_done: what the root still lacks" },
  ],
  defaultMemory: 512 * MIB,
  defaultCmdline: "i386-paravirt",
  image: (settings) => `i386-paravirt/i386-paravirt-${settings.text("variant")}.elf`,
  plan,
};

function plan(settings: Settings, ramdisk: Uint8Array | undefined): ProgramPlan {
  if (ramdisk !== undefined) throw new UsageError("i386-paravirt has no use for an initial RAM disk");
  // `struct boot_settings` of the image, in its order.
  const fields = [
    Number(settings.switch("pse")),
    Number(settings.switch("pge")),
    Number(settings.switch("nx")),
    settings.number("low_end") ?? 0,
    (DEFECTS as readonly string[]).indexOf(settings.text("defect")),
  ];
  return {
    handover: { entry: "pvh" },
    patches: fields.map((value, index) => ({ symbol: "boot_settings", offset: 4 * index, value })),
  };
}
