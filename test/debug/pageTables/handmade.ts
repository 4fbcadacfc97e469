/** A target that is nothing but tables: for modes and shapes that no boot program makes. */
import { PageTables } from "../../../src/debug/pageTables/pageTables";
import type { Filter, TableRow } from "../../../src/debug/protocol/tables";
import type { PagingLevels, PagingState } from "../../../src/paging/state";
import type { Target } from "../../../src/target/target";
import { pagingState, TestMemory } from "../../support/paging";

export const ROOT_TABLE = 0x1000;
/** P, RW, A, D: a plain entry. */
export const PLAIN = 0x63n;

export class HandmadeTables {
  readonly memory = new TestMemory();
  readonly state: PagingState;
  readonly tables: PageTables;

  constructor(levels: PagingLevels, change: Partial<PagingState> = {}) {
    this.state = pagingState(levels, { root: ROOT_TABLE, ...change });
    const target = {
      pagingState: this.state,
      memory: Object.assign(this.memory, { isRam: () => true }),
      machine: {
        cpu: { cr3: BigInt(this.state.root) },
        instructions: 0,
        model: { features: { pae: false } },
      },
      symbols: { nameOfPhysical: () => undefined, sizeOf: () => undefined, addressOf: () => undefined },
    };
    this.tables = new PageTables(target as unknown as Target);
  }

  /** Writes 8-byte entries of a table by index. */
  write(table: number, entries: Readonly<Record<number, bigint>>): void {
    for (const [index, value] of Object.entries(entries))
      this.memory.write64(table + 8 * Number(index), value);
    this.tables.invalidate();
  }

  rows(parent?: string, filter: Filter = "none", start = 0, count = 200): readonly TableRow[] {
    return this.tables.rows({ parent, start, count, filter }, []).rows;
  }

  labels(parent?: string, filter: Filter = "none"): string[] {
    return this.rows(parent, filter).map(({ label }) => label);
  }
}
