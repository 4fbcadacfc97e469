/** Runs, gaps, figures, tables and differences, against a naive enumeration of every leaf. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { diffSnapshots, entryOf, snapshot } from "../../src/paging/diff";
import { leafRuns, runsAndGaps, summarize } from "../../src/paging/ranges";
import type { PagingLevels, PagingState } from "../../src/paging/state";
import { listTables } from "../../src/paging/tables";
import { FAULT_NONE, Walk, walkLinear } from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";

/** A link or leaf to put into a table: which table (0 is the root), which slot, and what. */
const step = fc.record({
  table: fc.integer({ min: 0, max: 7 }),
  slot: fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 508, max: 511 }),
    fc.constantFrom(255, 256, 272),
    fc.integer({ min: 1020, max: 1023 }),
  ),
  target: fc.integer({ min: 0, max: 7 }),
  large: fc.boolean(),
  run: fc.integer({ min: 1, max: 4 }),
  flags: fc.constantFrom(0n, 2n, 2n, 2n, 6n, 0x62n, 0x102n, 0x9000000000000002n, 0x8000000000000062n),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const modes = fc.constantFrom<PagingLevels>(2, 3, 4, 5);

function slots(levels: PagingLevels): number {
  return levels === 2 ? 1024 : 512;
}

/** Random trees: eight pages that may refer to each other and to themselves, at any level. */
function build(levels: PagingLevels, steps: Step[]): { s: PagingState; memory: TestMemory } {
  const memory = new TestMemory();
  const page = (table: number) => 0x10000 + 0x1000 * table;
  const s = pagingState(levels, { root: page(0) });
  const put = (table: number, slot: number, value: bigint) => {
    const index = slot % slots(levels);
    if (levels === 2) memory.write32(page(table) + 4 * index, value);
    else if (levels === 3 && table === 0) s.pdpte.set(halves(value & 0xfffff001n), 2 * (index & 3));
    else memory.write64(page(table) + 8 * index, value);
  };
  for (const { table, slot, target, large, run, flags } of steps) {
    const usable = levels === 2 ? flags & 0xfffn : levels === 3 ? flags & ~(0xfn << 59n) : flags;
    if (!large) put(table, slot, BigInt(page(target)) | 1n | usable);
    else {
      const size = levels === 2 ? 1n << 22n : 1n << 21n;
      for (let i = 0; i < run; i++) put(table, slot + i, (size * BigInt(target + i)) | 0x81n | usable);
    }
  }
  return { s, memory };
}

interface Page {
  address: bigint;
  size: bigint;
  physical: number;
  entry: number;
  value: bigint;
}

const LIMIT = 4000;

/** Every leaf, by walking all addresses that an entry begins, level by level. Gives up where there are too many. */
function naiveLeaves(s: PagingState, memory: TestMemory): Page[] | undefined {
  const pages: Page[] = [];
  const walk = new Walk();
  const bits = s.levels === 2 ? 10 : 9;
  const probe = (address: bigint, level: number): boolean => {
    const canonical = s.levels >= 4 ? BigInt.asUintN(64, BigInt.asIntN(12 + 9 * s.levels, address)) : address;
    const [low, high] = halves(canonical);
    const cause = walkLinear(s, memory, low, high, 0, walk);
    const reached = walk.levels[walk.stepCount - 1];
    if (cause === FAULT_NONE && reached === level) {
      const last = walk.stepCount - 1;
      const value = (BigInt(walk.entryHigh[last] >>> 0) << 32n) | BigInt(walk.entryLow[last] >>> 0);
      const size = 1n << BigInt(walk.pageShift);
      pages.push({ address: canonical, size, physical: walk.frame, entry: walk.entryAddresses[last], value });
      return pages.length < LIMIT;
    }
    if (reached >= level) return true;
    return descend(address, level - 1);
  };
  const descend = (base: bigint, level: number): boolean => {
    const count = s.levels === 3 && level === 3 ? 4 : slots(s.levels);
    for (let i = 0; i < count; i++) {
      if (!probe(base + (BigInt(i) << BigInt(12 + bits * (level - 1))), level)) return false;
    }
    return true;
  };
  return descend(0n, s.levels) ? pages : undefined;
}

/** What rows show of an entry. */
function shown({ value, size }: Page, levels: PagingLevels): string {
  const pat = size === 4096n ? 7n : 12n;
  const key = levels >= 4 ? (value >> 59n) & 15n : 0n;
  const flag = (name: string, bit: bigint) => (((value >> bit) & 1n) === 1n ? `${name} ` : "");
  const low =
    flag("RW", 1n) + flag("US", 2n) + flag("PWT", 3n) + flag("PCD", 4n) + flag("A", 5n) + flag("D", 6n);
  const high = flag("PAT", pat) + flag("G", 8n) + (levels === 2 ? "" : flag("NX", 63n));
  return low + high + (key === 0n ? "" : `PK${key} `);
}

function naiveRows(pages: Page[], levels: PagingLevels): string[] {
  const names: Record<string, string> = { 4096: "4K", 2097152: "2M", 4194304: "4M", 1073741824: "1G" };
  const rows: { start: bigint; end: bigint; physical: number; size: bigint; flags: string }[] = [];
  for (const page of pages) {
    const { address, size, physical } = page;
    const flags = shown(page, levels);
    const row = rows.at(-1);
    const continues =
      row !== undefined &&
      row.end === address &&
      row.size === size &&
      row.flags === flags &&
      row.physical + Number(row.end - row.start) === physical;
    if (continues) row.end += size;
    else rows.push({ start: address, end: address + size, physical, size, flags });
  }
  const width = levels >= 4 ? 64 : 32;
  return rows.map(
    ({ start, end, physical, size, flags }) =>
      `${start} ${BigInt.asUintN(width, end)} ${physical} ${names[String(size)]} ${(end - start) / size} ${flags}`,
  );
}

describe("runs of leaves", () => {
  it("are the leaves that walks find, joined, over random trees of all modes", () => {
    let compared = 0;
    fc.assert(
      fc.property(modes, fc.array(step, { minLength: 2, maxLength: 16 }), (levels, steps) => {
        const { s, memory } = build(levels, steps);
        const counts = summarize(s, memory).leafPages;
        const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
        if (total > LIMIT || total === 0 || listTables(s, memory).length > 12) return;
        const pages = naiveLeaves(s, memory)!;
        const runs = [...leafRuns(s, memory)];
        expect(
          runs.map(
            ({ start, end, physical, pageSize, flags, pages: many }) =>
              `${start} ${end} ${physical} ${pageSize} ${many} ${flags.map((flag) => `${flag} `).join("")}`,
          ),
        ).toEqual(naiveRows(pages, levels));
        expect(total).toBe(pages.length);
        compared++;
      }),
      { numRuns: 600, seed: 5 },
    );
    expect(compared).toBeGreaterThan(150);
  });

  it("and the gaps between them cover each canonical address once", () => {
    fc.assert(
      fc.property(modes, fc.array(step, { maxLength: 12 }), (levels, steps) => {
        const { s, memory } = build(levels, steps);
        const bits = levels <= 3 ? 32n : levels === 4 ? 48n : 57n;
        const top = levels <= 3 ? 1n << 32n : 1n << 64n;
        const middle = 1n << (bits - 1n);
        let next = 0n;
        let gapBefore = false;
        let left = 3000;
        for (const range of runsAndGaps(s, memory)) {
          if (left-- === 0) return;
          if (levels >= 4 && next === middle) {
            next = (1n << 64n) - middle;
            gapBefore = false;
          }
          expect(range.start).toBe(next);
          const gap = !("physical" in range);
          expect(gap && gapBefore).toBe(false);
          gapBefore = gap;
          next = range.end === 0n ? top : range.end;
          expect(next).toBeGreaterThan(range.start);
          if (levels >= 4) expect(next <= middle || range.start >= (1n << 64n) - middle).toBe(true);
        }
        expect(next).toBe(top);
      }),
      { numRuns: 400, seed: 6 },
    );
  });

  it("do not join across the middle of the address space, nor wrap at its top", () => {
    const memory = new TestMemory();
    // One PDPT of 1 GiB pages under each of the two middle slots and the last, physically continuing.
    memory.write64(0x1000 + 255 * 8, 0x2003n);
    memory.write64(0x1000 + 256 * 8, 0x3003n);
    memory.write64(0x1000 + 511 * 8, 0x3003n);
    memory.write64(0x2000 + 511 * 8, 0x40000083n);
    memory.write64(0x3000, 0x80000083n);
    memory.write64(0x3000 + 511 * 8, 0xc0000083n);
    const runs = [...leafRuns(pagingState(4), memory)].map(({ start, end }) => [start, end]);
    expect(runs).toEqual([
      [0x7fffc0000000n, 0x800000000000n],
      [0xffff800000000000n, 0xffff800040000000n],
      [0xffff807fc0000000n, 0xffff808000000000n],
      [0xffffff8000000000n, 0xffffff8040000000n],
      [0xffffffffc0000000n, 0n],
    ]);
  });

  it("come one at a time: the first costs a few reads, however many follow", () => {
    const { memory, reads } = shared(1, 0x63n);
    const first = leafRuns(pagingState(4), memory).next().value!;
    expect(first).toMatchObject({ start: 0n, pageSize: "4K" });
    expect(reads()).toBeLessThan(20);
  });

  it("end at once where tables multiply but map nothing", () => {
    const { memory, reads } = shared(0, 0n);
    expect([...leafRuns(pagingState(5), memory)]).toEqual([]);
    expect(reads()).toBeLessThan(2 * 512 * 5 + 10);
  });

  it("are none with paging off, whatever lies at the root", () => {
    const memory = new TestMemory();
    for (let index = 0; index < 512; index++) memory.write64(0x1000 + 8 * index, 0x83n);
    expect([...leafRuns(pagingState(0), memory)]).toEqual([]);
    expect([...runsAndGaps(pagingState(0), memory)]).toEqual([]);
    expect(summarize(pagingState(0), memory)).toMatchObject({ mode: "off", tablePages: 0 });
  });
});

/** A root, and a page for each level below, every entry of which refers to the next: 512 ^ 4 paths. */
function shared(present: 0 | 1, flags: bigint) {
  let count = 0;
  const memory = {
    read32(address: number): number {
      count++;
      if (address % 8 === 4) return 0;
      const page = address - (address % 4096);
      if (page === 0x5000) return present === 1 ? Number(0x9000n | 1n | flags) : 0;
      return (page + 0x1000) | 0x63;
    },
  };
  return { memory, reads: () => count };
}

describe("tables and figures", () => {
  it("of tables shared on every path are counted along the paths, and read once", () => {
    const { memory, reads } = shared(1, 2n);
    const summary = summarize(pagingState(5), memory);
    expect(summary).toMatchObject({ mode: "5-level", tablePages: 5 });
    expect(summary.leafPages["4K"]).toBe(512 ** 5);
    expect(reads()).toBeLessThan(2 * 2 * 512 * 5 + 10);
  });

  it("a table that refers to itself is listed once for each level, with each entry that refers to it", () => {
    const memory = new TestMemory();
    memory.write64(0x1000 + 8 * 510, 0x1003n);
    const tables = listTables(pagingState(4), memory);
    expect(tables.map(({ physical, level, parents }) => [physical, level, parents])).toEqual([
      [0x1000, 4, []],
      [0x1000, 3, [0x1ff0]],
      [0x1000, 2, [0x1ff0]],
      [0x1000, 1, [0x1ff0]],
    ]);
    expect(tables.map(({ address }) => address)).toEqual([
      0n,
      0xffffff0000000000n,
      0xffffff7f80000000n,
      0xffffff7fbfc00000n,
    ]);
    // The recursive slot makes the root its own page table: itself is the one page that is mapped.
    expect([...leafRuns(pagingState(4), memory)]).toMatchObject([
      { start: 0xffffff7fbfdfe000n, physical: 0x1000, pages: 1 },
    ]);
  });

  it("a table at physical address 0 is a table", () => {
    const memory = new TestMemory();
    memory.write64(0x1008, 3n);
    memory.write64(0, 0x40000083n);
    const s = pagingState(4);
    expect(listTables(s, memory).map(({ physical, address }) => [physical, address])).toEqual([
      [0x1000, 0n],
      [0, 0x8000000000n],
    ]);
    expect([...leafRuns(s, memory)]).toMatchObject([{ start: 0x8000000000n, physical: 0x40000000 }]);
    expect(summarize(s, memory)).toMatchObject({ tablePages: 2, leafPages: { "1G": 1 } });
  });

  it("entries with reserved bits lead nowhere", () => {
    const memory = new TestMemory();
    memory.write64(0x1000, 0x2083n);
    memory.write64(0x1008, 0x3003n);
    memory.write64(0x3000, 0x40002083n);
    memory.write64(0x3008, 0x80000083n);
    const s = pagingState(4);
    expect(listTables(s, memory).map(({ physical }) => physical)).toEqual([0x1000, 0x3000]);
    expect([...leafRuns(s, memory)].map(({ physical }) => physical)).toEqual([0x80000000]);
    expect(summarize(s, memory).leafPages["1G"]).toBe(1);
  });
});

describe("differences of two moments", () => {
  it("are exactly the entries whose values differ and that are present in one of them", () => {
    fc.assert(
      fc.property(
        modes,
        fc.array(step, { minLength: 2, maxLength: 10 }),
        fc.array(step, { minLength: 1, maxLength: 4 }),
        (levels, steps, more) => {
          const first = build(levels, steps);
          const second = build(levels, [...steps, ...more]);
          const before = snapshot(first.s, first.memory);
          const after = snapshot(second.s, second.memory);
          expect([...diffSnapshots(before, before)]).toEqual([]);
          const size = levels === 2 ? 4 : 8;
          const reached = ({ s, memory }: typeof first) =>
            new Set(listTables(s, memory).map(({ level, physical }) => `${level} ${physical}`));
          const [tablesBefore, tablesAfter] = [reached(first), reached(second)];
          const value = (
            { s, memory }: typeof first,
            table: number,
            level: number,
            index: number,
          ): bigint => {
            if (levels === 3 && level === 3) {
              return (BigInt(s.pdpte[2 * index + 1] >>> 0) << 32n) | BigInt(s.pdpte[2 * index] >>> 0);
            }
            const whole = memory.read64(table + size * index);
            return levels === 2 ? whole & 0xffffffffn : whole;
          };
          const expected: string[] = [];
          for (const key of new Set([...tablesBefore, ...tablesAfter])) {
            const [level, table] = key.split(" ").map(Number);
            for (let index = 0; index < (levels === 3 && level === 3 ? 4 : slots(levels)); index++) {
              const old = tablesBefore.has(key) ? value(first, table, level, index) : 0n;
              const now = tablesAfter.has(key) ? value(second, table, level, index) : 0n;
              if (old === now || ((old | now) & 1n) === 0n) continue;
              const kind = (old & 1n) === 0n ? "added" : (now & 1n) === 0n ? "cleared" : "changed";
              expected.push(`${kind} ${level} ${table + size * index} ${old} ${now}`);
            }
          }
          const changes = [...diffSnapshots(before, after)].map(
            (it) => `${it.kind} ${it.level} ${entryOf(it, levels)} ${it.old} ${it.new}`,
          );
          expect(changes.sort()).toEqual(expected.sort());
        },
      ),
      { numRuns: 100, seed: 8 },
    );
  });
});
