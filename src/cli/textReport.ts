/** The run for people to read: events in order in aligned columns, with what page faults came to map, and a summary. */
import type { MachineEvent } from "../machine/events";
import type { Places } from "../target/places";
import { bytesInWords, grouped, hex, hex64, plural } from "../target/values";
import { type Described, describeEvent } from "./describe";
import { EventFold, type FoldSink } from "./fold";
import type { Mapped } from "./mapped";
import { rate } from "./progress";
import type { EventCounts, Report, Stop } from "./report";
import { type LeafRow, rowText, summaryText, type TableSummaryRow } from "./tables";
import type { WalkReport } from "./walk";

/** Width of the instruction count and of the event's name. */
const COUNT_WIDTH = 13;
const NAME_WIDTH = 16;
/** Width of what happened, where it is short: then the places of the code stand in a column. */
const WHAT_WIDTH = 44;
const INDENT = " ".repeat(COUNT_WIDTH + 2);

export class TextReport implements Report, FoldSink {
  readonly wantsMapped = true;
  private readonly fold = new EventFold(this);

  constructor(
    private readonly write: (text: string) => void,
    private readonly places: Places,
  ) {}

  begin(start: { program: string; details: string; rip: bigint }): void {
    const symbol = this.places.symbol(start.rip);
    this.lines(
      `${start.program}: ${start.details}`,
      `starts at ${hex(start.rip)}${symbol === undefined ? "" : ` ${symbol}`}`,
      "",
      `${"instruction".padStart(COUNT_WIDTH)}  event`,
    );
  }

  event(event: MachineEvent): void {
    this.fold.event(event);
  }

  mapped(mapped: Mapped): void {
    this.fold.mapped(mapped);
  }

  tell(event: MachineEvent, fault: number): void {
    const described = describeEvent(event, this.places, fault);
    this.lines(eventLine(event.instruction, described), ...described.more.map((line) => INDENT + line));
  }

  tellMapped({ run }: Mapped): void {
    if (run === undefined) {
      this.lines(`${INDENT}-> nothing is mapped there`);
      return;
    }
    const size = bytesInWords(run.end - run.start);
    const pages = `${grouped(run.pages)} x ${run.pageSize}`;
    const physical = `phys ${hex(run.physical)}-${hex(BigInt(run.physical) + run.end - run.start)}`;
    this.lines(
      `${INDENT}-> ${size} mapped at ${hex64(run.start)}, ${pages}, ${physical} ${run.flags.join(" ")}`,
    );
  }

  tellRepeats(count: number, resets: number): void {
    const between = resets === 0 ? "" : `, with ${plural(resets, "reset")} in between`;
    this.lines(`${INDENT}repeated ${plural(count, "time")}${between}`);
  }

  registers(registers: readonly (readonly [string, bigint])[]): void {
    this.fold.flush();
    this.lines("", "Registers");
    for (let i = 0; i < registers.length; i += 4) {
      this.lines(
        registers
          .slice(i, i + 4)
          .map(([name, value]) => `${name.padStart(6)} ${hex64(value)}`)
          .join("  "),
      );
    }
  }

  walk(walk: WalkReport): void {
    this.fold.flush();
    this.lines("", ...walk.text);
  }

  tables(): void {
    this.fold.flush();
    this.lines("", "Page tables");
  }

  tableRow(row: LeafRow): void {
    this.lines(rowText(row));
  }

  tableSummary(summary: TableSummaryRow): void {
    this.lines(summaryText(summary));
  }

  end(stop: Stop, counts: EventCounts): void {
    this.fold.flush();
    const { instructions, seconds } = stop;
    const where = this.places.symbol(stop.rip);
    const count = (kind: "page-fault" | "reset") => counts.get(kind) ?? 0;
    this.lines(
      "",
      `Stopped: ${describeStop(stop)} at ${hex(stop.rip)}${where === undefined ? "" : ` ${where}`}`,
      [
        plural(instructions, "instruction"),
        plural(count("page-fault"), "page fault"),
        plural(count("reset"), "reset"),
        `${seconds.toFixed(3)} s`,
        ...(seconds > 0 ? [rate(instructions, seconds)] : []),
      ].join(", "),
    );
  }

  private lines(...lines: readonly string[]): void {
    this.write(lines.map((line) => `${line}\n`).join(""));
  }
}

function eventLine(instruction: number, { name, what, where }: Described): string {
  const head = `${grouped(instruction).padStart(COUNT_WIDTH)}  ${name.padEnd(NAME_WIDTH)}`;
  return `${head} ${where === "" ? what : `${what.padEnd(WHAT_WIDTH)}  ${where}`}`.trimEnd();
}

function describeStop({ stopped }: Stop): string {
  switch (stopped) {
    case "breakpoint":
      return "reached the place asked for";
    case "limit":
      return "the limit of instructions was reached";
    case "interrupt":
      return "interrupted";
    default:
      return stopped;
  }
}
