/**
 * What the TLB and the paging-structure caches hold, compared with the tables, in the order of linear addresses; pages
 * that go on from each other and have the same to say make one span. Looking changes nothing.
 */

import { type Agreement, type Cached, cachedStructure, cachedTranslation } from "../../machine/staleness";
import type { StructureEntry, TlbEntry } from "../../machine/tlb";
import { canonicalAddress } from "../../paging/canonical";
import { RIGHT_USER, Walk } from "../../paging/walk";
import type { Target } from "../../target/target";
import { domainAddress } from "../pageTables/names";
import type { TlbFilter } from "../protocol/tlb";

/** Entries that are compared with the tables at most. */
export const MOST_COMPARED = 100_000;

/** How an entry stands to the tables. "unknown": its PCID is not the present one, and its root is not known. */
export type State = Agreement | "unknown";

/** TLB entries of consecutive pages. */
export interface Translations {
  readonly kind: "translations";
  readonly state: State;
  readonly entries: readonly TlbEntry[];
  /** Linear; the end exclusive, 0 for the top. */
  readonly start: bigint;
  readonly end: bigint;
}

/** A paging-structure cache entry. */
export interface Structure {
  readonly kind: "structure";
  readonly state: State;
  readonly pcid: number;
  readonly spanShift: number;
  readonly entry: StructureEntry;
  readonly start: bigint;
  readonly end: bigint;
}

/** Which entries are wanted. */
export interface TlbQuery {
  readonly filter: TlbFilter;
  readonly pcid?: number | undefined;
  /** A linear address (64 bit) that they translate. */
  readonly address: bigint | undefined;
}

export interface TlbContents {
  readonly translations: readonly Translations[];
  readonly structures: readonly Structure[];
  /** Entries of either that are wanted, and how many of those are stale. */
  readonly wanted: number;
  readonly stale: number;
  /** There were more to look at than `MOST_COMPARED`. */
  readonly more: boolean;
}

export function isStale(state: State): boolean {
  return state !== "agrees" && state !== "unknown";
}

/** Reads what is cached now. */
export function readContents(target: Target, query: TlbQuery): TlbContents {
  const { tlb } = target.machine.cpu.mmu;
  const reader = new Reader(target, query);
  const found: { entry: TlbEntry; state: State }[] = [];
  for (const entry of tlb.entries()) {
    if (!reader.wantsTranslation(entry)) continue;
    if (reader.full) break;
    const state = reader.state(cachedTranslation(entry), entry.global ? undefined : entry.pcid);
    if (reader.keeps(state)) found.push({ entry, state });
  }
  const structures: Structure[] = [];
  for (const { pcid, spanShift, entry } of tlb.structureEntries()) {
    if (!reader.wantsStructure(pcid, spanShift, entry)) continue;
    if (reader.full) break;
    const state = reader.state(cachedStructure(entry, spanShift), pcid);
    if (!reader.keeps(state)) continue;
    const bytes = 1n << BigInt(spanShift + 12);
    const start = reader.canonical(BigInt(entry.prefix) * bytes);
    structures.push({
      kind: "structure",
      state,
      pcid,
      spanShift,
      entry,
      start,
      end: reader.end(start, bytes),
    });
  }
  structures.sort((a, b) => compare(a.start, b.start) || b.spanShift - a.spanShift || a.pcid - b.pcid);
  return {
    translations: joined(target, reader, found),
    structures,
    wanted: found.length + structures.length,
    stale: [...found, ...structures].filter(({ state }) => isStale(state)).length,
    more: reader.full,
  };
}

/** The pages of a span, each by itself. */
export function singlePages(target: Target, { entries, state }: Translations): Translations[] {
  const reader = new Reader(target, { filter: "none", pcid: undefined, address: undefined });
  return entries.map((entry) => reader.span([entry], state));
}

class Reader {
  full = false;
  private compared = 0;
  private readonly walk = new Walk();
  private readonly page4K: number | undefined;

  constructor(
    private readonly target: Target,
    private readonly query: TlbQuery,
  ) {
    const { address } = query;
    this.page4K = address === undefined ? undefined : Number(BigInt.asUintN(64, address) >> 12n);
  }

  wantsTranslation(entry: TlbEntry): boolean {
    const { filter, pcid } = this.query;
    if (filter === "global" && !entry.global) return false;
    if (filter === "user" && (entry.rights & RIGHT_USER) === 0) return false;
    if (pcid !== undefined && !entry.global && entry.pcid !== pcid) return false;
    return this.page4K === undefined || Math.floor(this.page4K / 2 ** (entry.pageShift - 12)) === entry.page;
  }

  /** Structure entries are never global (SDM vol. 3A, 4.10.3.2). */
  wantsStructure(tag: number, spanShift: number, entry: StructureEntry): boolean {
    const { filter, pcid } = this.query;
    if (filter === "global") return false;
    if (filter === "user" && (entry.rights & RIGHT_USER) === 0) return false;
    if (pcid !== undefined && tag !== pcid) return false;
    return this.page4K === undefined || Math.floor(this.page4K / 2 ** spanShift) === entry.prefix;
  }

  /** @param pcid under which alone it answers */
  state(cached: Cached, pcid: number | undefined): State {
    const { pagingState, memory, machine } = this.target;
    if (++this.compared >= MOST_COMPARED) this.full = true;
    if (pcid !== undefined && pcid !== machine.cpu.mmu.pcid) return "unknown";
    return cached.compare(pagingState, memory, this.walk);
  }

  keeps(state: State): boolean {
    return this.query.filter !== "stale" || isStale(state);
  }

  canonical(address: bigint): bigint {
    return canonicalAddress(address, this.target.pagingState.levels);
  }

  end(start: bigint, bytes: bigint): bigint {
    return BigInt.asUintN(this.target.pagingState.levels >= 4 ? 64 : 32, start + bytes);
  }

  span(entries: readonly TlbEntry[], state: State): Translations {
    const [{ page, pageShift }] = entries;
    const bytes = 1n << BigInt(pageShift);
    const start = this.canonical(BigInt(page) * bytes);
    return {
      kind: "translations",
      state,
      entries,
      start,
      end: this.end(start, bytes * BigInt(entries.length)),
    };
  }
}

function joined(
  target: Target,
  reader: Reader,
  found: { readonly entry: TlbEntry; readonly state: State }[],
): Translations[] {
  const first = ({ entry }: { entry: TlbEntry }) => entry.page * 2 ** (entry.pageShift - 12);
  const tag = ({ entry }: { entry: TlbEntry }) => (entry.global ? -1 : entry.pcid);
  // Those of one tag go on from each other, whatever lies at the same addresses under another.
  found.sort((a, b) => tag(a) - tag(b) || first(a) - first(b) || b.entry.pageShift - a.entry.pageShift);
  const spans: Translations[] = [];
  let entries: TlbEntry[] = [];
  let state: State = "agrees";
  for (const each of found) {
    const last = entries.at(-1);
    if (last !== undefined && (state !== each.state || !goesOn(target, last, each.entry))) {
      spans.push(reader.span(entries, state));
      entries = [];
    }
    entries.push(each.entry);
    state = each.state;
  }
  if (entries.length > 0) spans.push(reader.span(entries, state));
  return spans.sort((a, b) => compare(a.start, b.start) || b.entries[0].pageShift - a.entries[0].pageShift);
}

function goesOn(target: Target, last: TlbEntry, next: TlbEntry): boolean {
  const bytes = 2 ** last.pageShift;
  return (
    next.page === last.page + 1 &&
    next.pageShift === last.pageShift &&
    next.global === last.global &&
    (next.global || next.pcid === last.pcid) &&
    next.rights === last.rights &&
    next.key === last.key &&
    next.dirty === last.dirty &&
    domainAddress(target, next.frame) === domainAddress(target, last.frame) + bytes
  );
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
