/** The TLB view over a machine of a few instructions, without image or symbols. */

import type { TlbFilter, TlbRow, TlbRows } from "../../../src/debug/protocol/tlb";
import { Sources } from "../../../src/debug/sources";
import { TlbView } from "../../../src/debug/tlb/tlb";
import type { Machine } from "../../../src/machine/machine";
import { Places } from "../../../src/target/places";
import type { Target } from "../../../src/target/target";

const NO_SYMBOLS = { nameOfPhysical: () => undefined, lineOf: () => undefined, sizeOf: () => undefined };

export interface Asked {
  parent?: string;
  start?: number;
  count?: number;
  filter?: TlbFilter;
  pcid?: number;
  address?: bigint;
}

export class CachedMachine {
  readonly view: TlbView;

  constructor(readonly machine: Machine) {
    const target = {
      machine,
      memory: machine.memory,
      get pagingState() {
        return machine.pagingState;
      },
      symbols: NO_SYMBOLS,
      places: new Places(undefined),
    } as unknown as Target;
    this.view = new TlbView(target, new Sources({}, { exists: () => false }));
  }

  ask({ parent, start = 0, count = 200, filter = "none", pcid, address }: Asked = {}): TlbRows {
    this.view.invalidate();
    return this.view.rows({ parent, start, count, filter, pcid, address });
  }

  translations(asked: Asked = {}): readonly TlbRow[] {
    return this.ask({ ...asked, parent: "translations" }).rows;
  }

  structures(asked: Asked = {}): readonly TlbRow[] {
    return this.ask({ ...asked, parent: "structures" }).rows;
  }

  /** The row of a TLB entry that begins at an address. */
  at(address: number): TlbRow {
    const start = `0x${address.toString(16)}`;
    const row = this.translations().find((each) => each.start === start);
    if (row === undefined) throw new Error(`nothing is cached for ${start}`);
    return row;
  }
}
