/** `direct-map`: the kernel's map of all physical memory, built so that others may own the tables. */
import { UsageError } from "../errors";
import type { SettingDeclaration, Settings } from "../settings";
import { GIB } from "../values";
import {
  BOOT_PARAMS,
  CMDLINE_AT,
  E820,
  FRAMES,
  givenE820,
  LOAD,
  linux64Plan,
  onlyFor,
  PTWR,
  patchBootSettings,
  xenPvHandover,
} from "./handover";
import type { BootProgram, ProgramPlan } from "./program";

const XEN = "xen";
/** By the numbers of `enum variant` and `enum defect` (guests/direct-map/direct_map.h). */
const VARIANTS = ["native-gbpages", "native", "native-nopse", XEN];
const DEFECTS = ["none", "large-as-table", "keep-alias", "overwrite", "writable-table", "direct-write"];

/** What a boot has no use for, and why. */
const NO_LOADER = "the domain builder decides where things lie";
const NOT_WITH_XEN: Readonly<Record<string, string>> = {
  load: NO_LOADER,
  boot_params: NO_LOADER,
  cmdline_at: NO_LOADER,
  table_space: "its first tables are mapped before, wherever they lie",
  existing: "what exists there is what the domain builder made",
};
const ONLY_WITH_XEN: Readonly<Record<string, string>> = {
  frames: "bare hardware has no machine frames besides its own",
  ptwr: "nobody watches writes on bare hardware",
};
const NO_LARGE_PAGES = "a domain has no large pages";
const NO_HYPERVISOR = "bare hardware does not care who can write a table, or how";

/** As bits of `boot_settings.existing`: a page at each level. */
const EXISTING: Readonly<Record<string, number>> = { none: 0, pud: 1, pmd: 2, pte: 4, all: 7 };
/** A defect in how existing entries are treated shows where there are some; the first of these unless given. */
const DEFECT_NEEDS: Readonly<Record<string, readonly string[]>> = {
  "large-as-table": ["pmd", "all"],
  overwrite: ["all", "pud", "pmd", "pte"],
};

const SETTINGS: readonly SettingDeclaration[] = [
  {
    name: "variant",
    type: "choice",
    values: VARIANTS,
    default: "native",
    description:
      "The largest pages of the direct map: 1 GiB where the CPU has them, 2 MiB, or 4 KiB; or a Xen domain, with 4 KiB",
  },
  {
    name: "page_offset",
    type: "choice",
    values: ["0xffff880000000000", "0xffff810000000000"],
    default: "0xffff880000000000",
    description: "Where the direct map begins (PAGE_OFFSET): since mid-2008, or before",
  },
  {
    name: "table_space",
    type: "choice",
    values: ["low", "high"],
    default: "low",
    description: "Take the pages of the tables from low memory, or from its top, where nothing is mapped yet",
  },
  {
    name: "existing",
    type: "choice",
    values: Object.keys(EXISTING),
    description:
      "Entries that are there before: a page of 1 GiB (pud), of 2 MiB (pmd), half a table of 4 KiB pages (pte); " +
      "none unless the defect needs some",
  },
  {
    name: "defect",
    type: "choice",
    values: DEFECTS,
    default: "none",
    description:
      "large-as-table: an existing large page is taken for one; keep-alias: a table's alias stays until it is " +
      "attached; overwrite: existing entries are rewritten; with xen also writable-table: a table stays writable " +
      "where memory is mapped; direct-write: level-1 tables in use are written directly",
  },
  {
    name: "after_bootmem",
    type: "switch",
    default: "off",
    description: "Map the upper half of memory in a second pass, with pages of the page allocator",
  },
  LOAD,
  BOOT_PARAMS,
  CMDLINE_AT,
  onlyFor(XEN, FRAMES),
  onlyFor(XEN, PTWR),
  E820,
];

/** `struct boot_settings` of the image (guests/direct-map/direct_map.h): 32-bit fields, and halves, by offset. */
const BOOT_SETTINGS = {
  pageOffsetLow: 0,
  pageOffsetHigh: 4,
  variant: 8,
  existing: 12,
  tableSpaceHigh: 16,
  defect: 20,
  afterBootmem: 24,
} as const;

export const directMap: BootProgram = {
  name: "direct-map",
  description:
    "The direct map of all memory, built by rules that a hypervisor can stand: no alias of a table in use",
  settings: SETTINGS,
  variants: "variant",
  milestones: [
    { symbol: "setup_kernel_pagetable", text: "The kernel's root is grafted onto the builder's tables" },
    { symbol: "adopt_builders_tables", text: "The direct map begins with the builder's tables" },
    { symbol: "find_early_table_space", text: "Space for the tables is looked for" },
    { symbol: "init_memory_mapping", text: "The direct map is built" },
    { symbol: "unmap_low_page", text: "The alias of a new table is dropped" },
    { symbol: "check_direct_map", text: "All memory is checked through the direct map" },
  ],
  defaultMemory: 4 * GIB,
  defaultCmdline: "direct-map",
  image: (settings) => `direct-map/direct-map${isXen(settings) ? "-xen" : ""}.elf`,
  plan,
};

function plan(settings: Settings, ramdisk: Uint8Array | undefined): ProgramPlan {
  if (ramdisk !== undefined) throw new UsageError("direct-map uses no ramdisk: leave it out");
  refuseUseless(settings);
  const pageOffset = BigInt(settings.text("page_offset"));
  const patches = patchBootSettings(BOOT_SETTINGS, {
    pageOffsetLow: Number(pageOffset & 0xffffffffn),
    pageOffsetHigh: Number(pageOffset >> 32n),
    variant: VARIANTS.indexOf(settings.text("variant")),
    existing: EXISTING[existingOf(settings)],
    tableSpaceHigh: Number(settings.text("table_space") === "high"),
    defect: DEFECTS.indexOf(settings.text("defect")),
    afterBootmem: Number(settings.switch("after_bootmem")),
  });
  if (!isXen(settings)) return { ...linux64Plan(settings), patches };
  return { ...givenE820(settings), handover: xenPvHandover(settings), patches };
}

function isXen(settings: Settings): boolean {
  return settings.text("variant") === XEN;
}

/** @throws UsageError where a setting is given that this variant has no use for */
function refuseUseless(settings: Settings): void {
  const variant = settings.text("variant");
  for (const [name, why] of Object.entries(isXen(settings) ? NOT_WITH_XEN : ONLY_WITH_XEN)) {
    if (settings.isGiven(name)) throw new UsageError(`variant=${variant} has no use for ${name}: ${why}`);
  }
  const defect = settings.text("defect");
  if (isXen(settings) && defect === "large-as-table") {
    throw new UsageError(`variant=${variant} has no use for defect=${defect}: ${NO_LARGE_PAGES}`);
  }
  if (!isXen(settings) && ["writable-table", "direct-write"].includes(defect)) {
    throw new UsageError(`variant=${variant} has no use for defect=${defect}: ${NO_HYPERVISOR}`);
  }
}

function existingOf(settings: Settings): string {
  if (isXen(settings)) return "none";
  const needs = DEFECT_NEEDS[settings.text("defect")];
  if (!settings.isGiven("existing")) return needs?.[0] ?? "none";
  const existing = settings.text("existing");
  if (needs !== undefined && !needs.includes(existing)) {
    throw new UsageError(
      `defect=${settings.text("defect")} does not show with existing=${existing}: give ${needs.join(" or ")}, or leave it out`,
    );
  }
  return existing;
}
