/** One root page in the two formats of 32-bit linear addresses. */
import { describe, expect, it } from "vitest";
import { otherRootMode, rootInOtherFormat } from "../../src/paging/otherFormat";
import type { PagingLevels } from "../../src/paging/state";
import { pagingState, TestMemory } from "../support/paging";

const MIB = 1n << 20n;
const GIB = 1n << 30n;
const ROOT = 0x1000;

describe("a 2-level root, read as PAE (SDM vol. 3A, 4.4.1)", () => {
  it("is four entries, each of which takes the bytes of two: 8 MiB", () => {
    const entries = rootInOtherFormat(pagingState(2, { root: ROOT }), new TestMemory());
    expect(entries.map(({ index, address }) => [index, address])).toEqual([
      [0, 0x1000],
      [1, 0x1008],
      [2, 0x1010],
      [3, 0x1018],
    ]);
    expect(entries.map(({ takes }) => takes)).toEqual(
      [0, 1, 2, 3].map((index) => ({
        first: 2 * index,
        last: 2 * index + 1,
        translates: { start: BigInt(index) * 8n * MIB, end: BigInt(index + 1) * 8n * MIB },
      })),
    );
    expect(entries[3].translates).toEqual({ start: 3n * GIB, end: 4n * GIB });
    expect(entries.every(({ entry }) => !entry.present)).toBe(true);
  });

  it("finds a root entry where one was written, with its table", () => {
    const memory = new TestMemory();
    memory.write64(ROOT + 24, 0x20c001n);
    const [, , , kernel] = rootInOtherFormat(pagingState(2, { root: ROOT }), memory);
    expect(kernel.entry).toMatchObject({ name: "PDPTE", kind: "table", address: 0x20c000, reserved: [] });
  });

  it("tells which bits of 2-level entries may not be loaded: rights and A of one, and another one above them", () => {
    const memory = new TestMemory();
    memory.write32(ROOT, 0x5063n);
    memory.write32(ROOT + 4, 0x80006063n);
    const [first] = rootInOtherFormat(pagingState(2, { root: ROOT, maxPhysicalBits: 36 }), memory);
    expect(first.entry).toMatchObject({ present: true, value: 0x8000606300005063n });
    // RW, A and D of the lower entry; above, all of the upper one's but what MAXPHYADDR leaves to addresses.
    expect(first.entry.reserved.map(({ bit }) => bit)).toEqual([1, 5, 6, 37, 38, 45, 46, 63]);
  });
});

describe("a PAE root, read in 2-level format", () => {
  it("is the 1024 entries of its page; the first eight take half of an entry each, the others none", () => {
    const memory = new TestMemory();
    memory.write64(ROOT + 24, 0x20c001n);
    memory.write32(ROOT + 4 * 768, 0x207067n);
    const entries = rootInOtherFormat(pagingState(3, { root: ROOT }), memory);
    expect(entries).toHaveLength(1024);
    expect(entries[5].takes).toEqual({ first: 2, last: 2, translates: { start: 2n * GIB, end: 3n * GIB } });
    expect(entries.slice(8).every(({ takes }) => takes === undefined)).toBe(true);
    expect(entries[6]).toMatchObject({
      translates: { start: 24n * MIB, end: 28n * MIB },
      entry: { name: "PDE", kind: "table", address: 0x20c000 },
    });
    expect(entries[768].entry).toMatchObject({ kind: "table", address: 0x207000 });
    expect(entries[768].translates.start).toBe(3n * GIB);
  });

  it("may lie in the middle of that page", () => {
    const entries = rootInOtherFormat(pagingState(3, { root: ROOT + 0x40 }), new TestMemory());
    expect(entries[0].address).toBe(ROOT);
    expect(entries.filter(({ takes }) => takes !== undefined).map(({ index }) => index)).toEqual([
      16, 17, 18, 19, 20, 21, 22, 23,
    ]);
  });

  it("large pages are those of CR4.PSE", () => {
    const memory = new TestMemory();
    memory.write32(ROOT, 0x4000e3n);
    const at = (pse: boolean) => rootInOtherFormat(pagingState(3, { root: ROOT, pse }), memory)[0].entry;
    expect(at(true)).toMatchObject({ kind: "page", pageSize: "4M", address: 0x400000 });
    expect(at(false)).toMatchObject({ kind: "table", address: 0x400000 });
  });
});

it("other modes share no root", () => {
  for (const levels of [0, 4, 5] as PagingLevels[]) {
    expect(otherRootMode(levels)).toBe(undefined);
    expect(rootInOtherFormat(pagingState(levels), new TestMemory())).toEqual([]);
  }
});
