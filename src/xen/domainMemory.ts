/** What a domain's memory holds at its entry. */
import type { PhysicalMemory } from "../machine/memory";
import { SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_PRIVILEGED } from "./abi";
import { type DomainPlan, type HypervisorFrames, pfnAt } from "./domain";
import { ACCESSED, DIRTY, PRESENT, USER, WRITABLE } from "./entryRules";
import { hypercallPage } from "./hypercallPage";
import type { P2mMapping } from "./p2mMapping";

const PAGE = 4096;
const LARGE = 512;

/** Puts a domain into a machine's memory: the image, what it is told, and its first page tables. */
export class DomainMemory {
  constructor(private readonly plan: DomainPlan) {}

  apply(memory: PhysicalMemory, hypervisor: HypervisorFrames): void {
    this.writeKernel(memory);
    this.writeRamdisk(memory);
    this.computeP2m(memory);
    this.writeStartInfo(memory, hypervisor);
    this.writeTables(memory);
    const { abi, frames } = this.plan;
    memory.compute(
      { start: hypervisor.m2p * PAGE, end: (hypervisor.m2p + hypervisor.m2pFrames) * PAGE },
      (address, page) => {
        const first = (address / PAGE - hypervisor.m2p) * (PAGE / abi.word);
        return fillWords(page, abi.word, (index) => frames.pfnOf(first + index));
      },
    );
  }

  private writeKernel(memory: PhysicalMemory): void {
    for (const { physical, bytes } of this.plan.image.segments) {
      this.write(memory, this.plan.mapping.start + physical - this.plan.notes.paddrOffset, bytes);
    }
    const { hypercallPage: page } = this.plan.notes;
    if (page !== undefined) this.write(memory, page, hypercallPage(this.plan.abi));
  }

  private writeRamdisk(memory: PhysicalMemory): void {
    const pfn = this.plan.notes.modStartPfn ? this.initialPages : pfnAt(this.plan, this.plan.mapping.ramdisk);
    this.writeFrames(memory, pfn, 0, this.plan.ramdisk);
  }

  private get initialPages(): number {
    return pfnAt(this.plan, this.plan.mapping.end);
  }

  /** The list is computed where it is read: of a large domain, hardly anything of it ever is. */
  private computeP2m(memory: PhysicalMemory): void {
    const { abi, frames } = this.plan;
    const perPage = PAGE / abi.word;
    for (const { pfn, count, index } of this.listRuns()) {
      // Within a group the order of machine frames is free, so that the range of a run may hold frames of others.
      const mfns = Array.from({ length: count }, (_, i) => frames.mfnOf(pfn + i));
      const start = mfns.reduce((least, mfn) => Math.min(least, mfn)) * PAGE;
      const end = (mfns.reduce((most, mfn) => Math.max(most, mfn)) + 1) * PAGE;
      memory.compute({ start, end }, (address, page) => {
        const owner = frames.pfnOf(address / PAGE);
        if (owner < pfn || owner >= pfn + count) return "zeros";
        const first = (index + owner - pfn) * perPage;
        if (!frames.anyPopulated(first, first + perPage)) return "ones";
        return fillWords(page, abi.word, (at) => frames.mfnOf(first + at));
      });
    }
  }

  /** Guest frames of the list that follow each other within a group of frames, and the index of their first page. */
  private listRuns(): { pfn: number; count: number; index: number }[] {
    const { p2m } = this.plan;
    if (p2m !== undefined) {
      let index = 0;
      return p2m.leaves.map(({ pfn, level, count }) => {
        const run = { pfn, count: count * 512 ** (level - 1), index };
        index += run.count;
        return run;
      });
    }
    const first = pfnAt(this.plan, this.plan.mapping.p2mList);
    const end = pfnAt(this.plan, this.plan.mapping.startInfo);
    const runs = [];
    for (let pfn = first; pfn < end; ) {
      const count = Math.min(end - pfn, LARGE - (pfn % LARGE));
      runs.push({ pfn, count, index: pfn - first });
      pfn += count;
    }
    return runs;
  }

  private writeStartInfo(memory: PhysicalMemory, hypervisor: HypervisorFrames): void {
    const { abi, mapping, notes, p2m, ramdisk, options } = this.plan;
    const page = new Uint8Array(PAGE);
    const view = new DataView(page.buffer);
    const at = abi.startInfo;
    const word = (offset: number, value: bigint) =>
      abi.word === 8 ? view.setBigUint64(offset, value, true) : view.setUint32(offset, Number(value), true);
    page.set(ascii(abi.magic), 0);
    word(at.nrPages, BigInt(options.nrPages));
    word(at.sharedInfo, BigInt(hypervisor.sharedInfo * PAGE));
    const flags =
      SIF_PRIVILEGED | SIF_INITDOMAIN | (notes.modStartPfn && ramdisk.length > 0 ? SIF_MOD_START_PFN : 0);
    view.setUint32(at.flags, flags, true);
    word(at.ptBase, mapping.tables);
    word(at.nrPtFrames, BigInt(mapping.tablePages));
    word(at.mfnList, p2m?.address ?? mapping.p2mList);
    if (ramdisk.length > 0) {
      word(at.modStart, notes.modStartPfn ? BigInt(this.initialPages) : mapping.ramdisk);
      word(at.modLen, BigInt(ramdisk.length));
    }
    const { cmdline } = options;
    page.set(cmdline, at.cmdLine);
    if (p2m !== undefined) {
      word(at.firstP2mPfn, BigInt(p2m.firstPfn));
      word(at.nrP2mFrames, BigInt(p2m.endPfn - p2m.firstPfn));
    }
    this.write(memory, mapping.startInfo, page);
  }

  /** The initial mapping: the root first, then the tables below it as they are needed. */
  private writeTables(memory: PhysicalMemory): void {
    const { abi, mapping, frames } = this.plan;
    let nextTable = pfnAt(this.plan, mapping.tables);
    const lastTable = nextTable + mapping.tablePages;
    const root = frames.mfnOf(nextTable++);
    const tables = new Map<string, number>();
    const tableFor = (address: bigint, level: number): number => {
      if (level === abi.levels) return root;
      const key = `${level}:${address >> BigInt(12 + 9 * level)}`;
      const known = tables.get(key);
      if (known !== undefined) return known;
      const parent = tableFor(address, level + 1);
      const table = frames.mfnOf(nextTable++);
      tables.set(key, table);
      this.writeEntry(memory, parent, level + 1, address, table, this.linkFlags(level + 1));
      return table;
    };
    const firstTablePfn = pfnAt(this.plan, mapping.tables);
    for (let address = mapping.start; address < mapping.end; address += 0x1000n) {
      const pfn = pfnAt(this.plan, address);
      const isTable = pfn >= firstTablePfn && pfn < lastTable;
      this.writeEntry(memory, tableFor(address, 1), 1, address, frames.mfnOf(pfn), this.leafFlags(!isTable));
    }
    if (this.plan.p2m !== undefined) this.writeP2mTables(memory, root, this.plan.p2m);
  }

  private writeP2mTables(memory: PhysicalMemory, root: number, { tables, leaves }: P2mMapping): void {
    const { frames, abi } = this.plan;
    const mfnOfTable = (index: number) => (index < 0 ? root : frames.mfnOf(tables[index].pfn));
    tables.forEach(({ parent, level, address }, index) => {
      this.writeEntry(
        memory,
        mfnOfTable(parent),
        level + 1,
        address,
        mfnOfTable(index),
        this.linkFlags(level + 1),
      );
    });
    for (const { table, level, address, pfn, count } of leaves) {
      for (let i = 0; i < count; i++) {
        const step = 512 ** (level - 1);
        const large = level === 1 ? 0 : 0x80;
        const at = address + BigInt(i * step * PAGE);
        const flags = this.leafFlags(true) | (abi.bits === 64 ? DIRTY : 0) | large;
        this.writeEntry(memory, mfnOfTable(table), level, at, frames.mfnOf(pfn + i * step), flags);
      }
    }
  }

  private leafFlags(writable: boolean): number {
    return PRESENT | ACCESSED | (writable ? WRITABLE : 0) | (this.plan.abi.bits === 64 ? USER : 0);
  }

  private linkFlags(level: number): number {
    if (this.plan.abi.bits === 32) return level === 3 ? PRESENT : PRESENT | WRITABLE | ACCESSED | DIRTY;
    return PRESENT | WRITABLE | ACCESSED | DIRTY | USER;
  }

  private writeEntry(
    memory: PhysicalMemory,
    table: number,
    level: number,
    address: bigint,
    mfn: number,
    flags: number,
  ): void {
    const index = Number((address >> BigInt(12 + 9 * (level - 1))) & 511n);
    memory.write64(table * PAGE + 8 * index, BigInt(mfn) * 4096n + BigInt(flags));
  }

  private write(memory: PhysicalMemory, address: bigint, bytes: Uint8Array): void {
    this.writeFrames(memory, pfnAt(this.plan, address), Number(address & 0xfffn), bytes);
  }

  private writeFrames(memory: PhysicalMemory, pfn: number, offset: number, bytes: Uint8Array): void {
    for (let done = 0, at = offset; done < bytes.length; ) {
      const count = Math.min(PAGE - (at % PAGE), bytes.length - done);
      const mfn = this.plan.frames.mfnOf(pfn + Math.floor(at / PAGE));
      memory.writeBytes(mfn * PAGE + (at % PAGE), bytes.subarray(done, done + count));
      done += count;
      at += count;
    }
  }
}

/** A text of ASCII characters as bytes. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Fills a page with words; -1 becomes all ones. */
function fillWords(page: Uint8Array, word: 4 | 8, wordAt: (index: number) => number): "ones" | "filled" {
  const view = new DataView(page.buffer);
  let ones = true;
  for (let index = 0; index < PAGE / word; index++) {
    const value = wordAt(index);
    const at = index * word;
    if (value < 0) page.fill(0xff, at, at + word);
    else {
      ones = false;
      view.setUint32(at, value % 0x1_0000_0000, true);
      if (word === 8) view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
    }
  }
  return ones ? "ones" : "filled";
}
