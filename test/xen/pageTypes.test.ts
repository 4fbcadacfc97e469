/** The rules of page types, by hypercalls: what a frame is used as, and what that forbids. */
import { beforeEach, describe, expect, test } from "vitest";
import { MMUEXT } from "../../src/xen/abi";
import { TYPE_L1, TYPE_L2, TYPE_L4, TYPE_WRITABLE } from "../../src/xen/pageInfo";
import { TestDomain } from "../support/xenDomain";

const EINVAL = -22;
const TABLE = 3;
const OTHER = 4;

describe("page types of a 64-bit domain", () => {
  let domain: TestDomain;
  const info = () => domain.xen.pages.info;

  beforeEach(() => {
    domain = new TestDomain();
  });

  test("the builder's root is pinned and in use, its tables count once, other pages are mapped writable", () => {
    const { root, mapping } = domain.domain;
    expect([info().typeOf(root), info().countOf(root), info().isPinned(root)]).toEqual([TYPE_L4, 2, true]);
    const first = Number((mapping.tables - mapping.start) >> 12n);
    for (let i = 1; i < mapping.tablePages; i++) {
      const table = domain.mfn(first + i);
      expect(info().countOf(table)).toBe(1);
      expect(info().isPinned(table)).toBe(false);
    }
    expect(info().describe(domain.mfn(TABLE))).toBe("mapped writable (count 1)");
  });

  test("a frame with a writable mapping cannot become a table, and nothing changes by the attempt", () => {
    const mfn = domain.mfn(TABLE);
    expect(domain.extended(MMUEXT.PIN_L1_TABLE, mfn)).toBe(EINVAL);
    expect(domain.refusal).toBe(
      `mfn 0x${mfn.toString(16)} (pfn 0x3) is mapped writable (count 1), and cannot become an L1 table`,
    );
    expect([info().typeOf(mfn), info().countOf(mfn)]).toEqual([TYPE_WRITABLE, 1]);
  });

  test("a table cannot be mapped writable", () => {
    expect(domain.protect(TABLE)).toBe(0);
    expect(domain.extended(MMUEXT.PIN_L1_TABLE, domain.mfn(TABLE))).toBe(0);
    expect(domain.protect(TABLE, true)).toBe(EINVAL);
    expect(domain.refusal).toContain(
      "is in use as an L1 table (count 1, pinned), and cannot be mapped writable",
    );
    expect(domain.extended(MMUEXT.UNPIN_TABLE, domain.mfn(TABLE))).toBe(0);
    expect(domain.protect(TABLE, true)).toBe(0);
  });

  test("pinning validates every entry: references are taken, and given back at the unpin", () => {
    const [table, target] = [domain.mfn(TABLE), domain.mfn(OTHER)];
    domain.machine.memory.write64(table * 4096 + 8 * 7, BigInt(target) * 4096n + 0x63n);
    domain.protect(TABLE);
    expect(domain.extended(MMUEXT.PIN_L1_TABLE, table)).toBe(0);
    expect(info().countOf(target)).toBe(2);
    expect(domain.extended(MMUEXT.UNPIN_TABLE, table)).toBe(0);
    expect(info().countOf(target)).toBe(1);
    expect(info().countOf(table)).toBe(0);
  });

  test("a table that is refused half way has given back what it took", () => {
    const [table, target] = [domain.mfn(TABLE), domain.mfn(OTHER)];
    const { memory } = domain.machine;
    memory.write64(table * 4096, BigInt(target) * 4096n + 0x63n);
    memory.write64(table * 4096 + 8, BigInt(table) * 4096n + 0x63n);
    domain.protect(TABLE);
    expect(domain.extended(MMUEXT.PIN_L1_TABLE, table)).toBe(EINVAL);
    expect(domain.refusal).toContain("entry 1 of the L1 table");
    expect(info().countOf(target)).toBe(1);
    expect(info().countOf(table)).toBe(0);
    expect(domain.protect(TABLE, true)).toBe(0);
  });

  test.each([
    ["a large page", 0xe3n, "guests may have no large pages", 2],
    ["G above level 1", 0x163n, "it sets G", 2],
    ["PCD in a page", 0x73n, "no access to hardware", 1],
    ["a reserved bit", (1n << 51n) | 0x63n, "reserved bit", 1],
  ])("%s is refused", (_what, flags, why, level) => {
    domain.protect(TABLE);
    domain.protect(OTHER);
    const table = domain.mfn(TABLE);
    expect(domain.extended(level - 1, table)).toBe(0);
    expect(domain.update(table, 0, BigInt(domain.mfn(OTHER)) * 4096n + flags)).toBe(EINVAL);
    expect(domain.refusal).toContain(why);
    expect(domain.entry(table, 0)).toBe(0n);
  });

  test("frames of others may not be mapped, but the M2P may be read and shared_info written", () => {
    domain.protect(TABLE);
    const table = domain.mfn(TABLE);
    domain.extended(MMUEXT.PIN_L1_TABLE, table);
    const { m2p, sharedInfo } = domain.domain.hypervisorFrames;
    expect(domain.update(table, 0, BigInt(m2p) * 4096n + 0x61n)).toBe(0);
    expect(domain.update(table, 1, BigInt(m2p) * 4096n + 0x63n)).toBe(EINVAL);
    expect(domain.refusal).toContain("that frame is not this domain's");
    expect(domain.update(table, 2, BigInt(sharedInfo) * 4096n + 0x63n)).toBe(0);
    expect(domain.update(table, 3, 0x1000n + 0x61n)).toBe(EINVAL);
  });

  test("entries are adjusted: kernel pages get US and a mark, user pages G", () => {
    domain.protect(TABLE);
    const table = domain.mfn(TABLE);
    domain.extended(MMUEXT.PIN_L1_TABLE, table);
    const frame = BigInt(domain.mfn(OTHER)) * 4096n;
    domain.update(table, 0, frame + 0x61n);
    domain.update(table, 1, frame + 0x65n);
    expect(domain.entry(table, 0)).toBe(frame + 0x65n + (1n << 52n));
    expect(domain.entry(table, 1)).toBe(frame + 0x165n);
  });

  test("L4 slots 256 to 271 are the hypervisor's: filled at validation, refused to writes", () => {
    domain.protect(TABLE);
    const table = domain.mfn(TABLE);
    expect(domain.extended(MMUEXT.PIN_L4_TABLE, table)).toBe(0);
    expect(domain.entry(table, 256)).not.toBe(0n);
    for (const slot of [256, 258, 271]) {
      expect(domain.update(table, slot, BigInt(domain.mfn(OTHER)) * 4096n + 0x67n)).toBe(EINVAL);
      expect(domain.refusal).toBe(
        `slot ${slot} of an L4 table belongs to the hypervisor, which has 0xffff800000000000 to 0xffff87ffffffffff for itself`,
      );
    }
    domain.protect(OTHER);
    expect(domain.update(table, 272, BigInt(domain.mfn(OTHER)) * 4096n + 0x67n)).toBe(0);
  });

  test("a table of one level cannot serve as one of another", () => {
    domain.protect(TABLE);
    domain.protect(OTHER);
    expect(domain.extended(MMUEXT.PIN_L1_TABLE, domain.mfn(TABLE))).toBe(0);
    expect(domain.extended(1, domain.mfn(TABLE))).toBe(EINVAL);
    expect(domain.extended(2, domain.mfn(OTHER))).toBe(0);
    expect(domain.update(domain.mfn(OTHER), 0, BigInt(domain.mfn(TABLE)) * 4096n + 0x67n)).toBe(EINVAL);
    expect(domain.refusal).toContain(
      "is in use as an L1 table (count 1, pinned), and cannot become an L2 table",
    );
  });

  test("pins: twice is refused, and so is unpinning what is not pinned", () => {
    domain.protect(TABLE);
    const table = domain.mfn(TABLE);
    expect(domain.extended(MMUEXT.UNPIN_TABLE, table)).toBe(EINVAL);
    expect(domain.extended(1, table)).toBe(0);
    expect(domain.extended(1, table)).toBe(EINVAL);
    expect(info().typeOf(table)).toBe(TYPE_L2);
    expect(info().typeOf(domain.mfn(9))).not.toBe(TYPE_L1);
  });

  test("a base pointer needs a root, and the old one is free when it is unpinned and left", () => {
    const builders = domain.domain.root;
    domain.protect(TABLE);
    expect(domain.extended(MMUEXT.NEW_BASEPTR, domain.mfn(OTHER))).toBe(EINVAL);
    const { memory } = domain.machine;
    for (let i = 0; i < 512; i++) memory.write64(domain.mfn(TABLE) * 4096 + 8 * i, domain.entry(builders, i));
    expect(domain.extended(MMUEXT.PIN_L4_TABLE, domain.mfn(TABLE))).toBe(0);
    expect(domain.extended(MMUEXT.NEW_BASEPTR, domain.mfn(TABLE))).toBe(0);
    expect(domain.machine.pagingState.root).toBe(domain.mfn(TABLE) * 4096);
    expect(domain.extended(MMUEXT.UNPIN_TABLE, builders)).toBe(0);
    expect(info().countOf(builders)).toBe(0);
    expect(domain.events.map(({ event }) => event)).toEqual(
      expect.arrayContaining(["pin", "base-pointer", "switchover", "cr3-load"]),
    );
  });
});
