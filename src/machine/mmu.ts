/**
 * Linear accesses: the fast cache of host offsets, the TLB below it, and the page walk below that.
 *
 * Three layers, each derived from the next:
 * 1. `readCache` / `writeCache`, direct mapped: linear 4 KiB page -> arena offset. Holds only what the TLB holds and
 *    what the present CPL, AC, WP, ... allow. Frames with a flag are never in `writeCache`, so every write to code,
 *    tables and watched frames takes the slow way.
 * 2. `tlb`: what the architecture lets software see (SDM vol. 3A, 4.10).
 * 3. `src/paging`: the walk.
 *
 * A 64-bit load returns its low half and leaves the high one in `r[R_HIGH]`.
 */
import { isCanonical } from "../paging/canonical";
import { ACCESS_FETCH, ACCESS_IMPLICIT, ACCESS_USER, ACCESS_WRITE, type PagingState } from "../paging/state";
import {
  checkRights,
  FAULT_NONE,
  finishWalk,
  RIGHT_USER,
  RIGHT_WRITE,
  rightsBelow,
  setAccessedDirty,
  startWalk,
  Walk,
  walkLinear,
} from "../paging/walk";
import { R_HIGH } from "./cpu/registers";
import {
  ARENA_READ_CACHE,
  ARENA_WRITE_CACHE,
  FRAME_CODE,
  FRAME_DATA_BREAKPOINT,
  FRAME_TABLE,
  FRAME_WATCHED,
  type PhysicalMemory,
  SHARED_PAGES_END,
} from "./memory";
import { RecentTranslations } from "./recentTranslations";
import type { Snapshotable } from "./snapshot";
import { TableUse, type TableUseState } from "./tableUse";
import { type StructureEntry, Tlb, type TlbEntry, type TlbState } from "./tlb";

/** What the MMU tells the CPU. The first three do not return: they throw the fault. */
export interface MmuHost {
  pageFault(low: number, high: number, access: number, cause: number): never;
  nonCanonical(low: number, high: number, access: number): never;
  /** Bytes of a frame with translated instructions are about to change. */
  codeWritten(address: number, size: number): void;
  /** Software changed an entry in a frame that is flagged as a table or watched. Halves are int32. */
  tableWritten(entry: number, oldLow: number, oldHigh: number, newLow: number, newHigh: number): void;
  /** What a fetch goes through may have changed: the TLB's contents, or the tables that it is compared with. */
  fetchesChanged(): void;
  /** Software is about to write into a frame with data breakpoints. */
  dataWriteBegins(address: number, size: number): void;
  dataWriteEnds(): void;
  /** A cached translation was used that the tables no longer give; `mmu.check` holds the walk of the tables. */
  staleUse(low: number, high: number, access: number, cachedFrame: number, cachedRights: number): void;
  /**
   * What translates a linear page has left the TLB, or is to be compared with the tables.
   * @param pageShift log2 of the page's size
   */
  translationDoubtful(page4K: number, pageShift: number): void;
}

/** Entries of each fast cache. Translated code looks into them too. */
export const CACHE_PAGES = 512;
/** From a linear address to its index in a cache with a stride of four words: tag low, tag high, addend, unused. */
const INDEX_SHIFT = 10;
const INDEX_MASK = (CACHE_PAGES - 1) << 2;
/** No page-aligned tag has this value. */
const EMPTY = 1;
const PAGE_MASK = ~0xfff;
const PAGE_SHIFT = 12;
/** Entry bits whose change leaves a cached translation right: A, D and the ignored bits 9..11. */
const HARMLESS_BITS = 0xe60;

export interface MmuState {
  readonly generation: number;
  readonly walks: number;
  readonly tlb: TlbState;
  readonly tableUse: TableUseState;
}

export class Mmu implements Snapshotable<MmuState> {
  readonly tlb: Tlb;
  /** The walk of the last miss. */
  readonly walk = new Walk();
  /** The walk that a cached translation was compared with. */
  readonly check = new Walk();
  /** Access bits of explicit data accesses now: ACCESS_USER at CPL 3, ACCESS_AC with EFLAGS.AC. */
  dataAccess = 0;
  /** The current PCID; 0 without CR4.PCIDE. */
  pcid = 0;
  /** CR4.PGE: the G flag of a leaf means something. */
  globalPages = false;
  /** Changes whenever a present entry of a walked table changed. */
  generation = 0;
  /** Walks made for accesses since the start (hits in the TLB are not walks). */
  walks = 0;

  private readonly readCache: Int32Array;
  private readonly writeCache: Int32Array;
  private readonly tableUse = new TableUse();
  private sharedPageCached = false;
  private readonly recent = new RecentTranslations();
  private checking = true;
  private readonly cacheTranslations: boolean;

  /**
   * @param tlbCapacity translations held at most: Infinity for all that the architecture allows, 0 to walk on
   *   every access
   */
  constructor(
    readonly memory: PhysicalMemory,
    readonly state: PagingState,
    private readonly r: Int32Array,
    private readonly host: MmuHost,
    tlbCapacity: number,
    private readonly now: () => number,
  ) {
    this.readCache = memory.words(ARENA_READ_CACHE, CACHE_PAGES * 4).fill(EMPTY);
    this.writeCache = memory.words(ARENA_WRITE_CACHE, CACHE_PAGES * 4).fill(EMPTY);
    this.tlb = new Tlb(tlbCapacity, (evicted) => this.evicted(evicted));
    this.cacheTranslations = tlbCapacity > 0;
    memory.onFrameAllocated = () => {
      if (this.sharedPageCached) this.flushReadCache();
    };
  }

  /** What CPL, CR3 and CR4 decide is restored with those. */
  save(): MmuState {
    const { generation, walks } = this;
    return { generation, walks, tlb: this.tlb.save(), tableUse: this.tableUse.save() };
  }

  restore(state: MmuState): void {
    this.generation = state.generation;
    this.walks = state.walks;
    this.tlb.restore(state.tlb);
    this.tableUse.restore(state.tableUse);
    this.forgetAll();
  }

  // --- loads: values of 8 and 16 bits come sign-extended, as the lazy flags want them ---

  load8(low: number, high: number): number {
    const t = this.readCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === (low & PAGE_MASK) && t[i + 1] === high)
      return this.memory.view.getInt8((t[i + 2] + low) | 0);
    return (this.loadSlow(low, high, 1) << 24) >> 24;
  }

  load16(low: number, high: number): number {
    const t = this.readCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 1) & PAGE_MASK) && t[i + 1] === high) {
      return this.memory.view.getInt16((t[i + 2] + low) | 0, true);
    }
    return (this.loadSlow(low, high, 2) << 16) >> 16;
  }

  load32(low: number, high: number): number {
    const t = this.readCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 3) & PAGE_MASK) && t[i + 1] === high) {
      return this.memory.view.getInt32((t[i + 2] + low) | 0, true);
    }
    return this.loadSlow(low, high, 4);
  }

  load64(low: number, high: number): number {
    const t = this.readCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 7) & PAGE_MASK) && t[i + 1] === high) {
      const view = this.memory.view;
      const at = (t[i + 2] + low) | 0;
      this.r[R_HIGH] = view.getInt32(at + 4, true);
      return view.getInt32(at, true);
    }
    return this.loadSlow(low, high, 8);
  }

  // --- stores ---

  store8(low: number, high: number, value: number): void {
    const t = this.writeCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === (low & PAGE_MASK) && t[i + 1] === high)
      this.memory.view.setInt8((t[i + 2] + low) | 0, value);
    else this.storeSlow(low, high, 1, value, 0);
  }

  store16(low: number, high: number, value: number): void {
    const t = this.writeCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 1) & PAGE_MASK) && t[i + 1] === high) {
      this.memory.view.setInt16((t[i + 2] + low) | 0, value, true);
    } else this.storeSlow(low, high, 2, value, 0);
  }

  store32(low: number, high: number, value: number): void {
    const t = this.writeCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 3) & PAGE_MASK) && t[i + 1] === high) {
      this.memory.view.setInt32((t[i + 2] + low) | 0, value, true);
    } else this.storeSlow(low, high, 4, value, 0);
  }

  store64(low: number, high: number, valueLow: number, valueHigh: number): void {
    const t = this.writeCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + 7) & PAGE_MASK) && t[i + 1] === high) {
      const view = this.memory.view;
      const at = (t[i + 2] + low) | 0;
      view.setInt32(at, valueLow, true);
      view.setInt32(at + 4, valueHigh, true);
    } else this.storeSlow(low, high, 8, valueLow, valueHigh);
  }

  /** Faults as a write of `size` bytes would, and writes nothing: for instructions that read before they write. */
  probeWrite(low: number, high: number, size: number): void {
    const t = this.writeCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] === ((low + size - 1) & PAGE_MASK) && t[i + 1] === high) return;
    this.translateRange(low, high, size, this.dataAccess | ACCESS_WRITE);
  }

  /**
   * The arena offset of a byte that may be read, or -1 where the access must take the slow way. Faults as a load.
   * What lies behind it up to the end of the page may be read likewise.
   */
  readOffset(low: number, high: number): number {
    const t = this.readCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) {
      this.translate(low, high, this.dataAccess);
      if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) return -1;
    }
    return (t[i + 2] + low) | 0;
  }

  /** The same for writes. */
  writeOffset(low: number, high: number): number {
    const t = this.writeCache;
    const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
    if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) {
      this.translate(low, high, this.dataAccess | ACCESS_WRITE);
      if (t[i] !== (low & PAGE_MASK) || t[i + 1] !== high) return -1;
    }
    return (t[i + 2] + low) | 0;
  }

  /**
   * Whether writing a byte all over the rest of a page would change nothing, and nobody would hear of it: what is to
   * be written is what the frame shares with many. Faults as a store.
   */
  isFilledWith(byte: number, low: number, high: number): boolean {
    const physical = this.translate(low, high, this.dataAccess | ACCESS_WRITE);
    return this.memory.flagsOf(physical) === 0 && this.memory.sharesPageOf(byte, physical);
  }

  // --- implicit supervisor accesses: descriptor tables, the TSS (SDM 4.6.1) ---

  systemLoad32(low: number, high: number): number {
    return this.loadPhysically(low, high, 4, ACCESS_IMPLICIT);
  }

  systemStore8(low: number, high: number, value: number): void {
    this.writePhysical(this.translate(low, high, ACCESS_IMPLICIT | ACCESS_WRITE), 1, value, 0);
  }

  /** Stores with explicit access bits: pushes on the stack of another privilege level. */
  storeAs(
    access: number,
    low: number,
    high: number,
    size: number,
    valueLow: number,
    valueHigh: number,
  ): void {
    this.storePhysically(low, high, size, valueLow, valueHigh, access | ACCESS_WRITE);
  }

  /** The physical address of an instruction byte. Faults as a fetch. */
  translateFetch(low: number, high: number): number {
    return this.translate(low, high, (this.dataAccess & ACCESS_USER) | ACCESS_FETCH);
  }

  /**
   * The physical address of a linear one, through the TLB. Faults where the access is not allowed; sets A and D.
   * @param access ACCESS_* bits
   */
  translate(low: number, high: number, access: number): number {
    const state = this.state;
    if (state.levels === 0) {
      this.fillCache(low, high, low >>> 0, access);
      return low >>> 0;
    }
    if (state.levels >= 4 && !isCanonical(low, high, state.levels)) this.host.nonCanonical(low, high, access);
    const page4K = (high >>> 0) * 0x100000 + (low >>> 12);
    const entry = this.cacheTranslations ? this.cached(low, high, page4K) : undefined;
    if (entry !== undefined) {
      if (entry.checked !== this.generation && this.checking) this.checkEntry(entry, low, high, access);
      const cause = checkRights(state, entry.rights, entry.key, access);
      if (cause !== FAULT_NONE) this.fault(low, high, page4K, access, cause);
      if ((access & ACCESS_WRITE) === 0 || entry.dirty) {
        const physical = entry.frame + offsetIn(low, entry.pageShift);
        this.fillCache(low, high, physical, access);
        return physical;
      }
    }
    return this.walkFor(low, high, page4K, access);
  }

  private cached(low: number, high: number, page4K: number): TlbEntry | undefined {
    const recent = this.recent.find(low, high, this.pcid);
    if (recent !== undefined) return recent;
    const entry = this.tlb.find(this.pcid, page4K);
    if (entry !== undefined) this.recent.put(low, high, entry);
    return entry;
  }

  // --- invalidation ---

  /** Empties the fast cache: the privilege or a mode changed, or anything larger than a page was flushed. */
  flushCache(): void {
    this.flushReadCache();
    this.writeCache.fill(EMPTY);
  }

  /** A present entry changed, or tables may have changed without a write of the guest. */
  tablesChanged(): void {
    this.generation++;
    if (!this.checking) return;
    this.flushCache();
    this.host.fetchesChanged();
  }

  /** What is cached for a linear address under the present PCID; looking changes nothing. */
  held(address: bigint): {
    translation: TlbEntry | undefined;
    structure: { entry: StructureEntry; spanShift: number } | undefined;
  } {
    const page4K = Number(BigInt.asUintN(64, address) >> 12n);
    const entry = this.tlb.findStructure(this.pcid, page4K);
    const levelBits = this.state.levels === 2 ? 10 : 9;
    const structure = entry === undefined ? undefined : { entry, spanShift: levelBits * entry.level };
    return { translation: this.tlb.find(this.pcid, page4K), structure };
  }

  /** Whether cached translations are compared with the tables: as long as somebody wants to hear of stale ones. */
  checkCached(checking: boolean): void {
    this.checking = checking;
    this.flushCache();
    this.host.fetchesChanged();
  }

  /** Empties the fast cache for writes: a frame got a flag. */
  flushWriteCache(): void {
    this.writeCache.fill(EMPTY);
  }

  /** All of the TLB, global entries too. */
  flushAll(): void {
    this.tlb.flushAll();
    this.forgetAll();
  }

  flushNonGlobal(): void {
    this.tlb.flushNonGlobal();
    this.forgetAll();
  }

  flushPcid(pcid: number): void {
    this.tlb.flushPcid(pcid);
    this.forgetAll();
  }

  /** One linear address under a PCID (INVLPG: with globals and all structure entries; INVPCID 0: without globals). */
  flushAddress(pcid: number, low: number, high: number, globals: boolean): void {
    this.drop(pcid, (high >>> 0) * 0x100000 + (low >>> 12), globals, true);
  }

  /** Takes a page's translations out of the TLB, and what follows from them. */
  private drop(pcid: number, page4K: number, globals: boolean, allStructures: boolean): void {
    const gone = this.tlb.flushAddress(pcid, page4K, globals, allStructures);
    // With room for all, what is not in the TLB is nowhere.
    if (gone === 0 && this.tlb.capacity === Number.POSITIVE_INFINITY) return;
    if (gone === PAGE_SHIFT) this.forgetSmallPage(page4K);
    else this.forgetAll();
    this.host.translationDoubtful(page4K, gone);
  }

  /** What left the TLB leaves the caches in front of it: all of it. */
  private forgetAll(): void {
    this.recent.clear();
    this.flushCache();
    this.host.fetchesChanged();
  }

  private forgetSmallPage(page4K: number): void {
    this.recent.drop((page4K * 4096) | 0);
    this.forgetPage(page4K);
  }

  /** The fast cache no longer answers for a page. */
  private forgetPage(page4K: number): void {
    const i = (page4K << (12 - INDEX_SHIFT)) & INDEX_MASK;
    this.readCache[i] = EMPTY;
    this.writeCache[i] = EMPTY;
  }

  // --- below: the slow way ---

  private loadSlow(low: number, high: number, size: number): number {
    return this.loadPhysically(low, high, size, this.dataAccess);
  }

  private loadPhysically(low: number, high: number, size: number, access: number): number {
    if ((low & 0xfff) + size <= 4096) return this.readPhysical(this.translate(low, high, access), size);
    return this.loadCrossing(low, high, size, access);
  }

  private loadCrossing(low: number, high: number, size: number, access: number): number {
    this.translateRange(low, high, size, access);
    const halves = [0, 0];
    for (let i = 0; i < size; i++) {
      const at = (low + i) | 0;
      const byte = this.readPhysical(this.translate(at, carryInto(low, at, high), access), 1);
      halves[i >> 2] |= byte << ((i & 3) * 8);
    }
    this.r[R_HIGH] = halves[1];
    return halves[0];
  }

  /** Reads 1, 2, 4 or 8 bytes within a page; of less than 4 bytes the rest may be anything. */
  private readPhysical(address: number, size: number): number {
    const { memory } = this;
    const offset = memory.readOffset(address);
    if (offset < 0) return this.readDevice(address, size);
    const at = offset + (address & 0xfff);
    switch (size) {
      case 1:
        return memory.view.getUint8(at);
      case 2:
        return memory.view.getUint16(at, true);
      case 4:
        return memory.view.getInt32(at, true);
      default:
        this.r[R_HIGH] = memory.view.getInt32(at + 4, true);
        return memory.view.getInt32(at, true);
    }
  }

  private readDevice(address: number, size: number): number {
    if (size < 8) return this.memory.readDevice(address, size as 1 | 2 | 4) | 0;
    const low = this.memory.readDevice(address, 4) | 0;
    this.r[R_HIGH] = this.memory.readDevice(address + 4, 4) | 0;
    return low;
  }

  private storeSlow(low: number, high: number, size: number, valueLow: number, valueHigh: number): void {
    this.storePhysically(low, high, size, valueLow, valueHigh, this.dataAccess | ACCESS_WRITE);
  }

  private storePhysically(
    low: number,
    high: number,
    size: number,
    valueLow: number,
    valueHigh: number,
    access: number,
  ): void {
    if ((low & 0xfff) + size <= 4096) {
      this.writePhysical(this.translate(low, high, access), size, valueLow, valueHigh);
      return;
    }
    this.translateRange(low, high, size, access);
    for (let i = 0; i < size; i++) {
      const at = (low + i) | 0;
      const half = i < 4 ? valueLow : valueHigh;
      const address = this.translate(at, carryInto(low, at, high), access);
      this.writePhysical(address, 1, (half >> ((i & 3) * 8)) & 0xff, 0);
    }
  }

  /** Translates both pages of an access, the lower first, so that a fault comes before any effect. */
  private translateRange(low: number, high: number, size: number, access: number): void {
    this.translate(low, high, access);
    if ((low & 0xfff) + size <= 4096) return;
    const next = ((low & PAGE_MASK) + 4096) | 0;
    this.translate(next, carryInto(low, next, high), access);
  }

  /**
   * Writes physical memory as software does: code there is forgotten, who watches tables or bytes hears of it, and
   * translations that were made from an old entry stay.
   * @param size 1, 2, 4 or 8 bytes, within a page
   */
  writePhysical(address: number, size: number, low: number, high: number): void {
    const flags = this.memory.flagsOf(address);
    if ((flags & FRAME_CODE) !== 0) this.host.codeWritten(address, size);
    const watched = (flags & FRAME_DATA_BREAKPOINT) !== 0;
    if (watched) this.host.dataWriteBegins(address, size);
    if ((flags & (FRAME_TABLE | FRAME_WATCHED)) !== 0)
      this.writeTable(address, size, low, high, (flags & FRAME_TABLE) !== 0);
    else this.writeValue(address, size, low, high);
    if (watched) this.host.dataWriteEnds();
  }

  private writeValue(address: number, size: number, low: number, high: number): void {
    const { memory } = this;
    const offset = memory.writeOffset(address);
    if (offset < 0) {
      memory.writeDevice(address, size < 8 ? (size as 1 | 2 | 4) : 4, low);
      if (size === 8) memory.writeDevice(address + 4, 4, high);
      return;
    }
    const at = offset + (address & 0xfff);
    switch (size) {
      case 1:
        memory.view.setUint8(at, low);
        break;
      case 2:
        memory.view.setUint16(at, low, true);
        break;
      case 4:
        memory.view.setInt32(at, low, true);
        break;
      default:
        memory.view.setInt32(at, low, true);
        memory.view.setInt32(at + 4, high, true);
    }
  }

  /**
   * A write into a frame of table entries: compares the entries before and after. It stays within one frame.
   * @param walked whether a walk has read from it
   */
  private writeTable(address: number, size: number, low: number, high: number, walked: boolean): void {
    const memory = this.memory;
    const entrySize = this.state.levels === 2 ? 4 : 8;
    if (size === 8 && entrySize === 8 && (address & 7) === 0 && memory.readOffset(address) >= 0) {
      const oldLow = memory.read32(address);
      const oldHigh = memory.read32(address + 4);
      this.writeValue(address, size, low, high);
      this.entryChanged(address, entrySize, oldLow, oldHigh, low, high, walked);
      return;
    }
    const first = address - (address % entrySize);
    const second = address + size - 1 - ((address + size - 1) % entrySize);
    const oldLow = memory.read32(first);
    const oldHigh = entrySize === 8 ? memory.read32(first + 4) : 0;
    const secondLow = second === first ? 0 : memory.read32(second);
    const secondHigh = second === first || entrySize === 4 ? 0 : memory.read32(second + 4);
    this.writeValue(address, size, low, high);
    this.entryWritten(first, entrySize, oldLow, oldHigh, walked);
    if (second !== first) this.entryWritten(second, entrySize, secondLow, secondHigh, walked);
  }

  private entryWritten(
    entry: number,
    entrySize: number,
    oldLow: number,
    oldHigh: number,
    walked: boolean,
  ): void {
    const newLow = this.memory.read32(entry);
    const newHigh = entrySize === 8 ? this.memory.read32(entry + 4) : 0;
    this.entryChanged(entry, entrySize, oldLow, oldHigh, newLow, newHigh, walked);
  }

  private entryChanged(
    entry: number,
    entrySize: number,
    oldLow: number,
    oldHigh: number,
    newLow: number,
    newHigh: number,
    walked: boolean,
  ): void {
    if (newLow === oldLow && newHigh === oldHigh) return;
    if (walked && makesStale(oldLow, oldHigh, newLow, newHigh)) this.presentEntryChanged(entry, entrySize);
    else if (!this.cacheTranslations) this.host.fetchesChanged();
    this.host.tableWritten(entry, oldLow, oldHigh, newLow, newHigh);
  }

  /** What may rest on a present entry that is another one now is compared with the tables at its next use. */
  private presentEntryChanged(entry: number, entrySize: number): void {
    const page4K = this.tableUse.onlyPage(entry, entrySize);
    if (page4K < 0) {
      this.tablesChanged();
      return;
    }
    const pageShift = this.tlb.suspect(page4K);
    if (!this.checking || pageShift === 0) return;
    if (pageShift === PAGE_SHIFT) this.forgetPage(page4K);
    else this.flushCache();
    this.host.translationDoubtful(page4K, pageShift);
  }

  private walkFor(low: number, high: number, page4K: number, access: number): number {
    const { state, walk } = this;
    this.walks++;
    const structure = this.cacheTranslations ? this.tlb.findStructure(this.pcid, page4K) : undefined;
    if (structure === undefined) startWalk(state, walk);
    else {
      walk.stepCount = 0;
      walk.level = structure.level;
      walk.table = structure.table;
      walk.rights = structure.rights;
    }
    const cause = finishWalk(state, this.memory, low, high, access, walk);
    this.flagTables(walk);
    this.tableUse.walked(walk, page4K, state.levels === 2 ? 4 : 8);
    if (structure !== undefined && structure.checked !== this.generation && this.checking) {
      this.checkStructure(structure, low, high, access);
    }
    if (cause !== FAULT_NONE) this.fault(low, high, page4K, access, cause);
    const write = (access & ACCESS_WRITE) !== 0;
    setAccessedDirty(state, this.memory, walk, write);
    if (this.cacheTranslations) {
      this.remember(low, high, page4K, structure, write);
    }
    const physical = walk.frame + offsetIn(low, walk.pageShift);
    this.fillCache(low, high, physical, access);
    return physical;
  }

  /** Puts the walk's result and the non-leaf entries that it read into the TLB. */
  private remember(
    low: number,
    high: number,
    page4K: number,
    structure: StructureEntry | undefined,
    write: boolean,
  ): void {
    const { walk, state, tlb } = this;
    const entry = {
      page: Math.floor(page4K / 2 ** (walk.pageShift - 12)),
      pcid: this.pcid,
      pageShift: walk.pageShift,
      frame: walk.frame,
      rights: walk.rights,
      key: walk.key,
      global: walk.global && this.globalPages,
      dirty: walk.dirty || write,
      made: this.now(),
      checked: this.generation,
    };
    tlb.insert(entry);
    this.recent.put(low, high, entry);
    let rights = structure?.rights ?? RIGHT_WRITE | RIGHT_USER;
    for (let step = 0; step + 1 < walk.stepCount; step++) {
      const level = walk.levels[step];
      if (state.levels === 3 && level === 3) continue;
      rights = rightsBelow(state, level, rights, walk.entryLow[step], walk.entryHigh[step]);
      const spanShift = state.levels === 2 ? 10 : 9 * (level - 1);
      tlb.insertStructure(this.pcid, spanShift, {
        prefix: Math.floor(page4K / 2 ** spanShift),
        level: level - 1,
        table: walk.entryAddresses[step + 1] - (walk.entryAddresses[step + 1] % 4096),
        rights,
        made: this.now(),
        checked: this.generation,
      });
    }
  }

  private flagTables(walk: Walk): void {
    for (let step = 0; step < walk.stepCount; step++) {
      const address = walk.entryAddresses[step];
      if ((this.memory.flagsOf(address) & FRAME_TABLE) !== 0) continue;
      this.memory.setFlag(address, FRAME_TABLE);
      this.flushWriteCache();
    }
  }

  private fault(low: number, high: number, page4K: number, access: number, cause: number): never {
    this.drop(this.pcid, page4K, true, false);
    this.host.pageFault(low, high, access, cause);
  }

  /** Compares a TLB entry with the tables as they are now (SDM 4.10.4: software's duty, not the CPU's). */
  private checkEntry(entry: TlbEntry, low: number, high: number, access: number): void {
    entry.checked = this.generation;
    const cause = walkLinear(this.state, this.memory, low, high, access, this.check);
    this.flagTables(this.check);
    const { check } = this;
    const agrees = cause === FAULT_NONE && check.pageShift === entry.pageShift && check.frame === entry.frame;
    if (agrees && check.rights === entry.rights && check.key === entry.key) return;
    if (cause !== FAULT_NONE && checkRights(this.state, entry.rights, entry.key, access) === cause) return;
    this.host.staleUse(low, high, access, entry.frame + pageOffset(low, entry.pageShift), entry.rights);
  }

  private checkStructure(structure: StructureEntry, low: number, high: number, access: number): void {
    structure.checked = this.generation;
    const { walk, check } = this;
    const cause = walkLinear(this.state, this.memory, low, high, access, check);
    this.flagTables(check);
    if (cause === walk.fault && (cause !== FAULT_NONE || check.frame === walk.frame)) return;
    this.host.staleUse(low, high, access, walk.frame + pageOffset(low, walk.pageShift), walk.rights);
  }

  /** Lets the fast cache answer for a page, as far as the access shows that it may. */
  private fillCache(low: number, high: number, physical: number, access: number): void {
    if ((access & (ACCESS_FETCH | ACCESS_IMPLICIT)) !== 0 || !this.cacheTranslations) return;
    if ((access & ~ACCESS_WRITE) !== this.dataAccess) return;
    const write = (access & ACCESS_WRITE) !== 0;
    const offset = this.memory.readOffset(physical);
    if (offset < 0) return;
    if (offset < SHARED_PAGES_END) {
      // The first write gives the frame a place of its own, and the next one finds it.
      if (write) return;
      this.sharedPageCached = true;
    }
    setEntry(this.readCache, low, high, offset);
    // The first write of an epoch goes the slow way, where it is told.
    if (write && this.memory.isPlainlyWritable(physical)) setEntry(this.writeCache, low, high, offset);
  }

  /** A translation left the TLB for want of room: nothing may be answered from it any more. */
  private evicted({ pageShift, page }: TlbEntry): void {
    if (pageShift === PAGE_SHIFT) this.forgetSmallPage(page);
    else this.forgetAll();
    this.host.translationDoubtful(page * 2 ** (pageShift - PAGE_SHIFT), pageShift);
  }

  private flushReadCache(): void {
    this.readCache.fill(EMPTY);
    this.sharedPageCached = false;
  }
}

/** Whether a change of an entry can leave cached translations behind that the tables no longer give. */
export function makesStale(oldLow: number, oldHigh: number, newLow: number, newHigh: number): boolean {
  return (oldLow & 1) !== 0 && (((oldLow ^ newLow) & ~HARMLESS_BITS) !== 0 || oldHigh !== newHigh);
}

function setEntry(cache: Int32Array, low: number, high: number, offset: number): void {
  const i = (low >>> INDEX_SHIFT) & INDEX_MASK;
  const tag = low & PAGE_MASK;
  cache[i] = tag;
  cache[i + 1] = high;
  cache[i + 2] = (offset - tag) | 0;
}

/** The high half of a linear address that was reached from `low` by adding a small number. */
function carryInto(low: number, next: number, high: number): number {
  return next >>> 0 < low >>> 0 ? (high + 1) | 0 : high;
}

/** Offset of an address within a page of a size of up to 1 GiB. */
function offsetIn(low: number, pageShift: number): number {
  return low & ((1 << pageShift) - 1);
}

/** Offset of the 4 KiB page of an address within its page. */
function pageOffset(low: number, pageShift: number): number {
  return offsetIn(low, pageShift) & PAGE_MASK;
}
