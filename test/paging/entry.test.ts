/** The decoder of entries against the walk, and in words. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeEntry, describeEntry } from "../../src/paging/entry";
import { ENTRY_LAYOUTS, entryCount, layoutOf, levelShift } from "../../src/paging/layout";
import type { PagingLevels } from "../../src/paging/state";
import {
  FAULT_NOT_PRESENT,
  FAULT_RESERVED,
  isPage,
  isReserved,
  pdpteReserved,
  Walk,
  walkLinear,
} from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";

const context = fc.record({
  levels: fc.constantFrom<PagingLevels>(2, 3, 4, 5),
  maxPhysicalBits: fc.integer({ min: 32, max: 52 }),
  nxe: fc.boolean(),
  pages1G: fc.boolean(),
  pse: fc.boolean(),
  pse36: fc.boolean(),
});

/** Entries with few bits set, so that single reserved bits stand out. */
const sparse = fc
  .array(fc.integer({ min: 1, max: 63 }), { maxLength: 4 })
  .map((bits) => bits.reduce((value, bit) => value | (1n << BigInt(bit)), 1n));

describe("a decoded entry", () => {
  it("has a reserved bit, and names it, exactly where the walk faults for it", () => {
    let reservedSeen = 0;
    fc.assert(
      fc.property(context, sparse, fc.integer({ min: 1, max: 5 }), (settings, value, anyLevel) => {
        const level = Math.min(anyLevel, settings.levels);
        const s = pagingState(settings.levels, settings);
        const entry = settings.levels === 2 ? value & 0xffffffffn : value;
        const [low, high] = halves(entry);
        const register = settings.levels === 3 && level === 3;
        const forbidden = (candidateLow: number, candidateHigh: number) =>
          register
            ? pdpteReserved(candidateLow, candidateHigh, s.maxPhysicalBits)
            : isReserved(s, level, isPage(s, level, low), candidateLow, candidateHigh);
        const { reserved } = decodeEntry(entry, level, s);
        expect(reserved.length > 0).toBe(forbidden(low, high));
        // Bit by bit, with the kind of entry as it is: those named are those that fault alone.
        const alone = [];
        for (let bit = 0; bit < 64; bit++) {
          const single = entry & (1n << BigInt(bit));
          if (single !== 0n && forbidden(...halves(single))) alone.push(bit);
        }
        expect(reserved.map(({ bit }) => bit)).toEqual(alone);
        for (const { reason } of reserved) expect(reason).toMatch(/^\S.*\S$/);
        if (reserved.length > 0) reservedSeen++;
      }),
      { numRuns: 8000, seed: 11 },
    );
    expect(reservedSeen).toBeGreaterThan(1000);
  });

  it("agrees with the walk on kind, address and size", () => {
    fc.assert(
      fc.property(context, fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (settings, value) => {
        const s = pagingState(settings.levels, { ...settings, root: 0x1000 });
        // A root whose entry 0 holds the value; below it nothing is present.
        const memory = new TestMemory();
        const entry = settings.levels === 2 ? value & 0xffffffffn : value;
        if (settings.levels === 2) memory.write32(0x1000, entry);
        else if (settings.levels === 3) {
          s.pdpte.set(halves(0x2001n));
          memory.write64(0x2000, entry);
        } else memory.write64(0x1000, entry);
        const level = settings.levels === 3 ? 2 : settings.levels;
        const decoded = decodeEntry(entry, level, s);
        const walk = new Walk();
        const cause = walkLinear(s, memory, 0, 0, 0, walk);
        expect(decoded.present).toBe(!(cause === FAULT_NOT_PRESENT && walk.faultLevel === level));
        expect(decoded.reserved.length > 0).toBe(cause === FAULT_RESERVED && walk.faultLevel === level);
        if (!decoded.present || decoded.reserved.length > 0) return;
        if (decoded.kind === "page") {
          expect([walk.frame, walk.patIndex]).toEqual([decoded.address, decoded.patIndex]);
          expect(decoded.pageSize).toBe(settings.levels === 2 ? "4M" : "2M");
        } else {
          const last = walk.stepCount - 1;
          expect(walk.levels[last]).toBe(level - 1);
          expect(walk.entryAddresses[last]).toBe(decoded.address);
        }
      }),
      { numRuns: 8000, seed: 12 },
    );
  });

  it("is described in a few words", () => {
    const s = pagingState(4);
    const text = (value: bigint, level: number) => describeEntry(decodeEntry(value, level, s));
    expect(text(0n, 1)).toBe("empty");
    expect(text(0x1000n, 1)).toBe("not present");
    expect(text(0x80000000002000e3n, 2)).toBe("2M page 0x200000 RW A D NX");
    expect(text(0x2003067n, 4)).toBe("table 0x2003000 RW US A");
    expect(text(0x20030e7n, 4)).toBe(
      "table 0x2003000 RW US A, reserved bit 7 set (PS, page size, which a PML4E cannot have)",
    );
    expect(describeEntry(decodeEntry(0x2003067n, 4, s), () => "level3_kernel_pgt")).toBe(
      "table level3_kernel_pgt RW US A",
    );
  });

  it("gives a reason for each kind of reserved bit", () => {
    const reasons = (levels: PagingLevels, level: number, value: bigint, change = {}) =>
      decodeEntry(value, level, pagingState(levels, change)).reserved.map(
        ({ bit, reason }) => `${bit} ${reason}`,
      );
    expect(reasons(4, 3, 0x83n, { pages1G: false })).toEqual([
      "7 PS, page size, on a CPU without 1 GiB pages",
    ]);
    expect(reasons(4, 2, 0x2083n)).toEqual(["13 part of the address below a 2M page"]);
    expect(reasons(4, 1, 1n | (1n << 51n), { maxPhysicalBits: 46 })).toEqual([
      "51 physical-address bit 51, where this CPU has 46 (MAXPHYADDR)",
    ]);
    expect(reasons(3, 1, 1n | (1n << 52n) | (1n << 60n))).toEqual([
      "52 reserved in PAE paging",
      "60 reserved in PAE paging",
    ]);
    expect(reasons(3, 3, 3n)).toEqual(["1 reserved: the PDPTE holds no rights"]);
    expect(reasons(2, 2, 0x83n | (1n << 15n), { pse36: false })).toEqual([
      "15 physical-address bit 34, where a 4 MiB page has 32",
    ]);
    expect(reasons(2, 2, 0x83n | (1n << 21n))).toEqual(["21 part of the address below a 4M page"]);
    expect(reasons(4, 1, 1n | (1n << 63n), { nxe: false })).toEqual([
      "63 XD, execute-disable, while EFER.NXE = 0",
    ]);
  });

  it("keeps PAT of a large page and of a PTE apart", () => {
    const s = pagingState(4);
    expect(decodeEntry(0x1087n, 1, s).flags).toEqual(["RW", "US", "PAT"]);
    expect(decodeEntry(0x1083n, 2, s)).toMatchObject({ flags: ["RW", "PAT"], address: 0, patIndex: 4 });
    expect(decodeEntry(0x9bn, 2, s)).toMatchObject({ flags: ["RW", "PWT", "PCD"], patIndex: 3 });
  });
});

describe("the layouts", () => {
  it("cover each bit of an entry once, in order", () => {
    for (const { format, fields, table } of ENTRY_LAYOUTS) {
      let next = 0;
      for (const { first, last } of fields) {
        expect(`${table}: ${first}`).toBe(`${table}: ${next}`);
        next = last + 1;
      }
      expect(next).toBe(format === "32-bit" ? 32 : 64);
    }
  });

  it("have no pages above level 3, and none at level 3 of PAE", () => {
    expect(layoutOf("long", 4, "page")).toBe(undefined);
    expect(layoutOf("pae", 3, "page")).toBe(undefined);
    expect(layoutOf("long", 3, "page")?.table).toBe("4-16");
  });

  it("span the whole linear address space of each mode", () => {
    const bits = { 2: 32, 3: 32, 4: 48, 5: 57 };
    for (const levels of [2, 3, 4, 5] as const) {
      expect(levelShift(levels, levels) + Math.log2(entryCount(levels, levels))).toBe(bits[levels]);
    }
  });
});
