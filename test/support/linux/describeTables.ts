/** Page tables as data that two machines can be compared by: leaf rows as the command line prints them, and each table. */
import { crc32 } from "node:zlib";
import { canonicalAddress } from "../../../src/paging/canonical";
import { levelShift } from "../../../src/paging/layout";
import { leafRuns, MODE_NAMES } from "../../../src/paging/ranges";
import type { PagingState, TableMemory } from "../../../src/paging/state";
import { listTables, type TablePage } from "../../../src/paging/tables";

/** As in `--print tables --json`. */
export interface LeafRow {
  readonly start: string;
  readonly end: string;
  readonly physical: string;
  readonly pageSize: string;
  readonly flags: readonly string[];
  readonly pages: number;
}

/**
 * Level; physical address; the linear addresses at which it is reached and the flags (all bits but the address) of the
 * entries that refer to it, both ascending and separated by spaces; entries not zero; entries present; CRC-32.
 */
export type TableRow = readonly [
  level: number,
  physical: string,
  addresses: string,
  links: string,
  filled: number,
  present: number,
  crc: string,
];

export interface DescribedTables {
  readonly mode: string;
  /** Leaves by page size, along every path that reaches them; sizes without any are left out. */
  readonly leafPages: Readonly<Record<string, number>>;
  readonly rows: readonly LeafRow[];
  readonly tables: readonly TableRow[];
}

const PAGE = 4096;
const ENTRY_FLAGS = 0xfff0_0000_0000_0fffn;

const hex = (value: bigint | number) => `0x${value.toString(16)}`;
const ascending = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
const joined = (values: Iterable<bigint>) => [...new Set(values)].sort(ascending).map(hex).join(" ");

/** Reads 4-level or 5-level tables; nothing is mapped where paging is off. */
export function describeTables(state: PagingState, memory: TableMemory): DescribedTables {
  const rows: LeafRow[] = [];
  const leafPages: Record<string, number> = {};
  for (const { start, end, physical, pageSize, flags, pages } of leafRuns(state, memory)) {
    const top = end === 0n ? 1n << 64n : end;
    rows.push({ start: hex(start), end: hex(top), physical: hex(physical), pageSize, flags, pages });
    leafPages[pageSize] = (leafPages[pageSize] ?? 0) + pages;
  }
  return { mode: MODE_NAMES[state.levels], leafPages, rows, tables: tableRows(state, memory) };
}

interface Reached {
  readonly table: TablePage;
  readonly addresses: Set<bigint>;
}

function tableRows(state: PagingState, memory: TableMemory): TableRow[] {
  const listed = listTables(state, memory).sort((a, b) => b.level - a.level);
  const reached = new Map<string, Reached>();
  for (const table of listed) {
    const addresses = new Set<bigint>(table.parents.length === 0 ? [0n] : []);
    for (const parent of table.parents) {
      const above = reached.get(`${table.level + 1}:${parent - (parent % PAGE)}`)!;
      const below = BigInt((parent % PAGE) / 8) << BigInt(levelShift(state.levels, table.level + 1));
      for (const address of above.addresses)
        addresses.add(canonicalAddress(BigInt.asUintN(64, address + below), state.levels));
    }
    reached.set(`${table.level}:${table.physical}`, { table, addresses });
  }
  const read64 = (address: number) =>
    (BigInt(memory.read32(address + 4) >>> 0) << 32n) | BigInt(memory.read32(address) >>> 0);
  const first = ({ addresses }: Reached) => [...addresses].sort(ascending)[0];
  return [...reached.values()]
    .sort((a, b) => b.table.level - a.table.level || ascending(first(a), first(b)))
    .map(({ table: { level, physical, parents }, addresses }): TableRow => {
      const bytes = Buffer.alloc(PAGE);
      for (let at = 0; at < PAGE; at += 4) bytes.writeInt32LE(memory.read32(physical + at), at);
      const entries = Array.from({ length: 512 }, (_, i) => bytes.readBigUInt64LE(8 * i));
      return [
        level,
        hex(physical),
        joined(addresses),
        joined(parents.map((parent) => read64(parent) & ENTRY_FLAGS)),
        entries.filter((entry) => entry !== 0n).length,
        entries.filter((entry) => (entry & 1n) !== 0n).length,
        crc32(bytes).toString(16).padStart(8, "0"),
      ];
    });
}
