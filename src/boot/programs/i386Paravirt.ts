/** `i386-paravirt`: the initial page tables of a 32-bit kernel, built through hooks that the kind of boot fills. */
import { UsageError } from "../errors";
import type { SettingDeclaration, Settings } from "../settings";
import { MIB } from "../values";
import { FRAMES, onlyFor, PTWR, patchBootSettings, xenPvHandover } from "./handover";
import type { BootProgram, Handover, ProgramPlan } from "./program";

/** What only a hypervisor minds. */
const XEN_DEFECTS = ["writable-table", "writable-alias", "direct-write"];
/** By the numbers of `enum defect` (guests/i386-paravirt/i386_paravirt.h). */
const DEFECTS = ["none", "no-advance", "overwrite", "fixmap-end", "no-low-alias", ...XEN_DEFECTS];

const SETTINGS: readonly SettingDeclaration[] = [
  {
    name: "variant",
    type: "choice",
    values: ["native", "native-pae", "xen-pae"],
    default: "native-pae",
    description:
      "Whose hooks: 2-level tables of a native boot, PAE tables in the same root page, or a Xen domain's PAE tables",
  },
  {
    name: "pse",
    type: "switch",
    default: "on",
    description: "Large pages for low memory, where the CPU has them; a Xen domain's has none",
  },
  {
    name: "pge",
    type: "switch",
    default: "on",
    description: "Global pages, where the CPU has them; a Xen domain's has none",
  },
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
    description:
      "Where low memory ends and highmem begins; 896M (736M with xen-pae), or at the end of RAM, unless given",
  },
  onlyFor("xen-pae", FRAMES),
  onlyFor("xen-pae", PTWR),
  {
    name: "defect",
    type: "choice",
    values: DEFECTS,
    default: "none",
    description:
      "no-advance: all pages of a table take the executability of its first; overwrite: tables that are there are " +
      "replaced; fixmap-end: the fixmap's tables go on to the top; no-low-alias: PAE without identity mapping; " +
      "xen-pae alone: writable-table: new tables are linked while they can be written; writable-alias: set_pte makes " +
      "tables writable; direct-write: set_pte writes the entry itself",
  },
];

export const i386Paravirt: BootProgram = {
  name: "i386-paravirt",
  description:
    "Hooks around a 32-bit kernel's initial tables: 2-level and PAE, of a native boot and of a Xen domain",
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
  return {
    handover: handover(settings),
    patches: patchBootSettings(
      { pse: 0, pge: 4, nx: 8, low_end: 12, defect: 16 },
      {
        pse: Number(settings.switch("pse")),
        pge: Number(settings.switch("pge")),
        nx: Number(settings.switch("nx")),
        low_end: settings.number("low_end") ?? 0,
        defect: DEFECTS.indexOf(settings.text("defect")),
      },
    ),
  };
}

/** @throws UsageError where a setting is the hypervisor's, and there is none */
function handover(settings: Settings): Handover {
  if (settings.text("variant") === "xen-pae") return xenPvHandover(settings);
  const defect = settings.text("defect");
  const asked = ["frames", "ptwr"].find((name) => settings.isGiven(name));
  const what = XEN_DEFECTS.includes(defect) ? `the defect ${defect}` : asked && `the setting ${asked}`;
  if (what === undefined) return { entry: "pvh" };
  throw new UsageError(`${what} is about a hypervisor, which only variant=xen-pae has`);
}
