/** What a walk leaves behind: exact writes of A and D, resumed walks, and all that it tells of a page. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ACCESS_USER, ACCESS_WRITE, type PagingLevels, type PagingState } from "../../src/paging/state";
import {
  FAULT_NONE,
  finishWalk,
  RIGHT_USER,
  RIGHT_WRITE,
  RIGHT_XD,
  setAccessedDirty,
  startWalk,
  Walk,
  walkLinear,
} from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";

/** Counts what the CPU writes. */
class LoggingMemory extends TestMemory {
  readonly log: string[] = [];

  override orEntry(address: number, bits: number): void {
    this.log.push(`${address.toString(16)} |= ${bits.toString(16)}`);
    super.orEntry(address, bits);
  }
}

const KINDS: [PagingLevels, number][] = [
  [2, 1],
  [2, 2],
  [3, 1],
  [3, 2],
  [4, 1],
  [4, 2],
  [4, 3],
  [5, 1],
  [5, 2],
  [5, 3],
];

/** Tables for linear address 0, level n at 0x1000 * n; `flags` by level are ORed into the entries. */
function path(levels: PagingLevels, leaf: number, flags: (level: number) => bigint, memory: TestMemory) {
  const state = pagingState(levels, { root: 0x1000 * levels });
  for (let level: number = levels; level >= leaf; level--) {
    const target = level === leaf ? 0x40000000n | (level > 1 ? 0x80n : 0n) : BigInt(0x1000 * (level - 1));
    const entry = target | 1n | flags(level);
    if (levels === 2) memory.write32(0x1000 * level, entry);
    else if (levels === 3 && level === 3) state.pdpte.set(halves(BigInt(0x2000) | 1n));
    else memory.write64(0x1000 * level, entry);
  }
  return state;
}

describe.each(KINDS)("levels %i, leaf at level %i", (levels, leaf) => {
  const flagged = Array.from({ length: levels - leaf + 1 }, (_, i) => levels - i).filter(
    (level) => !(levels === 3 && level === 3),
  );

  it("sets A and D with one write for each entry that lacks them, from the root down, and no other (4.8)", () => {
    for (let mask = 0; mask < 1 << (flagged.length + 1); mask++) {
      for (const write of [false, true]) {
        const had = (level: number) =>
          (((mask >> flagged.indexOf(level)) & 1) === 1 ? 0x20 : 0) |
          (level === leaf && ((mask >> flagged.length) & 1) === 1 ? 0x40 : 0);
        const memory = new LoggingMemory();
        const state = path(levels, leaf, (level) => 6n | BigInt(had(level)), memory);
        const walk = new Walk();
        expect(walkLinear(state, memory, 0, 0, write ? ACCESS_WRITE : 0, walk)).toBe(FAULT_NONE);
        expect(walk.dirty).toBe((had(leaf) & 0x40) !== 0);
        expect(memory.log).toEqual([]);
        setAccessedDirty(state, memory, walk, write);
        const expected = flagged.flatMap((level) => {
          const needed = 0x20 | (write && level === leaf ? 0x40 : 0);
          return (had(level) & needed) === needed
            ? []
            : [`${(0x1000 * level).toString(16)} |= ${needed.toString(16)}`];
        });
        expect(memory.log).toEqual(expected);
        // The walk knows of it, so a second use writes nothing.
        setAccessedDirty(state, memory, walk, write);
        expect(memory.log).toEqual(expected);
      }
    }
  });

  it("goes on from any table on the way to the same result", () => {
    const memory = new TestMemory();
    const state = path(levels, leaf, (level) => (level === leaf ? 2n : 6n), memory);
    const whole = new Walk();
    walkLinear(state, memory, 0x123, 0, ACCESS_USER, whole);
    for (let steps = 0; steps < whole.stepCount; steps++) {
      const walk = new Walk();
      startWalk(state, walk);
      let rights = walk.rights;
      for (let step = 0; step < steps; step++) {
        if (levels === 3 && step === 0) continue;
        rights &= whole.entryLow[step] | ~6;
      }
      walk.level = whole.levels[steps];
      walk.table = whole.entryAddresses[steps];
      walk.rights = rights;
      expect(finishWalk(state, memory, 0x123, 0, ACCESS_USER, walk)).toBe(whole.fault);
      expect(walk.stepCount).toBe(whole.stepCount - steps);
      expect([walk.frame, walk.pageShift, walk.rights]).toEqual([whole.frame, whole.pageShift, whole.rights]);
    }
  });

  it("puts PAT, PCD and PWT of the leaf together as the index of the memory type (4.9.2)", () => {
    for (let index = 0; index < 8; index++) {
      const memory = new TestMemory();
      const pat = (index & 4) === 0 ? 0n : leaf === 1 ? 0x80n : 0x1000n;
      const state = path(
        levels,
        leaf,
        (level) => (level === leaf ? pat | BigInt((index & 3) << 3) : 0n),
        memory,
      );
      const walk = new Walk();
      expect(walkLinear(state, memory, 0, 0, 0, walk)).toBe(FAULT_NONE);
      expect([walk.patIndex, walk.global, walk.dirty]).toEqual([index, false, false]);
    }
  });

  it("tells the frame, size, rights, key and memory type of the leaf", () => {
    const memory = new TestMemory();
    const pat = leaf === 1 ? 0x80n : 0x1000n;
    const high = levels === 2 ? 0n : 1n << 63n;
    const key = levels >= 4 ? 9n << 59n : 0n;
    // G, PAT, PCD; write right only at the leaf, user right only above it.
    const state = path(
      levels,
      leaf,
      (level) => (level === leaf ? 0x112n | pat | high | key : level === levels ? 4n : 6n),
      memory,
    );
    const walk = new Walk();
    expect(walkLinear(state, memory, 0, 0, 0, walk)).toBe(FAULT_NONE);
    // The entry above that lacks the write right is missing, or is a PDPTE register, which holds none.
    const writable = leaf === levels || levels === 3;
    expect(walk.rights & RIGHT_WRITE).toBe(writable ? RIGHT_WRITE : 0);
    expect(walk.rights & RIGHT_USER).toBe(0);
    expect(walk.rights & RIGHT_XD).toBe(levels === 2 ? 0 : RIGHT_XD);
    expect(walk).toMatchObject({
      frame: 0x40000000,
      pageShift: levels === 2 ? 2 + 10 * leaf : 3 + 9 * leaf,
      global: true,
      key: levels >= 4 ? 9 : 0,
      patIndex: 6,
    });
  });
});

describe("the index at each level", () => {
  it("is that of the SDM's figures 4-2 to 4-11, for any address", () => {
    fc.assert(
      fc.property(
        fc.constantFrom<PagingLevels>(2, 3, 4, 5),
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        (levels, any) => {
          const address = levels <= 3 ? any & 0xffffffffn : any;
          const [low, high] = halves(address);
          const read: bigint[] = [];
          // Every entry points at the same page: each level's index shows in the address that is read.
          const memory = {
            read32(at: number) {
              if (levels === 2 || at % 8 === 0) read.push(BigInt(at % 4096) / (levels === 2 ? 4n : 8n));
              return at % 8 === 4 && levels !== 2 ? 0 : 0x5001;
            },
          };
          const state: PagingState = pagingState(levels, { root: 0x5000 });
          for (let i = 0; i < 4; i++) state.pdpte.set([0x5001, 0], 2 * i);
          const walk = new Walk();
          walkLinear(state, memory, low, high, 0, walk);
          const fields =
            levels === 2
              ? [
                  [31, 22],
                  [21, 12],
                ]
              : [
                  [56, 48],
                  [47, 39],
                  [38, 30],
                  [29, 21],
                  [20, 12],
                ].slice(5 - levels);
          const expected = fields.map(
            ([top, bottom]) => (address >> BigInt(bottom)) & ((1n << BigInt(top - bottom + 1)) - 1n),
          );
          if (levels === 3) {
            expect(walk.entryAddresses[0]).toBe(0x5000 + 8 * Number(expected.shift()! & 3n));
          }
          expect(read).toEqual(expected);
        },
      ),
      { numRuns: 2000, seed: 7 },
    );
  });
});

describe("with paging off", () => {
  it("a linear address is a physical one, with every right", () => {
    const walk = new Walk();
    Object.assign(walk, {
      global: true,
      dirty: false,
      key: 5,
      patIndex: 7,
      fault: 3,
      rights: 0,
      pageShift: 21,
    });
    const memory = { read32: () => expect.fail("nothing is read") };
    const access = ACCESS_WRITE | ACCESS_USER;
    expect(walkLinear(pagingState(0), memory, 0xfffff123 | 0, 0, access, walk)).toBe(FAULT_NONE);
    expect(walk).toMatchObject({
      frame: 0xfffff000,
      pageShift: 12,
      stepCount: 0,
      global: false,
      dirty: true,
      key: 0,
      fault: FAULT_NONE,
      patIndex: 0,
      rights: RIGHT_WRITE | RIGHT_USER,
    });
  });
});
