/**
 * The run for people to read: events in order in aligned columns, with what page faults came to map, and a summary.
 *
 * One CR3 load may be three events (cr3-load, reset, switchover): it is told once. Page faults that repeat for ever
 * are told once and counted.
 */
import type { Cr3LoadEvent, MachineEvent, PageFaultEvent } from "../machine/events";
import { type Described, describeEvent } from "./describe";
import type { Mapped } from "./mapped";
import type { Places } from "./places";
import { rate } from "./progress";
import type { EventCounts, Report, Stop } from "./report";
import { type LeafRow, rowText, summaryText, type TableSummaryRow } from "./tables";
import { bytesInWords, grouped, hex, hex64, plural } from "./values";
import type { WalkReport } from "./walk";

/** Width of the instruction count and of the event's name. */
const COUNT_WIDTH = 13;
const NAME_WIDTH = 14;
/** Width of what happened, where it is short: then the places of the code stand in a column. */
const WHAT_WIDTH = 40;
const INDENT = " ".repeat(COUNT_WIDTH + 2);

export class TextReport implements Report {
  readonly wantsMapped = true;
  private faults = 0;
  private lastFault: PageFaultEvent | undefined;
  private repeats = 0;
  private heldLoad: Cr3LoadEvent | undefined;
  private rootChange: MachineEvent | undefined;

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
    if (this.isRepeat(event)) {
      this.repeats++;
      return;
    }
    this.flushRepeats();
    this.lastFault = event.event === "page-fault" ? event : undefined;
    if (this.folds(event)) return;
    this.print(event);
  }

  mapped({ run }: Mapped): void {
    if (this.repeats > 0) return;
    if (run === undefined) {
      this.lines(`${INDENT}-> nothing is mapped there`);
      return;
    }
    const size = bytesInWords(run.end - run.start);
    const pages = `${plural(run.pages, `${run.pageSize} page`)}`;
    const physical = `phys ${hex(run.physical)}-${hex(BigInt(run.physical) + run.end - run.start)}`;
    this.lines(
      `${INDENT}-> ${size} mapped at ${hex64(run.start)}, ${pages}, ${physical} ${run.flags.join(" ")}`,
    );
  }

  registers(registers: readonly (readonly [string, bigint])[]): void {
    this.flush();
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
    this.flush();
    this.lines("", ...walk.text);
  }

  tables(): void {
    this.flush();
    this.lines("", "Page tables");
  }

  tableRow(row: LeafRow): void {
    this.lines(rowText(row));
  }

  tableSummary(summary: TableSummaryRow): void {
    this.lines(summaryText(summary));
  }

  end(stop: Stop, counts: EventCounts): void {
    this.flush();
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
        rate(instructions, seconds),
      ].join(", "),
    );
  }

  private isRepeat(event: MachineEvent): boolean {
    const { lastFault } = this;
    return (
      lastFault !== undefined &&
      event.event === "page-fault" &&
      event.address === lastFault.address &&
      event.error === lastFault.error &&
      event.rip === lastFault.rip &&
      event.reason === lastFault.reason
    );
  }

  /** Whether the event tells of a CR3 load that another line tells, or will tell, better. */
  private folds(event: MachineEvent): boolean {
    const isRootChange = event.event === "reset" || event.event === "switchover";
    if (isRootChange) {
      if (this.heldLoad?.instruction === event.instruction) this.heldLoad = undefined;
      this.rootChange = event;
    }
    this.flushLoad();
    if (event.event !== "cr3-load") return false;
    if (this.rootChange?.instruction !== event.instruction) this.heldLoad = event;
    return true;
  }

  private flush(): void {
    this.flushRepeats();
    this.flushLoad();
  }

  private flushRepeats(): void {
    if (this.repeats > 0) this.lines(`${INDENT}repeated ${grouped(this.repeats)} times`);
    this.repeats = 0;
  }

  private flushLoad(): void {
    const held = this.heldLoad;
    this.heldLoad = undefined;
    if (held !== undefined) this.print(held);
  }

  private print(event: MachineEvent): void {
    if (event.event === "page-fault") this.faults++;
    const described = describeEvent(event, this.places, this.faults);
    this.lines(this.eventLine(event.instruction, described), ...described.more.map((line) => INDENT + line));
  }

  private eventLine(instruction: number, { name, what, where }: Described): string {
    const head = `${grouped(instruction).padStart(COUNT_WIDTH)}  ${name.padEnd(NAME_WIDTH)}`;
    return `${head} ${where === "" ? what : `${what.padEnd(WHAT_WIDTH)}  ${where}`}`.trimEnd();
  }

  private lines(...lines: readonly string[]): void {
    this.write(lines.map((line) => `${line}\n`).join(""));
  }
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
