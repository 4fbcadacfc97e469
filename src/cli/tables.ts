/** The page tables at the stop, as rows: runs of leaves, and a summary. */
import type { Machine } from "../machine/machine";
import type { PageSizeName } from "../paging/entry";
import { leafRuns, summarize } from "../paging/ranges";
import type { Places } from "../target/places";
import { grouped, hex, hex64 } from "../target/values";

/** A run of leaves in the form that other tools rely on; `end` is exclusive and may be 2^64. */
export interface LeafRow {
  start: string;
  end: string;
  physical: string;
  pageSize: PageSizeName;
  flags: readonly string[];
  pages: number;
}

export interface TableSummaryRow {
  /** "off", "32-bit", "PAE", "4-level" or "5-level". */
  mode: string;
  root: string;
  rootSymbol: string | undefined;
  tablePages: number;
  leafPages: Partial<Record<PageSizeName, number>>;
}

/** The rows one by one: there may be very many. */
export function* tableRows({ pagingState, memory }: Machine): Generator<LeafRow> {
  const top = 1n << (pagingState.levels >= 4 ? 64n : 32n);
  for (const { start, end, physical, pageSize, flags, pages } of leafRuns(pagingState, memory)) {
    yield {
      start: hex(start),
      end: hex(end === 0n ? top : end),
      physical: hex(physical),
      pageSize,
      flags,
      pages,
    };
  }
}

export function tableSummary({ pagingState, memory }: Machine, places: Places): TableSummaryRow {
  const { mode, root, tablePages, leafPages } = summarize(pagingState, memory);
  return { mode, root: hex(root), rootSymbol: places.physical(root), tablePages, leafPages };
}

/** One row of text. */
export function rowText({ start, end, physical, pageSize, flags, pages }: LeafRow): string {
  const range = `${hex64(BigInt(start))}-${BigInt(end).toString(16).padStart(16, "0")}`;
  const count = `${grouped(pages)} x ${pageSize}`.padStart(14);
  return `  ${range} -> ${physical.padEnd(14)} ${count}  ${flags.join(" ")}`;
}

/** The last line of text. */
export function summaryText({ mode, root, rootSymbol, tablePages, leafPages }: TableSummaryRow): string {
  if (mode === "off") return "  paging is off";
  const leaves = Object.entries(leafPages).map(([size, count]) => `${grouped(count)} x ${size}`);
  const name = rootSymbol === undefined ? "" : ` ${rootSymbol}`;
  return `  ${mode} paging, root ${root}${name}, ${grouped(tablePages)} table pages, leaves: ${leaves.join(", ")}`;
}
