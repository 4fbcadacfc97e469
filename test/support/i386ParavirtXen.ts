/** The boot program i386-paravirt as a Xen domain, and the tables that it has to build, computed from its description. */
import { EVENT_KINDS } from "../../src/machine/events";
import type { GuestOptions, Table } from "./bootProgram";
import { I386Paravirt, PAGE, PAGE_OFFSET } from "./i386Paravirt";

const MIB = 2 ** 20;
const FREQUENT: readonly string[] = ["hypercall", "table-write", "tlb-flush", "stale-tlb"];
const PER_TABLE = 512;
const NX = 1n << 63n;
const TABLE = 0x67n;
const BUILDERS_TABLE = 0x63n;
const WRITABLE = 0x63n;
const READ_ONLY = 0x61n;
/** The hypervisor's addresses begin with this slot of the fourth page directory. */
export const HYPERVISOR_SLOT = (0xf5800000 - PAGE_OFFSET) / (2 * MIB);
const FIXMAP_SLOTS = [HYPERVISOR_SLOT - 2, HYPERVISOR_SLOT - 1];
const PKMAP_SLOT = HYPERVISOR_SLOT - 3;
/** Where low memory ends at most, and the rest is highmem. */
export const MAX_LOW = 736 * MIB;

/** A booted (not yet run) i386-paravirt in a domain of 16 MiB. Frames are the domain's, unless they are called machine frames. */
export class I386ParavirtXen extends I386Paravirt {
  constructor(settings: Record<string, string> = {}, options: GuestOptions = {}) {
    super({ variant: "xen-pae", ...settings }, { memory: 16 * MIB, ...options });
  }

  /** Leaves out what there is an event of for every page of a large memory. */
  wantFewEvents(): void {
    this.machine.want(EVENT_KINDS.map(({ kind }) => kind).filter((kind) => !FREQUENT.includes(kind)));
  }

  pfnOf(symbol: string): number {
    return this.xen!.domain.frames.pfnOf(Math.floor(this.physicalOf(symbol) / PAGE));
  }

  mfnOf(pfn: number): number {
    return this.xen!.domain.frames.mfnOf(pfn);
  }

  /** The entries of the table in a frame. */
  tableIn(pfn: number): Table {
    return this.table(this.mfnOf(pfn) * PAGE);
  }
}

/** What decides the tables. Frames are the domain's. */
export interface XenExpectation {
  /** Of the domain. */
  pages: number;
  maxLowPfn: number;
  nx: boolean;
  /** Frames of kernel text, the first frame behind the kernel, and the frame of the new root. */
  text: [number, number];
  end: number;
  root: number;
  /** The machine frame behind a frame. */
  mfnOf(pfn: number): number;
}

export interface ExpectedDomainTables {
  /** The entries of every table under the new root, and the builder's page directory, by frame. */
  tables: Map<number, bigint[]>;
  /** Frames that the boot allocator gave for tables, and the first of them. */
  allocated: number;
  firstAllocated: number;
  /** The builder's. */
  builders: { root: number; directory: number; pageTables: number };
  directory: number;
}

/** Page tables of the initial mapping: the builder maps what it made, rounded up to 4 MiB, by a root and a directory. */
function initialPageTables(parts: number): number {
  for (let tables = 1; ; tables++) {
    const used = (parts + 2 + tables + 1) * PAGE;
    let end = Math.ceil(used / (4 * MIB)) * 4 * MIB;
    if (end - used < MIB / 2) end += 4 * MIB;
    if (end / (2 * MIB) <= tables) return tables;
  }
}

/** The tables at the end of the boot. */
export function expectedDomainTables(e: XenExpectation): ExpectedDomainTables {
  // Kernel, P->M list of four bytes a page, start_info; then the tables, and a stack.
  const root = e.end + Math.ceil((e.pages * 4) / PAGE) + 1;
  const directory = root + 1;
  const firstPageTable = directory + 1;
  const kept = initialPageTables(root);
  const bitmapPages = Math.ceil(Math.ceil(e.maxLowPfn / 8) / PAGE);
  const firstAllocated = firstPageTable + kept + 1 + bitmapPages;
  let next = firstAllocated;
  const tables = new Map<number, bigint[]>();
  const table = (pfn: number) => {
    const entries = new Array<bigint>(PER_TABLE).fill(0n);
    tables.set(pfn, entries);
    return entries;
  };
  const entry = (pfn: number, flags: bigint) => (BigInt(e.mfnOf(pfn)) << 12n) | flags;

  const ownDirectory = next++;
  const slots = table(ownDirectory);
  const leaves: bigint[][] = [];
  for (let slot = 0; slot * PER_TABLE < Math.max(e.maxLowPfn, kept * PER_TABLE); slot++) {
    const pfn = slot < kept ? firstPageTable + slot : next++;
    slots[slot] = entry(pfn, slot < kept ? BUILDERS_TABLE : TABLE);
    leaves.push(table(pfn));
  }
  const fixed = e.pages > e.maxLowPfn ? [...FIXMAP_SLOTS, PKMAP_SLOT] : FIXMAP_SLOTS;
  for (const slot of fixed) {
    slots[slot] = entry(next, TABLE);
    table(next++);
  }
  table(e.root)[3] = entry(ownDirectory, 1n);

  const isTable = (pfn: number) =>
    pfn === e.root || (pfn >= root && pfn < firstPageTable + kept) || (pfn >= firstAllocated && pfn < next);
  for (let pfn = 0; pfn < e.maxLowPfn; pfn++) {
    const executable = !e.nx || (pfn >= e.text[0] && pfn < e.text[1]);
    const flags = (isTable(pfn) ? READ_ONLY : WRITABLE) | (executable ? 0n : NX);
    leaves[Math.floor(pfn / PER_TABLE)][pfn % PER_TABLE] = entry(pfn, flags);
  }
  const builders = table(directory);
  for (let slot = 0; slot < kept; slot++) builders[slot] = slots[slot];
  return {
    tables,
    allocated: next - firstAllocated,
    firstAllocated,
    builders: { root, directory, pageTables: kept },
    directory: ownDirectory,
  };
}
