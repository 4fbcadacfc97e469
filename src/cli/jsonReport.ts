/**
 * The run as JSON, one object a line. Other tools rely on its form: numbers that are addresses or register contents
 * are strings, "0x" and lower-case digits; what is not known is left out.
 */
import type { MachineEvent } from "../machine/events";
import type { Places } from "../target/places";
import { hex } from "../target/values";
import type { Report, Stop } from "./report";
import type { LeafRow, TableSummaryRow } from "./tables";
import type { WalkReport } from "./walk";

type Fields = Readonly<Record<string, unknown>>;

export class JsonReport implements Report {
  readonly wantsMapped = false;

  constructor(
    private readonly write: (text: string) => void,
    private readonly places: Places,
  ) {}

  begin(): void {}

  event(event: MachineEvent): void {
    this.line({
      event: event.event,
      instruction: event.instruction,
      rip: hex(event.rip),
      symbol: this.places.symbol(event.rip),
      source: this.places.source(event.rip),
      ...this.details(event),
    });
  }

  mapped(): void {}

  registers(registers: readonly (readonly [string, bigint])[]): void {
    this.line({ registers: Object.fromEntries(registers.map(([name, value]) => [name, hex(value)])) });
  }

  walk(walk: WalkReport): void {
    this.line(walk.json);
  }

  tables(): void {}

  tableRow(row: LeafRow): void {
    this.line({ table: "leaf", ...row });
  }

  tableSummary(summary: TableSummaryRow): void {
    this.line({ table: "summary", ...summary });
  }

  end(stop: Stop): void {
    const { stopped, instructions, seconds } = stop;
    this.line({ stopped, instructions, seconds });
  }

  /** The event's own data under its own names. */
  private details(event: MachineEvent): Fields {
    const { places } = this;
    switch (event.event) {
      case "page-fault":
        return { address: hex(event.address), error: hex(event.error), reason: event.reason };
      case "reset":
        return { root: hex(event.root), rootSymbol: places.physical(event.root), cleared: event.cleared };
      case "switchover":
        return this.roots(event);
      case "cr3-load":
        return { value: hex(event.value), ...this.roots(event) };
      case "paging-mode":
        return { set: event.set, cleared: event.cleared, mode: event.mode };
      case "table-write":
        return {
          entry: hex(event.entry),
          entrySymbol: places.physical(event.entry),
          level: event.level,
          address: hex(event.address),
          old: hex(event.old),
          new: hex(event.new),
        };
      case "tlb-flush":
        return { cause: event.cause, address: optionalHex(event.address), global: event.global };
      case "stale-tlb":
        return {
          address: hex(event.address),
          cached: hex(event.cached),
          tables: optionalHex(event.tables),
          reason: event.reason,
        };
      case "exception":
        return {
          vector: event.vector,
          name: event.name,
          error: optionalHex(event.error),
          reason: event.reason,
        };
      case "triple-fault":
        return { reasons: event.reasons };
      case "unimplemented":
        return { bytes: event.bytes, text: event.text, reason: event.reason };
      case "halt":
        return { reason: event.reason };
      case "hypercall":
        return { number: event.number, name: event.name, what: event.what, result: event.result };
      case "hypercall-rejected":
        return { name: event.name, errno: event.errno, reason: event.reason };
      case "pin":
        return {
          pinned: event.pinned,
          table: hex(event.table),
          tableSymbol: places.physical(event.table),
          level: event.level,
        };
      case "base-pointer":
        return { ...this.roots(event), user: event.user };
      case "p2m-free":
        return { address: hex(event.address), frames: event.frames };
      case "milestone":
      case "serial":
        return { text: event.text };
      case "exit":
        return { status: event.status };
    }
  }

  private roots({ from, to }: { from: number; to: number }): Fields {
    const { places } = this;
    return {
      from: hex(from),
      to: hex(to),
      fromSymbol: places.physical(from),
      toSymbol: places.physical(to),
    };
  }

  private line(fields: Fields): void {
    this.write(`${JSON.stringify(fields)}\n`);
  }
}

function optionalHex(value: bigint | number | undefined): string | undefined {
  return value === undefined ? undefined : hex(value);
}
