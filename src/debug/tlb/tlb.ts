/** The TLB as the view shows it: two groups of rows, runs of pages that can be opened, all in pages of rows. */
import { cachedStructure, cachedTranslation } from "../../machine/staleness";
import type { TableChange } from "../../machine/tableChanges";
import { causeInWords } from "../../target/staleCause";
import type { Target } from "../../target/target";
import { grouped, plural } from "../../target/values";
import { RequestError } from "../dispatcher";
import type { CheckedOf } from "../protocol/declare";
import type { StaleCause, TLB, TlbRow, TlbRows } from "../protocol/tlb";
import { toHex } from "../protocol/values";
import type { Sources } from "../sources";
import {
  isStale,
  MOST_COMPARED,
  readContents,
  type Structure,
  singlePages,
  type TlbContents,
  type TlbQuery,
  type Translations,
} from "./contents";
import {
  addressText,
  structureLabel,
  structureText,
  structureTooltip,
  translationText,
  translationTooltip,
} from "./rowText";

const TRANSLATIONS = "translations";
const STRUCTURES = "structures";

/** What is asked, with the place as an address. */
export type TlbRequest = Omit<CheckedOf<typeof TLB>, "at"> & { address: bigint | undefined };

export class TlbView {
  private last: { key: string; contents: TlbContents } | undefined;

  constructor(
    private readonly target: Target,
    private readonly sources: Sources,
  ) {
    target.machine.recordTableChanges();
  }

  /** The machine moves, or the user changed it. */
  invalidate(): void {
    this.last = undefined;
  }

  /** @throws RequestError where the parent is no row now */
  rows(query: TlbRequest): TlbRows {
    const { parent, start, count } = query;
    const empty = this.emptiness();
    const { tlb } = this.target.machine.cpu.mmu;
    const pcids = empty === undefined ? pcidsOf(tlb) : [];
    if (empty !== undefined) return { rows: [], total: 0, empty, summary: "", pcids };
    const contents = this.contents(query);
    const summary = summaryOf(contents, tlb.size);
    if (parent === undefined) {
      const rows = groups(contents);
      const none = rows.length === 0 ? { empty: "No entry passes the filter." } : {};
      return { rows, total: rows.length, summary, pcids, ...none };
    }
    const all = this.below(contents, parent);
    const rows = all.slice(start, start + count).map((span) => this.row(span));
    return { rows, total: all.length, summary, pcids };
  }

  /** Why nothing can be cached, or is. */
  private emptiness(): string | undefined {
    const { machine, pagingState } = this.target;
    if (machine.tlbCapacity === 0)
      return "The machine runs with its TLB off: every access walks the tables, and nothing is cached.";
    if (pagingState.levels === 0)
      return "Paging is off: linear addresses are physical ones, and nothing is cached.";
    const { tlb } = machine.cpu.mmu;
    const none = tlb.size === 0 && tlb.structureEntries().next().done === true;
    return none ? "Nothing is cached: no access has been translated since the last flush." : undefined;
  }

  private contents(query: TlbQuery): TlbContents {
    const key = `${query.filter} ${query.pcid} ${query.address}`;
    if (this.last?.key !== key) this.last = { key, contents: readContents(this.target, query) };
    return this.last.contents;
  }

  private below(contents: TlbContents, parent: string): readonly (Translations | Structure)[] {
    if (parent === TRANSLATIONS) return contents.translations;
    if (parent === STRUCTURES) return contents.structures;
    const span = contents.translations.find((each) => idOf(each) === parent);
    if (span === undefined) throw new RequestError(`there is no row "${parent}" in the TLB now`);
    return singlePages(this.target, span);
  }

  private row(span: Translations | Structure): TlbRow {
    const { target } = this;
    const stale = isStale(span.state);
    const cause = stale ? this.causeOf(span) : undefined;
    const many = span.kind === "translations" && span.entries.length > 1;
    const what = many ? "The first page was" : "It was";
    const tooltip =
      span.kind === "structure" ? structureTooltip(target, span) : translationTooltip(target, span);
    const made = stale ? `\n\n${what} ${cause?.text ?? UNKNOWN}.` : "";
    return {
      id: idOf(span),
      kind: span.kind === "structure" ? "structure" : many ? "run" : "page",
      label:
        span.kind === "structure"
          ? `${addressText(target, span.start)} ${structureLabel(span)}`
          : addressText(target, span.start),
      description: span.kind === "structure" ? structureText(target, span) : translationText(target, span),
      tooltip: `${tooltip}${made}`,
      expandable: many,
      ...(stale ? { stale } : {}),
      ...(cause === undefined ? {} : { cause }),
      start: toHex(span.start),
      end: toHex(span.end),
      physical: toHex(span.kind === "structure" ? span.entry.table : span.entries[0].frame),
    };
  }

  private causeOf(span: Translations | Structure): StaleCause | undefined {
    const cached =
      span.kind === "structure"
        ? cachedStructure(span.entry, span.spanShift)
        : cachedTranslation(span.entries[0]);
    const cause = this.target.machine.whatMadeStale(cached);
    return cause === undefined ? undefined : this.described(cause);
  }

  private described(cause: TableChange): StaleCause {
    const { places, symbols } = this.target;
    const { instruction, rip } = cause;
    const symbol = places.symbol(rip);
    const line = symbols.lineOf(rip);
    const path = line === undefined ? undefined : this.sources.source(line.file)?.path;
    return {
      text: causeInWords(cause, places),
      instruction,
      rip: toHex(rip),
      ...(symbol === undefined ? {} : { symbol }),
      ...(path === undefined || line === undefined ? {} : { path, line: line.line }),
    };
  }
}

const UNKNOWN = "made stale by a change that is not recorded any more";

function idOf(span: Translations | Structure): string {
  if (span.kind === "structure") return `structure/${span.pcid}/${span.spanShift}/${toHex(span.start)}`;
  const [{ global, pcid, pageShift }] = span.entries;
  const single = span.entries.length === 1 ? "page" : "run";
  return `${single}/${global ? "global" : pcid}/${pageShift}/${toHex(span.start)}`;
}

function groups({ translations, structures }: TlbContents): TlbRow[] {
  const stale = (spans: readonly { state: Translations["state"] }[]) =>
    spans.filter(({ state }) => isStale(state)).length;
  const pages = (spans: readonly Translations[]) =>
    spans.reduce((sum, { entries }) => sum + entries.length, 0);
  const staleOnes = pages(translations.filter(({ state }) => isStale(state)));
  const rows: TlbRow[] = [];
  if (translations.length > 0) {
    rows.push(
      group(TRANSLATIONS, "TLB", plural(pages(translations), "entry", "entries"), staleOnes, TLB_TOOLTIP),
    );
  }
  if (structures.length > 0) {
    const count = plural(structures.length, "entry", "entries");
    rows.push(group(STRUCTURES, "Paging-structure caches", count, stale(structures), STRUCTURES_TOOLTIP));
  }
  return rows;
}

function group(id: string, label: string, count: string, stale: number, tooltip: string): TlbRow {
  return {
    id,
    kind: "group",
    label,
    description: stale === 0 ? count : `${count} · ${grouped(stale)} stale`,
    tooltip,
    expandable: true,
    ...(stale === 0 ? {} : { stale: true }),
  };
}

const TLB_TOOLTIP =
  "Translations that the CPU goes on using until something flushes them, whatever the tables say (SDM vol. 3A, 4.10.2).";
const STRUCTURES_TOOLTIP =
  "Entries that lead to tables: walks of their addresses begin there, and not at CR3 (SDM vol. 3A, 4.10.3).";

function summaryOf({ wanted, stale, more }: TlbContents, size: number): string {
  const cut = more ? ` · of ${grouped(size)}, ${grouped(MOST_COMPARED)} are shown` : "";
  return `${plural(wanted, "entry", "entries")}, ${stale === 0 ? "none" : grouped(stale)} stale${cut}`;
}

function pcidsOf(tlb: Target["machine"]["cpu"]["mmu"]["tlb"]): number[] {
  return [...tlb.pcids()].sort((a, b) => a - b);
}
