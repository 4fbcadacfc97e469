/**
 * Page tables of a domain: validation, references and pins (Xen: page types).
 *
 * Invariants: a frame with references has exactly one type; every present entry of a table with references holds the
 * references of what it says; what is in use as a table or as a descriptor page has no writable mapping in any such
 * table. A request that breaks a rule throws a `Rejection` and changes nothing.
 */
import type { Snapshotable } from "../machine/snapshot";
import type { GuestAbi } from "./abi";
import {
  ACCESSED,
  adjustedHigh,
  adjustedLow,
  DIRTY,
  type EntryFeatures,
  frameOf,
  PAGE_SIZE_BIT,
  PRESENT,
  refusedBits,
  WRITABLE,
} from "./entryRules";
import { Rejection } from "./errors";
import type { MachineFrames } from "./machineFrames";
import {
  type FrameType,
  isTableType,
  PageInfo,
  TYPE_L1,
  TYPE_L4,
  TYPE_SEGMENTS,
  TYPE_WRITABLE,
  typeInWords,
} from "./pageInfo";

/** What page tables need of the machine. */
export interface TableWriter {
  read32(address: number): number;
  /** Writes an entry so that everybody who watches tables hears of it. */
  writeEntry(address: number, low: number, high: number): void;
  /** Forgets translations: a frame that could be written is a table now. */
  flushTranslations(): void;
}

/** What the hypervisor itself has in the tables of its guests. */
export interface HypervisorEntries {
  /** Whether an entry's slot is the hypervisor's. */
  owns(level: number, index: number, topL2: boolean): boolean;
  /** Fills its slots of a root, or of a PAE guest's last L2 table. */
  fill(table: number, level: number): void;
  /** Whether a frame that is not the domain's may be mapped by it. */
  mayMap(mfn: number, writable: boolean): boolean;
}

interface EntryChange {
  readonly table: number;
  readonly level: number;
  readonly index: number;
}

const ENTRIES = 512;
/** The last entry of a PAE root: the L2 table below it holds the hypervisor's entries too. */
const TOP_SLOT = 3;

export class PageTypes implements Snapshotable<unknown> {
  readonly info = new PageInfo();
  /** The hypervisor's own work on tables: nothing is adjusted, and large pages are allowed. */
  private trusted = false;
  private cleared = false;

  constructor(
    private readonly abi: GuestAbi,
    private readonly frames: MachineFrames,
    private readonly memory: TableWriter,
    private readonly hypervisor: HypervisorEntries,
    private readonly features: EntryFeatures,
  ) {}

  save() {
    return { info: this.info.save(), cleared: this.cleared };
  }

  restore(state: ReturnType<PageTypes["save"]>): void {
    this.info.restore(state.info);
    this.cleared = state.cleared;
  }

  /** "mfn 0x1005 (pfn 0x2)". */
  frameText(mfn: number): string {
    const pfn = this.frames.pfnOf(mfn);
    return `mfn 0x${mfn.toString(16)}${pfn < 0 ? "" : ` (pfn 0x${pfn.toString(16)})`}`;
  }

  /** Takes over the root that the domain builder made: pinned, and in use as it is. */
  adopt(root: number): void {
    this.trusted = true;
    try {
      this.pin(root, this.abi.levels);
      this.get(root, this.abi.levels as FrameType);
    } finally {
      this.trusted = false;
    }
  }

  /** Whether mappings have gone since somebody asked. */
  takeCleared(): boolean {
    const { cleared } = this;
    this.cleared = false;
    return cleared;
  }

  /** Another root: all mappings may be others. */
  markCleared(): void {
    this.cleared = true;
  }

  /**
   * Takes a reference to a frame as a type; the first one of a table validates it.
   * @throws Rejection
   */
  get(mfn: number, type: FrameType, topL2 = false): void {
    const { info } = this;
    if (this.frames.pfnOf(mfn) < 0)
      throw new Rejection("EINVAL", `${this.frameText(mfn)} is not a frame of this domain`);
    const count = info.countOf(mfn);
    const old = info.typeOf(mfn);
    if (count > 0) {
      if (old !== type) {
        throw new Rejection("EINVAL", `${this.frameText(mfn)} is ${info.describe(mfn)}, and ${needed(type)}`);
      }
      if (topL2 || info.isTopL2(mfn)) {
        throw new Rejection(
          "EINVAL",
          `${this.frameText(mfn)} is ${info.describe(mfn)}, and the L2 table of a PAE root's slot 3, which holds the ` +
            "hypervisor's entries, serves no other root and no other slot",
        );
      }
      info.addReference(mfn, 1);
      return;
    }
    info.setType(mfn, type, topL2);
    info.addReference(mfn, 1);
    if (old === TYPE_WRITABLE && type !== TYPE_WRITABLE) this.memory.flushTranslations();
    if (!isTableType(type)) return;
    try {
      this.validate(mfn, type, topL2);
    } catch (rejection) {
      info.addReference(mfn, -1);
      info.setType(mfn, 0);
      throw rejection;
    }
  }

  /** Gives a reference back; the last one of a table gives back those of its entries. */
  put(mfn: number): void {
    const { info } = this;
    const type = info.typeOf(mfn);
    if (info.addReference(mfn, -1) > 0 || !isTableType(type)) return;
    const topL2 = info.isTopL2(mfn);
    this.release(mfn, type, topL2, this.entriesOf(type));
  }

  /**
   * Pins a table: it stays one though nothing links to it.
   * @throws Rejection
   */
  pin(mfn: number, level: number): void {
    if (this.info.countOf(mfn) > 0 && this.info.isPinned(mfn))
      throw new Rejection("EINVAL", `${this.frameText(mfn)} is pinned already`);
    this.get(mfn, level as FrameType);
    this.info.setPinned(mfn, true);
  }

  /** @returns the level it was pinned as. @throws Rejection */
  unpin(mfn: number): number {
    if (this.frames.pfnOf(mfn) < 0 || !this.info.isPinned(mfn))
      throw new Rejection("EINVAL", `${this.frameText(mfn)} is not pinned`);
    const level = this.info.typeOf(mfn);
    this.info.setPinned(mfn, false);
    this.put(mfn);
    return level;
  }

  /**
   * Writes an entry of a table that is in use, with full checks.
   * @param address machine address of the entry; 8-byte aligned
   * @param preserveAccessedDirty keeps A and D as they are
   * @returns whether the entry is one of a table in use
   * @throws Rejection
   */
  update(address: number, low: number, high: number, preserveAccessedDirty: boolean): void {
    const table = Math.floor(address / 4096);
    if (this.frames.pfnOf(table) < 0)
      throw new Rejection("EINVAL", `${this.frameText(table)} is not a frame of this domain`);
    const type = this.info.countOf(table) > 0 ? this.info.typeOf(table) : 0;
    if (!isTableType(type)) {
      if (type === TYPE_SEGMENTS)
        throw new Rejection("EINVAL", `${this.frameText(table)} is ${this.info.describe(table)}`);
      this.memory.writeEntry(address, low, high);
      return;
    }
    const change = { table, level: type, index: (address % 4096) / 8 };
    this.checkSlot(change);
    const used = preserveAccessedDirty ? this.memory.read32(address) & (ACCESSED | DIRTY) : 0;
    this.replace(change, address, low | used, high);
  }

  private checkSlot({ table, level, index }: EntryChange): void {
    const isPaeRoot = this.isPaeRoot(level);
    if (isPaeRoot && index >= 4) {
      throw new Rejection("EINVAL", `a PAE root has 4 entries, and no entry ${index}`);
    }
    if (isPaeRoot && index === TOP_SLOT) {
      throw new Rejection(
        "EINVAL",
        `entry ${index} of the L3 table ${this.frameText(table)} leads to the hypervisor's entries, and cannot be ` +
          "changed while the table is in use",
      );
    }
    if (!this.hypervisor.owns(level, index, this.info.isTopL2(table))) return;
    throw new Rejection(
      "EINVAL",
      `slot ${index} of an L${level} table belongs to the hypervisor, which has ${range(this.abi)} for itself`,
    );
  }

  /** Puts an entry in the place of another. */
  private replace(change: EntryChange, address: number, low: number, high: number): void {
    const { level } = change;
    const oldLow = this.memory.read32(address);
    const oldHigh = this.memory.read32(address + 4);
    const newLow = (low & PRESENT) === 0 ? low : adjustedLow(this.abi, level, low);
    const newHigh = (low & PRESENT) === 0 ? high : adjustedHigh(this.abi, level, low, high);
    const asBefore =
      (oldLow & newLow & PRESENT) !== 0 &&
      frameOf(oldLow, oldHigh) === frameOf(newLow, newHigh) &&
      (level > TYPE_L1 || ((oldLow ^ newLow) & WRITABLE) === 0);
    if (asBefore) this.checkBits(change, low, high);
    else if ((low & PRESENT) !== 0) this.getTarget(change, low, high);
    this.memory.writeEntry(address, newLow, newHigh);
    if ((oldLow & ~newLow & PRESENT) !== 0) this.cleared = true;
    if (!asBefore && (oldLow & PRESENT) !== 0) this.putTarget(level, oldLow, oldHigh);
  }

  private validate(table: number, type: FrameType, topL2: boolean): void {
    const { memory, abi } = this;
    const base = table * 4096;
    const entries = this.entriesOf(type);
    if (this.isPaeRoot(type) && (memory.read32(base + 8 * TOP_SLOT) & PRESENT) === 0) {
      throw new Rejection(
        "EINVAL",
        `entry ${TOP_SLOT} of the L3 table ${this.frameText(table)} is empty, and the hypervisor has its own entries below it`,
      );
    }
    for (let index = 0; index < entries; index++) {
      if (this.hypervisor.owns(type, index, topL2)) continue;
      const address = base + 8 * index;
      const low = memory.read32(address);
      if ((low & PRESENT) === 0) continue;
      const high = memory.read32(address + 4);
      try {
        this.getTarget({ table, level: type, index }, low, high);
      } catch (rejection) {
        this.release(table, type, topL2, index);
        throw rejection;
      }
      if (this.trusted) continue;
      const nextLow = adjustedLow(abi, type, low);
      const nextHigh = adjustedHigh(abi, type, low, high);
      if (nextLow !== low || nextHigh !== high) memory.writeEntry(address, nextLow, nextHigh);
    }
    if (type === TYPE_L4 || topL2) this.hypervisor.fill(table, type);
  }

  /** Gives back what the first entries of a table have taken. */
  private release(table: number, type: FrameType, topL2: boolean, entries: number): void {
    for (let index = 0; index < entries; index++) {
      if (this.hypervisor.owns(type, index, topL2)) continue;
      const address = table * 4096 + 8 * index;
      const low = this.memory.read32(address);
      if ((low & PRESENT) !== 0) this.putTarget(type, low, this.memory.read32(address + 4));
    }
  }

  private entriesOf(type: FrameType): number {
    return this.isPaeRoot(type) ? TOP_SLOT + 1 : ENTRIES;
  }

  private isPaeRoot(level: number): boolean {
    return this.abi.levels === 3 && level === 3;
  }

  private checkBits(change: EntryChange, low: number, high: number): void {
    if (this.trusted) return;
    const refused = refusedBits(this.abi, change.level, low, high, this.features);
    if (refused !== undefined) throw this.rejected(change, low, high, refused);
  }

  /** Takes the references of a present entry. */
  private getTarget(change: EntryChange, low: number, high: number): void {
    this.checkBits(change, low, high);
    const mfn = frameOf(low, high);
    const { level, index } = change;
    const writable = (low & WRITABLE) !== 0;
    if (this.frames.pfnOf(mfn) < 0) {
      if (level === TYPE_L1 && this.hypervisor.mayMap(mfn, writable)) return;
      throw this.rejected(change, low, high, "that frame is not this domain's");
    }
    if (level === TYPE_L1 && !writable) return;
    if (isLargePage(level, low)) {
      for (let i = 0; i < pagesOf(level); i++) this.get(mfn + i, TYPE_WRITABLE);
      return;
    }
    const topL2 = this.isPaeRoot(level) && index === TOP_SLOT;
    try {
      this.get(mfn, level === TYPE_L1 ? TYPE_WRITABLE : ((level - 1) as FrameType), topL2);
    } catch (rejection) {
      if (!(rejection instanceof Rejection)) throw rejection;
      throw this.rejected(change, low, high, rejection.reason);
    }
  }

  private putTarget(level: number, low: number, high: number): void {
    const mfn = frameOf(low, high);
    if (this.frames.pfnOf(mfn) < 0) return;
    if (isLargePage(level, low)) {
      for (let i = 0; i < pagesOf(level); i++) this.put(mfn + i);
      return;
    }
    if (level > TYPE_L1 || (low & WRITABLE) !== 0) this.put(mfn);
  }

  private rejected({ table, level, index }: EntryChange, low: number, high: number, why: string): Rejection {
    const rights = level === TYPE_L1 && (low & WRITABLE) !== 0 ? " writable" : "";
    const what = level === TYPE_L1 ? "maps" : "links";
    const target = this.frameText(frameOf(low, high));
    return new Rejection(
      "EINVAL",
      `entry ${index} of the L${level} table ${this.frameText(table)} ${what} ${target}${rights}: ${why}`,
    );
  }
}

/** Only the builder's mapping of the P->M list has large pages. All of their frames are mapped writable. */
function isLargePage(level: number, low: number): boolean {
  return level > TYPE_L1 && level < TYPE_L4 && (low & PAGE_SIZE_BIT) !== 0;
}

function pagesOf(level: number): number {
  return 512 ** (level - 1);
}

function needed(type: FrameType): string {
  return type === TYPE_WRITABLE ? "cannot be mapped writable" : `cannot become ${typeInWords(type)}`;
}

function range({ hypervisorStart, hypervisorEnd }: GuestAbi): string {
  return `0x${hypervisorStart.toString(16)} to 0x${(hypervisorEnd - 1n).toString(16)}`;
}
