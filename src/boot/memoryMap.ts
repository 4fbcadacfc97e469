/**
 * What the machine's physical address space holds, and how firmware reports it (e820: ACPI specification, 15
 * "System Address Map Interfaces"). The default map is that of QEMU's `pc` machine.
 */
import type { Vendor } from "../machine/cpu/model";
import type { PhysicalRange } from "../machine/memory";
import { UsageError } from "./errors";
import {
  alignDown,
  alignUp,
  GIB,
  hex,
  MIB,
  PHYSICAL_LIMIT,
  parseAddress,
  rangeInWords,
  sizeInWords,
} from "./values";

/** The address range types of e820; also those of the memory map of PVH. */
export const E820_TYPES = [
  { name: "usable", type: 1, description: "RAM that the system may use" },
  { name: "reserved", type: 2, description: "not for use by the system" },
  { name: "acpi", type: 3, description: "ACPI tables; RAM once they were read" },
  { name: "nvs", type: 4, description: "kept for ACPI across sleep" },
  { name: "unusable", type: 5, description: "memory with errors" },
  { name: "pmem", type: 7, description: "persistent memory" },
] as const;
export const E820_USABLE = 1;
export const E820_RESERVED = 2;

/** An address range of the e820 map; the end is exclusive. */
export interface E820Entry {
  start: number;
  end: number;
  /** One of E820_TYPES. */
  type: number;
}

/** The machine's memory: what answers as RAM, and what the guest is told. */
export interface MemoryMap {
  /** Page aligned, ascending, not overlapping. */
  ram: readonly PhysicalRange[];
  /** Ascending, not overlapping. */
  e820: readonly E820Entry[];
  /** Bytes of RAM, as asked for. */
  size: number;
}

const PAGE = 4096;
/** VGA memory and option ROMs of a PC; the ROM area answers as RAM, since firmware leaves it shadowed. */
const VGA_START = 0xa0000;
const VGA_END = 0xc0000;
const EBDA_START = 0x9fc00;
const BIOS_START = 0xf0000;
const HIGH_MEMORY = 0x100000;
/** The last 128 KiB below 4 GiB of RAM hold ACPI tables. */
const ACPI_TABLES = 0x20000;
/** The BIOS flash below 4 GiB. */
const FLASH_START = 0xfffc0000;
/** Where RAM would reach 3.5 GiB, it is split at 3 GiB. */
const SPLIT_THRESHOLD = 3.5 * GIB;
const SPLIT = 3 * GIB;
/** AMD's HyperTransport window: 12 GiB below 1 TiB that CPUs of that vendor keep for themselves. */
const HYPERTRANSPORT: E820Entry = { start: 0xfd00000000, end: 0x10000000000, type: E820_RESERVED };
const SMALLEST_PC = 2 * MIB;

/**
 * The memory of QEMU's `pc` machine: low memory with its holes, RAM up to 3 GiB (below 3.5 GiB: all), the rest from
 * 4 GiB on. Unlike QEMU, RAM that reaches 1 TiB is not moved out of AMD's HyperTransport window.
 * @param size bytes of RAM: whole pages, at least 2 MiB
 * @param vendor of the CPU: with AMD's the HyperTransport window is reserved
 * @throws UsageError where the size is none for this machine
 */
export function pcMemoryMap(size: number, vendor: Vendor = "AuthenticAMD"): MemoryMap {
  if (size % PAGE !== 0) throw new UsageError(`the memory size ${hex(size)} is not a multiple of 4 KiB`);
  if (!(size >= SMALLEST_PC))
    throw new UsageError(`${sizeInWords(size)} of memory are too few: at least 2 MiB are needed`);
  const low = size >= SPLIT_THRESHOLD ? SPLIT : size;
  const end = 4 * GIB + size - low;
  if (end > PHYSICAL_LIMIT) {
    throw new UsageError(`${sizeInWords(size)} of memory are too many: physical addresses end at 4096 TiB`);
  }
  const ram = [
    { start: 0, end: VGA_START },
    { start: VGA_END, end: low },
  ];
  const e820 = lowMap(low);
  if (size > low) {
    ram.push({ start: 4 * GIB, end });
    e820.push({ start: 4 * GIB, end, type: E820_USABLE });
  }
  if (vendor === "AuthenticAMD" && end <= HYPERTRANSPORT.start) e820.push(HYPERTRANSPORT);
  return { ram, e820, size };
}

function lowMap(low: number): E820Entry[] {
  return [
    { start: 0, end: EBDA_START, type: E820_USABLE },
    { start: EBDA_START, end: VGA_START, type: E820_RESERVED },
    { start: BIOS_START, end: HIGH_MEMORY, type: E820_RESERVED },
    { start: HIGH_MEMORY, end: low - ACPI_TABLES, type: E820_USABLE },
    { start: low - ACPI_TABLES, end: low, type: E820_RESERVED },
    { start: FLASH_START, end: 4 * GIB, type: E820_RESERVED },
  ];
}

/**
 * A map as the user gives it: `0-0x9fc00:usable,0x100000-8G:usable,0xf0000-0x100000:reserved`, in any order.
 * What is usable becomes RAM, rounded inward to pages.
 * @throws UsageError where it is not a map, ranges overlap, or nothing of it is RAM
 */
export function parseE820(text: string): MemoryMap {
  const e820 = text
    .split(",")
    .filter((part) => part.trim() !== "")
    .map(parseEntry)
    .sort((a, b) => a.start - b.start);
  for (let i = 1; i < e820.length; i++) {
    if (e820[i].start < e820[i - 1].end) {
      throw new UsageError(
        `the e820 ranges ${entryInWords(e820[i - 1])} and ${entryInWords(e820[i])} overlap`,
      );
    }
  }
  const ram = usableRanges(e820);
  if (ram.length === 0) throw new UsageError(`the e820 map "${text}" leaves no whole page of usable memory`);
  return { ram, e820, size: ram.reduce((sum, range) => sum + range.end - range.start, 0) };
}

/** The usable ranges of an ascending map: those that touch are one, rounded inward to pages. */
export function usableRanges(e820: readonly E820Entry[]): PhysicalRange[] {
  return mergeTouching(e820.filter((entry) => entry.type === E820_USABLE))
    .map((range) => ({ start: alignUp(range.start, PAGE), end: alignDown(range.end, PAGE) }))
    .filter((range) => range.start < range.end);
}

/** @throws UsageError where RAM reaches beyond the addresses that a CPU has (MAXPHYADDR bits) */
export function checkPhysicalBits(map: MemoryMap, bits: number): void {
  const end = map.ram.at(-1)!.end;
  if (end <= 2 ** bits) return;
  throw new UsageError(
    `the memory reaches up to ${hex(end)}, but the CPU has only ${bits} bits of physical address ` +
      `(${sizeInWords(2 ** bits)}): take less memory or another CPU`,
  );
}

/** The name of an e820 type. */
export function e820TypeName(type: number): string {
  return E820_TYPES.find((known) => known.type === type)?.name ?? `type ${type}`;
}

function parseEntry(part: string): E820Entry {
  const match = /^\s*([^-:\s]+)\s*-\s*([^-:\s]+)\s*:\s*(\w+)\s*$/.exec(part);
  if (match === null) {
    throw new UsageError(
      `an e820 range is written START-END:TYPE, such as 0x100000-8G:usable, not "${part.trim()}"`,
    );
  }
  const start = parseAddress(match[1], "the start of an e820 range");
  const end = match[2] === "4096T" ? PHYSICAL_LIMIT : parseAddress(match[2], "the end of an e820 range");
  if (end <= start) throw new UsageError(`the e820 range ${rangeInWords(start, end)} ends before it begins`);
  const found = E820_TYPES.find((known) => known.name === match[3]);
  if (found === undefined) {
    const names = E820_TYPES.map((known) => known.name).join(", ");
    throw new UsageError(`"${match[3]}" is no e820 type; there are ${names}`);
  }
  return { start, end, type: found.type };
}

function entryInWords(entry: E820Entry): string {
  return `${rangeInWords(entry.start, entry.end)} (${e820TypeName(entry.type)})`;
}

function mergeTouching(ranges: readonly PhysicalRange[]): PhysicalRange[] {
  const merged: PhysicalRange[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last !== undefined && last.end === range.start) last.end = range.end;
    else merged.push({ start: range.start, end: range.end });
  }
  return merged;
}
