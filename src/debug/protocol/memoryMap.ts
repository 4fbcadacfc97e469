/** What the Memory Map asks: who owns which physical memory, and what linear memory leads there. */
import * as v from "valibot";
import { request } from "./declare";
import { hexValue } from "./values";

/**
 * Who can own physical memory. Owners of one lane do not overlap; those of a finer lane lie in those of a coarser
 * one: what the firmware tells, what the boot loader put there, what single pages are.
 */
export const OWNERS = {
  ram: { lane: "firmware", label: "usable RAM" },
  reserved: { lane: "firmware", label: "reserved" },
  acpi: { lane: "firmware", label: "ACPI" },
  code: { lane: "loaded", label: "kernel code" },
  data: { lane: "loaded", label: "kernel data" },
  boot: { lane: "loaded", label: "boot data" },
  ramdisk: { lane: "loaded", label: "ramdisk" },
  object: { lane: "page", label: "object" },
  pool: { lane: "page", label: "pool page" },
  table: { lane: "page", label: "page table" },
  stack: { lane: "page", label: "stack" },
} as const;
export type OwnerKind = keyof typeof OWNERS;
export const OWNER_KINDS = Object.keys(OWNERS) as OwnerKind[];

/** From the coarsest to the finest. */
export const OWNER_LANES = ["firmware", "loaded", "page"] as const;
export type OwnerLane = (typeof OWNER_LANES)[number];

/** The addresses that the physical side has: the machine's, or those that a paravirtual domain counts by. */
export const SPACES = ["domain", "machine"] as const;
export type SpaceName = (typeof SPACES)[number];

/** What happened to a mapping since the last stop; how it is used (A, D) does not count. */
export const MARKS = ["added", "changed", "cleared"] as const;
export type Mark = (typeof MARKS)[number];

/** Of a page of a pool: CR3 leads to it, it is given out, it is not, it lies beyond what may be used. */
export const SLOT_STATES = ["reached", "used", "free", "beyond"] as const;
export type SlotState = (typeof SLOT_STATES)[number];

/** A half-open range of linear addresses, canonical. */
export interface LinearRange {
  readonly start: string;
  /** "0x0" stands for 2^64. */
  readonly end: string;
}

/** A half-open range of physical memory with one owner. */
export interface Owner {
  readonly kind: OwnerKind;
  readonly label: string;
  readonly start: string;
  readonly end: string;
  /** Of page tables: 1 (PT) to 5 (PML5). */
  readonly level?: number;
  /** Of page tables: the lowest linear address that is translated by it. */
  readonly linear?: string;
  /** Where it begins in the machine's memory, where that is another address. */
  readonly machine?: string;
  /** What the hypervisor has it in use as: "in use as an L1 table (count 1, pinned)". */
  readonly use?: string;
  /** Of page tables: entries changed since the last stop, or it was none then. */
  readonly changed?: boolean;
}

/** Linear memory that is mapped: pages that continue each other with one size and one set of rights. */
export interface MappedRange extends LinearRange {
  readonly physical: string;
  /** Where its first page is in the machine's memory, where that is another address. */
  readonly machine?: string;
  readonly pageSize: string;
  /** Those that all of its pages have. */
  readonly flags: readonly string[];
  readonly pages: number;
}

/** Linear memory whose mappings are not what they were at the last stop. */
export interface LinearChange extends LinearRange {
  readonly mark: Mark;
}

/** A register that holds a linear address. */
export interface Pointer {
  readonly name: "RIP" | "RSP" | "CR2";
  readonly linear: string;
  /** Where the tables lead; absent where it is not mapped. */
  readonly physical?: string;
  /** In the machine's memory, where that is another address. */
  readonly machine?: string;
}

/** A page of a pool. */
export interface PoolSlot {
  readonly state: SlotState;
  /** The level that it serves at, where CR3 leads to it. */
  readonly level?: number;
  readonly changed?: boolean;
}

/** A fixed pool of table pages, and how much of it is used. */
export interface Pool {
  readonly name: string;
  readonly start: string;
  readonly slots: readonly PoolSlot[];
  /** Slots that the program may use; it can be set smaller than the pool is. */
  readonly limit: number;
  /** The next slot that is given out. */
  readonly next: number;
}

/** Mappings of a part of linear memory. */
export interface Mappings {
  readonly mapped: readonly MappedRange[];
  /** Where something is present that was not looked into, since looking takes bounded work. */
  readonly unexplored: readonly LinearRange[];
}

export interface MemoryMapAnswer extends Mappings {
  /** "off", "32-bit", "PAE", "4-level", "5-level". */
  readonly mode: string;
  readonly root: string;
  readonly rootName: string | undefined;
  /** Which addresses the physical side has; absent where there is no hypervisor, and no choice. */
  readonly space?: SpaceName;
  readonly instructions: number;
  /** By lane, then by address. */
  readonly owners: readonly Owner[];
  /** There are more page tables than `owners` has. */
  readonly moreTables: boolean;
  readonly changes: readonly LinearChange[];
  readonly pools: readonly Pool[];
  readonly pointers: readonly Pointer[];
}

/** All of memory, as far as bounded work tells. */
export const MEMORY_MAP = request<MemoryMapAnswer>()(
  "pagewalk/memoryMap",
  v.object({ space: v.optional(v.picklist(SPACES), "domain") }),
);

/** In the space of the last whole map: the mappings from `start` on, before `end` (0 for 2^64): for what the whole map has left unexplored. */
export const MEMORY_MAP_WINDOW = request<Mappings>()(
  "pagewalk/memoryMapWindow",
  v.object({ start: hexValue, end: hexValue }),
);
