/**
 * Which entries of tables software changed in a part of a run: who looks for the write of one need not make the whole
 * part again because of another, or because the CPU set accessed flags in the same table.
 */
import { PAGE_SIZE } from "../memory";

/** Bytes that a bit stands for: an entry, or two of 32 bits. */
const SLOT = 8;
const SLOTS = PAGE_SIZE / SLOT;
/** What a table costs, about. */
const TABLE_BYTES = 160;

export class EntryRecord {
  /** By frame number: a bit for each slot. */
  private readonly tables = new Map<number, Uint8Array>();

  /** Bytes that this costs. */
  get bytes(): number {
    return this.tables.size * TABLE_BYTES;
  }

  /** An entry changed. @param entry its physical address */
  note(entry: number): void {
    const slot = (entry % PAGE_SIZE) >> 3;
    this.tableOf(Math.floor(entry / PAGE_SIZE))[slot >> 3] |= 1 << (slot & 7);
  }

  /** Whether an entry changed of which bytes lie in a range of physical memory. */
  has(address: number, length: number): boolean {
    for (let at = address - (address % SLOT); at < address + length; at += SLOT) {
      const slot = (at % PAGE_SIZE) >> 3;
      const table = this.tables.get(Math.floor(at / PAGE_SIZE));
      if (table !== undefined && (table[slot >> 3] & (1 << (slot & 7))) !== 0) return true;
    }
    return false;
  }

  /** Adds what another part of the run has. */
  addAll(other: EntryRecord): void {
    for (const [frame, bits] of other.tables) {
      const table = this.tableOf(frame);
      for (let i = 0; i < bits.length; i++) table[i] |= bits[i];
    }
  }

  private tableOf(frame: number): Uint8Array {
    let table = this.tables.get(frame);
    if (table === undefined) {
      table = new Uint8Array(SLOTS / 8);
      this.tables.set(frame, table);
    }
    return table;
  }
}
