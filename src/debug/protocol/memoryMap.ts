/** What the Memory Map asks: who owns which physical memory, and what linear memory leads there. */
import * as v from "valibot";
import { request } from "./declare";

/** What owns physical memory, from the background to the foreground. */
export const OWNER_KINDS = [
  "ram",
  "reserved",
  "image",
  "data",
  "ramdisk",
  "boot",
  "stack",
  "pool",
  "table",
] as const;
export type OwnerKind = (typeof OWNER_KINDS)[number];

/** A half-open range of physical memory with one owner. Addresses are hexadecimal. */
export interface Owner {
  readonly kind: OwnerKind;
  readonly label: string;
  readonly start: string;
  readonly end: string;
  /** Of tables: 1 (PT) to 5 (PML5). */
  readonly level?: number;
  /** Whether something in it changed since the last stop, as far as page tables tell. */
  readonly changed?: boolean;
}

/** Linear memory that is mapped: pages that continue each other with one size and one set of flags. */
export interface MappedRange {
  readonly start: string;
  /** Exclusive; "0x0" stands for the top of the address space. */
  readonly end: string;
  readonly physical: string;
  readonly pageSize: string;
  readonly flags: readonly string[];
  readonly pages: number;
  readonly changed?: boolean;
}

/** A fixed pool of table pages, and how much of it is used. */
export interface Pool {
  readonly name: string;
  readonly start: string;
  readonly slots: number;
  /** Slots that the program may use; it can be set smaller than the pool is. */
  readonly limit: number;
  /** The next slot that is given out. */
  readonly next: number;
  /** Slots that CR3 leads to now. */
  readonly reached: readonly number[];
}

export interface MemoryMapAnswer {
  readonly mode: string;
  readonly root: string;
  readonly rootName: string | undefined;
  readonly instructions: number;
  readonly owners: readonly Owner[];
  readonly mapped: readonly MappedRange[];
  /** There is more than is listed. */
  readonly cut: boolean;
  readonly pools: readonly Pool[];
}

export const MEMORY_MAP = request<MemoryMapAnswer>()("pagewalk/memoryMap", v.object({}));
