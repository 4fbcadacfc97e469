/** What the boot program xen-p2m has to do, and what follows where a step is left out: it boots in every test. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { MachineEvent } from "../../src/machine/events";
import { listTables, type TablePage } from "../../src/paging/tables";
import { TYPE_WRITABLE } from "../../src/xen/pageInfo";
import { GIB, Guest, MIB } from "../support/bootProgram";

const INIT_P2M = 0x8000000000n;
const PAGE_OFFSET = 0xffff880000000000n;
const P2M_SLOT = 1;
const PAGE = 4096;

class XenP2m extends Guest {
  constructor(settings: Record<string, string> = {}, memory?: number) {
    super("xen-p2m", settings, memory === undefined ? {} : { memory });
    this.machine.want([
      "hypercall-rejected",
      "base-pointer",
      "p2m-free",
      "pin",
      "page-fault",
      "serial",
      "exit",
    ]);
  }

  get frames() {
    return this.xen!.domain.frames;
  }

  /** Numbers in a line of the console. */
  numbers(pattern: RegExp): number[] {
    return (pattern.exec(this.serial) ?? []).slice(1).map(Number);
  }

  /** The guest frames of all tables that the root reaches; the hypervisor's are none. */
  tables(): (TablePage & { pfn: number })[] {
    const { pagingState, memory } = this.machine;
    return listTables(pagingState, memory)
      .map((table) => ({ ...table, pfn: this.frames.pfnOf(table.physical / PAGE) }))
      .filter(({ pfn }) => pfn >= 0);
  }

  entry(address: bigint): bigint | undefined {
    const { pagingState, memory } = this.machine;
    let table = pagingState.root;
    for (let level = 4; level >= 1; level--) {
      const entry = memory.read64(table + 8 * Number((address >> BigInt(12 + 9 * (level - 1))) & 511n));
      if (level === 1 || (entry & 1n) === 0n) return level === 1 ? entry : undefined;
      table = Number(entry & 0xffffffffff000n);
    }
    return undefined;
  }
}

/** Runs in parts, so that the test runner stays alive. */
async function finish(guest: Guest, most = 3_000_000_000): Promise<number | string> {
  for (let run = 0; run < most; run += 20_000_000) {
    const status = guest.run(20_000_000);
    if (status !== "limit") return status;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return "limit";
}

const mfnFlags = (guest: XenP2m, pfn: number, flags: bigint) =>
  (BigInt(guest.frames.mfnOf(pfn)) << 12n) | flags | (1n << 52n);
const PAGE_RW = 0x8000000000000067n;
const PAGE_RO = 0x8000000000000065n;
const ignoringUse = (entry: bigint | undefined) => (entry === undefined ? undefined : entry & ~0x60n);

describe.each(["outside", "inside"])("the list %s", (p2m) => {
  it.each([
    ["64 MiB", 64 * MIB],
    ["1 GiB", GIB],
  ])(
    "of %s: copied, freed, accounted for",
    async (_name, memory) => {
      const guest = new XenP2m({ p2m }, memory);
      expect(await finish(guest)).toBe(0);
      expect(guest.count("hypercall-rejected")).toBe(0);
      const listFrames = memory / PAGE / 512;
      const outside = guest.xen!.domain.p2m.outside;
      const tables = outside?.tables.length ?? 0;
      const [before, list, listTables, after] = guest.numbers(
        /free frames: (\d+) before, (\d+) of the list, (\d+) of its tables, (\d+) after/,
      );
      expect([list, listTables]).toEqual([listFrames, tables]);
      expect(after).toBe(before + list + listTables);
      expect(guest.events).toContainEqual(
        expect.objectContaining({
          event: "p2m-free",
          address: guest.xen!.domain.p2m.address,
          frames: listFrames,
        }),
      );
      expect(guest.serial.trimEnd().endsWith("ok")).toBe(true);
    },
    60_000,
  );
});

describe("at the end", () => {
  it.each(["shuffled", "offset"])(
    "every entry of the direct map is what it must be (frames %s)",
    async (frames) => {
      const guest = new XenP2m({ frames }, 64 * MIB);
      expect(await finish(guest)).toBe(0);
      const tables = new Set(guest.tables().map(({ pfn }) => pfn));
      const left = new Set(
        guest.xen!.domain.parts.flatMap(({ name, pfn, pages }) =>
          name === "builder's page tables" ? Array.from({ length: pages }, (_, i) => pfn + i) : [],
        ),
      );
      for (let pfn = 0; pfn < 16384; pfn++) {
        const isTable = tables.has(pfn) || left.has(pfn);
        const expected = mfnFlags(guest, pfn, isTable ? PAGE_RO : PAGE_RW) & ~0x60n;
        expect(ignoringUse(guest.entry(PAGE_OFFSET + BigInt(pfn * PAGE)))).toBe(expected);
      }
      expect(guest.entry(PAGE_OFFSET + BigInt(16384 * PAGE))).toBeUndefined();
    },
    60_000,
  );

  it("no table is mapped writable anywhere, and counts are those of the entries", async () => {
    const guest = new XenP2m({}, 64 * MIB);
    expect(await finish(guest)).toBe(0);
    const { info } = guest.xen!.pages;
    const { memory } = guest.machine;
    const writable = new Map<number, number>();
    for (const { physical, level } of guest.tables()) {
      if (level !== 1) continue;
      for (let index = 0; index < 512; index++) {
        const entry = memory.read64(physical + 8 * index);
        if ((entry & 3n) !== 3n) continue;
        const mfn = Number((entry >> 12n) & 0xffffffffffn);
        writable.set(mfn, (writable.get(mfn) ?? 0) + 1);
      }
    }
    for (const { physical } of guest.tables()) expect(writable.get(physical / PAGE)).toBeUndefined();
    for (let pfn = 0; pfn < 16384; pfn++) {
      const mfn = guest.frames.mfnOf(pfn);
      const count = info.typeOf(mfn) === TYPE_WRITABLE ? info.countOf(mfn) : 0;
      expect(count).toBe(writable.get(mfn) ?? 0);
    }
  }, 60_000);

  it("32 L1 tables map 64 MiB, below one L2 and one L3 table; the slot of the list is empty", async () => {
    const guest = new XenP2m({}, 64 * MIB);
    await finish(guest);
    const direct = guest
      .tables()
      .filter(({ address }) => address >= PAGE_OFFSET && address < PAGE_OFFSET + (1n << 39n));
    expect(direct.map(({ level }) => level).sort()).toEqual([...Array(32).fill(1), 2, 3]);
    expect(guest.machine.memory.read64(guest.physicalOf("init_level4_pgt") + 8 * P2M_SLOT)).toBe(0n);
  }, 60_000);
});

describe("the way there", () => {
  it("the base pointer goes from the builder's root to init_level4_pgt, which is pinned before; then that is unpinned", async () => {
    const guest = new XenP2m({}, 64 * MIB);
    await finish(guest);
    const builders = guest.xen!.domain.root * PAGE;
    const own = guest.physicalOf("init_level4_pgt");
    const roots = guest.events.flatMap((event: MachineEvent) =>
      event.event === "pin" && event.level === 4
        ? [`${event.pinned ? "pin" : "unpin"} ${event.table}`]
        : event.event === "base-pointer"
          ? [`base ${event.from} ${event.to}`]
          : [],
    );
    expect(roots).toEqual([`pin ${own}`, `base ${builders} ${own}`, `unpin ${builders}`]);
  }, 60_000);

  it("the list stays reachable through its L4 slot until it is freed", () => {
    const guest = new XenP2m({}, 64 * MIB);
    guest.runTo("copy_p2m");
    const slot = guest.machine.memory.read64(guest.physicalOf("init_level4_pgt") + 8 * P2M_SLOT);
    expect(Number((slot >> 12n) & 0xffffffffffn)).toBe(
      guest.frames.mfnOf(guest.xen!.domain.p2m.outside!.tables[0].pfn),
    );
    expect(guest.xen!.isMapped(INIT_P2M)).toBe(true);
    guest.runTo("check_all");
    expect(guest.xen!.isMapped(INIT_P2M)).toBe(false);
  }, 60_000);

  it("the old list holds ones before its frames are given back", () => {
    const guest = new XenP2m({ p2m: "inside" }, 64 * MIB);
    guest.runTo("check_all");
    const { mapping } = guest.xen!.domain;
    const pfn = Number((mapping.p2mList - mapping.start) >> 12n);
    for (const index of [0, 31]) {
      expect(guest.machine.memory.read64(guest.frames.mfnOf(pfn + index) * PAGE)).toBe((1n << 64n) - 1n);
    }
  }, 60_000);
});

describe("a step that is left out fails", () => {
  const refusal = (guest: Guest) =>
    guest.events.flatMap((event) => (event.event === "hypercall-rejected" ? [event.reason] : [])).join();

  it.each([
    ["writable-root", "is mapped writable (count 1), and cannot become an L4 table"],
    ["writable-table", "is mapped writable (count 1), and cannot become an L3 table"],
    ["no-mask", "is in use as an L3 table (count 1), and cannot be mapped writable"],
    ["keep-slot", "is in use as an L1 table (count 1), and cannot be mapped writable"],
  ])(
    "%s: the hypervisor refuses, and says why",
    async (defect, why) => {
      const guest = new XenP2m({ defect }, 64 * MIB);
      expect(await finish(guest)).toBe(3);
      expect(refusal(guest)).toContain(why);
      expect(guest.serial).toContain("FAILED: the hypervisor refused");
    },
    60_000,
  );

  it("no-slot: the list is gone with the builder's root, and the copy faults", async () => {
    const guest = new XenP2m({ defect: "no-slot" }, 64 * MIB);
    expect(await finish(guest)).toBe(3);
    const fault = guest.events.find((event) => event.event === "page-fault");
    expect(fault).toMatchObject({ reason: expect.stringContaining("PML4E 1 of init_level4_pgt") });
    expect(guest.serial).toMatch(/FAILED: page fault at 80/);
  });

  it("read-only: a freed page cannot be used", async () => {
    const guest = new XenP2m({ defect: "read-only" }, 64 * MIB);
    expect(await finish(guest)).toBe(3);
    expect(guest.serial).toMatch(/FAILED: frame \w+ was freed and cannot be written/);
  }, 60_000);

  it("512 GiB inside: the builder says how much was needed", () => {
    expect(() => new XenP2m({ p2m: "inside" }, 512 * GIB)).toThrow(
      /the initial mapping does not fit: it needs 1028 MiB .* 1024 MiB at most; an INIT_P2M note/,
    );
  });
});

describe("large domains", () => {
  // By the built command line: the test runner's own modules run several times slower.
  it("600 GiB of frames, of which 3 have memory, in less than 500 MiB", async () => {
    const tellPeak = 'process.on("exit", () => console.log("peak", process.resourceUsage().maxRSS))';
    const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...["--import", `data:text/javascript,${tellPeak}`, cli, "run", "xen-p2m"],
      ...["--set", "e820=0-2G:usable,599G-600G:usable", "--events", "serial,exit"],
    ]);
    expect(stdout).toMatch(/307200 of the list, 2 of its tables/);
    expect(stdout).toMatch(/the guest exited with status 0/);
    expect(Number(/peak (\d+)/.exec(stdout)?.[1])).toBeLessThan(500 * 1024);
  }, 180_000);
});
