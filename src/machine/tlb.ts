/**
 * The translation lookaside buffer and the paging-structure caches (SDM vol. 3A, 4.10), as software may see them:
 * nothing leaves them but by an invalidation that the architecture demands, or for want of room.
 *
 * Invariants: an entry is tagged with the PCID under which it was made; an entry with `global` set answers for
 * every PCID; only translations that were present and broke no reserved bit get in.
 */
import { PageMap } from "./pageMap";
import type { Snapshotable } from "./snapshot";

/** A cached translation of one page. */
export interface TlbEntry {
  /** Linear page number (linear address / page size, as an unsigned number). */
  readonly page: number;
  readonly pcid: number;
  readonly pageShift: number;
  /** Physical address of the page. */
  readonly frame: number;
  /** RIGHT_* bits accumulated over the levels. */
  readonly rights: number;
  readonly key: number;
  readonly global: boolean;
  /** The D flag of the leaf when it was read; a write through a clean entry walks again. */
  readonly dirty: boolean;
  /** Instruction count at which it was made. */
  readonly made: number;
  /** The table generation for which it was last seen to agree (or was reported stale). */
  checked: number;
}

/** A cached non-leaf entry: where the walk of an address may go on. */
export interface StructureEntry {
  /** Linear address / the span of the entry. */
  readonly prefix: number;
  /** The level of the table that it points to. */
  readonly level: number;
  readonly table: number;
  readonly rights: number;
  /** As in `TlbEntry`. */
  readonly made: number;
  checked: number;
}

const PAGE_SHIFTS = [12, 21, 22, 30] as const;

/** Entries of one page size: by PCID, then by page number; and the global ones. */
class SizeClass {
  readonly byPcid = new Map<number, PageMap<TlbEntry>>();
  readonly global = new PageMap<TlbEntry>();
  /** The map that was used last, and its PCID. */
  private lastPcid = -1;
  private lastMap: PageMap<TlbEntry> | undefined;

  /** 4 KiB pages in one page of this size. */
  readonly pages: number;

  constructor(readonly pageShift: number) {
    this.pages = 2 ** (pageShift - 12);
  }

  get empty(): boolean {
    return this.global.size === 0 && this.byPcid.size === 0;
  }

  find(pcid: number, page: number): TlbEntry | undefined {
    const found = this.ofPcid(pcid)?.get(page);
    return found !== undefined || this.global.size === 0 ? found : this.global.get(page);
  }

  /** The entries of a PCID, if there is a map of them. */
  ofPcid(pcid: number): PageMap<TlbEntry> | undefined {
    if (this.lastPcid !== pcid) {
      this.lastMap = this.byPcid.get(pcid);
      this.lastPcid = pcid;
    }
    return this.lastMap;
  }

  /** The map for an entry. */
  mapFor({ global, pcid }: TlbEntry): PageMap<TlbEntry> {
    if (global) return this.global;
    let entries = this.ofPcid(pcid);
    if (entries === undefined) {
      entries = new PageMap();
      this.byPcid.set(pcid, entries);
      this.lastMap = entries;
    }
    return entries;
  }

  forgetPcid(pcid: number): void {
    this.byPcid.delete(pcid);
    this.lastPcid = -1;
  }

  /** Forgets all but the global ones. */
  forgetTagged(): void {
    this.byPcid.clear();
    this.lastPcid = -1;
  }

  get size(): number {
    let size = this.global.size;
    for (const entries of this.byPcid.values()) size += entries.size;
    return size;
  }
}

/** All of a TLB. Entries do not change but for `checked`, so that moments can share them. */
export interface TlbState {
  readonly entries: readonly TlbEntry[];
  readonly structures: readonly {
    readonly pcid: number;
    readonly spanShift: number;
    readonly entry: StructureEntry;
  }[];
  /** `checked` of the entries, then of the structure entries. */
  readonly checked: Float64Array;
  /** Oldest first; empty without a finite capacity. */
  readonly queue: readonly TlbEntry[];
}

export class Tlb implements Snapshotable<TlbState> {
  /** Translations held at most; Infinity never evicts. */
  readonly capacity: number;
  private readonly classes = PAGE_SHIFTS.map((shift) => new SizeClass(shift));
  private readonly structures = new Map<number, Map<number, StructureEntry>[]>();
  /** In the order in which they came, for first-in first-out replacement; only kept with a finite capacity. */
  private readonly queue = new Set<TlbEntry>();

  /**
   * @param capacity 1.. or Infinity
   * @param onEvict hears of entries that leave for want of room
   */
  constructor(
    capacity: number,
    private readonly onEvict: (entry: TlbEntry) => void = () => {},
  ) {
    this.capacity = capacity;
  }

  /** Whether entries leave for want of room: then each instruction, and each iteration, is fetched by itself. */
  get forgets(): boolean {
    return this.capacity !== Number.POSITIVE_INFINITY;
  }

  save(): TlbState {
    const entries = [...this.entries()];
    const structures: TlbState["structures"][number][] = [];
    for (const [pcid, levels] of this.structures) {
      levels.forEach((byPrefix, spanShift) => {
        for (const entry of byPrefix.values()) structures.push({ pcid, spanShift, entry });
      });
    }
    const checked = new Float64Array(entries.length + structures.length);
    for (let i = 0; i < entries.length; i++) checked[i] = entries[i].checked;
    for (let i = 0; i < structures.length; i++) checked[entries.length + i] = structures[i].entry.checked;
    return { entries, structures, checked, queue: [...this.queue] };
  }

  restore({ entries, structures, checked, queue }: TlbState): void {
    this.flushAll();
    entries.forEach((entry, i) => {
      entry.checked = checked[i];
      this.classOf(entry.pageShift).mapFor(entry).set(entry.page, entry);
    });
    structures.forEach(({ pcid, spanShift, entry }, i) => {
      entry.checked = checked[entries.length + i];
      this.insertStructure(pcid, spanShift, entry);
    });
    for (const entry of queue) this.queue.add(entry);
  }

  /** The entry that translates a 4 KiB linear page number under a PCID. */
  find(pcid: number, page4K: number): TlbEntry | undefined {
    for (let i = 0; i < this.classes.length; i++) {
      const sizeClass = this.classes[i];
      if (sizeClass.empty) continue;
      const entry = sizeClass.find(pcid, Math.floor(page4K / sizeClass.pages));
      if (entry !== undefined) return entry;
    }
    return undefined;
  }

  insert(entry: TlbEntry): void {
    this.classOf(entry.pageShift).mapFor(entry).set(entry.page, entry);
    if (this.capacity === Number.POSITIVE_INFINITY) return;
    this.queue.add(entry);
    for (const oldest of this.queue) {
      if (this.queue.size <= this.capacity) break;
      this.remove(oldest);
      this.onEvict(oldest);
    }
  }

  /** Every entry, for views and for checks. */
  *entries(): Generator<TlbEntry> {
    for (const sizeClass of this.classes) {
      yield* sizeClass.global.values();
      for (const entries of sizeClass.byPcid.values()) yield* entries.values();
    }
  }

  get size(): number {
    return this.classes.reduce((sum, sizeClass) => sum + sizeClass.size, 0);
  }

  /** The PCIDs that anything is tagged with but global entries. */
  pcids(): ReadonlySet<number> {
    return new Set([...this.classes.flatMap(({ byPcid }) => [...byPcid.keys()]), ...this.structures.keys()]);
  }

  /** Every structure entry with its PCID and log2 of its linear span, less 12. */
  *structureEntries(): Generator<{ pcid: number; spanShift: number; entry: StructureEntry }> {
    for (const [pcid, levels] of this.structures) {
      for (let spanShift = 0; spanShift < levels.length; spanShift++) {
        for (const entry of levels[spanShift]?.values() ?? []) yield { pcid, spanShift, entry };
      }
    }
  }

  /** The cached structure entry nearest to the leaf that covers a 4 KiB page number. */
  findStructure(pcid: number, page4K: number): StructureEntry | undefined {
    const levels = this.structures.get(pcid);
    if (levels === undefined) return undefined;
    for (let span = 0; span < levels.length; span++) {
      const found = levels[span]?.get(Math.floor(page4K / 2 ** span));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** @param spanShift log2 of the linear span of the entry, less 12 */
  insertStructure(pcid: number, spanShift: number, entry: StructureEntry): void {
    let levels = this.structures.get(pcid);
    if (levels === undefined) {
      levels = [];
      this.structures.set(pcid, levels);
    }
    levels[spanShift] ??= new Map();
    levels[spanShift].set(entry.prefix, entry);
  }

  /** Everything, global entries and all PCIDs too. */
  flushAll(): void {
    for (const sizeClass of this.classes) {
      sizeClass.global.clear();
      sizeClass.forgetTagged();
    }
    this.structures.clear();
    this.queue.clear();
  }

  /** All entries of all PCIDs but the global ones (INVPCID type 3). */
  flushNonGlobal(): void {
    for (const sizeClass of this.classes) {
      for (const entries of sizeClass.byPcid.values()) this.forget(entries);
      sizeClass.forgetTagged();
    }
    this.structures.clear();
  }

  /** The entries of a PCID but for global ones (MOV to CR3, INVPCID type 1). */
  flushPcid(pcid: number): void {
    for (const sizeClass of this.classes) {
      const entries = sizeClass.ofPcid(pcid);
      if (entries === undefined) continue;
      this.forget(entries);
      sizeClass.forgetPcid(pcid);
    }
    this.structures.delete(pcid);
  }

  /**
   * The entries of a linear address under a PCID, whatever their size, and the PCID's structure entries.
   * @param globals whether global entries of the address go too (INVLPG, #PF; not INVPCID type 0)
   * @param allStructures all structure entries of the PCID (INVLPG), or only those the address would use (#PF)
   * @returns log2 of the size of the largest page that went; 0 where none did
   */
  flushAddress(pcid: number, page4K: number, globals: boolean, allStructures: boolean): number {
    let gone = 0;
    for (const sizeClass of this.classes) {
      if (sizeClass.empty) continue;
      const page = Math.floor(page4K / sizeClass.pages);
      if (this.drop(sizeClass.ofPcid(pcid), page)) gone = sizeClass.pageShift;
      if (globals && this.drop(sizeClass.global, page)) gone = sizeClass.pageShift;
    }
    if (allStructures) this.structures.delete(pcid);
    else {
      this.structures.get(pcid)?.forEach((entries, span) => {
        entries.delete(Math.floor(page4K / 2 ** span));
      });
    }
    return gone;
  }

  /**
   * Has the translations of a page compared with the tables at their next use.
   * @returns log2 of the size of the largest page that they translate; 0 where there are none
   */
  suspect(page4K: number): number {
    let largest = 0;
    for (const sizeClass of this.classes) {
      if (sizeClass.empty) continue;
      const page = Math.floor(page4K / sizeClass.pages);
      const global = sizeClass.global.get(page);
      if (global !== undefined) {
        global.checked = -1;
        largest = sizeClass.pageShift;
      }
      for (const entries of sizeClass.byPcid.values()) {
        const entry = entries.get(page);
        if (entry === undefined) continue;
        entry.checked = -1;
        largest = sizeClass.pageShift;
      }
    }
    return largest;
  }

  private remove(entry: TlbEntry): void {
    const sizeClass = this.classOf(entry.pageShift);
    const entries = entry.global ? sizeClass.global : sizeClass.byPcid.get(entry.pcid);
    if (entries?.get(entry.page) === entry) entries.delete(entry.page);
    this.queue.delete(entry);
  }

  /** @returns whether there was one */
  private drop(entries: PageMap<TlbEntry> | undefined, page: number): boolean {
    const entry = entries?.delete(page);
    if (entry === undefined) return false;
    if (this.queue.size > 0) this.queue.delete(entry);
    return true;
  }

  private forget(entries: PageMap<TlbEntry>): void {
    if (this.queue.size === 0) return;
    for (const entry of entries.values()) this.queue.delete(entry);
  }

  private classOf(pageShift: number): SizeClass {
    return this.classes[PAGE_SHIFTS.indexOf(pageShift as (typeof PAGE_SHIFTS)[number])];
  }
}
