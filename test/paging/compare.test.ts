import { describe, expect, test } from "vitest";
import { compareTrees, copyTree, type PathChange, type TreeImage } from "../../src/paging/compare";
import type { PagingState } from "../../src/paging/state";
import { pagingState, TestMemory } from "../support/paging";

const ROOT = 0x1000;
const P = 1n;
const RW = 2n;
const A = 0x20n;
const D = 0x40n;

function image(state: PagingState, memory: TestMemory, most = 1000): TreeImage {
  const copy = copyTree(state, memory, most);
  for (;;) {
    const step = copy.next();
    if (step.done === true) return step.value;
  }
}

/** A chain of tables from the root to a PT at 0x4000, which maps page 5. */
function chain(at = 0x2000): TestMemory {
  const memory = new TestMemory();
  memory.write64(ROOT, BigInt(at) | P | RW);
  memory.write64(at, BigInt(at + 0x1000) | P | RW);
  memory.write64(at + 0x1000, BigInt(at + 0x2000) | P | RW);
  memory.write64(at + 0x2000 + 8 * 5, 0x9000n | P | RW);
  return memory;
}

const state = pagingState(4, { root: ROOT });

function changes(before: TreeImage, after: TreeImage): PathChange[] {
  return [...compareTrees(before, after)].filter(
    (found): found is PathChange => found.kind !== "accessed" && found.kind !== "table",
  );
}

describe("two moments of a tree", () => {
  test("the same tree at other places has moved tables, and no other change", () => {
    const found = changes(image(state, chain(0x2000)), image(state, chain(0x2000 + 0x10000)));
    // The contents of the upper two tables are other addresses; only that of the PT is the same.
    expect(found.map(({ kind, step }) => `${kind} ${step.level}`)).toEqual([
      "changed 4",
      "changed 3",
      "moved 2",
    ]);
  });

  test("accessed and dirty bits alone are no change", () => {
    const [before, after] = [chain(), chain()];
    after.orEntry(0x4000 + 8 * 5, Number(A | D));
    after.orEntry(ROOT, Number(A));
    const found = [...compareTrees(image(state, before), image(state, after))];
    expect(found.filter(({ kind }) => kind !== "table")).toEqual([
      { kind: "accessed" },
      { kind: "accessed" },
    ]);
  });

  test("a table that was unlinked is cleared with all that it had", () => {
    const after = chain();
    after.write64(0x2000, 0n);
    const found = changes(image(state, chain()), image(state, after));
    expect(found.map(({ kind, address }) => [kind, address])).toEqual([
      ["cleared", 0n],
      ["cleared", 0n],
      ["cleared", 0x5000n],
    ]);
    expect(found[2].step).toMatchObject({ before: 0x4000, after: undefined });
  });

  test("addresses are canonical", () => {
    const after = chain();
    after.write64(ROOT + 8 * 511, 0x8000n | P);
    const [found] = changes(image(state, chain()), image(state, after));
    expect(found).toMatchObject({ kind: "added", address: 0xffff_ff80_0000_0000n, index: 511 });
  });

  test("a root that refers to itself is compared once a level", () => {
    const [before, after] = [chain(), chain()];
    for (const memory of [before, after]) memory.write64(ROOT + 8 * 510, BigInt(ROOT) | P | RW);
    after.write64(0x4000 + 8 * 6, 0xa000n | P);
    const found = [...compareTrees(image(state, before), image(state, after))];
    expect(found.filter(({ kind }) => kind === "table").length).toBeLessThan(16);
    expect(found.filter(({ kind }) => kind === "added").length).toBeGreaterThan(0);
  });

  test("tables that were left out are not taken for empty ones", () => {
    const before = image(state, chain(), 2);
    expect(before.complete).toBe(false);
    const after = chain();
    after.write64(0x4000, 0xb000n | P);
    expect(changes(before, image(state, after))).toEqual([]);
  });

  test("before paging there is nothing, and a tree of another depth has no path in common", () => {
    const off = image(pagingState(0), new TestMemory());
    expect(changes(off, image(state, chain())).map(({ kind }) => kind)).toEqual(Array(4).fill("added"));
    const other = new TestMemory();
    other.write32(ROOT + 4, 0x7000n | P);
    const legacy = image(pagingState(2, { root: ROOT }), other);
    expect(changes(legacy, image(state, chain())).map(({ kind }) => kind)).toEqual([
      "cleared",
      ...Array(4).fill("added"),
    ]);
  });

  test("the PDPTEs of PAE paging are the registers", () => {
    const memory = new TestMemory();
    const pae = (low: number) => {
      const pdpte = new Int32Array(8);
      pdpte[2] = low;
      return image(pagingState(3, { root: ROOT, pdpte }), memory);
    };
    memory.write64(0x6000, 0x20_0083n);
    memory.write64(0x7000, 0x20_0083n);
    expect(changes(pae(0x6001), pae(0x7001))).toMatchObject([
      { kind: "moved", index: 1, address: 0x4000_0000n },
    ]);
  });
});
