/** Sentences for every cause of a fault, and walks explained. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { explainFault, explainWalk } from "../../src/paging/explain";
import {
  ACCESS_AC,
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingLevels,
  type PagingState,
} from "../../src/paging/state";
import { FAULT_NONE, RIGHT_USER, RIGHT_WRITE, RIGHT_XD, Walk, walkLinear } from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";

/** Linear address 0 through tables at 0x4000, 0x3000, 0x2000 to a page at 0x7000; `entries` by level replace some. */
function fault(access: number, change: Partial<PagingState>, entries: Record<number, bigint> = {}): string {
  const memory = new TestMemory();
  const usual: Record<number, bigint> = { 4: 0x3007n, 3: 0x2007n, 2: 0x1007n, 1: 0x7007n };
  for (let level = 1; level <= 4; level++) memory.write64(0x1000 * level, entries[level] ?? usual[level]);
  const s = pagingState(4, { root: 0x4000, ...change });
  const walk = new Walk();
  walkLinear(s, memory, 0, 0, access, walk);
  return explainFault(s, walk, 0, 0, access, (physical) => (physical === 0x1000 ? "pt" : undefined));
}

const AT = "PTE 0 of pt (0x0000000000001000)";
const ZERO = "0x0000000000000000";

describe("a fault of rights in words", () => {
  it("read-only pages: CR0.WP matters to supervisor writes only", () => {
    expect(fault(ACCESS_WRITE, {}, { 1: 0x7005n })).toBe(
      `write to ${ZERO}: ${AT} is read-only (R/W = 0) and CR0.WP = 1`,
    );
    expect(fault(ACCESS_WRITE | ACCESS_USER, {}, { 1: 0x7005n })).toBe(
      `user write to ${ZERO}: ${AT} is read-only (R/W = 0)`,
    );
  });

  it("SMEP and SMAP", () => {
    expect(fault(ACCESS_FETCH, { smep: true })).toBe(
      `instruction fetch from ${ZERO}: ${AT} maps a user page, which supervisor mode may not execute (CR4.SMEP = 1)`,
    );
    expect(fault(0, { smap: true })).toBe(
      `read from ${ZERO}: ${AT} maps a user page, which supervisor mode may not access (CR4.SMAP = 1, EFLAGS.AC = 0)`,
    );
    expect(fault(ACCESS_IMPLICIT | ACCESS_AC, { smap: true })).toBe(
      `implicit read from ${ZERO}: ${AT} maps a user page, which supervisor mode may not access (CR4.SMAP = 1)`,
    );
  });

  it("protection keys, by register and bit", () => {
    const keyed = (key: bigint, user: boolean) => ({ 1: 0x7003n | (user ? 4n : 0n) | (key << 59n) });
    expect(fault(0, { pke: true, pkru: 1 << 6 }, keyed(3n, true))).toBe(
      `read from ${ZERO}: ${AT} has protection key 3, for which PKRU sets AD`,
    );
    expect(fault(ACCESS_WRITE | ACCESS_USER, { pke: true, pkru: 2 << 6 }, keyed(3n, true))).toMatch(
      /key 3, for which PKRU sets WD$/,
    );
    expect(fault(0, { pks: true, pkrs: 1 << 30 }, keyed(15n, false))).toMatch(
      /key 15, for which IA32_PKRS sets AD$/,
    );
    expect(fault(ACCESS_WRITE, { pks: true, pkrs: 2 << 30 }, keyed(15n, false))).toMatch(
      /key 15, for which IA32_PKRS sets WD$/,
    );
  });

  it("names the highest of several entries that take the right away", () => {
    expect(fault(ACCESS_USER, {}, { 1: 0x7003n, 3: 0x2003n })).toMatch(
      /^user read from \S+: PDPTE 0 of table 0x0000000000003000 \(0x0000000000003000\) is for supervisor mode only \(U\/S = 0\)$/,
    );
    expect(fault(ACCESS_FETCH, {}, { 1: 0x7007n | (1n << 63n), 2: 0x1007n | (1n << 63n) })).toMatch(
      /PDE 0 of .* forbids execution \(XD = 1\)$/,
    );
  });

  it("lists all reserved bits of an entry", () => {
    expect(fault(0, { maxPhysicalBits: 40 }, { 4: 0x3087n | (1n << 44n) })).toMatch(
      /PML4E 0 of .* has reserved bit 7 set \(PS, .*\) and reserved bit 44 set \(physical-address bit 44, /,
    );
  });
});

describe("faults of the other modes in words", () => {
  it("PAE: the PDPTE register, which was loaded from memory, is what counts", () => {
    const s = pagingState(3, { root: 0x3020 });
    const walk = new Walk();
    walkLinear(s, new TestMemory(), 0xc0000000 | 0, 0, 0, walk);
    expect(explainFault(s, walk, 0xc0000000 | 0, 0, 0)).toBe(
      "read from 0xc0000000: PDPTE register 3 of table 0x0000000000003020 (0x0000000000003038) is not present",
    );
  });

  it("32-bit paging", () => {
    const s = pagingState(2, { root: 0x3000 });
    const walk = new Walk();
    walkLinear(s, new TestMemory(), 0xc0000000 | 0, 0, ACCESS_WRITE, walk);
    expect(explainFault(s, walk, 0xc0000000 | 0, 0, ACCESS_WRITE)).toBe(
      "write to 0xc0000000: PDE 768 of table 0x0000000000003000 (0x0000000000003c00) is not present",
    );
  });

  it("4-level paging at the top, where both halves of the address have their highest bit set", () => {
    const s = pagingState(4, { root: 0x3000 });
    const walk = explainWalk(s, new TestMemory(), 0xffffffff81000000n, ACCESS_FETCH);
    expect(walk.outcome).toBe(
      "instruction fetch from 0xffffffff81000000: PML4E 511 of table 0x0000000000003000 (0x0000000000003ff8) is not present",
    );
  });

  it("5-level paging", () => {
    const s = pagingState(5, { root: 0x3000 });
    const walk = explainWalk(s, new TestMemory(), 0xff11000000000000n, 0);
    expect(walk.outcome).toBe(
      "read from 0xff11000000000000: PML5E 273 of table 0x0000000000003000 (0x0000000000003888) is not present",
    );
  });
});

describe("an explained walk", () => {
  it("reaches the top of the address space", () => {
    const memory = new TestMemory();
    memory.write64(0x4000 + 511 * 8, 0x3003n);
    memory.write64(0x3000 + 511 * 8, 0x400000e3n);
    const walk = explainWalk(pagingState(4, { root: 0x4000 }), memory, 0xffffffffffffffffn, 0);
    expect(walk).toMatchObject({ physical: 0x7fffffff, pageShift: 30, fault: FAULT_NONE });
    expect(walk.steps.map(({ start, end }) => [start, end])).toEqual([
      [0xffffff8000000000n, 0n],
      [0xffffffffc0000000n, 0n],
    ]);
  });

  it("with paging off has no steps and the address itself", () => {
    expect(explainWalk(pagingState(0), new TestMemory(), 0xfee00123n, 0)).toMatchObject({
      steps: [],
      physical: 0xfee00123,
      outcome: "read from 0x00000000fee00123: physical 0x00000000fee00123",
    });
  });

  it("tells of the page also where rights are missing", () => {
    const memory = new TestMemory();
    memory.write64(0x4000, 0x3001n);
    memory.write64(0x3000, 0x40000081n);
    const walk = explainWalk(pagingState(4, { root: 0x4000 }), memory, 0x1234n, ACCESS_USER);
    expect(walk).toMatchObject({ physical: 0x40001234, pageShift: 30 });
    expect(walk.outcome).toMatch(/^user read from .*supervisor mode only/);
  });

  it("agrees with the walk on rights and steps, and blames an entry on the way, over random tables", () => {
    const faults = new Set<number>();
    const entry = fc.tuple(
      fc.integer({ min: 0, max: 9 }).map((n) => (n > 0 ? 1n : 0n)),
      fc.constantFrom(0n, 2n, 4n, 6n, 6n, 6n, 6n, 6n, 6n, 6n),
      fc.integer({ min: 0, max: 3 }).map((n) => (n === 0 ? 0x80n : 0n)),
      fc.integer({ min: 0, max: 3 }).map((n) => (n === 0 ? 1n << 63n : 0n)),
      fc.bigInt({ min: 0n, max: 15n }).map((n) => n << 59n),
    );
    const access = fc.constantFrom(0, 2, 4, 6, 16, 20, 0x100, 0x102, 0x200, 0x202);
    fc.assert(
      fc.property(
        fc.constantFrom<PagingLevels>(2, 3, 4, 5),
        fc.array(entry, { minLength: 5, maxLength: 5 }),
        access,
        fc.integer({ min: 0, max: 63 }),
        fc.integer(),
        (levels, entries, how, controls, keys) => {
          const [nxe, smep, smap, pke, pks, wp] = [0, 1, 2, 3, 4, 5].map(
            (bit) => ((controls >> bit) & 1) === 1,
          );
          const s = pagingState(levels, {
            nxe,
            smep,
            smap,
            pke,
            pks,
            wp,
            pkru: keys,
            pkrs: keys,
            root: 0x1000 * levels,
          });
          const memory = new TestMemory();
          entries.slice(0, levels).forEach(([p, rights, ps, xd, key], i) => {
            const level = i + 1;
            const value =
              BigInt(0x1000 * i) | p | rights | ps | (levels === 2 ? 0n : xd) | (levels >= 4 ? key : 0n);
            if (levels === 2) memory.write32(0x1000 * level, value);
            else memory.write64(0x1000 * level, value);
            if (levels === 3 && level === 3) s.pdpte.set([Number(value & 0xfffff001n), 0]);
          });
          const walk = new Walk();
          const [low, high] = halves(0n);
          const cause = walkLinear(s, memory, low, high, how, walk);
          const explained = explainWalk(s, memory, 0n, how);
          faults.add(cause);
          expect(explained.fault).toBe(cause);
          expect(explained.steps.map(({ entry: at }) => at)).toEqual([
            ...walk.entryAddresses.slice(0, walk.stepCount),
          ]);
          if (explained.physical !== undefined) {
            const last = explained.steps.at(-1)!;
            expect(last.writable).toBe((walk.rights & RIGHT_WRITE) !== 0);
            expect(last.user).toBe((walk.rights & RIGHT_USER) !== 0);
            expect(last.executable).toBe((walk.rights & RIGHT_XD) === 0);
          }
          if (cause === FAULT_NONE) return;
          const blamed = /: (\S+) (?:register )?0 of table 0x([0-9a-f]{16}) \(0x\2\) \S/.exec(
            explained.outcome,
          );
          const step = explained.steps.find(({ entry: at }) => at === Number(`0x${blamed?.[2]}`));
          expect(step?.name).toBe(blamed?.[1]);
        },
      ),
      { numRuns: 8000, seed: 3 },
    );
    expect([...faults].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  });
});
