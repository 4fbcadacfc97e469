/** The rules of page types that are those of PAE: roots of four entries, and the hypervisor below the last of them. */
import { beforeEach, describe, expect, test } from "vitest";
import { MMUEXT } from "../../src/xen/abi";
import { TYPE_L2, TYPE_L3 } from "../../src/xen/pageInfo";
import { image32, TestDomain } from "../support/xenDomain";

const EINVAL = -22;
const ENOSYS = -38;
const BUILDERS_DIRECTORY = 22;
const ROOT = 3;
const DIRECTORY = 4;
const LOW_DIRECTORY = 5;
const HYPERVISOR_SLOT = 428;
const P = 1n;
const TABLE = 0x63n;

describe("page types of a 32-bit domain", () => {
  let domain: TestDomain;
  const info = () => domain.xen.pages.info;
  const frame = (pfn: number) => BigInt(domain.mfn(pfn)) << 12n;
  const typeOf = (pfn: number) => [info().typeOf(domain.mfn(pfn)), info().countOf(domain.mfn(pfn))];

  /** A page with these entries, which may not be written any more. */
  function table(pfn: number, entries: Record<number, bigint>): void {
    for (const [index, entry] of Object.entries(entries)) {
      domain.machine.memory.write64(domain.mfn(pfn) * 4096 + 8 * Number(index), entry);
    }
    expect(domain.protect(pfn)).toBe(0);
  }

  /** A root with a page directory of its own, which maps what the builder's does. */
  function ownRoot(): void {
    const entries = [0, 1].map((i) => [i, domain.entry(domain.mfn(BUILDERS_DIRECTORY), i)]);
    table(DIRECTORY, Object.fromEntries(entries));
    table(ROOT, { 3: frame(DIRECTORY) | P });
  }

  beforeEach(() => {
    domain = new TestDomain({ image: image32() });
  });

  test("a root with a page directory of its own can be loaded, and the hypervisor's entries are put into that", () => {
    ownRoot();
    expect(domain.extended(MMUEXT.NEW_BASEPTR, domain.mfn(ROOT))).toBe(0);
    expect(typeOf(ROOT)).toEqual([TYPE_L3, 1]);
    expect(typeOf(DIRECTORY)).toEqual([TYPE_L2, 1]);
    expect(typeOf(23)[1]).toBe(2);
    const slots = [HYPERVISOR_SLOT, 511];
    for (const slot of slots) {
      expect(domain.entry(domain.mfn(DIRECTORY), slot)).toBe(
        domain.entry(domain.mfn(BUILDERS_DIRECTORY), slot),
      );
    }
    expect(domain.machine.pagingState.pdpte[6]).toBe((domain.mfn(DIRECTORY) << 12) | 1);
  });

  test("the page directory of slot 3 serves one root", () => {
    table(ROOT, { 3: frame(BUILDERS_DIRECTORY) | P });
    expect(domain.extended(MMUEXT.PIN_L1_TABLE + 2, domain.mfn(ROOT))).toBe(EINVAL);
    expect(domain.refusal).toMatch(
      /^entry 3 of the L3 table .* links .*: .* is in use as an L2 table \(count 1\), and the L2 table of a PAE root's slot 3, which holds the hypervisor's entries, serves no other root and no other slot$/,
    );
    expect(typeOf(ROOT)).toEqual([0, 0]);
  });

  test("nor does it serve another slot, or a pin of its own", () => {
    ownRoot();
    expect(domain.extended(MMUEXT.NEW_BASEPTR, domain.mfn(ROOT))).toBe(0);
    expect(domain.update(domain.mfn(ROOT), 0, frame(DIRECTORY) | P)).toBe(EINVAL);
    expect(domain.refusal).toMatch(/serves no other root and no other slot$/);
    expect(domain.extended(MMUEXT.PIN_L1_TABLE + 1, domain.mfn(DIRECTORY))).toBe(EINVAL);
    expect(typeOf(DIRECTORY)).toEqual([TYPE_L2, 1]);
  });

  test("a page directory of another slot cannot be that of slot 3", () => {
    table(LOW_DIRECTORY, {});
    table(ROOT, { 0: frame(LOW_DIRECTORY) | P, 3: frame(LOW_DIRECTORY) | P });
    expect(domain.extended(MMUEXT.NEW_BASEPTR, domain.mfn(ROOT))).toBe(EINVAL);
    expect(typeOf(LOW_DIRECTORY)[1]).toBe(0);
  });

  test("a root without slot 3 is none: the hypervisor would be gone with it", () => {
    table(ROOT, {});
    expect(domain.extended(MMUEXT.NEW_BASEPTR, domain.mfn(ROOT))).toBe(EINVAL);
    expect(domain.refusal).toMatch(
      /^entry 3 of the L3 table mfn 0x\w+ \(pfn 0x3\) is empty, and the hypervisor has its own entries below it$/,
    );
  });

  test("slot 3 of a root in use is not changed, not even to what it holds", () => {
    const { root } = domain.domain;
    expect(domain.update(root, 3, domain.entry(root, 3))).toBe(EINVAL);
    expect(domain.refusal).toMatch(
      /^entry 3 of the L3 table .* cannot be changed while the table is in use$/,
    );
  });

  test("a root has four entries", () => {
    expect(domain.update(domain.domain.root, 4, 0n)).toBe(EINVAL);
    expect(domain.refusal).toBe("a PAE root has 4 entries, and no entry 4");
  });

  test("entries of a root have no rights", () => {
    table(LOW_DIRECTORY, {});
    expect(domain.update(domain.domain.root, 0, frame(LOW_DIRECTORY) | TABLE)).toBe(EINVAL);
    expect(domain.refusal).toMatch(/an entry of a PAE root may have no bit but P$/);
  });

  test("an entry of the root in use is the CPU's at once", () => {
    table(LOW_DIRECTORY, {});
    expect(domain.update(domain.domain.root, 1, frame(LOW_DIRECTORY) | P)).toBe(0);
    expect(domain.machine.pagingState.pdpte[2]).toBe((domain.mfn(LOW_DIRECTORY) << 12) | 1);
    expect(domain.update(domain.domain.root, 1, 0n)).toBe(0);
    expect(domain.machine.pagingState.pdpte[2]).toBe(0);
    expect(typeOf(LOW_DIRECTORY)[1]).toBe(0);
  });

  test("the hypervisor's slots are those of the fourth page directory alone", () => {
    expect(domain.update(domain.mfn(BUILDERS_DIRECTORY), HYPERVISOR_SLOT, 0n)).toBe(EINVAL);
    expect(domain.refusal).toBe(
      "slot 428 of an L2 table belongs to the hypervisor, which has 0xf5800000 to 0xffffffff for itself",
    );
    expect(domain.update(domain.mfn(BUILDERS_DIRECTORY), HYPERVISOR_SLOT - 1, 0n)).toBe(0);
    table(LOW_DIRECTORY, {});
    expect(domain.update(domain.domain.root, 0, frame(LOW_DIRECTORY) | P)).toBe(0);
    expect(domain.update(domain.mfn(LOW_DIRECTORY), HYPERVISOR_SLOT, 0n)).toBe(0);
  });

  test("nothing is added to what the guest writes into an entry", () => {
    const value = frame(ROOT) | 0x61n;
    expect(domain.update(domain.mfn(23), ROOT, value)).toBe(0);
    expect(domain.entry(domain.mfn(23), ROOT)).toBe(value);
  });

  test("XD is reserved on a CPU without it", () => {
    domain = new TestDomain({ image: image32(), nx: false, cpu: "max,-nx" });
    expect(domain.update(domain.mfn(23), ROOT, frame(ROOT) | 0x61n | (1n << 63n))).toBe(EINVAL);
    expect(domain.refusal).toMatch(/it has a reserved bit set$/);
  });

  test("there is no fourth level, and no root for user mode", () => {
    expect(domain.extended(MMUEXT.PIN_L4_TABLE, domain.mfn(ROOT))).toBe(EINVAL);
    expect(domain.refusal).toBe("PIN_L4_TABLE: the guest's tables have 3 levels");
    expect(domain.extended(MMUEXT.NEW_USER_BASEPTR, domain.mfn(ROOT))).toBe(ENOSYS);
  });
});
