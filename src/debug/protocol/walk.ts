/** Page walks in words, and entries decoded. */
import * as v from "valibot";
import { request } from "./declare";
import { count, hexValue } from "./values";

/** What a walk asks the rights for. */
export const ACCESSES = ["read", "write", "fetch", "user read", "user write", "user fetch"] as const;
export type Access = (typeof ACCESSES)[number];

/** A page walk in words. */
export interface WalkAnswer {
  readonly steps: readonly WalkStepAnswer[];
  /** One sentence: where it ends, or why not. */
  readonly outcome: string;
  readonly physical?: string;
}

export interface WalkStepAnswer {
  /** "PML4E 272 of early_level4_pgt (0x1002000): 0x0000000001003063, table ..." */
  readonly text: string;
  /** Physical address of the entry. */
  readonly entry: string;
  /** What the entries down to here allow. */
  readonly rights: string;
}

/** Walks the value of an expression: an address, a symbol, a register. */
export const WALK = request<WalkAnswer>()(
  "pagewalk/walk",
  v.object({
    expression: v.string(),
    frameId: v.optional(v.number()),
    access: v.optional(v.picklist(ACCESSES), "read"),
  }),
);

/** A value as an entry of one level. */
export interface DecodedAnswer {
  readonly level: number;
  /** PTE, PDE, PDPTE, PML4E, PML5E. */
  readonly name: string;
  readonly text: string;
  readonly markdown: string;
}

/** Decodes a value in the present paging mode: as an entry of a level, or of each at which it could be one. */
export const DECODE = request<{ readonly entries: readonly DecodedAnswer[] }>()(
  "pagewalk/decode",
  v.object({ value: hexValue, level: v.optional(v.pipe(count, v.minValue(1), v.maxValue(5))) }),
);
