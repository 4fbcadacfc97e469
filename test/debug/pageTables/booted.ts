/** Targets for tests of what a debugger shows of page tables: programs booted to a place, and tables made by hand. */
import { readFile } from "node:fs/promises";
import { PageTables } from "../../../src/debug/pageTables/pageTables";
import type { Filter, TableRow } from "../../../src/debug/protocol/tables";
import type { EventKind, MachineEvent } from "../../../src/machine/events";
import { launch } from "../../../src/target/launch";
import type { Target } from "../../../src/target/target";
import { ROOT } from "../../support/dapClient";

const files = {
  readFile: (path: string) => readFile(path),
  readGuest: (path: string) => readFile(`${ROOT}/guests/${path}`),
};

/** A program under a debugger's tree, which learns of stops as a session tells it. */
export class BootedTables {
  readonly tables: PageTables;
  readonly events: MachineEvent[] = [];
  readonly watched: { physical: number; length: number }[] = [];

  private constructor(readonly target: Target) {
    this.tables = new PageTables(target);
  }

  static async boot(
    settings: Record<string, string> = {},
    memory?: number,
    program = "early-fault",
  ): Promise<BootedTables> {
    const target = await launch(
      {
        program,
        settings: new Map(Object.entries(settings)),
        entry: "auto",
        tlb: "max",
        ...(memory === undefined ? {} : { memory }),
      },
      files,
    );
    return new BootedTables(target);
  }

  /** Goes on until an event of a kind, as a session does. */
  until(kind: EventKind): MachineEvent {
    this.tables.onResume();
    const { machine } = this.target;
    machine.onEvent = (event) => {
      this.events.push(event);
      return event.event === kind;
    };
    const result = machine.run(50_000_000);
    this.tables.onStop();
    if (result.reason !== "event" && result.reason !== "ended") throw new Error(`the run: ${result.reason}`);
    return result.event;
  }

  /** Goes on to the first instruction of a function. */
  to(symbol: string): void {
    this.tables.onResume();
    const { machine } = this.target;
    machine.onEvent = () => false;
    const address = this.target.symbols.addressOf(symbol);
    if (address === undefined) throw new Error(`there is no symbol ${symbol}`);
    machine.setBreakpoints([address]);
    const { reason } = machine.run(50_000_000, false);
    machine.setBreakpoints([]);
    this.tables.onStop();
    if (reason !== "breakpoint") throw new Error(`${symbol} was not reached: ${reason}`);
  }

  /** The rows below a row. */
  rows(parent?: string, filter: Filter = "none", start = 0, count = 200): readonly TableRow[] {
    return this.tables.rows({ parent, start, count, filter }, this.watched).rows;
  }

  /** A row by its ID. */
  row(id: string): TableRow {
    const parent = id.includes("/") ? id.slice(0, id.lastIndexOf("/")) : undefined;
    const row = this.rows(parent, "none", 0, 1024).find((each) => each.id === id);
    if (row === undefined) throw new Error(`there is no row ${id}`);
    return row;
  }

  physicalOf(symbol: string): number {
    const { symbols } = this.target;
    const address = symbols.addressOf(symbol);
    const physical = address === undefined ? undefined : symbols.physicalOf(address);
    if (physical === undefined) throw new Error(`there is no symbol ${symbol}`);
    return physical;
  }
}
