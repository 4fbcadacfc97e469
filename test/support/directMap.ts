/**
 * The boot program direct-map on a machine, and what its tables have to be: computed from the memory map and the
 * settings alone, the slow and obvious way.
 */
import type { E820Entry } from "../../src/boot/memoryMap";
import { GIB, Guest, type GuestOptions, KIB, MIB, type Table } from "./bootProgram";

const PAGE = 4 * KIB;
const LARGE = 2 * MIB;
const SLOT = 512 * GIB;
const E820_USABLE = 1;
/** The boot protocol's longest command line: as much is kept free. */
const COMMAND_LINE = 2048;

const NX = 1n << 63n;
const GLOBAL = 0x100n;
export const KERNPG_TABLE = 0x063n;
export const PAGE_KERNEL = 0x163n | NX;
export const PAGE_KERNEL_LARGE = 0x1e3n | NX;

/** Those of bare hardware. */
export const VARIANTS = ["native-gbpages", "native", "native-nopse"] as const;
export type Variant = (typeof VARIANTS)[number];

/** As the guest records it: steps count the drops of aliases and the attachments. */
export interface TablePage {
  phys: number;
  level: number;
  attached: number;
  aliasDropped: number;
}

export class DirectMap extends Guest {
  constructor(settings: Record<string, string> = {}, options: GuestOptions = {}) {
    super("direct-map", settings, options);
    // Millions of table writes are no news here, and cost time.
    this.machine.want(["serial", "page-fault", "stale-tlb", "hypercall-rejected"]);
  }

  /** Every table page that was taken, in that order, as far as the record goes. */
  get tablePages(): TablePage[] {
    const base = this.linear("table_pages");
    return Array.from({ length: this.word("table_pages_count") }, (_, i) => {
      const at = (offset: number) => this.physicalOf(base + BigInt(24 * i + offset));
      const word = (offset: number) => this.machine.memory.read32(at(offset));
      return {
        phys: Number(this.machine.memory.read64(at(0))),
        level: word(8),
        attached: word(12),
        aliasDropped: word(16),
      };
    });
  }

  /** Kilobytes in the lines that /proc/meminfo has. */
  get meminfo(): Record<string, number> {
    const lines = this.serial.matchAll(/^(DirectMap\w+): *(\d+) kB$/gm);
    return Object.fromEntries([...lines].map((match) => [match[1], Number(match[2])]));
  }
}

/** What decides the tables. */
export interface Expectation {
  e820: readonly E820Entry[];
  variant: Variant;
  /** Where the table space begins; the lowest place unless given. */
  tableSpace?: number;
  /** What is there before: pages, or tables with some. */
  existing?: ("pud" | "pmd" | "pte")[];
}

export interface ExpectedTables {
  /** The root's entries for the direct map, by how many 512 GiB they are from its start. */
  root: Map<number, bigint>;
  /** By physical address. */
  tables: Map<number, Table>;
  /** Table pages in the order in which they are taken. */
  taken: { phys: number; level: number }[];
  pages: { DirectMap4k: number; DirectMap2M: number; DirectMap1G: number };
  mappedEnd: number;
}

const usable = (e820: readonly E820Entry[]) =>
  e820
    .filter(({ type }) => type === E820_USABLE)
    .map(({ start, end }) => [Math.ceil(start / PAGE) * PAGE, Math.floor(end / PAGE) * PAGE] as const);

/** Where RAM ends. */
export const endOfRam = (e820: readonly E820Entry[]): number =>
  Math.max(...usable(e820).map(([, end]) => end));

/** How much memory the tables of [0, end) may take. */
export function tableBytes(end: number, variant: Variant): number {
  const bytes = (maps: number) => Math.ceil((Math.ceil(end / maps) * 8) / PAGE) * PAGE;
  const small = variant === "native-nopse" ? bytes(PAGE) : 0;
  return bytes(GIB) + (variant === "native-gbpages" ? 0 : bytes(LARGE)) + small;
}

/** The lowest place for the table space: the first page from 0x8000 on behind which nothing is in the way. */
export function lowestTableSpace(guest: DirectMap, bytes: number): number {
  const named = (name: string) => guest.boot.placements.find((placement) => placement.name === name)!;
  const params = named("boot_params");
  const cmdline = named("command line").start;
  const taken = [
    [params.start, params.start + PAGE],
    [cmdline, cmdline + COMMAND_LINE],
    [guest.physicalOf("_text"), guest.physicalOf("_end")],
  ];
  const ram = usable(guest.boot.e820);
  for (let start = 0x8000; ; start += PAGE) {
    const inside = ram.some(([from, to]) => start >= from && start + bytes <= to);
    if (inside && taken.every(([from, to]) => start >= to! || start + bytes <= from!)) return start;
    if (start > endOfRam(guest.boot.e820)) throw new Error("there is no place for the tables");
  }
}

/** The tables for what `guest` was given. */
export function expectedTables(guest: DirectMap, expectation: Expectation): ExpectedTables {
  const { e820, variant, existing = [] } = expectation;
  const end = endOfRam(e820);
  const ram = usable(e820);
  const result: ExpectedTables = {
    root: new Map(),
    tables: new Map(),
    taken: [],
    pages: { DirectMap4k: 0, DirectMap2M: 0, DirectMap1G: 0 },
    mappedEnd: 0,
  };
  const start = expectation.tableSpace ?? lowestTableSpace(guest, tableBytes(end, variant));
  const has = (kind: "pud" | "pmd" | "pte") => existing.includes(kind);
  const image = guest.physicalOf("mapped_data");
  const exists = {
    slot: existing.length > 0 ? Math.floor(image / SLOT) : -1,
    table: has("pmd") || has("pte") ? Math.floor(image / GIB) : -1,
    giant: has("pud") ? Math.floor(image / GIB) ^ 1 : -1,
    large: has("pmd") ? image / LARGE : -1,
    small: has("pte") ? (image / LARGE) ^ 1 : -1,
  };

  /** A table of 512 entries, each made by `entry`; a new one, or the named one of the image. */
  function table(level: number, existingName: string | undefined, entry: (i: number) => bigint): bigint {
    let phys: number;
    if (existingName !== undefined) phys = guest.physicalOf(existingName);
    else {
      phys = start + PAGE * result.taken.length;
      result.taken.push({ phys, level });
    }
    result.tables.set(
      phys,
      Array.from({ length: 512 }, (_, i) => entry(i)),
    );
    return BigInt(phys) | KERNPG_TABLE;
  }

  function page(kind: keyof ExpectedTables["pages"], phys: number, size: number, existed = false): bigint {
    result.pages[kind] += size / KIB;
    result.mappedEnd = Math.max(result.mappedEnd, phys + size);
    const flags = size === PAGE ? PAGE_KERNEL : PAGE_KERNEL_LARGE;
    return BigInt(phys) | (existed ? flags & ~GLOBAL : flags);
  }

  function pte(phys: number, existed: boolean): bigint {
    return phys < end ? page("DirectMap4k", phys, PAGE, existed) : 0n;
  }

  function pmd(phys: number): bigint {
    if (phys >= end) return 0n;
    const n = phys / LARGE;
    if (n === exists.large) return page("DirectMap2M", phys, LARGE, true);
    if (n === exists.small) return table(1, "level1_ident_pgt", (i) => pte(phys + i * PAGE, i < 256));
    if (variant !== "native-nopse") return page("DirectMap2M", phys, LARGE);
    return table(1, undefined, (i) => pte(phys + i * PAGE, false));
  }

  function pud(phys: number): bigint {
    if (phys >= end || !ram.some(([from, to]) => from < phys + GIB && phys < to)) return 0n;
    const n = phys / GIB;
    if (n === exists.giant) return page("DirectMap1G", phys, GIB, true);
    const name = n === exists.table ? "level2_ident_pgt" : undefined;
    if (name === undefined && variant === "native-gbpages") return page("DirectMap1G", phys, GIB);
    return table(2, name, (i) => pmd(phys + i * LARGE));
  }

  for (let slot = 0; slot * SLOT < end; slot++) {
    const name = slot === exists.slot ? "level3_ident_pgt" : undefined;
    result.root.set(
      slot,
      table(3, name, (i) => pud(slot * SLOT + i * GIB)),
    );
  }
  return result;
}
