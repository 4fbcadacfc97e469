/** The entries of one table as the tree reaches it: reading them, and joining those that go on from each other. */
import { canonicalAddress } from "../../paging/canonical";
import { type DecodedEntry, decodeEntry } from "../../paging/entry";
import { join64 } from "../../paging/halves";
import { entryCount, entrySize, levelShift } from "../../paging/layout";
import type { PagingState, TableMemory } from "../../paging/state";
import { type RawEntry, readTableEntry, tableOf } from "../../paging/tables";
import { RIGHT_USER, RIGHT_WRITE, rightsBelow } from "../../paging/walk";

/** A table as the tree reached it. */
export interface TablePlace {
  /** Path of entry indexes: "root/511/510". */
  readonly id: string;
  readonly physical: number;
  /** 1 (PT) to 5 (PML5). */
  readonly level: number;
  /** The lowest linear address that it translates, without sign extension. */
  readonly address: bigint;
  /** What the entries above leave allowed: RIGHT_... of the walk. */
  readonly rights: number;
}

/** Entries of one table, from `first` to `last`, that make a row. */
export interface Span {
  readonly first: number;
  readonly last: number;
  /** The first one. */
  readonly decoded: DecodedEntry;
  /** Whether all say the same, rather than each the page behind that of the one before. */
  readonly same: boolean;
}

/** Reads tables of one paging state. */
export class TablePlaces {
  private readonly raw: RawEntry = { low: 0, high: 0 };

  /** @param ordered where a page stands in the order in which pages continue each other: by its physical address */
  constructor(
    readonly state: PagingState,
    private readonly memory: TableMemory,
    private readonly ordered: (physical: number) => number = (physical) => physical,
  ) {}

  root(): TablePlace {
    const { root, levels } = this.state;
    return { id: "root", physical: root, level: levels, address: 0n, rights: RIGHT_WRITE | RIGHT_USER };
  }

  /** The table that an entry leads to; undefined where it leads to none now. */
  below(table: TablePlace, index: number): TablePlace | undefined {
    const { state } = this;
    if (index >= this.count(table)) return undefined;
    const { low, high } = this.read(table, index);
    const next = tableOf(state, table.level, low, high);
    if (next < 0) return undefined;
    return {
      id: `${table.id}/${index}`,
      physical: next,
      level: table.level - 1,
      address: this.addressOf(table, index),
      rights: rightsBelow(state, table.level, table.rights, low, high),
    };
  }

  count({ level }: TablePlace): number {
    return entryCount(this.state.levels, level);
  }

  /** An entry as it is; the same object at each call. */
  read({ physical, level }: TablePlace, index: number): Readonly<RawEntry> {
    readTableEntry(this.state, this.memory, physical, level, index, this.raw);
    return this.raw;
  }

  decoded(table: TablePlace, index: number): DecodedEntry {
    const { low, high } = this.read(table, index);
    return decodeEntry(join64(low, high), table.level, this.state);
  }

  /** Where an entry is. The PDPT of PAE paging is where CR3 points, though the CPU has it in registers. */
  entryAddress({ physical }: TablePlace, index: number): number {
    return physical + index * entrySize(this.state.levels);
  }

  /** The lowest linear address of an entry, without sign extension. */
  addressOf(table: TablePlace, index: number): bigint {
    return table.address + BigInt(index) * this.spanSize(table);
  }

  /** Bytes of linear memory that an entry translates. */
  spanSize({ level }: TablePlace): bigint {
    return 1n << BigInt(levelShift(this.state.levels, level));
  }

  canonical(address: bigint): bigint {
    return canonicalAddress(address, this.state.levels);
  }

  /** Entries each for itself. */
  single(table: TablePlace, first: number, last: number): Span[] {
    return Array.from({ length: last - first + 1 }, (_, i) => ({
      first: first + i,
      last: first + i,
      decoded: this.decoded(table, first + i),
      same: false,
    }));
  }

  /**
   * The entries of a table, joined.
   * @param listed which of the entries that are not present are to be listed, each for itself
   * @param wanted which of the present ones are
   */
  spans(
    table: TablePlace,
    listed: (index: number) => boolean,
    wanted: (decoded: DecodedEntry, index: number) => boolean,
  ): Span[] {
    const spans: Span[] = [];
    const count = this.count(table);
    for (let index = 0; index < count; index++) {
      const present = (this.read(table, index).low & 1) !== 0;
      if (!present && !listed(index)) continue;
      const decoded = this.decoded(table, index);
      if (present && !wanted(decoded, index)) continue;
      const last = spans.at(-1);
      const joined = last === undefined ? undefined : this.join(last, index, decoded);
      if (joined === undefined) spans.push({ first: index, last: index, decoded, same: false });
      else spans[spans.length - 1] = joined;
    }
    return spans;
  }

  /** A span and the entry behind it as one: pages that continue each other, or entries that are equal. */
  private join(span: Span, index: number, next: DecodedEntry): Span | undefined {
    const { first, last, decoded, same } = span;
    if (index !== last + 1 || decoded.kind === "not-present" || decoded.kind !== next.kind) return undefined;
    if (decoded.reserved.length + next.reserved.length > 0) return undefined;
    if (decoded.flags.join() !== next.flags.join()) return undefined;
    if ((same || first === last) && next.address === decoded.address)
      return { ...span, last: index, same: true };
    if (same || decoded.kind !== "page") return undefined;
    const expected = this.ordered(decoded.address) + (index - first) * pageBytes(decoded);
    return this.ordered(next.address) === expected ? { ...span, last: index } : undefined;
  }
}

const PAGE_BYTES = { "4K": 2 ** 12, "2M": 2 ** 21, "4M": 2 ** 22, "1G": 2 ** 30 } as const;

/** Bytes of the page that an entry maps. */
export function pageBytes({ pageSize }: DecodedEntry): number {
  return PAGE_BYTES[pageSize ?? "4K"];
}
