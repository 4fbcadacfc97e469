/** Cases written from the text of the SDM, vol. 3A, chapter 4; section and table are in the titles. */
import { describe, expect, it } from "vitest";
import { isCanonical } from "../../src/paging/canonical";
import {
  ACCESS_AC,
  ACCESS_FETCH,
  ACCESS_IMPLICIT,
  ACCESS_USER,
  ACCESS_WRITE,
  type PagingLevels,
  type PagingState,
} from "../../src/paging/state";
import {
  errorCodeOf,
  FAULT_NONE,
  FAULT_RESERVED,
  pdpteReserved,
  setAccessedDirty,
  Walk,
  walkLinear,
} from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";

const PAGE = 0x40000000n;
const READ = 0;

/** Tables for linear address 0: level n at 0x1000 * n, the leaf at `leafLevel`. */
function tablesFor(levels: PagingLevels, leafLevel: number, change: Partial<PagingState> = {}) {
  const s = pagingState(levels, { root: 0x1000 * levels, ...change });
  const memory = new TestMemory();
  const flags = 7n;
  const entryAt = (level: number) => 0x1000 * level;
  for (let level: number = levels; level >= leafLevel; level--) {
    const leaf = level === leafLevel;
    const value = (leaf ? PAGE | (level > 1 ? 0x80n : 0n) : BigInt(0x1000 * (level - 1))) | flags;
    if (levels === 2) memory.write32(entryAt(level), value);
    else if (levels === 3 && level === 3) {
      const [low, high] = halves(BigInt(0x2000) | 1n);
      s.pdpte.set([low, high]);
    } else memory.write64(entryAt(level), value);
  }
  const flip = (level: number, bits: bigint) => {
    if (levels === 2) memory.write32(entryAt(level), (memory.read64(entryAt(level)) & 0xffffffffn) ^ bits);
    else memory.write64(entryAt(level), memory.read64(entryAt(level)) ^ bits);
  };
  return { s, memory, flip, entryAt };
}

/** The error code of an access to linear address 0, or undefined where it is allowed. */
function errorOf(s: PagingState, memory: TestMemory, access: number): number | undefined {
  const walk = new Walk();
  const cause = walkLinear(s, memory, 0, 0, access, walk);
  return cause === FAULT_NONE ? undefined : errorCodeOf(s, cause, access);
}

/** Which leaf levels a mode has. */
const LEAVES: [PagingLevels, number[]][] = [
  [2, [1, 2]],
  [3, [1, 2]],
  [4, [1, 2, 3]],
  [5, [1, 2, 3]],
];

const WALKS = LEAVES.flatMap(([levels, leaves]) => leaves.map((leaf) => ({ levels, leaf })));

/** PAE's PDPTE registers are checked elsewhere. */
function levelsOf(levels: PagingLevels, leaf: number): number[] {
  const all = Array.from({ length: levels - leaf + 1 }, (_, i) => levels - i);
  return levels === 3 ? all.filter((level) => level !== 3) : all;
}

describe.each(WALKS)("levels $levels, leaf at level $leaf", ({ levels, leaf }) => {
  it("faults without P where any entry is not present, whatever else it holds (4.7)", () => {
    for (const level of levelsOf(levels, leaf)) {
      const { s, memory, flip } = tablesFor(levels, leaf);
      flip(level, 1n | (levels === 2 ? 0n : 0x7ffn << 52n));
      expect(errorOf(s, memory, ACCESS_WRITE | ACCESS_USER)).toBe(6);
    }
  });

  it("faults with P and RSVD for exactly the bits that the tables 4-4 to 4-20 reserve", () => {
    for (const maxPhysicalBits of [36, 52]) {
      for (const level of levelsOf(levels, leaf)) {
        for (let bit = 3; bit < (levels === 2 ? 32 : 64); bit++) {
          const { s, memory, flip } = tablesFor(levels, leaf, { maxPhysicalBits });
          const isLeaf = level === leaf;
          // Bit 7 changes the kind of the entry, and address bits of tables where it leads: looked at elsewhere.
          if (bit === 7 && level <= 3) continue;
          if (!isLeaf && bit >= 12 && bit < Math.min(maxPhysicalBits, 52)) continue;
          flip(level, 1n << BigInt(bit));
          const reserved = reservedBySdm(levels, level, isLeaf, bit, maxPhysicalBits);
          const walk = new Walk();
          const cause = walkLinear(s, memory, 0, 0, READ, walk);
          expect(`${level}.${bit}: ${cause === FAULT_RESERVED}`).toBe(`${level}.${bit}: ${reserved}`);
        }
      }
    }
  });

  it("combines U/S and R/W of every level, CR0.WP, and the privilege (4.6.1)", () => {
    const path = levelsOf(levels, leaf);
    for (const wp of [false, true]) {
      for (let mask = 0; mask < 1 << (2 * path.length); mask++) {
        const { s, memory, flip } = tablesFor(levels, leaf, { wp });
        path.forEach((level, i) => {
          flip(level, BigInt((mask >> (2 * i)) & 3) << 1n);
        });
        const writable = path.every((_, i) => ((mask >> (2 * i)) & 1) === 0);
        const userPage = path.every((_, i) => ((mask >> (2 * i)) & 2) === 0);
        expect(errorOf(s, memory, READ)).toBe(undefined);
        expect(errorOf(s, memory, ACCESS_WRITE)).toBe(!writable && wp ? 3 : undefined);
        expect(errorOf(s, memory, ACCESS_USER)).toBe(userPage ? undefined : 5);
        expect(errorOf(s, memory, ACCESS_USER | ACCESS_WRITE)).toBe(userPage && writable ? undefined : 7);
      }
    }
  });

  it("forbids execution where XD is set at any level, with EFER.NXE (4.6.1)", () => {
    if (levels === 2) return;
    for (const level of levelsOf(levels, leaf)) {
      const { s, memory, flip } = tablesFor(levels, leaf);
      expect(errorOf(s, memory, ACCESS_FETCH)).toBe(undefined);
      flip(level, 1n << 63n);
      expect(errorOf(s, memory, ACCESS_FETCH)).toBe(0x11);
      expect(errorOf(s, memory, ACCESS_FETCH | ACCESS_USER)).toBe(0x15);
      expect(errorOf(s, memory, READ)).toBe(undefined);
      s.nxe = false;
      expect(errorOf(s, memory, READ)).toBe(9);
      // Without NXE and SMEP the error code does not tell of fetches (4.7).
      expect(errorOf(s, memory, ACCESS_FETCH)).toBe(9);
    }
  });

  it("SMEP: supervisor mode does not execute user pages, and the error code tells of fetches (4.6.1, 4.7)", () => {
    const { s, memory, flip } = tablesFor(levels, leaf, { smep: true, nxe: false });
    expect(errorOf(s, memory, ACCESS_FETCH)).toBe(0x11);
    expect(errorOf(s, memory, ACCESS_FETCH | ACCESS_USER)).toBe(undefined);
    expect(errorOf(s, memory, READ)).toBe(undefined);
    flip(leaf, 4n);
    expect(errorOf(s, memory, ACCESS_FETCH)).toBe(undefined);
  });

  it("SMAP: supervisor data accesses to user pages need EFLAGS.AC, and implicit ones never pass (4.6.1)", () => {
    const { s, memory, flip } = tablesFor(levels, leaf, { smap: true });
    for (const [access, expected] of [
      [READ, 1],
      [ACCESS_WRITE, 3],
      [ACCESS_AC, undefined],
      [ACCESS_AC | ACCESS_WRITE, undefined],
      [ACCESS_IMPLICIT, 1],
      [ACCESS_IMPLICIT | ACCESS_AC, 1],
      [ACCESS_FETCH, undefined],
      [ACCESS_USER, undefined],
    ] as const) {
      expect(errorOf(s, memory, access)).toBe(expected);
    }
    flip(leaf, 4n);
    expect(errorOf(s, memory, ACCESS_IMPLICIT)).toBe(undefined);
  });

  it("sets A in each entry used and D in the leaf of a write, and leaves what is set (4.8)", () => {
    for (const write of [false, true]) {
      const { s, memory, entryAt } = tablesFor(levels, leaf);
      const walk = new Walk();
      walkLinear(s, memory, 0, 0, write ? ACCESS_WRITE : READ, walk);
      setAccessedDirty(s, memory, walk, write);
      for (const level of levelsOf(levels, leaf)) {
        expect(memory.read32(entryAt(level)) & 0x60).toBe(level === leaf && write ? 0x60 : 0x20);
      }
    }
  });
});

/** From the tables' rows, not from the code's. */
function reservedBySdm(levels: number, level: number, leaf: boolean, bit: number, M: number): boolean {
  if (levels === 2) {
    // Table 4-4: bits 20:13 hold address bits 39:32 as far as M = min(40, MAXPHYADDR); 21 is reserved.
    if (!(level === 2 && leaf)) return false;
    return bit === 21 || (bit >= 13 + Math.min(40, M) - 32 && bit <= 20);
  }
  if (bit >= M && bit <= 51) return true;
  if (levels === 3 && bit >= 52 && bit <= 62) return true;
  if (level >= 4 && bit === 7) return true;
  if (leaf && level === 2 && bit >= 13 && bit <= 20) return true;
  return leaf && level === 3 && bit >= 13 && bit <= 29;
}

describe("page sizes", () => {
  it("1 GiB pages exist where CPUID says so, else PS in a PDPTE is reserved (table 4-16)", () => {
    const { s, memory } = tablesFor(4, 3, { pages1G: false });
    expect(errorOf(s, memory, READ)).toBe(9);
  });

  it("PS in a PDE of 32-bit paging is ignored without CR4.PSE (4.3)", () => {
    const { s, memory } = tablesFor(2, 2, { pse: false });
    memory.write32(Number(PAGE), 0x7007n);
    memory.write32(0x2000, PAGE | 0x87n);
    const walk = new Walk();
    expect(walkLinear(s, memory, 0, 0, READ, walk)).toBe(FAULT_NONE);
    expect([walk.frame, walk.pageShift]).toEqual([0x7000, 12]);
  });

  it("PSE-36 puts bits 20:13 of a 4 MiB PDE at address bits 39:32 (table 4-4)", () => {
    const { s, memory } = tablesFor(2, 2);
    memory.write32(0x2000, 0x00c00087n | (0xa5n << 13n));
    const walk = new Walk();
    expect(walkLinear(s, memory, 0, 0, READ, walk)).toBe(FAULT_NONE);
    expect([walk.frame, walk.pageShift]).toEqual([0xa500c00000, 22]);
  });
});

describe("PAE PDPTE registers (4.4.1)", () => {
  it("reserve bits 2:1, 8:5 and everything from MAXPHYADDR up", () => {
    for (let bit = 1; bit < 64; bit++) {
      const [low, high] = halves(1n | (1n << BigInt(bit)));
      const reserved = bit === 1 || bit === 2 || (bit >= 5 && bit <= 8) || bit >= 40;
      expect(`${bit}: ${pdpteReserved(low, high, 40)}`).toBe(`${bit}: ${reserved}`);
    }
  });

  it("hold no rights, and are used as loaded, whatever memory says now", () => {
    const { s, memory } = tablesFor(3, 1);
    memory.write64(0x3000, 0n);
    expect(errorOf(s, memory, ACCESS_USER | ACCESS_WRITE)).toBe(undefined);
    s.pdpte[0] = 0;
    expect(errorOf(s, memory, READ)).toBe(0);
  });
});

describe("protection keys (4.6.2)", () => {
  const KEY = 5n;
  const AD = 1 << (2 * Number(KEY));
  const WD = 2 << (2 * Number(KEY));

  function keyed(user: boolean, change: Partial<PagingState>) {
    const made = tablesFor(4, 1, change);
    made.flip(1, (KEY << 59n) | (user ? 0n : 4n));
    return (access: number) => errorOf(made.s, made.memory, access);
  }

  it("PKRU.AD forbids data accesses to user pages from any mode, not fetches", () => {
    const error = keyed(true, { pke: true, pkru: AD });
    expect([READ, ACCESS_USER, ACCESS_WRITE | ACCESS_USER].map(error)).toEqual([0x21, 0x25, 0x27]);
    expect([ACCESS_FETCH, ACCESS_FETCH | ACCESS_USER].map(error)).toEqual([undefined, undefined]);
  });

  it("PKRU.WD forbids writes: user ones always, supervisor ones with CR0.WP", () => {
    const protects = keyed(true, { pke: true, pkru: WD });
    expect([READ, ACCESS_WRITE, ACCESS_WRITE | ACCESS_USER].map(protects)).toEqual([undefined, 0x23, 0x27]);
    const lax = keyed(true, { pke: true, pkru: WD, wp: false });
    expect([ACCESS_WRITE, ACCESS_WRITE | ACCESS_USER].map(lax)).toEqual([undefined, 0x27]);
  });

  it("IA32_PKRS governs supervisor pages, PKRU does not", () => {
    const supervisor = keyed(false, { pke: true, pks: true, pkru: -1, pkrs: WD });
    expect([READ, ACCESS_WRITE].map(supervisor)).toEqual([undefined, 0x23]);
    const user = keyed(true, { pks: true, pkrs: -1 });
    expect([READ, ACCESS_WRITE].map(user)).toEqual([undefined, undefined]);
    // A user access to a supervisor page fails for U/S, without PK.
    expect(keyed(false, { pks: true, pkrs: -1 })(ACCESS_USER)).toBe(5);
  });

  it("mean nothing with CR4.PKE and CR4.PKS clear, and in PAE paging", () => {
    expect(keyed(true, { pkru: -1 })(READ)).toBe(undefined);
    const { s, memory } = tablesFor(3, 1, { pke: true, pkru: -1 });
    expect(errorOf(s, memory, READ)).toBe(undefined);
  });
});

describe("canonical addresses (vol. 1, 3.3.7.1)", () => {
  it.each([
    [0x7fffffffffffn, 4, true],
    [0x800000000000n, 4, false],
    [0xffff7fffffffffffn, 4, false],
    [0xffff800000000000n, 4, true],
    [0x800000000000n, 5, true],
    [0x100000000000000n, 5, false],
    [0xff00000000000000n, 5, true],
  ])("%s with %i levels: %s", (address, levels, expected) => {
    const [low, high] = halves(address);
    expect(isCanonical(low, high, levels)).toBe(expected);
  });
});
