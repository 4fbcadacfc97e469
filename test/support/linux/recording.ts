/** The form of what `npm run record-linux` writes to test/reference/linux. Numbers that are addresses are hexadecimal. */
import { BOOT_PARAMS_FIELDS, E820_ENTRY_SIZE } from "../../../src/boot/bootParams";
import type { DescribedTables } from "./describeTables";

/** Registers that are recorded at a moment. */
export const RECORDED_REGISTERS = [
  ...["rip", "rsp", "eflags", "cr0", "cr2", "cr3", "cr4", "efer"],
  ...["cs", "ss", "ds", "es", "fs", "gs", "fs_base", "gs_base"],
] as const;

/** Functions whose calls are counted, from x86_64_start_kernel on. */
export const COUNTED = ["__early_make_pgtable", "reset_early_page_tables"] as const;

export interface Moment extends DescribedTables {
  readonly registers: Readonly<Record<string, string>>;
  /** Calls so far; functions that were not called are left out. */
  readonly counts: Readonly<Record<string, number>>;
}

/** Vector, error code, RIP and CR2 of an exception that the kernel's early handler was given. */
export type Fault = readonly [vector: number, error: string, rip: string, cr2: string];

/** The moments, in their order: where the kernel stands. */
export const MOMENTS = [
  "startup_64",
  "x86_64_start_kernel",
  "init_mem_mapping",
  "return:init_mem_mapping",
] as const;
export type MomentName = (typeof MOMENTS)[number];

/** By the PVH note of the vmlinux, or as firmware starts a bzImage: by its setup code, at its 32-bit entry. */
export type Start = "pvh" | "bzimage";

/** What a bzImage's setup code hands over. */
export interface HandedOver {
  /** Physical, of boot_params. */
  readonly bootParams: string;
  readonly e820: readonly (readonly [start: string, end: string, type: number])[];
}

export interface Recording {
  readonly origin: {
    /** The file's name, such as "vmlinux-6.1.0-53-amd64". */
    readonly kernel: string;
    readonly buildId: string;
    readonly qemu: string;
    readonly memory: string;
    readonly cpu: string;
    readonly cmdline: string;
    readonly start: Start;
    /** What was below 1 MiB: all that firmware leaves there, or what is handed over and nothing else. */
    readonly lowMemory: "firmware" | "wiped";
  };
  /** Of the start "bzimage". */
  readonly handedOver?: HandedOver;
  readonly moments: Readonly<Record<MomentName, Moment>>;
  /** Those until the last moment, in their order. */
  readonly faults: readonly Fault[];
}

/** The memory map in boot_params. */
export function e820Of(bootParams: Uint8Array): HandedOver["e820"] {
  const view = Buffer.from(bootParams);
  const at = BOOT_PARAMS_FIELDS;
  return Array.from({ length: view[at.e820_entries] }, (_, i) => {
    const entry = at.e820_table + i * E820_ENTRY_SIZE;
    const start = view.readBigUInt64LE(entry);
    const end = start + view.readBigUInt64LE(entry + 8);
    return [`0x${start.toString(16)}`, `0x${end.toString(16)}`, view.readUInt32LE(entry + 16)];
  });
}

/** JSON with a line for each row, fault and set of registers: small, and good to compare by lines. */
export function recordingText({ origin, handedOver, moments, faults }: Recording): string {
  const lines = (rows: readonly unknown[]) => rows.map((row) => `\n    ${JSON.stringify(row)}`).join(",");
  const parts = Object.entries(moments).map(([name, { rows, tables, registers, ...rest }]) => {
    const head = Object.entries({ registers, ...rest }).map(
      ([key, value]) => `   ${JSON.stringify(key)}: ${JSON.stringify(value)},\n`,
    );
    return `  ${JSON.stringify(name)}: {\n${head.join("")}   "rows": [${lines(rows)}],\n   "tables": [${lines(tables)}]\n  }`;
  });
  const handed = handedOver === undefined ? "" : ` "handedOver": ${JSON.stringify(handedOver)},\n`;
  return `{\n "origin": ${JSON.stringify(origin)},\n${handed} "moments": {\n${parts.join(",\n")}\n },\n "faults": [${lines(faults)}]\n}\n`;
}
