import { describe, expect, test } from "vitest";
import { gapAround, mappedIn } from "../../src/cli/mapped";
import { PhysicalMemory } from "../../src/machine/memory";
import { readLinear } from "../../src/target/linear";
import { pagingState } from "../support/paging";

const ROOT = 0x1000;
const DIRECT = 0xffff880000000000n;
const GIB = 1n << 30n;
const STATE = pagingState(4, { root: ROOT });

/** A machine whose tables a test fills: PML4 at 0x1000, PDPT of the direct map at 0x2000, page directories above. */
function machine() {
  const memory = new PhysicalMemory([{ start: 0, end: 2 ** 30 }]);
  const set = (table: number, index: number, value: bigint) => memory.write64(table + 8 * index, value);
  /** Maps the GiB with 2 MiB pages, RW NX. */
  const mapGiB = (index: number) => {
    const directory = 0x10000 + 0x1000 * index;
    for (let page = 0; page < 512; page++) {
      set(directory, page, (BigInt(index) * GIB + BigInt(page) * 0x200000n) | 0x80000000000000e3n);
    }
    set(0x2000, index, BigInt(directory) | 0x63n);
    set(ROOT, 272, 0x2063n);
  };
  return { memory, pagingState: STATE, set, mapGiB };
}

describe("what a fault came to map", () => {
  test("is the GiB that its handler filled", () => {
    const { mapGiB, ...observed } = machine();
    const address = DIRECT + 0x12345n;
    const gap = gapAround(observed, address);
    expect(mappedIn(observed, address, gap).run).toBeUndefined();
    mapGiB(0);
    expect(mappedIn(observed, address, gap).run).toEqual({
      start: DIRECT,
      end: DIRECT + GIB,
      physical: 0,
      pageSize: "2M",
      flags: ["RW", "NX"],
      pages: 512,
    });
  });

  test("does not include the GiB below, which was mapped before and goes on in it", () => {
    const { mapGiB, ...observed } = machine();
    mapGiB(0);
    const address = DIRECT + GIB + 0x200000n;
    const gap = gapAround(observed, address);
    expect(gap.start).toBe(DIRECT + GIB);
    mapGiB(1);
    expect(mappedIn(observed, address, gap).run).toMatchObject({
      start: DIRECT + GIB,
      end: DIRECT + 2n * GIB,
      pages: 512,
    });
  });

  test("is all of it where a handler fills more than the entry that was missing", () => {
    const { mapGiB, ...observed } = machine();
    mapGiB(0);
    const address = DIRECT + GIB;
    const gap = gapAround(observed, address);
    mapGiB(1);
    mapGiB(2);
    expect(mappedIn(observed, address, gap).run).toMatchObject({ start: DIRECT + GIB, pages: 1024 });
  });

  test("is the page itself after a fault of rights", () => {
    const { mapGiB, ...observed } = machine();
    mapGiB(0);
    const address = DIRECT + 0x200000n;
    const gap = gapAround(observed, address);
    expect(mappedIn(observed, address, gap).run).toMatchObject({
      start: address,
      end: address + 0x200000n,
      pages: 1,
    });
  });

  test("ends where physical memory does not go on, and where the rights change", () => {
    const { memory, set, mapGiB, ...rest } = machine();
    const observed = { memory, ...rest };
    const gap = gapAround(observed, DIRECT);
    mapGiB(0);
    set(0x10000, 4, 0x40000000e3n);
    expect(mappedIn(observed, DIRECT, gap).run).toMatchObject({ pages: 4 });
    set(0x10000, 2, 0x4000e1n);
    expect(mappedIn(observed, DIRECT, gap).run).toMatchObject({ pages: 2 });
  });

  test("is nothing where the entry has a reserved bit, nor at an address that is not canonical", () => {
    const { set, mapGiB, ...observed } = machine();
    mapGiB(0);
    set(0x10000, 0, 0x8000000000000000n | (1n << 45n) | 0xe3n);
    for (const address of [DIRECT, 0x0000900000000000n]) {
      expect(mappedIn(observed, address, gapAround(observed, address)).run).toBeUndefined();
    }
  });
});

test("linear memory is read through the tables", () => {
  const { mapGiB, ...observed } = machine();
  mapGiB(0);
  observed.memory.write64(0x300008, 0x1122334455667788n);
  expect(readLinear(observed, DIRECT + 0x300008n, 8)).toBe(0x1122334455667788n);
  expect(readLinear(observed, DIRECT + 0x300008n, 4)).toBe(0x55667788n);
  expect(readLinear(observed, 0x300008n, 8)).toBeUndefined();
});
