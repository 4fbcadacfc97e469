/** The boot program i386-paravirt on a machine, and the tables that it has to build, computed from its description. */
import { Walk, walkLinear } from "../../src/paging/walk";
import { Guest, type GuestOptions } from "./bootProgram";

export const KIB = 2 ** 10;
export const MIB = 2 ** 20;
export const PAGE = 4096;
export const PAGE_OFFSET = 0xc0000000;

/** A booted (not yet run) i386-paravirt. */
export class I386Paravirt extends Guest {
  private readonly walk = new Walk();

  constructor(settings: Record<string, string> = {}, options: GuestOptions = {}) {
    super("i386-paravirt", settings, options);
  }

  /** Where a linear address leads by the tables as they are now, without any TLB; undefined where nowhere. */
  translate(linear: number): number | undefined {
    const { machine, walk } = this;
    if (walkLinear(machine.pagingState, machine.memory, linear | 0, 0, 0, walk) !== 0) return undefined;
    return walk.frame + (linear % 2 ** walk.pageShift);
  }

  /** The words of a page. */
  page(physical: number): Uint32Array {
    return Uint32Array.from({ length: PAGE / 4 }, (_, i) => this.machine.memory.read32(physical + 4 * i));
  }
}

/** What decides the tables. */
export interface Expectation {
  pae: boolean;
  pse: boolean;
  pge: boolean;
  nx: boolean;
  /** Pages. */
  maxLowPfn: number;
  highmem: boolean;
  /** Physical: the first and the end of kernel text, and the end of the image. */
  text: [number, number];
  end: number;
  root: number;
  zeroPage: number;
}

export interface ExpectedTables {
  /** The words of every page that serves as a table, by physical address. */
  pages: Map<number, Uint32Array>;
  /** Pages that the boot allocator gave for tables. */
  allocated: number;
  /** The first page that it gave. */
  firstAllocated: number;
}

/** Physical end of the 2-level tables that the entry assembly builds behind the kernel, of 4 MiB each. */
function bootTablesEnd({ pae, end }: Expectation): number {
  // Room for a bitmap of 896 MiB and for a page table for each large page of it, and eight more.
  const beyond = (896 * MIB) / PAGE / 8 + (896 / (pae ? 2 : 4) + 8) * PAGE;
  let tables = 1;
  while (tables * 4 * MIB < end + tables * PAGE + beyond) tables++;
  return end + tables * PAGE;
}

/** The tables at the end of the boot. */
export function expectedTables(e: Expectation): ExpectedTables {
  const bootEnd = bootTablesEnd(e);
  const firstAllocated = Math.ceil((bootEnd + Math.ceil(e.maxLowPfn / 8)) / PAGE) * PAGE;
  const pages = new Map<number, Uint32Array>();
  let next = firstAllocated;
  const alloc = () => {
    const page = next;
    pages.set(page, new Uint32Array(PAGE / 4));
    next += PAGE;
    return page;
  };
  /** Writes an entry of the format. */
  const put = (table: number, index: number, low: number, xd = false) => {
    const words = pages.get(table)!;
    words[e.pae ? 2 * index : index] = low;
    if (e.pae) words[2 * index + 1] = xd ? 0x80000000 : 0;
  };
  const isText = (physical: number) => physical >= e.text[0] && physical < e.text[1];
  const xdOf = (executable: boolean) => e.pae && e.nx && !executable;
  const flags = 0x63 | (e.pge ? 0x100 : 0);
  const large = (e.pae ? 2 : 4) * MIB;
  const perTable = large / PAGE;

  pages.set(e.root, new Uint32Array(PAGE / 4));
  let directory = e.root;
  let firstSlot = 768;
  if (e.pae) {
    entryRoot(pages.get(e.root)!, e.end, bootEnd);
    directory = alloc();
    firstSlot = 0;
    for (const [index, table] of [directory, e.zeroPage, e.zeroPage, directory].entries())
      put(e.root, index, table | 1);
  } else {
    entryRoot(pages.get(e.root)!, e.end, bootEnd);
  }

  for (let slot = 0; slot * perTable < e.maxLowPfn; slot++) {
    const start = slot * large;
    if (e.pse) {
      const executable = isText(start) || isText(start + large - 1);
      put(directory, firstSlot + slot, start | flags | 0x80, xdOf(executable));
      continue;
    }
    const boot = e.end + slot * PAGE;
    const kept = !e.pae && boot < bootEnd;
    const table = kept ? boot : alloc();
    if (kept) pages.set(table, new Uint32Array(PAGE / 4));
    else put(directory, firstSlot + slot, table | 0x67);
    for (let i = 0; i < perTable && slot * perTable + i < e.maxLowPfn; i++)
      put(table, i, (start + i * PAGE) | flags, xdOf(isText(start + i * PAGE)));
  }

  // 600 slots of the fixmap end below the top 8 MiB; the permanent kmaps lie in the pmd below.
  const slots = (address: number) => Math.floor((address - PAGE_OFFSET) / large) + firstSlot;
  for (let slot = slots(0xff7ff000 - 599 * PAGE); slot <= slots(0xff7ff000); slot++)
    put(directory, slot, alloc() | 0x67);
  const fixmap = slots(0xff7ff000 - 599 * PAGE);
  if (e.highmem) put(directory, fixmap - 1, alloc() | 0x67);
  return { pages, allocated: (next - firstAllocated) / PAGE, firstAllocated };
}

/** What the entry assembly puts into the root: its tables at 0 and at PAGE_OFFSET. */
function entryRoot(root: Uint32Array, end: number, bootEnd: number): void {
  for (let table = end, slot = 0; table < bootEnd; table += PAGE, slot++) {
    root[slot] = table | 0x67;
    root[768 + slot] = table | 0x67;
  }
}

/** Every word of memory that is not as expected, in words. */
export function differences(guest: I386Paravirt, pages: ReadonlyMap<number, Uint32Array>): string[] {
  return [...pages].flatMap(([physical, expected]) => {
    const found = guest.page(physical);
    return [...expected.keys()]
      .filter((i) => found[i] !== expected[i])
      .map((i) => `${hex(physical + 4 * i)}: ${hex(found[i])}, not ${hex(expected[i])}`);
  });
}

function hex(value: number): string {
  return value.toString(16);
}
