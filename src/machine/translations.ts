/**
 * Linear to physical addresses: the TLB, the page walk below it, and what keeps both and the tables apart or together.
 * `src/paging` has the walk; the TLB is what the architecture lets software see (SDM vol. 3A, 4.10). What answers most
 * accesses without either, the fast cache, holds only what the TLB holds and what the present CPL, AC, WP, ... allow.
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
import { FastCache, PAGE_MASK } from "./fastCache";
import type { WriteHost } from "./guestWrites";
import { FRAME_TABLE, type PhysicalMemory } from "./memory";
import { RecentTranslations } from "./recentTranslations";
import type { Snapshotable } from "./snapshot";
import { TableUse, type TableUseState } from "./tableUse";
import { type StructureEntry, Tlb, type TlbEntry, type TlbState } from "./tlb";

/** What the MMU tells the CPU. The first two do not return: they throw the fault. */
export interface MmuHost extends WriteHost {
  pageFault(low: number, high: number, access: number, cause: number): never;
  nonCanonical(low: number, high: number, access: number): never;
  /** What a fetch goes through may have changed: the TLB's contents, or the tables that it is compared with. */
  fetchesChanged(): void;
  /** A cached translation was used that the tables no longer give; `mmu.check` holds the walk of the tables. */
  staleUse(low: number, high: number, access: number, cachedFrame: number, cachedRights: number): void;
  /**
   * What translates a linear page has left the TLB, or is to be compared with the tables.
   * @param pageShift log2 of the page's size
   */
  translationDoubtful(page4K: number, pageShift: number): void;
}

const PAGE_SHIFT = 12;

/** What is cached of translations, and what is known of the tables. */
export interface TranslationsState {
  readonly generation: number;
  readonly walks: number;
  readonly tlb: TlbState;
  readonly tableUse: TableUseState;
}

export class Translations implements Snapshotable<TranslationsState> {
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

  protected readonly fast: FastCache;
  protected readonly cacheTranslations: boolean;
  private readonly tableUse = new TableUse();
  private readonly recent = new RecentTranslations();
  private checking = true;

  /**
   * @param tlbCapacity translations held at most: Infinity for all that the architecture allows, 0 to walk on
   *   every access
   */
  constructor(
    readonly memory: PhysicalMemory,
    readonly state: PagingState,
    protected readonly host: MmuHost,
    tlbCapacity: number,
    private readonly now: () => number,
  ) {
    this.fast = new FastCache(memory);
    this.tlb = new Tlb(tlbCapacity, (evicted) => this.evicted(evicted));
    this.cacheTranslations = tlbCapacity > 0;
  }

  /** What CPL, CR3 and CR4 decide is restored with those. */
  save(): TranslationsState {
    const { generation, walks } = this;
    return { generation, walks, tlb: this.tlb.save(), tableUse: this.tableUse.save() };
  }

  restore(state: TranslationsState): void {
    this.generation = state.generation;
    this.walks = state.walks;
    this.tlb.restore(state.tlb);
    this.tableUse.restore(state.tableUse);
    this.forgetAll();
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
      // The walk that sets D replaces it, also for the large page's other parts.
      if (entry.pageShift > PAGE_SHIFT) this.recent.clear();
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
    this.fast.flush();
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
    this.fast.flushWrites();
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
    this.fast.forget(page4K);
  }

  /** What may rest on a present entry that is another one now is compared with the tables at its next use. */
  protected presentEntryChanged(entry: number, entrySize: number): void {
    const page4K = this.tableUse.onlyPage(entry, entrySize);
    if (page4K < 0) {
      this.tablesChanged();
      return;
    }
    const pageShift = this.tlb.suspect(page4K);
    if (!this.checking || pageShift === 0) return;
    if (pageShift === PAGE_SHIFT) this.fast.forget(page4K);
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
    this.fast.fill(low, high, physical, (access & ACCESS_WRITE) !== 0);
  }

  /** A translation left the TLB for want of room: nothing may be answered from it any more. */
  private evicted({ pageShift, page }: TlbEntry): void {
    if (pageShift === PAGE_SHIFT) this.forgetSmallPage(page);
    else this.forgetAll();
    this.host.translationDoubtful(page * 2 ** (pageShift - PAGE_SHIFT), pageShift);
  }
}

/** Offset of an address within a page of a size of up to 1 GiB. */
function offsetIn(low: number, pageShift: number): number {
  return low & ((1 << pageShift) - 1);
}

/** Offset of the 4 KiB page of an address within its page. */
function pageOffset(low: number, pageShift: number): number {
  return offsetIn(low, pageShift) & PAGE_MASK;
}
