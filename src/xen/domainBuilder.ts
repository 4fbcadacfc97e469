/**
 * Builds a paravirtual domain: its memory, its first page tables, what it is told, and the CPU state at its entry
 * (Xen: the domain builder). All is planned before anything is written.
 */
import type { PhysicalMemory, PhysicalRange } from "../machine/memory";
import type { SegmentState, StartState } from "../machine/startState";
import { ABI_32, ABI_64, type GuestAbi, SIF_INITDOMAIN, SIF_MOD_START_PFN, SIF_PRIVILEGED } from "./abi";
import { ACCESSED, DIRTY, PRESENT, USER, WRITABLE } from "./entryRules";
import { DomainError } from "./errors";
import { hypercallPage } from "./hypercallPage";
import { type InitialMapping, layOut, roundUp } from "./initialMapping";
import { type ContiguousFrames, type FrameOrder, type FrameRange, MachineFrames } from "./machineFrames";
import { type PvNotes, type RawNote, readNotes } from "./notes";
import { type P2mMapping, planP2mMapping } from "./p2mMapping";

/** A segment of the image, by the physical address in the file. */
export interface PvSegment {
  readonly physical: bigint;
  readonly bytes: Uint8Array;
  readonly memorySize: number;
}

export interface PvImage {
  readonly bits: 32 | 64;
  readonly segments: readonly PvSegment[];
  readonly notes: readonly RawNote[];
}

export interface DomainOptions {
  /** Guest frames, from 0. */
  readonly nrPages: number;
  /** Those that have memory; all unless given. What the builder needs must have it. */
  readonly populated?: readonly FrameRange[];
  /** Ends in a zero byte. */
  readonly cmdline: Uint8Array;
  readonly ramdisk?: Uint8Array;
  readonly order: FrameOrder;
  /** Whether the P->M list goes where INIT_P2M says, where there is such a note. */
  readonly p2mOutside: boolean;
  /** Whether the CPU has pages of 1 GiB. */
  readonly pages1G: boolean;
  /** Whether it has XD. */
  readonly nx: boolean;
  readonly maxPhysicalBits: number;
}

/** Something of a domain that lies in guest frames. */
export interface DomainPart {
  readonly name: string;
  readonly pfn: number;
  readonly pages: number;
}

/** A domain that is ready to be put into a machine. */
export interface Domain {
  readonly abi: GuestAbi;
  readonly notes: PvNotes;
  readonly frames: MachineFrames;
  readonly mapping: InitialMapping;
  /** Where the P->M list is; its frames and those of its tables where it lies outside of the initial mapping. */
  readonly p2m: { readonly address: bigint; readonly outside: P2mMapping | undefined };
  /** Machine frame of the root. */
  readonly root: number;
  readonly hypervisorFrames: HypervisorFrames;
  /** What the machine's memory has to be. */
  readonly ram: readonly PhysicalRange[];
  readonly parts: readonly DomainPart[];
  readonly start: StartState;
  apply(memory: PhysicalMemory): void;
}

/** Machine frames of the hypervisor's own. */
export interface HypervisorFrames {
  readonly sharedInfo: number;
  /** Pages of the descriptor table that hold its own descriptors. */
  readonly gdt: number;
  /** From here on there is room for its tables. */
  readonly heap: number;
  /** The machine-to-physical table, and its length in frames. */
  readonly m2p: number;
  readonly m2pFrames: number;
}

const PAGE = 4096;
const SHARED_INFO = 0x200;
const GDT = 0x201;
const HEAP = 0x210;
/** The machine frame of guest frame 0: 256 MiB up. */
const FIRST_MFN = 0x10000;
const LARGE = 512;
const HUGE = 512 * 512;
const ALL_ONES = 0xffff_ffff;
const CMDLINE_LIMIT = 1024;
const CR0 = 0x8001_0031;
const CR4_PAE = 0x20;
const CR4_PGE = 0x80;
const EFER_64 = 0x501;
const EFER_NXE = 0x800;
const RFLAGS_IF = 0x202;

/** @throws DomainError where the image, its notes or the memory do not allow it */
export function buildDomain(image: PvImage, options: DomainOptions): Domain {
  const abi = image.bits === 64 ? ABI_64 : ABI_32;
  const notes = readNotes(image.notes, image.bits);
  checkMode(notes, abi);
  const kernel = kernelExtent(image, notes);
  const outside = options.p2mOutside && notes.initP2m !== undefined;
  const listBytes = BigInt(options.nrPages) * BigInt(abi.word);
  const ramdisk = options.ramdisk ?? new Uint8Array();
  const mapping = layOut(abi, {
    start: notes.virtBase,
    kernel: kernel.end,
    ramdisk: notes.modStartPfn ? 0n : BigInt(ramdisk.length),
    p2mList: outside ? 0n : listBytes,
  });
  const initialPages = Number((mapping.end - mapping.start) / BigInt(PAGE));
  const populated = options.populated ?? [{ start: 0, end: options.nrPages }];
  const ramdiskPages = notes.modStartPfn ? Math.ceil(ramdisk.length / PAGE) : 0;
  requireMemory(populated, initialPages + ramdiskPages, "the initial mapping");
  const p2mMapping = outside
    ? planP2mMapping(notes.initP2m!, listBytes, initialPages + ramdiskPages, mapping, abi, options.pages1G)
    : undefined;
  if (p2mMapping !== undefined) requireMemory(populated, p2mMapping.endPfn, "the P->M list with its tables");
  const firstFree = FIRST_MFN + Math.ceil(options.nrPages / LARGE) * LARGE;
  const listMfn = Math.ceil(firstFree / HUGE) * HUGE;
  const frames = new MachineFrames(
    options.nrPages,
    populated,
    FIRST_MFN,
    options.order,
    p2mMapping === undefined ? [] : contiguousParts(p2mMapping, listMfn),
  );
  const m2p = Math.ceil(frames.endMfn / HUGE) * HUGE;
  const m2pFrames = Math.ceil((frames.endMfn * abi.word) / PAGE);
  if (abi.bits === 32 && BigInt(m2pFrames * PAGE) > abi.gdt - abi.m2p) {
    throw new DomainError(
      `the domain's ${options.nrPages} pages are too many for a 32-bit guest: the machine-to-physical table would need ` +
        `${inMib(m2pFrames)} MiB of the ${(abi.gdt - abi.m2p) >> 20n} MiB that the hypervisor has for it`,
    );
  }
  const end = (m2p + m2pFrames) * PAGE;
  if (end > 2 ** Math.min(options.maxPhysicalBits, 51)) {
    throw new DomainError(
      `the domain's ${options.nrPages} pages need machine addresses up to 0x${end.toString(16)}, beyond the CPU's ${options.maxPhysicalBits} bits`,
    );
  }
  const builder = new Builder(image, options, abi, notes, mapping, frames, p2mMapping, ramdisk);
  const hypervisorFrames = { sharedInfo: SHARED_INFO, gdt: GDT, heap: HEAP, m2p, m2pFrames };
  return {
    abi,
    notes,
    frames,
    mapping,
    p2m: { address: p2mMapping?.address ?? mapping.p2mList, outside: p2mMapping },
    root: builder.mfnAt(mapping.tables),
    hypervisorFrames,
    ram: [{ start: 0, end }],
    parts: builder.parts(kernel.start),
    start: builder.startState(),
    apply: (memory) => builder.apply(memory, hypervisorFrames),
  };
}

function checkMode(notes: PvNotes, abi: GuestAbi): void {
  if (abi.bits === 32 && notes.paeMode !== undefined && !notes.paeMode.startsWith("yes")) {
    throw new DomainError(`the Xen note PAE_MODE is "${notes.paeMode}", and only PAE guests are supported`);
  }
  const known = ["writable_page_tables", "pae_pgdir_above_4gb"];
  const impossible = notes.required.find((feature) => !known.includes(feature) && feature !== "");
  if (impossible !== undefined) {
    throw new DomainError(
      `the image needs the hypervisor's feature ${impossible}, which this one does not have`,
    );
  }
}

/** The kernel in bytes from VIRT_BASE on. */
function kernelExtent({ segments }: PvImage, notes: PvNotes): { start: bigint; end: bigint } {
  if (segments.length === 0) throw new DomainError("the image has no loadable segments");
  let [start, end] = [1n << 64n, 0n];
  for (const { physical, memorySize } of segments) {
    const from = physical - notes.paddrOffset;
    if (from < 0n) {
      throw new DomainError(
        `the Xen notes contradict the image: PADDR_OFFSET 0x${notes.paddrOffset.toString(16)} is above the segment at 0x${physical.toString(16)}`,
      );
    }
    if (from < start) start = from;
    if (from + BigInt(memorySize) > end) end = from + BigInt(memorySize);
  }
  const entry = notes.entry - notes.virtBase;
  if (entry < start || entry >= end) {
    throw new DomainError(
      `the Xen notes contradict the image: ENTRY 0x${notes.entry.toString(16)} lies in none of its segments`,
    );
  }
  const { hypercallPage: page } = notes;
  if (
    page !== undefined &&
    (page % 0x1000n !== 0n || page - notes.virtBase < start || page - notes.virtBase >= end)
  ) {
    throw new DomainError(
      `the Xen note HYPERCALL_PAGE is 0x${page.toString(16)}, which is not a page of the image`,
    );
  }
  return { start, end };
}

function requireMemory(populated: readonly FrameRange[], pages: number, what: string): void {
  const [first] = populated;
  if (first !== undefined && first.start === 0 && first.end >= pages) return;
  const has = first === undefined || first.start > 0 ? 0 : first.end;
  throw new DomainError(
    `${what} needs the domain's first ${pages} pages (${inMib(pages)} MiB), and the domain has ${has} (${inMib(has)} MiB) from its start on`,
  );
}

/** The list's machine frames follow each other, so that large pages can map it. */
function contiguousParts({ leaves }: P2mMapping, listMfn: number): ContiguousFrames[] {
  let mfn = listMfn;
  return leaves.map(({ pfn, level, count }) => {
    const part = { pfn, mfn, count: count * 512 ** (level - 1) };
    mfn += part.count;
    return part;
  });
}

function inMib(pages: number): number {
  return Math.ceil(pages / 256);
}

/** Writes what was planned. */
class Builder {
  constructor(
    private readonly image: PvImage,
    private readonly options: DomainOptions,
    private readonly abi: GuestAbi,
    private readonly notes: PvNotes,
    private readonly mapping: InitialMapping,
    private readonly frames: MachineFrames,
    private readonly p2m: P2mMapping | undefined,
    private readonly ramdisk: Uint8Array,
  ) {}

  mfnAt(address: bigint): number {
    return this.frames.mfnOf(this.pfnAt(address));
  }

  private pfnAt(address: bigint): number {
    return Number((address - this.mapping.start) >> 12n);
  }

  parts(kernelStart: bigint): DomainPart[] {
    const { mapping, p2m } = this;
    const part = (name: string, from: bigint, to: bigint) => ({
      name,
      pfn: this.pfnAt(from),
      pages: this.pfnAt(roundUp(to, 0x1000n)) - this.pfnAt(from),
    });
    const all = [
      part("kernel", mapping.start + kernelStart, mapping.ramdisk),
      part("ramdisk", mapping.ramdisk, mapping.p2mList),
      part("P->M list", mapping.p2mList, mapping.startInfo),
      part("start_info", mapping.startInfo, mapping.tables),
      part("builder's page tables", mapping.tables, mapping.stack),
      part("first stack", mapping.stack, mapping.stack + 0x1000n),
    ];
    if (p2m !== undefined) {
      all.push({ name: "P->M list with its tables", pfn: p2m.firstPfn, pages: p2m.endPfn - p2m.firstPfn });
    }
    return all.filter(({ pages }) => pages > 0);
  }

  startState(): StartState {
    const { abi, notes, mapping } = this;
    const registers = { rsp: mapping.stack + 0x1000n, rsi: mapping.startInfo };
    const wide = abi.bits === 64;
    const data: SegmentState = {
      selector: abi.kernelSs,
      base: 0n,
      limit: ALL_ONES,
      attributes: wide ? 0xc0f3 : 0xc0b3,
    };
    const nothing: SegmentState = { selector: 0, base: 0n, limit: 0, attributes: 0 };
    const other = wide ? nothing : data;
    return {
      rip: notes.entry,
      rflags: RFLAGS_IF,
      registers,
      cr0: CR0,
      cr3: BigInt(this.mfnAt(mapping.tables)) * 4096n,
      cr4: CR4_PAE | CR4_PGE,
      efer: (wide ? EFER_64 : 0) | (this.options.nx ? EFER_NXE : 0),
      segments: {
        cs: { selector: abi.kernelCs, base: 0n, limit: ALL_ONES, attributes: wide ? 0xa0fb : 0xc0bb },
        ss: data,
        ds: other,
        es: other,
        fs: other,
        gs: other,
      },
      gdtr: { base: abi.gdt, limit: 0xffff },
    };
  }

  apply(memory: PhysicalMemory, hypervisor: HypervisorFrames): void {
    this.writeKernel(memory);
    this.writeRamdisk(memory);
    this.computeP2m(memory);
    this.writeStartInfo(memory, hypervisor);
    this.writeTables(memory);
    const { abi, frames } = this;
    memory.compute(
      { start: hypervisor.m2p * PAGE, end: (hypervisor.m2p + hypervisor.m2pFrames) * PAGE },
      (address, page) => {
        const first = (address / PAGE - hypervisor.m2p) * (PAGE / abi.word);
        return fillWords(page, abi.word, (index) => frames.pfnOf(first + index));
      },
    );
  }

  private writeKernel(memory: PhysicalMemory): void {
    for (const { physical, bytes } of this.image.segments) {
      this.write(memory, this.mapping.start + physical - this.notes.paddrOffset, bytes);
    }
    const { hypercallPage: page } = this.notes;
    if (page !== undefined) this.write(memory, page, hypercallPage(this.abi));
  }

  private writeRamdisk(memory: PhysicalMemory): void {
    const pfn = this.notes.modStartPfn ? this.initialPages : this.pfnAt(this.mapping.ramdisk);
    this.writeFrames(memory, pfn, 0, this.ramdisk);
  }

  private get initialPages(): number {
    return this.pfnAt(this.mapping.end);
  }

  /** The list is computed where it is read: of a large domain, hardly anything of it ever is. */
  private computeP2m(memory: PhysicalMemory): void {
    const { abi, frames } = this;
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
    const { p2m } = this;
    if (p2m !== undefined) {
      let index = 0;
      return p2m.leaves.map(({ pfn, level, count }) => {
        const run = { pfn, count: count * 512 ** (level - 1), index };
        index += run.count;
        return run;
      });
    }
    const first = this.pfnAt(this.mapping.p2mList);
    const end = this.pfnAt(this.mapping.startInfo);
    const runs = [];
    for (let pfn = first; pfn < end; ) {
      const count = Math.min(end - pfn, LARGE - (pfn % LARGE));
      runs.push({ pfn, count, index: pfn - first });
      pfn += count;
    }
    return runs;
  }

  private writeStartInfo(memory: PhysicalMemory, hypervisor: HypervisorFrames): void {
    const { abi, mapping, notes, p2m, ramdisk, options } = this;
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
    if (cmdline.length > CMDLINE_LIMIT) {
      throw new DomainError(
        `the command line has ${cmdline.length} bytes with its zero byte, and start_info has room for ${CMDLINE_LIMIT}`,
      );
    }
    page.set(cmdline, at.cmdLine);
    if (p2m !== undefined) {
      word(at.firstP2mPfn, BigInt(p2m.firstPfn));
      word(at.nrP2mFrames, BigInt(p2m.endPfn - p2m.firstPfn));
    }
    this.write(memory, mapping.startInfo, page);
  }

  /** The initial mapping: the root first, then the tables below it as they are needed. */
  private writeTables(memory: PhysicalMemory): void {
    const { abi, mapping, frames } = this;
    let nextTable = this.pfnAt(mapping.tables);
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
    const firstTablePfn = this.pfnAt(mapping.tables);
    for (let address = mapping.start; address < mapping.end; address += 0x1000n) {
      const pfn = this.pfnAt(address);
      const isTable = pfn >= firstTablePfn && pfn < lastTable;
      this.writeEntry(memory, tableFor(address, 1), 1, address, frames.mfnOf(pfn), this.leafFlags(!isTable));
    }
    if (this.p2m !== undefined) this.writeP2mTables(memory, root, this.p2m);
  }

  private writeP2mTables(memory: PhysicalMemory, root: number, { tables, leaves }: P2mMapping): void {
    const { frames, abi } = this;
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
    return PRESENT | ACCESSED | (writable ? WRITABLE : 0) | (this.abi.bits === 64 ? USER : 0);
  }

  private linkFlags(level: number): number {
    if (this.abi.bits === 32) return level === 3 ? PRESENT : PRESENT | WRITABLE | ACCESSED | DIRTY;
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
    this.writeFrames(memory, this.pfnAt(address), Number(address & 0xfffn), bytes);
  }

  private writeFrames(memory: PhysicalMemory, pfn: number, offset: number, bytes: Uint8Array): void {
    for (let done = 0, at = offset; done < bytes.length; ) {
      const count = Math.min(PAGE - (at % PAGE), bytes.length - done);
      const mfn = this.frames.mfnOf(pfn + Math.floor(at / PAGE));
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
