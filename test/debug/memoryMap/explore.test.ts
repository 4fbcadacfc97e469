import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { changesBetween } from "../../../src/debug/memoryMap/changes";
import { type Explored, explore, type MappedRun, topOf } from "../../../src/debug/memoryMap/explore";
import { layered } from "../../../src/debug/memoryMap/layers";
import type { PagingState } from "../../../src/paging/state";

const SEED = 20130124;
const PRESENT = 1n;
const RW = 2n;
const A = 0x20n;
const PS = 0x80n;

/** Tables of 512 entries at 0x1000, 0x2000, ... */
class Tables {
  reads = 0;
  private readonly words = new Map<number, number>();

  set(table: number, index: number, value: bigint): void {
    this.words.set(table + index * 8, Number(BigInt.asIntN(32, value)));
    this.words.set(table + index * 8 + 4, Number(BigInt.asIntN(32, value >> 32n)));
  }

  read32(address: number): number {
    this.reads++;
    return this.words.get(address) ?? 0;
  }
}

const STATE: PagingState = {
  levels: 4,
  root: 0x1000,
  pdpte: new Int32Array(8),
  maxPhysicalBits: 46,
  pse: false,
  pse36: false,
  pages1G: true,
  nxe: true,
  wp: true,
  smep: false,
  smap: false,
  pke: false,
  pks: false,
  pkru: 0,
  pkrs: 0,
};
const DIRECT = 0xffff888000000000n;

/** A direct map in pages of 4 KiB whose page directories all lead to the same page tables: no end of leaves. */
function endless(): Tables {
  const tables = new Tables();
  const link = (table: number) => BigInt(table) | PRESENT | RW;
  for (let i = 0; i < 512; i++) {
    tables.set(0x2000, i, link(0x3000));
    tables.set(0x3000, i, link(0x4000));
    tables.set(0x4000, i, BigInt(i * 4096) | PRESENT | RW);
  }
  for (let i = 273; i < 400; i++) tables.set(0x1000, i, link(0x2000));
  return tables;
}

describe("exploring", () => {
  test("ends within its budget however much is mapped, and tells where more is", () => {
    const tables = endless();
    const { mapped, unexplored } = explore(STATE, tables, 0n, topOf(STATE), undefined, {
      runs: 1e9,
      reads: 100_000,
    });
    expect(tables.reads).toBeLessThan(100_000 + 5 * 2 * 512 + 4 * 1024);
    const end = mapped.at(-1)!.end;
    expect(unexplored).toEqual([{ start: end, end: DIRECT + (127n << 39n) }]);
  });

  test("ends at its number of runs, and goes on from there when asked", () => {
    const tables = endless();
    const limits = { runs: 10, reads: 1e9 };
    const first = explore(STATE, tables, 0n, topOf(STATE), undefined, limits);
    expect(first.mapped).toHaveLength(10);
    expect(first.mapped[0]).toMatchObject({ start: DIRECT, end: DIRECT + 0x200000n, pages: 512 });
    const more = explore(STATE, tables, first.unexplored[0].start, topOf(STATE), undefined, limits);
    expect(more.mapped[0].start).toBe(first.mapped.at(-1)!.end);
    const far = DIRECT + (100n << 39n);
    expect(explore(STATE, tables, far, topOf(STATE), undefined, limits).mapped[0].start).toBe(far);
  });

  test("a part ends where it is told to", () => {
    const tables = endless();
    const to = DIRECT + 0x400000n;
    const { mapped, unexplored } = explore(STATE, tables, DIRECT, to, undefined, { runs: 1, reads: 1e9 });
    expect(mapped).toHaveLength(1);
    expect(unexplored).toEqual([{ start: DIRECT + 0x200000n, end: to }]);
  });

  test("the budget ends 32-bit paging too, whose entries are half as large", () => {
    // Every directory entry leads to one page table, whose pages alternate in what they allow.
    const memory = {
      read32: (address: number) =>
        address < 0x2000 ? 0x2001 : 0x1000 * ((address - 0x2000) / 4) + 1 + ((address >> 1) & 2),
    };
    const { mapped, unexplored } = explore({ ...STATE, levels: 2 }, memory, 0n, 1n << 32n, undefined, {
      runs: 1e9,
      reads: 5001,
    });
    mapped.slice(1).forEach(({ start }, index) => {
      expect(start).toBe(mapped[index].end);
    });
    expect(unexplored).toEqual([{ start: mapped.at(-1)!.end, end: 1n << 32n }]);
  });

  test("pages that differ only in how they were used are one run, with the flags that all have", () => {
    const tables = new Tables();
    tables.set(0x1000, 0, 0x2000n | PRESENT | RW);
    tables.set(0x2000, 0, 0x3000n | PRESENT | RW);
    for (let i = 0n; i < 4n; i++) {
      tables.set(0x3000, Number(i), (i << 21n) | PS | PRESENT | RW | (i === 2n ? A : 0n));
    }
    expect(explore(STATE, tables, 0n, topOf(STATE)).mapped).toEqual([
      { start: 0n, end: 0x800000n, physical: 0, pageSize: "2M", flags: ["RW"], pages: 4 },
    ]);
  });
});

const runs = fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 12 }).chain((starts) =>
  fc.tuple(
    ...starts
      .sort((a, b) => a - b)
      .map((start, i) =>
        fc
          .tuple(fc.integer({ min: 1, max: (starts[i + 1] ?? 50) - start }), fc.integer({ min: 0, max: 2 }))
          .map(
            ([pages, kind]): MappedRun => ({
              start: BigInt(start),
              end: BigInt(start + pages),
              physical: start + 100 * kind,
              pageSize: "4K",
              flags: kind === 1 ? ["RW"] : [],
              pages,
            }),
          ),
      ),
  ),
);

describe("changes between two looks", () => {
  test("are those that each address tells by itself", () => {
    const what = (list: readonly MappedRun[], at: bigint) => {
      const run = list.find(({ start, end }) => start <= at && at < end);
      return run && `${run.physical + Number(at - run.start)} ${run.flags}`;
    };
    fc.assert(
      fc.property(runs, runs, (old, now) => {
        const changes = changesBetween({ mapped: old, unexplored: [] }, { mapped: now, unexplored: [] });
        for (let at = 0n; at < 60n; at++) {
          const [a, b] = [what(old, at), what(now, at)];
          const expected =
            a === b ? undefined : a === undefined ? "added" : b === undefined ? "cleared" : "changed";
          expect(changes.find(({ start, end }) => start <= at && at < end)?.mark).toBe(expected);
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  test("what one of them has not explored tells nothing", () => {
    const all: Explored = {
      mapped: [{ start: 0n, end: 20n, physical: 0, pageSize: "4K", flags: [], pages: 20 }],
      unexplored: [],
    };
    const part = { mapped: [], unexplored: [{ start: 5n, end: 20n }] };
    expect(changesBetween(part, all)).toEqual([{ start: 0n, end: 5n, mark: "added" }]);
    expect(changesBetween(all, part)).toEqual([{ start: 0n, end: 5n, mark: "cleared" }]);
  });
});

describe("layers", () => {
  const extents = fc.array(
    fc
      .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 }), fc.string())
      .map(([start, size, name]) => ({
        start,
        end: start + size,
        name,
      })),
    { maxLength: 12 },
  );

  test("show at each address what lies uppermost there, ascending and without overlaps", () => {
    fc.assert(
      fc.property(extents, extents, (lower, upper) => {
        const result = layered(lower, upper);
        for (let at = 0; at < 90; at++) {
          const holds = ({ start, end }: { start: number; end: number }) => start <= at && at < end;
          expect(result.filter(holds).map(({ name }) => name)).toEqual(
            [...lower, ...upper]
              .filter(holds)
              .slice(-1)
              .map(({ name }) => name),
          );
        }
        expect(result).toEqual([...result].sort((a, b) => a.start - b.start));
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
});
