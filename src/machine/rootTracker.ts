/**
 * What happens to root tables: loads of CR3, switchovers, and resets, that is, a root that lost present entries and
 * was loaded again.
 *
 * Invariant: while paging is on, the frame of the root is flagged as a table, so that every write to it is seen.
 */
import { join64 } from "../paging/halves";
import type { Cpu } from "./cpu/cpu";
import type { MachineEvent } from "./events";
import { LiveTables } from "./liveTables";
import { FRAME_TABLE } from "./memory";
import type { Snapshotable } from "./snapshot";

export interface RootState {
  readonly seen: Uint8Array;
  readonly own: boolean;
  readonly reached: ReadonlySet<number>;
}

/** Physical addresses of roots by what they are for; undefined where nobody knows. */
export interface KnownRoots {
  /** Those of the early tables, which are reset. */
  readonly early?: ReadonlySet<number> | undefined;
  /** Those that a guest ends its start with. */
  readonly final?: ReadonlySet<number> | undefined;
}

export class RootTracker implements Snapshotable<RootState> {
  /** Entries of the present root that were present at some time since its last load. */
  private readonly seen = new Uint8Array(1024);
  /** Whether the present root was loaded by the guest, and not found at its entry. */
  private own = false;
  /** Roots that were switched to. A set is never changed, but replaced. */
  private reached: ReadonlySet<number> = new Set();
  private readonly live: LiveTables;
  private tracking = false;

  /** @param known which roots names tell of; asked for when one is loaded in place of another, or was reset */
  constructor(
    private readonly cpu: Cpu,
    private readonly known: () => KnownRoots,
    private readonly emit: (event: MachineEvent) => void,
  ) {
    this.live = new LiveTables(cpu);
  }

  save(): RootState {
    return { seen: this.seen.slice(), own: this.own, reached: this.reached };
  }

  /** After memory and the CPU. */
  restore(state: RootState): void {
    this.seen.set(state.seen);
    this.own = state.own;
    this.reached = state.reached;
    if (this.tracking) this.live.rebuild();
  }

  /** Turns the reporting of writes to live tables on or off. */
  trackWrites(on: boolean): void {
    this.tracking = on;
    if (on) this.live.rebuild();
  }

  /**
   * A start state was taken over.
   * @param own whether its tables count as the guest's: those that a hypervisor gives its guest to build on do
   */
  started(own: boolean): void {
    this.own = own;
    if (this.cpu.paging.levels !== 0) this.adopt();
  }

  /**
   * A root was loaded.
   * @param from the root that CR3 named before
   * @param value what was moved to CR3; undefined where paging was turned on, or another mode, with CR3 as it was
   * @param wasPaging whether what `from` names was in use
   */
  loaded(from: number, to: number, value: bigint | undefined, wasPaging: boolean): void {
    const { cpu } = this;
    const wasOwn = this.own;
    this.own = true;
    const cleared = wasPaging && from === to ? this.lost() : 0;
    if (cpu.paging.levels !== 0) this.adopt();
    if (value !== undefined) this.emit({ event: "cr3-load", ...cpu.here(), value, from, to });
    if (!wasPaging) return;
    if (from !== to && wasOwn && this.isSwitchover(to)) {
      this.reached = new Set([...this.reached, to]);
      this.emit({ event: "switchover", ...cpu.here(), from, to });
    }
    if (cleared > 0 && (this.known().early?.has(to) ?? true))
      this.emit({ event: "reset", ...cpu.here(), root: to, cleared });
  }

  /** Of known final roots the first load counts; where none is known, that of every root. */
  private isSwitchover(root: number): boolean {
    return !this.reached.has(root) && (this.known().final?.has(root) ?? true);
  }

  /** An entry in a watched frame or in a frame that walks have read changed. */
  written(entry: number, oldLow: number, oldHigh: number, newLow: number, newHigh: number): void {
    const { root } = this.cpu.paging;
    if (entry >= root && entry < root + this.bytes() && (newLow & 1) !== 0)
      this.seen[(entry - root) / this.stride()] = 1;
    if (!this.tracking) return;
    const place = this.live.placeOf(entry);
    if (place === undefined) return;
    this.emit({
      event: "table-write",
      ...this.cpu.here(),
      entry,
      level: place.level,
      address: place.address,
      old: join64(oldLow, oldHigh),
      new: join64(newLow, newHigh),
    });
    this.live.entryChanged(place, oldLow, oldHigh, newLow, newHigh);
  }

  /** Bytes of an entry. */
  private stride(): number {
    return this.cpu.paging.levels === 2 ? 4 : 8;
  }

  /** Bytes of the root: a page, or the four entries of a PDPT. */
  private bytes(): number {
    return this.cpu.paging.levels === 3 ? 32 : 4096;
  }

  private adopt(): void {
    const { memory, mmu, paging } = this.cpu;
    memory.setFlag(paging.root, FRAME_TABLE);
    mmu.flushCache();
    this.forEachEntry((index, present) => {
      this.seen[index] = present ? 1 : 0;
    });
    if (this.tracking) this.live.rebuild();
  }

  private lost(): number {
    let lost = 0;
    this.forEachEntry((index, present) => {
      if (!present && this.seen[index] !== 0) lost++;
    });
    return lost;
  }

  private forEachEntry(visit: (index: number, present: boolean) => void): void {
    const { memory, paging } = this.cpu;
    const stride = this.stride();
    for (let index = 0; index < this.bytes() / stride; index++) {
      visit(index, (memory.read32(paging.root + index * stride) & 1) !== 0);
    }
  }
}
