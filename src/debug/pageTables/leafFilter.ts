/**
 * Which pages the tree is to show, and which tables lead to one: rights are those that the whole path leaves, as the
 * CPU would take them (SDM vol. 3A, 4.6).
 */
import type { PagingState, TableMemory } from "../../paging/state";
import { isPage, isReserved, RIGHT_USER, RIGHT_WRITE, RIGHT_XD, rightsBelow } from "../../paging/walk";
import type { Filter } from "../protocol/tables";
import { type TablePlace, TablePlaces } from "./places";

/** Entries that one search looks at: a direct map in 4 KiB pages has millions. */
export const SEARCH_BUDGET = 200_000;

const GLOBAL = 1 << 8;

export class LeafFilter {
  private readonly places: TablePlaces;
  private readonly known = new Map<string, boolean>();
  private searched = 0;

  constructor(
    private readonly filter: Filter,
    private readonly state: PagingState,
    memory: TableMemory,
  ) {
    this.places = new TablePlaces(state, memory);
  }

  get active(): boolean {
    return this.filter !== "none";
  }

  /** Whether the search gave up: tables that were not looked into are shown. */
  get gaveUp(): boolean {
    return this.searched > SEARCH_BUDGET;
  }

  /** Whether an entry is a page of the filter, or leads to one as far as the search gets. */
  wants(table: TablePlace, index: number): boolean {
    if (!this.active) return true;
    const { state } = this;
    const { low, high } = this.places.read(table, index);
    if ((low & 1) === 0) return false;
    if (!isPage(state, table.level, low)) {
      const below = this.places.below(table, index);
      return below !== undefined && this.leads(below);
    }
    if (isReserved(state, table.level, true, low, high)) return false;
    return this.matches(table.level, low, rightsBelow(state, table.level, table.rights, low, high));
  }

  private matches(level: number, low: number, rights: number): boolean {
    switch (this.filter) {
      case "writable-executable":
        return (rights & RIGHT_WRITE) !== 0 && (rights & RIGHT_XD) === 0;
      case "user":
        return (rights & RIGHT_USER) !== 0;
      case "global":
        return (low & GLOBAL) !== 0;
      case "large":
        return level > 1;
      case "none":
        return true;
    }
  }

  /** A loop of tables leads to nothing by itself. */
  private leads(table: TablePlace): boolean {
    const key = `${table.level}:${table.rights}:${table.physical}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    this.known.set(key, false);
    let found = false;
    for (let index = 0; index < this.places.count(table) && !found; index++) {
      if (++this.searched > SEARCH_BUDGET) {
        found = true;
        break;
      }
      found = this.wants(table, index);
    }
    this.known.set(key, found);
    return found;
  }
}
