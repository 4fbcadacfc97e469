/**
 * The tables that the present root reaches, kept up to date with the writes to them: whose entries a `table-write`
 * event tells of. Costs something only while somebody wants those events.
 *
 * Invariant: every frame that is listed has FRAME_WATCHED, so that each write to it is heard of.
 */
import { canonicalAddress } from "../paging/canonical";
import { entrySize, levelShift } from "../paging/layout";
import { collect, listTables, type TablePage, tableOf } from "../paging/tables";
import type { Cpu } from "./cpu/cpu";
import { FRAME_WATCHED } from "./memory";

/** An entry of a live table. */
export interface EntryPlace {
  readonly table: TablePage;
  readonly level: number;
  readonly index: number;
  /** The lowest linear address that the entry translates; canonical. */
  readonly address: bigint;
}

export class LiveTables {
  private byFrame = new Map<number, TablePage>();
  private outdated = false;

  constructor(private readonly cpu: Cpu) {}

  /** Lists the tables anew. */
  rebuild(): void {
    const { cpu } = this;
    for (const frame of this.byFrame.keys()) cpu.memory.clearFlag(frame * 4096, FRAME_WATCHED);
    this.byFrame = new Map();
    this.outdated = false;
    for (const table of listTables(cpu.paging, cpu.memory)) this.add(table);
    cpu.mmu.flushWriteCache();
  }

  /** Where an entry at a physical address stands in the tree; undefined where it is in no live table. */
  placeOf(entry: number): EntryPlace | undefined {
    if (this.outdated) this.rebuild();
    const table = this.byFrame.get(Math.floor(entry / 4096));
    if (table === undefined) return undefined;
    const { levels } = this.cpu.paging;
    const index = Math.floor((entry - table.physical) / entrySize(levels));
    const address = table.address + (BigInt(index) << BigInt(levelShift(levels, table.level)));
    return { table, level: table.level, index, address: canonicalAddress(address, levels) };
  }

  /** An entry changed from an old to a new value: its table may have lost or gained tables below it. */
  entryChanged(place: EntryPlace, oldLow: number, oldHigh: number, newLow: number, newHigh: number): void {
    const { cpu } = this;
    const old = tableOf(cpu.paging, place.level, oldLow, oldHigh);
    const now = tableOf(cpu.paging, place.level, newLow, newHigh);
    if (old === now) return;
    if (old >= 0) this.outdated = true;
    else if (now >= 0) this.adopt(place, now);
  }

  private adopt(place: EntryPlace, physical: number): void {
    const { cpu } = this;
    if (this.byFrame.has(Math.floor(physical / 4096))) return;
    const found = new Map<string, TablePage>();
    const entry = place.table.physical + place.index * entrySize(cpu.paging.levels);
    const table = {
      physical,
      level: place.level - 1,
      address: place.address,
      parents: [entry],
    };
    collect(cpu.paging, cpu.memory, table, found);
    for (const added of found.values()) this.add(added);
    cpu.mmu.flushWriteCache();
  }

  private add(table: TablePage): void {
    const frame = Math.floor(table.physical / 4096);
    if (!this.byFrame.has(frame)) this.byFrame.set(frame, table);
    this.cpu.memory.setFlag(table.physical, FRAME_WATCHED);
  }
}
