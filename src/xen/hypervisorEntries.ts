/**
 * What the hypervisor has in the page tables of its guest: the machine-to-physical table, which the guest may read,
 * and the descriptor table, which the CPU reads.
 */
import type { PhysicalMemory } from "../machine/memory";
import type { GuestAbi } from "./abi";
import type { Domain } from "./domain";
import { ACCESSED, DIRTY, PAGE_SIZE_BIT, PRESENT, USER, WRITABLE } from "./entryRules";
import type { HypervisorEntries } from "./pageTypes";

const PAGE = 4096;
const NX = 1n << 63n;
const GDT_PAGES = 16;
/** The page of the descriptor table from which on it is the hypervisor's. */
const OWN_GDT_PAGE = 14;

/** Descriptors at the selectors that guests know, as halves. */
const CODE64_3 = { low: 0x0000ffff, high: 0x00affb00 };
const CODE32_3 = { low: 0x0000ffff, high: 0x00cffb00 };
const DATA_3 = { low: 0x0000ffff, high: 0x00cff300 };
const CODE32_1 = { low: 0x0000ffff, high: 0x00cfbb00 };
const DATA_1 = { low: 0x0000ffff, high: 0x00cfb300 };
const DESCRIPTORS_64 = new Map([
  [0xe020, CODE32_3],
  [0xe028, DATA_3],
  [0xe030, CODE64_3],
]);
const DESCRIPTORS_32 = new Map([
  [0xe018, CODE32_1],
  [0xe020, DATA_1],
  [0xe028, CODE32_3],
  [0xe030, DATA_3],
]);

export class OwnEntries implements HypervisorEntries {
  private readonly abi: GuestAbi;
  private nextFrame: number;
  /** What goes into the hypervisor's slots of roots (64-bit) or of the last L2 tables (PAE), by index. */
  private readonly slots = new Map<number, bigint>();
  private readonly gdtTable: number;

  constructor(
    private readonly memory: PhysicalMemory,
    private readonly domain: Domain,
    /** Whether the CPU has XD. */
    private readonly nx: boolean,
  ) {
    const { abi, hypervisorFrames } = domain;
    this.abi = abi;
    this.nextFrame = hypervisorFrames.heap;
    this.gdtTable = this.allocate();
    this.mapM2p();
    this.mapGdt();
  }

  owns(level: number, index: number, topL2: boolean): boolean {
    const { hypervisorStart, hypervisorEnd, levels } = this.abi;
    if (levels === 4) {
      if (level !== 4) return false;
      return index >= slotOf(hypervisorStart, 4) && index <= slotOf(hypervisorEnd - 1n, 4);
    }
    return topL2 && level === 2 && index >= slotOf(hypervisorStart, 2);
  }

  fill(table: number, level: number): void {
    const [first, last] = [
      slotOf(this.abi.hypervisorStart, level),
      slotOf(this.abi.hypervisorEnd - 1n, level),
    ];
    for (let index = first; index <= last; index++) {
      this.memory.write64(table * PAGE + 8 * index, this.slots.get(index) ?? 0n);
    }
  }

  mayMap(mfn: number, writable: boolean): boolean {
    const { sharedInfo, m2p, m2pFrames } = this.domain.hypervisorFrames;
    return mfn === sharedInfo || (!writable && mfn >= m2p && mfn < m2p + m2pFrames);
  }

  /** Has the descriptor table begin with these frames of the guest's. */
  setGuestGdt(frames: readonly number[]): void {
    for (let page = 0; page < OWN_GDT_PAGE; page++) {
      const entry = page < frames.length ? BigInt(frames[page]) * 4096n + BigInt(PRESENT | ACCESSED) : 0n;
      this.memory.write64(this.gdtTable * PAGE + 8 * this.gdtIndex(page), entry);
    }
  }

  private allocate(): number {
    return this.nextFrame++;
  }

  /** Large pages, read-only, for user mode too: it is the guest that reads them. */
  private mapM2p(): void {
    const { m2p, m2pFrames } = this.domain.hypervisorFrames;
    const flags = BigInt(PRESENT | USER | ACCESSED | PAGE_SIZE_BIT) | (this.nx ? NX : 0n);
    const l2Tables: number[] = [];
    for (let done = 0; done < m2pFrames; done += 512) {
      const entry = (BigInt(m2p + done) * 4096n) | flags;
      const index = done / 512;
      if (this.abi.levels === 3) {
        this.slots.set(slotOf(this.abi.m2p, 2) + index, entry);
        continue;
      }
      if (index % 512 === 0) l2Tables.push(this.allocate());
      this.memory.write64(l2Tables.at(-1)! * PAGE + 8 * (index % 512), entry);
    }
    if (this.abi.levels === 3) return;
    const l3 = this.allocate();
    l2Tables.forEach((table, index) => {
      this.memory.write64(l3 * PAGE + 8 * index, link(table));
    });
    this.slots.set(slotOf(this.abi.m2p, 4), link(l3));
  }

  private mapGdt(): void {
    const { abi, memory, domain } = this;
    const { gdt } = domain.hypervisorFrames;
    for (const [selector, { low, high }] of abi.bits === 64 ? DESCRIPTORS_64 : DESCRIPTORS_32) {
      memory.write32(gdt * PAGE + (selector & 0xfff), low);
      memory.write32(gdt * PAGE + (selector & 0xfff) + 4, high);
    }
    for (let page = OWN_GDT_PAGE; page < GDT_PAGES; page++) {
      const entry = BigInt(gdt + page - OWN_GDT_PAGE) * 4096n + BigInt(PRESENT | ACCESSED);
      memory.write64(this.gdtTable * PAGE + 8 * this.gdtIndex(page), entry);
    }
    let table = this.gdtTable;
    let level = 1;
    while (level + 1 < (abi.levels === 4 ? 4 : 2)) {
      const parent = this.allocate();
      memory.write64(parent * PAGE + 8 * slotOf(abi.gdt, level + 1), kernelLink(table));
      table = parent;
      level++;
    }
    this.slots.set(slotOf(abi.gdt, level + 1), kernelLink(table));
  }

  private gdtIndex(page: number): number {
    return slotOf(this.abi.gdt, 1) + page;
  }
}

/** The index of an address in the tables of a level. */
function slotOf(address: bigint, level: number): number {
  return Number((address >> BigInt(12 + 9 * (level - 1))) & 511n);
}

function link(table: number): bigint {
  return BigInt(table) * 4096n + BigInt(PRESENT | USER | ACCESSED);
}

function kernelLink(table: number): bigint {
  return BigInt(table) * 4096n + BigInt(PRESENT | WRITABLE | ACCESSED | DIRTY);
}
