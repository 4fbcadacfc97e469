/** A recorded kernel's page tables, built again in memory from the recording and read by the code under test. */
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { leafRuns, summarize } from "../../src/paging/ranges";
import type { PagingState } from "../../src/paging/state";
import { listTables } from "../../src/paging/tables";
import { FAULT_NONE, Walk, walkLinear } from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";

type Leaf = [start: string, end: string, physical: string, size: string, flags: string];
type Table = [
  level: number,
  physical: string,
  addresses: string,
  links: string,
  filled: number,
  present: number,
  crc: string,
];

interface Moment {
  cr3: string;
  efer: string;
  mode: string;
  leafPages: Record<string, number>;
  leaves: Leaf[];
  tables: Table[];
}

const RECORDING = new URL("../reference/paging/linux61-amd64-4G.json", import.meta.url);
const recorded = JSON.parse(readFileSync(RECORDING, "utf8")) as Record<string, Record<string, Moment>>;
const moments = Object.entries(recorded).flatMap(([cpu, points]) =>
  Object.entries(points).map(([point, moment]) => ({ cpu, point, moment })),
);

const SIZES: Record<string, bigint> = { "4K": 1n << 12n, "2M": 1n << 21n, "1G": 1n << 30n };
const SPAN = (level: number) => 1n << BigInt(12 + 9 * level);

/** Writes the entries that the recording implies: links from table to table, and leaves. */
function rebuild({ tables, leaves }: Moment): TestMemory {
  const memory = new TestMemory();
  const entryFor = (level: number, address: bigint) => {
    const translated = BigInt.asUintN(48, address);
    const base = (translated / SPAN(level)) * SPAN(level);
    const table = tables.find(
      (it) => it[0] === level && it[2].split(" ").some((first) => BigInt.asUintN(48, BigInt(first)) === base),
    );
    return Number(BigInt(table![1]) + ((translated >> BigInt(12 + 9 * (level - 1))) & 511n) * 8n);
  };
  for (const [level, physical, addresses, links] of tables) {
    if (links === "") continue;
    for (const address of addresses.split(" ")) {
      memory.write64(entryFor(level + 1, BigInt(address)), BigInt(physical) | BigInt(links));
    }
  }
  for (const [start, end, physical, name, flags] of leaves) {
    const size = SIZES[name];
    const level = { "4K": 1, "2M": 2, "1G": 3 }[name]!;
    let page = BigInt(physical);
    for (let address = BigInt(start); address < BigInt(end); address += size, page += size) {
      memory.write64(entryFor(level, address), page | BigInt(flags));
    }
  }
  return memory;
}

function pageBytes(memory: TestMemory, physical: number): Buffer {
  const bytes = Buffer.alloc(4096);
  for (let at = 0; at < 4096; at += 4) bytes.writeInt32LE(memory.read32(physical + at), at);
  return bytes;
}

/** The flags of a row from the raw bits, in the order of the command line. */
function names(raw: bigint, size: string): string[] {
  const pat = size === "4K" ? 7n : 12n;
  const bits: [string, bigint][] = [
    ["RW", 1n],
    ["US", 2n],
    ["PWT", 3n],
    ["PCD", 4n],
    ["A", 5n],
    ["D", 6n],
    ["PAT", pat],
    ["G", 8n],
    ["NX", 63n],
  ];
  return bits.filter(([, bit]) => ((raw >> bit) & 1n) === 1n).map(([name]) => name);
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

describe.each(moments)("Linux 6.1 on $cpu at $point", ({ moment }) => {
  const memory = rebuild(moment);
  const state: PagingState = pagingState(4, {
    root: Number(BigInt(moment.cr3) & ~0xfffn),
    nxe: (Number(moment.efer) & 0x800) !== 0,
  });

  it("is built again bit for bit: pages of tables have the recorded checksums", () => {
    // Of entries that are not present but not zero only the number is recorded.
    const complete = moment.tables.filter(([, , , , filled, present]) => filled === present);
    expect(complete.length).toBeGreaterThanOrEqual(moment.tables.length - 1);
    for (const [, physical, , , , , crc] of complete) {
      const bytes = pageBytes(memory, Number(physical));
      expect(`${physical} ${crc32(bytes).toString(16).padStart(8, "0")}`).toBe(`${physical} ${crc}`);
    }
  });

  it("gives the recorded runs of leaves, with the leaves' own flags", () => {
    const runs = [...leafRuns(state, memory)].map(({ start, end, physical, pageSize, flags, pages }) => ({
      start: hex(start),
      end: hex(end),
      physical: hex(physical),
      pageSize,
      flags,
      pages,
    }));
    const rows = moment.leaves.map(([start, end, physical, pageSize, flags]) => ({
      start,
      end,
      physical,
      pageSize,
      flags: names(BigInt(flags), pageSize),
      pages: Number((BigInt(end) - BigInt(start)) / SIZES[pageSize]),
    }));
    expect(runs).toEqual(rows);
  });

  it("gives the recorded figures", () => {
    const { mode, root, tablePages, leafPages } = summarize(state, memory);
    expect({ mode, root: hex(root), tablePages }).toEqual({
      mode: moment.mode,
      root: moment.cr3,
      tablePages: moment.tables.length,
    });
    expect(leafPages).toEqual({ "4K": 0, "2M": 0, "1G": 0, ...moment.leafPages });
  });

  it("lists the recorded tables, each with the first address that it translates", () => {
    const listed = listTables(state, memory).map(
      ({ level, physical, address }) => `${level} ${hex(physical)} ${hex(address)}`,
    );
    const tables = moment.tables.map(
      ([level, physical, addresses]) => `${level} ${physical} ${addresses.split(" ")[0]}`,
    );
    expect(listed.sort()).toEqual(tables.sort());
  });

  it("translates the first and the last byte of each run, and nothing before a run that has a gap", () => {
    const walk = new Walk();
    const frameOf = (address: bigint) => {
      const [low, high] = halves(address);
      if (walkLinear(state, memory, low, high, 0, walk) !== FAULT_NONE) return undefined;
      return BigInt(walk.frame) + (address & ((1n << BigInt(walk.pageShift)) - 1n));
    };
    const ends = new Set(moment.leaves.map(([, end]) => BigInt(end)));
    for (const [start, end, physical] of moment.leaves) {
      expect(frameOf(BigInt(start))).toBe(BigInt(physical));
      expect(frameOf(BigInt(end) - 1n)).toBe(BigInt(physical) + BigInt(end) - BigInt(start) - 1n);
      if (BigInt(start) !== 0n && !ends.has(BigInt(start))) {
        expect(frameOf(BigInt(start) - 1n)).toBe(undefined);
      }
    }
  });
});
