import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ACCESS_AC,
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingLevels,
  type PagingState,
} from "../../src/paging/state";
import { errorCodeOf, FAULT_NONE, setAccessedDirty, Walk, walkLinear } from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";
import { naiveWalk } from "./naiveWalker";

/** Bits that matter of an entry at some level, each set now and then; mostly present, writable and for user mode. */
const entryBits = fc.record({
  present: fc.integer({ min: 0, max: 39 }).map((n) => n > 0),
  rw: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
  us: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
  ps: fc.integer({ min: 0, max: 3 }).map((n) => n === 0),
  plain: fc.bigInt({ min: 0n, max: 0x1ffn }).map((bits) => bits & 0x178n),
  xd: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  key: fc.bigInt({ min: 0n, max: 15n }),
  stray: fc.option(fc.integer({ min: 9, max: 62 }), { freq: 25, nil: undefined }),
});

type EntryBits = typeof entryBits extends fc.Arbitrary<infer T> ? T : never;

const state = fc.record({
  levels: fc.constantFrom<PagingLevels>(2, 3, 4, 5),
  maxPhysicalBits: fc.constantFrom(32, 36, 39, 40, 46, 52),
  pse: fc.boolean(),
  pse36: fc.boolean(),
  pages1G: fc.boolean(),
  nxe: fc.boolean(),
  wp: fc.boolean(),
  smep: fc.boolean(),
  smap: fc.boolean(),
  pke: fc.boolean(),
  pks: fc.boolean(),
  pkru: fc.integer(),
  pkrs: fc.integer(),
});

const access = fc.constantFrom(
  ...[0, ACCESS_WRITE, ACCESS_FETCH].flatMap((kind) =>
    [0, ACCESS_USER, ACCESS_AC, ACCESS_IMPLICIT, ACCESS_IMPLICIT | ACCESS_AC].map((mode) => kind | mode),
  ),
);

/** Where the tables of a walk stand: one page for each level. */
const TABLES = [0, 0x5000, 0x4000, 0x3000, 0x2000, 0x1000];
const PAGE = 0x12345000n;

function buildEntry(bits: EntryBits, target: bigint, levels: number, level: number, large: boolean): bigint {
  const leaf = level === 1 || large;
  let entry = bits.plain | (bits.present ? 1n : 0n) | (bits.rw ? 2n : 0n) | (bits.us ? 4n : 0n);
  if (large) entry |= 0x80n;
  else if (level > 1) entry &= ~0x80n;
  const shift = levels === 2 ? (level === 2 ? 22n : 12n) : BigInt(12 + 9 * (level - 1));
  entry |= leaf ? (target >> shift) << shift : target;
  if (levels !== 2 && bits.xd) entry |= 1n << 63n;
  if (levels >= 4 && leaf) entry |= bits.key << 59n;
  if (bits.stray !== undefined) entry ^= 1n << BigInt(levels === 2 ? bits.stray % 32 : bits.stray);
  return entry;
}

/** Lays out the entries that an address uses, from the root down to the first large page or the PTE. */
function buildTables(s: PagingState, address: bigint, rows: EntryBits[]): TestMemory {
  const memory = new TestMemory();
  s.root = TABLES[s.levels === 2 ? 4 : 6 - s.levels]!;
  for (let level: number = s.levels; level >= 1; level--) {
    const bits = rows[level - 1]!;
    const table = level === s.levels ? s.root : TABLES[6 - level]!;
    const span = s.levels === 2 ? 10 : 9;
    const index = Number(
      (address >> BigInt(12 + span * (level - 1))) &
        BigInt(s.levels === 3 && level === 3 ? 3 : (1 << span) - 1),
    );
    const large =
      bits.ps && (level === 2 || (level === 3 && s.levels >= 4) || (level >= 4 && bits.stray !== undefined));
    const target = level === 1 || large ? PAGE : BigInt(TABLES[7 - level]!);
    const entry = buildEntry(bits, target, s.levels, level, large);
    if (s.levels === 2) memory.write32(table + 4 * index, entry);
    else if (s.levels === 3 && level === 3) {
      const [low, high] = halves((entry & ~0x1e6n & 0xffffffffffn) | (bits.present ? 1n : 0n));
      s.pdpte[2 * index] = low;
      s.pdpte[2 * index + 1] = high;
    } else memory.write64(table + 8 * index, entry);
  }
  return memory;
}

describe("the walk and a naive one", () => {
  it("agree on fault, error code, page and flags over random tables, modes and accesses", () => {
    const seen = new Map<string, number>();
    const walk = new Walk();
    fc.assert(
      fc.property(
        state,
        fc.bigInt({ min: 0n, max: (1n << 57n) - 1n }),
        fc.tuple(entryBits, entryBits, entryBits, entryBits, entryBits),
        access,
        (settings, raw, rows, how) => {
          const s = pagingState(settings.levels, settings);
          const bits = s.levels <= 3 ? 32 : s.levels === 4 ? 48 : 57;
          const address = BigInt.asUintN(
            bits <= 32 ? 32 : 64,
            BigInt.asIntN(bits <= 32 ? 33 : bits, BigInt.asUintN(bits, raw)),
          );
          const memory = buildTables(s, address, rows);
          const expected = naiveWalk(s, memory, address, how);
          const [low, high] = halves(address);
          const cause = walkLinear(s, memory, low, high, how, walk);
          count(seen, `${s.levels} ${expected.error ?? "ok"}`);
          expect(cause === FAULT_NONE ? undefined : errorCodeOf(s, cause, how)).toBe(expected.error);
          if (expected.physical !== undefined) {
            expect(walk.frame).toBe(Number(expected.physical - (address & (expected.size! - 1n))));
            expect(1n << BigInt(walk.pageShift)).toBe(expected.size);
            expect(walk.global).toBe(expected.global);
          }
          if (cause !== FAULT_NONE) return;
          setAccessedDirty(s, memory, walk, (how & ACCESS_WRITE) !== 0);
          for (const entry of expected.entries) {
            const word = memory.read32(Number(entry.address));
            expect(word & 0x20).toBe(0x20);
            if (entry.leaf && (how & ACCESS_WRITE) !== 0) expect(word & 0x40).toBe(0x40);
          }
        },
      ),
      { numRuns: 40_000, seed: 20 },
    );
    // The cases must have gone everywhere: every mode with success, each kind of fault and reserved bits.
    for (const levels of [2, 3, 4, 5]) {
      const errors = [...seen.keys()].filter((key) => key.startsWith(`${levels} `));
      expect(errors.length).toBeGreaterThan(12);
      expect(seen.get(`${levels} ok`)).toBeGreaterThan(40);
    }
    expect([...seen.keys()].some((key) => Number(key.split(" ")[1]) >= 32)).toBe(true);
  }, 120_000);
});

function count(seen: Map<string, number>, key: string): void {
  seen.set(key, (seen.get(key) ?? 0) + 1);
}
