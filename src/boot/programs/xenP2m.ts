/** `xen-p2m`: a domain's P->M list, in the initial mapping or outside of it, and how it is given back. */
import { UsageError } from "../errors";
import type { SettingDeclaration, Settings } from "../settings";
import { GIB } from "../values";
import { E820, FRAMES, givenE820, PTWR, patchBootSettings, xenPvHandover } from "./handover";
import type { BootProgram, ProgramPlan } from "./program";

/** By the numbers of `enum defect` (guests/xen-p2m/xen_p2m.h). */
const DEFECTS = [
  "none",
  "writable-root",
  "writable-table",
  "no-mask",
  "no-slot",
  "read-only",
  "keep-slot",
] as const;

const SETTINGS: readonly SettingDeclaration[] = [
  {
    name: "p2m",
    type: "choice",
    values: ["outside", "inside"],
    default: "outside",
    description: "Where the builder puts the list: where the note INIT_P2M says, or in the kernel's mapping",
  },
  FRAMES,
  PTWR,
  {
    name: "defect",
    type: "choice",
    values: DEFECTS,
    default: "none",
    description:
      "writable-root, writable-table: pinned or linked while it can be written; no-mask: the list's tables are " +
      "mapped writable; no-slot: the list's L4 slot is not copied; read-only: freed pages are left so; keep-slot: " +
      "the L4 slot is not cleared",
  },
  {
    ...E820,
    description:
      "The domain's memory, such as 0-2G:usable,599G-600G:usable; frames between have no machine frame",
  },
];

export const xenP2m: BootProgram = {
  name: "xen-p2m",
  description: "A Xen domain's P->M list outside of the initial mapping: found, copied, and given back",
  settings: SETTINGS,
  variants: "p2m",
  milestones: [
    { symbol: "setup_kernel_pagetable", text: "The kernel's root is grafted onto the builder's tables" },
    { symbol: "build_direct_map", text: "The direct map is built" },
    { symbol: "copy_p2m", text: "The P->M list is copied" },
    { symbol: "pagetable_p2m_free", text: "The builder's P->M list is given back" },
    { symbol: "check_all", text: "All is checked" },
  ],
  defaultMemory: GIB,
  defaultCmdline: "xen-p2m",
  image: () => "xen-p2m/xen-p2m.elf",
  plan,
};

function plan(settings: Settings, ramdisk: Uint8Array | undefined): ProgramPlan {
  if (ramdisk !== undefined) throw new UsageError("xen-p2m uses no ramdisk: leave it out");
  return {
    ...givenE820(settings),
    handover: xenPvHandover(settings, settings.text("p2m") === "outside"),
    patches: patchBootSettings(
      { defect: 0 },
      { defect: (DEFECTS as readonly string[]).indexOf(settings.text("defect")) },
    ),
  };
}
