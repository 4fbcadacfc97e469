import { describe, expect, it } from "vitest";
import { diffSnapshots, snapshot } from "../../src/paging/diff";
import { decodeEntry } from "../../src/paging/entry";
import { explainFault, explainWalk } from "../../src/paging/explain";
import { memoryType } from "../../src/paging/memoryType";
import { leafRuns, summarize } from "../../src/paging/ranges";
import { ACCESS_FETCH, ACCESS_USER, ACCESS_WRITE, type PagingState } from "../../src/paging/state";
import { listTables } from "../../src/paging/tables";
import { Walk, walkLinear } from "../../src/paging/walk";
import { halves, pagingState, TestMemory } from "../support/paging";

const ROOT = 0x1c02000;

function reason(s: PagingState, memory: TestMemory, address: bigint, access: number): string {
  const [low, high] = halves(address);
  const walk = new Walk();
  walkLinear(s, memory, low, high, access, walk);
  return explainFault(s, walk, low, high, access, (physical) =>
    physical === ROOT ? "early_level4_pgt" : undefined,
  );
}

describe("a fault in words", () => {
  const address = 0xffff880000000000n;
  const l4 = ROOT + 272 * 8;

  it("names the entry that is not present, its table and where it is", () => {
    const s = pagingState(4, { root: ROOT });
    expect(reason(s, new TestMemory(), address, ACCESS_WRITE)).toBe(
      "write to 0xffff880000000000: PML4E 272 of early_level4_pgt (0x0000000001c02880) is not present",
    );
  });

  it("names a reserved bit 63 for what it is", () => {
    const s = pagingState(4, { root: ROOT, nxe: false });
    const memory = new TestMemory();
    memory.write64(l4, 0x5063n);
    memory.write64(0x5000, 0x80000000000000e3n);
    expect(reason(s, memory, address, 0)).toBe(
      "read from 0xffff880000000000: PDPTE 0 of table 0x0000000000005000 (0x0000000000005000) has reserved bit 63 set (XD, execute-disable, while EFER.NXE = 0)",
    );
  });

  it("names the entry that takes a right away, at whatever level", () => {
    const s = pagingState(4, { root: ROOT });
    const memory = new TestMemory();
    memory.write64(l4, 0x5005n);
    memory.write64(0x5000, 0x80000000000000e3n);
    expect(reason(s, memory, address, ACCESS_WRITE)).toMatch(
      /PML4E 272 .* is read-only \(R\/W = 0\) and CR0.WP = 1$/,
    );
    expect(reason(s, memory, address, ACCESS_USER)).toMatch(
      /^user read from .*PDPTE 0 .* supervisor mode only/,
    );
    expect(reason(s, memory, address, ACCESS_FETCH)).toMatch(
      /^instruction fetch from .*PDPTE 0 .* \(XD = 1\)$/,
    );
  });

  it("names an address bit above MAXPHYADDR", () => {
    const s = pagingState(4, { root: ROOT, maxPhysicalBits: 40 });
    const memory = new TestMemory();
    memory.write64(l4, 0x5063n | (1n << 45n));
    expect(reason(s, memory, address, 0)).toMatch(
      /reserved bit 45 set \(physical-address bit 45, where this CPU has 40 \(MAXPHYADDR\)\)$/,
    );
  });

  it("explains a whole walk step by step", () => {
    const s = pagingState(4, { root: ROOT });
    const memory = new TestMemory();
    memory.write64(l4, 0x5063n);
    memory.write64(0x5000, 0x6063n);
    memory.write64(0x6008, 0x80000000002000e3n);
    const walk = explainWalk(s, memory, address + 0x234567n, 0);
    expect(walk.steps.map(({ name, index, entry }) => `${name} ${index} ${entry.toString(16)}`)).toEqual([
      "PML4E 272 1c02880",
      "PDPTE 0 5000",
      "PDE 1 6008",
    ]);
    expect(walk.physical).toBe(0x234567);
    expect(walk.steps[2]).toMatchObject({
      executable: false,
      start: address + 0x200000n,
      end: address + 0x400000n,
    });
    expect(walk.steps[2]!.decoded.flags).toEqual(["RW", "A", "D", "NX"]);
  });
});

describe("a decoded entry", () => {
  it("tells kind, address, size and flags", () => {
    const s = pagingState(4);
    expect(decodeEntry(0x80000000c00001e3n, 2, s)).toMatchObject({
      name: "PDE",
      kind: "page",
      address: 0xc0000000,
      pageSize: "2M",
      flags: ["RW", "A", "D", "G", "NX"],
      reserved: [],
    });
    expect(decodeEntry(0x2003067n, 4, s)).toMatchObject({
      kind: "table",
      address: 0x2003000,
      flags: ["RW", "US", "A"],
    });
    expect(decodeEntry(0x1000n, 1, s)).toMatchObject({ kind: "not-present", present: false });
    expect(decodeEntry((5n << 59n) | 0x1087n, 1, s).flags).toEqual(["RW", "US", "PAT", "PK5"]);
  });

  it("resolves PAT, PCD and PWT to a memory type (11.12)", () => {
    expect([0, 1, 2, 3, 4].map((index) => memoryType(index))).toEqual(["WB", "WT", "UC-", "UC", "WB"]);
  });
});

describe("leaf runs and summaries", () => {
  function mapped(): { s: PagingState; memory: TestMemory } {
    const memory = new TestMemory();
    memory.write64(ROOT + 511 * 8, 0x2003067n);
    memory.write64(0x2003000 + 510 * 8, 0x2004063n);
    for (let i = 0; i < 8; i++) memory.write64(0x2004000 + 8 * i, BigInt(i * 0x200000) | 0x1e3n);
    // The same PD again under slot 0, and a hole with other flags behind it.
    memory.write64(ROOT, 0x2005063n);
    memory.write64(0x2005000, 0x2004063n);
    memory.write64(0x2004000 + 8 * 10, 0x1400000n | (1n << 63n) | 0xe3n);
    return { s: pagingState(4, { root: ROOT }), memory };
  }

  it("joins what continues linearly and physically with the same size and flags", () => {
    const { s, memory } = mapped();
    expect([...leafRuns(s, memory)]).toEqual([
      { start: 0n, end: 0x1000000n, physical: 0, pageSize: "2M", flags: ["RW", "A", "D", "G"], pages: 8 },
      {
        start: 0x1400000n,
        end: 0x1600000n,
        physical: 0x1400000,
        pageSize: "2M",
        flags: ["RW", "A", "D", "NX"],
        pages: 1,
      },
      {
        start: 0xffffffff80000000n,
        end: 0xffffffff81000000n,
        physical: 0,
        pageSize: "2M",
        flags: ["RW", "A", "D", "G"],
        pages: 8,
      },
      {
        start: 0xffffffff81400000n,
        end: 0xffffffff81600000n,
        physical: 0x1400000,
        pageSize: "2M",
        flags: ["RW", "A", "D", "NX"],
        pages: 1,
      },
    ]);
  });

  it("counts a table once and its leaves along each path", () => {
    const { s, memory } = mapped();
    expect(summarize(s, memory)).toEqual({
      mode: "4-level",
      root: ROOT,
      tablePages: 4,
      leafPages: { "4K": 0, "2M": 18, "1G": 0 },
    });
  });

  it("lists tables with their aliases, and ends on a root that refers to itself", () => {
    const { s, memory } = mapped();
    memory.write64(ROOT + 8 * 5, BigInt(ROOT) | 0x63n);
    const tables = listTables(s, memory);
    const alias = tables.find(({ physical, level }) => physical === 0x2004000 && level === 2)!;
    expect(alias.parents).toHaveLength(2);
    expect(tables.length).toBeLessThan(20);
    expect(summarize(s, memory).leafPages["2M"]).toBeGreaterThan(0);
  });

  it("tells added, changed and cleared entries between two moments", () => {
    const { s, memory } = mapped();
    const before = snapshot(s, memory);
    memory.write64(ROOT + 272 * 8, 0x2006063n);
    memory.write64(0x2006000, 0x80000000000000e3n);
    memory.write64(0x2004000, 0n);
    memory.write64(0x2004008, 0x2001e1n);
    const changes = [...diffSnapshots(before, snapshot(s, memory))];
    expect(changes.map(({ kind, level, index }) => `${kind} ${level}.${index}`).sort()).toEqual([
      "added 3.0",
      "added 4.272",
      "changed 2.1",
      "cleared 2.0",
    ]);
    expect(changes.find(({ index }) => index === 272)).toMatchObject({
      address: 0xffff880000000000n,
      old: 0n,
    });
  });
});
