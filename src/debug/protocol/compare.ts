/** What is asked about two moments of the run: which table entries differ, and who made them differ. */
import * as v from "valibot";
import { request } from "./declare";
import type { MomentAnswer } from "./time";
import { count } from "./values";

/** What became of an entry. "moved": it leads to another table page, with the contents of the old one. */
export const COMPARED_KINDS = ["added", "changed", "cleared", "moved"] as const;
export type ComparedKind = (typeof COMPARED_KINDS)[number];

/** How an instruction made an entry another one. */
export type DeedKind = "write" | "link" | "root" | "user";

/** What made an entry differ: the last of all that did, between the moments. */
export interface Deed extends MomentAnswer {
  /** It wrote the entry, or linked or unlinked its table, or loaded the root; or the user did. */
  readonly how: DeedKind;
}

/** An entry that differs. */
export interface ComparedEntry {
  /** From 1 on, in the order of the comparison. */
  readonly number: number;
  readonly kind: ComparedKind;
  /** "PML4E 511"; "CR3" for the root. */
  readonly label: string;
  /** Its table and index, as they are at the later moment if there: "early_level4_pgt[511]". */
  readonly name: string;
  /** The indexes that lead to it: "511/510/3"; empty for the root. */
  readonly path: string;
  readonly level: number;
  /** The linear addresses that it translates; the end is exclusive, and "0x0" for the top. */
  readonly start: string;
  readonly end: string;
  readonly old: string;
  readonly new: string;
  /** The values in words. */
  readonly oldText: string;
  readonly newText: string;
  /** Physical address of the entry at the later moment, where its table is there. */
  readonly entry?: string;
  readonly who?: Deed;
  /** One sentence: who did it, or why that is not known. */
  readonly whoText: string;
}

export interface CompareAnswer {
  /** The user stopped it. */
  readonly cancelled: boolean;
  /** Names the comparison in `pagewalk/compared`; the latest one alone is kept. */
  readonly id: number;
  readonly first: MomentAnswer;
  readonly second: MomentAnswer;
  /** Paging modes and roots: "4-level, early_level4_pgt (0x1c02000)". */
  readonly firstRoot: string;
  readonly secondRoot: string;
  /** How many entries differ. */
  readonly counts: Readonly<Record<ComparedKind, number>>;
  /** Entries that differ in accessed and dirty bits alone: they are not listed. */
  readonly accessedOnly: number;
  /** Entries that can be asked for; fewer than differ where there are too many. */
  readonly listed: number;
  /** What was left out, in sentences. */
  readonly remarks: readonly string[];
}

/**
 * Compares the page tables of two moments; the earlier is the first, however they are given. The debuggee then stands
 * where it stood.
 */
export const COMPARE = request<CompareAnswer>()(
  "pagewalk/compare",
  v.object({
    /** Instructions retired; the present moment without. */
    first: count,
    second: v.optional(count),
  }),
);

export interface ComparedAnswer {
  readonly entries: readonly ComparedEntry[];
  /** Of the kind, where one is asked for. */
  readonly total: number;
}

/** Entries of the latest comparison. */
export const COMPARED = request<ComparedAnswer>()(
  "pagewalk/compared",
  v.object({
    id: count,
    kind: v.optional(v.picklist(COMPARED_KINDS)),
    from: v.optional(count, 0),
    count: v.optional(v.pipe(count, v.minValue(1), v.maxValue(1000)), 200),
  }),
);
