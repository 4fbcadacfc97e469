/** What the boot program early-fault has to do, and what has to follow from it: the program boots in every test. */
import { describe, expect, it } from "vitest";
import { leafRuns, summarize } from "../../src/paging/ranges";
import { Walk, walkLinear } from "../../src/paging/walk";
import {
  EarlyFault,
  entriesOf,
  GIB,
  ignoringUse,
  MIB,
  PAGE_OFFSET,
  type Table,
  TIB,
} from "../support/earlyFault";

const KERNPG_TABLE = 0x063n;
const PAGE_TABLE = 0x067n;
/** What the handler writes: the large page without G; what the identity map uses: executable, without G. */
const DEMAND_PAGE = 0x80000000000000e3n;
const IDENTITY_PAGE = 0xe3n;
const KERNEL_PAGE = 0x1e3n;
/** RAM in an e820 map. */
const E820_USABLE = 1;

const link = (physical: number, flags: bigint) => BigInt(physical) | flags;

/** Boots to the moment before the first demand fault. */
function booted(settings: Record<string, string> = {}, options = {}): EarlyFault {
  const guest = new EarlyFault(settings, options);
  guest.runTo("copy_bootdata");
  return guest;
}

describe("the tables with which the kernel leaves the loader's", () => {
  /** At the load of CR3 in startup_64. */
  function atFirstLoad(settings: Record<string, string>, options = {}): EarlyFault {
    const guest = new EarlyFault(settings, options);
    guest.runUntil((event) => event.event === "cr3-load");
    return guest;
  }

  it.each(["merged", "prototype"])("%s at 16 MiB: entry by entry", (revision) => {
    const guest = atFirstLoad({ revision });
    const root = guest.table("early_level4_pgt");
    expect(entriesOf(root)).toEqual({
      0: link(guest.pool(0), KERNPG_TABLE),
      1: link(guest.pool(0), KERNPG_TABLE),
      511: link(guest.physicalOf("level3_kernel_pgt"), PAGE_TABLE),
    });
    expect(entriesOf(guest.table(guest.pool(0)))).toEqual({
      0: link(guest.pool(1), KERNPG_TABLE),
      1: link(guest.pool(1), KERNPG_TABLE),
    });
    const end = guest.physicalOf("_end");
    const identity: Table = Array.from({ length: 512 }, (_, n) => {
      const mapped = revision === "prototype" || (n >= 8 && n * 2 * MIB < end);
      // The prototype's 512 pages begin with the kernel and rise, so that those before it come last.
      const page = n >= 8 ? n : n + 512;
      return mapped ? link(page * 2 * MIB, IDENTITY_PAGE) : 0n;
    });
    expect(guest.table(guest.pool(1)).map(ignoringUse)).toEqual(identity.map(ignoringUse));
    expect(entriesOf(guest.table("level3_kernel_pgt"))).toEqual({
      510: link(guest.physicalOf("level2_kernel_pgt"), KERNPG_TABLE),
      511: link(guest.physicalOf("level2_fixmap_pgt"), PAGE_TABLE),
    });
    const kernel = Array.from({ length: 512 }, (_, n) => (n < 256 ? link(n * 2 * MIB, KERNEL_PAGE) : 0n));
    expect(guest.table("level2_kernel_pgt")).toEqual(kernel);
    expect(entriesOf(guest.table("level2_fixmap_pgt"))).toEqual({
      506: link(guest.physicalOf("level1_fixmap_pgt"), PAGE_TABLE),
    });
  });

  it("a relocated kernel moves every static entry by the load delta", () => {
    const guest = atFirstLoad({ load: "5G" });
    const delta = 5 * GIB - 16 * MIB;
    expect(guest.table("level2_kernel_pgt")[3]).toBe(link(3 * 2 * MIB + delta, KERNEL_PAGE));
    expect(guest.table("early_level4_pgt")[511]).toBe(
      link(guest.physicalOf("level3_kernel_pgt"), PAGE_TABLE),
    );
    expect(guest.physicalOf("_text")).toBe(5 * GIB);
  });

  it.each([
    ["merged", true],
    ["prototype", false],
  ])("%s across the end of a 512 GiB slot: the far side is identity-mapped: %s", (revision, reached) => {
    const load = 512 * GIB - 2 * MIB;
    const guest = atFirstLoad({ revision, load: `${load / MIB}M` }, { memory: 600 * GIB });
    expect(Object.keys(entriesOf(guest.table("early_level4_pgt")))).toEqual(["0", "1", "511"]);
    // j = 511: the wrapped entry is 0; unwrapped it is entry 512, the first of the next page, and then overwritten.
    const first = entriesOf(guest.table(guest.pool(0)));
    expect(Object.keys(first)).toEqual(reached ? ["0", "511"] : ["511"]);
    const walk = new Walk();
    const state = { ...guest.machine.pagingState };
    const end = BigInt(guest.physicalOf("_end")) - 1n;
    const cause = walkLinear(
      state,
      guest.machine.memory,
      Number(BigInt.asIntN(32, end)),
      Number(end >> 32n),
      0,
      walk,
    );
    expect(cause === 0).toBe(reached);
  });
});

describe("where the kernel and its data may lie (merged)", () => {
  const CASES: [string, Record<string, string>, number, { faults: number; resets: number }][] = [
    ["at 16 MiB", {}, 8 * GIB, { faults: 4, resets: 1 }],
    ["above 4 GiB", { load: "5G" }, 8 * GIB, { faults: 4, resets: 1 }],
    ["across a 1 GiB boundary", { load: "1022M" }, 8 * GIB, { faults: 4, resets: 1 }],
    ["across a 512 GiB boundary", { load: `${512 * 1024 - 2}M` }, 600 * GIB, { faults: 4, resets: 1 }],
    [
      "with all boot data above 4 GiB",
      { load: "5G", boot_params: "6G", cmdline_at: "7G", ramdisk_at: "10G" },
      16 * GIB,
      { faults: 5, resets: 1 },
    ],
    [
      "with a ramdisk that spans more GiB than the pool holds",
      { ramdisk: "96G" },
      128 * GIB,
      { faults: 99, resets: 2 },
    ],
  ];

  it.each(CASES)(
    "%s: boots, and its tables are those of its memory map",
    (_name, settings, memory, expected) => {
      const guest = new EarlyFault(settings, { memory });
      expect(guest.run()).toBe(0);
      expect({ faults: guest.count("page-fault"), resets: guest.count("reset") }).toEqual(expected);
      expect(guest.count("switchover")).toBe(1);
      expect(guest.count("stale-tlb")).toBe(0);
      expectFinalTables(guest);
    },
  );

  /** Every usable range of the map at PAGE_OFFSET, the kernel map, and nothing else. */
  function expectFinalTables(guest: EarlyFault): void {
    const { machine } = guest;
    expect(machine.pagingState.root).toBe(guest.physicalOf("init_level4_pgt"));
    const bytes = new Map<bigint, number>();
    for (const run of leafRuns(machine.pagingState, machine.memory)) {
      if (run.start >= 0xffffffff80000000n) continue;
      expect(run.flags.filter((flag) => flag !== "A" && flag !== "D")).toEqual(["RW", "G", "NX"]);
      expect(BigInt(run.physical)).toBe(run.start - PAGE_OFFSET);
      const size = Number(run.end - run.start);
      const previous = [...bytes].find(([start, length]) => start + BigInt(length) === run.start);
      if (previous === undefined) bytes.set(run.start, size);
      else bytes.set(previous[0], previous[1] + size);
    }
    const usable = guest.boot.e820.filter(({ type }) => type === E820_USABLE);
    const expected = usable.map(({ start, end }) => {
      const [first, last] = [Math.ceil(start / 4096) * 4096, Math.floor(end / 4096) * 4096];
      return [PAGE_OFFSET + BigInt(first), last - first];
    });
    expect([...bytes]).toEqual(expected);
    const root = guest.table("init_level4_pgt");
    expect(ignoringUse(root[511]!)).toBe(ignoringUse(guest.table("early_level4_pgt")[511]!));
  }

  it("uses pages of 1 GiB, 2 MiB and 4 KiB as they fit, and no 1 GiB pages without the CPU or against the setting", () => {
    const sizes = (settings: Record<string, string>, cpu = "max") => {
      const guest = new EarlyFault(settings, { memory: 8 * GIB, cpu });
      expect(guest.run()).toBe(0);
      return summarize(guest.machine.pagingState, guest.machine.memory).leafPages;
    };
    // Below the hole only the second GiB is whole; above 4 GiB there are five.
    const large = sizes({});
    expect(large["1G"]).toBe(1 + 5);
    const small = sizes({ gbpages: "off" });
    expect(small["1G"]).toBe(0);
    expect(small["2M"]).toBe(large["2M"]! + 512 * large["1G"]!);
    expect(sizes({}, "max,-pdpe1gb")).toEqual(small);
  });

  it("stops at bad_address where it is not aligned to 2 MiB, or beyond what the direct map reaches", () => {
    for (const [settings, cpu] of [
      [{ load: "17M" }, "max"],
      [{ load: `${64 * 1024}G`, e820: "0-0x9fc00:usable,1M-1G:usable,64T-65T:usable" }, "max,phys-bits=52"],
    ] as const) {
      const guest = new EarlyFault(settings, { cpu });
      expect(guest.run()).toBe("halt");
      const name = guest.symbols.nameOfPhysical(Number(guest.machine.cpu.rip));
      expect(name?.name).toBe("bad_address");
    }
  });
});

describe("one demand fault", () => {
  it("maps the aligned GiB around the address, out of two pool pages, and no more", () => {
    const guest = booted();
    expect(entriesOf(guest.table("early_level4_pgt"))).toEqual({
      511: expect.anything(),
    });
    expect(guest.word("next_early_pgt")).toBe(0);
    guest.machine.memory.write64(3 * GIB - 8 * MIB, 0x1234n);
    expect(guest.probe(3 * GIB - 8 * MIB)).toBe(0x1234n);
    expect(guest.count("page-fault")).toBe(1);
    expect(guest.word("next_early_pgt")).toBe(2);
    const root = entriesOf(guest.table("early_level4_pgt"));
    expect(root[272]).toBe(link(guest.pool(0), KERNPG_TABLE));
    expect(Object.keys(root)).toEqual(["272", "511"]);
    expect(entriesOf(guest.table(guest.pool(0)))).toEqual({ 2: link(guest.pool(1), KERNPG_TABLE) });
    const pages = Array.from({ length: 512 }, (_, n) => link(2 * GIB + n * 2 * MIB, 0n) | DEMAND_PAGE);
    expect(guest.table(guest.pool(1))).toEqual(pages);
    // The whole GiB is there now, and its neighbours are not.
    guest.probe(2 * GIB);
    guest.probe(3 * GIB - 8);
    expect(guest.count("page-fault")).toBe(1);
    guest.probe(2 * GIB - 8);
    expect(guest.count("page-fault")).toBe(2);
    expect(guest.word("next_early_pgt")).toBe(3);
  });

  it("declines what the direct map cannot reach, and the exception table mends the probing read", () => {
    const guest = booted();
    expect(guest.probe(64 * TIB)).toBe(undefined);
    expect(guest.count("page-fault")).toBe(1);
    expect(guest.word("next_early_pgt")).toBe(0);
  });
});

describe.each([4, 8, 16, 64])("a pool of %i pages", (pool) => {
  const start = (memory: number) => {
    const guest = booted({ pool: `${pool}` }, { memory });
    guest.events.length = 0;
    return guest;
  };

  it(`holds ${pool - 1} GiB of one 512 GiB slot, and the next one resets`, () => {
    const guest = start(128 * GIB);
    for (let n = 0; n < pool - 1; n++) {
      guest.probe(n * GIB + 0x100000);
      expect(guest.word("next_early_pgt")).toBe(n + 2);
    }
    expect([guest.count("page-fault"), guest.count("reset")]).toEqual([pool - 1, 0]);
    guest.probe((pool - 1) * GIB + 0x100000);
    expect([guest.count("page-fault"), guest.count("reset")]).toEqual([pool, 1]);
    expect(guest.word("next_early_pgt")).toBe(2);
    expect(Object.keys(entriesOf(guest.table(guest.pool(0))))).toEqual([`${pool - 1}`]);
  });

  it(`holds ${pool / 2} GiB that lie in slots of their own, and the next one resets`, () => {
    const guest = start(20 * TIB);
    const place = (n: number) => n * 512 * GIB + 0x100000;
    for (let n = 0; n < pool / 2; n++) guest.probe(place(n));
    expect([guest.count("page-fault"), guest.count("reset")]).toEqual([pool / 2, 0]);
    expect(Object.keys(entriesOf(guest.table("early_level4_pgt")))).toHaveLength(pool / 2 + 1);
    guest.probe(place(pool / 2));
    expect([guest.count("page-fault"), guest.count("reset")]).toEqual([pool / 2 + 1, 1]);
  });

  it("after a reset only the kernel map is left, and old memory faults again and reads right", () => {
    const guest = start(128 * GIB);
    guest.machine.memory.write64(0x100000, 0xfeedn);
    expect(guest.probe(0x100000)).toBe(0xfeedn);
    guest.call("reset_early_page_tables");
    expect(Object.keys(entriesOf(guest.table("early_level4_pgt")))).toEqual(["511"]);
    expect(guest.word("next_early_pgt")).toBe(0);
    const before = guest.count("page-fault");
    expect(guest.probe(0x100000)).toBe(0xfeedn);
    expect(guest.count("page-fault")).toBe(before + 1);
    expect(guest.count("stale-tlb")).toBe(0);
  });
});

describe("a CPU without NX", () => {
  it("faults on the first access through a mapping made on demand, with RSVD, and says why", () => {
    const guest = new EarlyFault({}, { cpu: "qemu64,-nx,vendor=GenuineIntel" });
    const first = guest.runUntil((event) => event.event === "page-fault");
    const second = guest.runUntil((event) => event.event === "page-fault");
    expect(first).toMatchObject({ error: 0 });
    expect(second).toMatchObject({ error: 9, address: (first as { address: bigint }).address });
    expect((second as { reason: string }).reason).toMatch(
      /PDE 0 of .* has reserved bit 63 set \(XD, execute-disable, while EFER.NXE = 0\)$/,
    );
  });
});

describe("a stray access after the switchover", () => {
  const STRAY = 64 * TIB - GIB;
  const slot = 272 + Math.floor(STRAY / (512 * GIB));

  it("prototype: the handler fills tables that nobody uses, returns 0, and the access faults for ever", () => {
    const guest = new EarlyFault({ revision: "prototype", stray: "on" });
    expect(guest.run(3_000_000)).toBe("limit");
    expect(guest.machine.pagingState.root).toBe(guest.physicalOf("init_level4_pgt"));
    expect(guest.table("early_level4_pgt")[slot]! & 1n).toBe(1n);
    expect(guest.table("init_level4_pgt")[slot]).toBe(0n);
    const faults = guest.events.filter((event) => event.event === "page-fault");
    const last = faults.at(-1)!;
    expect(last).toMatchObject({ address: PAGE_OFFSET + BigInt(STRAY) });
    expect((last as { repeats: number }).repeats).toBeGreaterThan(50);
  });

  it("merged: the handler declines, and the early panic tells", () => {
    const guest = new EarlyFault({ stray: "on" });
    expect(guest.run()).toBe("halt");
    expect(entriesOf(guest.table("early_level4_pgt"))[slot]).toBe(undefined);
    const rip = guest.events.findLast((event) => event.event === "page-fault")!.rip;
    expect(guest.serial).toContain(
      `PANIC: early exception e rip 10:${rip.toString(16)} error 0 cr2 ${(PAGE_OFFSET + BigInt(STRAY)).toString(16)}\n`,
    );
  });
});

describe("where the prototype fails and the merged revision does not", () => {
  it("relocated: at its first demand fault, since its tables' addresses leave out phys_base", () => {
    const settings = { load: "64M" };
    expect(new EarlyFault(settings).run()).toBe(0);
    const guest = new EarlyFault({ ...settings, revision: "prototype" });
    const first = guest.runUntil((event) => event.event === "page-fault");
    const again = guest.runUntil((event) => event.event === "page-fault");
    expect(again).toMatchObject({ address: (first as { address: bigint }).address, repeats: 1 });
    // The level-3 table is in the pool, 48 MiB above what the entry says.
    const entry = guest.table("early_level4_pgt")[272]!;
    expect(entry & ~0xfffn).toBe(BigInt(guest.pool(0) - 48 * MIB));
    expect(guest.run(2_000_000)).toBe("limit");
    expect(guest.serial).toBe("");
  });

  it("on an AMD CPU: the far jump reads 32 bits of offset, and the selector from the offset's upper half", () => {
    expect(new EarlyFault({}, { cpu: "amd" }).run()).toBe(0);
    const guest = new EarlyFault({ revision: "prototype" }, { cpu: "amd" });
    expect(guest.run()).toBe("triple-fault");
    expect(guest.events.find((event) => event.event === "exception")).toMatchObject({
      name: "#GP",
      error: 0xfffc,
    });
    expect(guest.count("page-fault")).toBe(0);
    expect(new EarlyFault({ revision: "prototype" }, { cpu: "max" }).run()).toBe(0);
  });

  it("in the last GiB of a 512 GiB slot: the identity map does not wrap, and the kernel is a relocated one", () => {
    const settings = { load: `${512 * 1024 - 2}M` };
    const options = { memory: 600 * GIB };
    expect(new EarlyFault(settings, options).run()).toBe(0);
    const guest = new EarlyFault({ ...settings, revision: "prototype" }, options);
    guest.runUntil((event) => event.event === "cr3-load");
    // The entry meant for pool[0][0] went to pool[1][0], and the large pages were written over it.
    expect(guest.table(guest.pool(0))[0]).toBe(0n);
    expect(guest.table(guest.pool(1))[0]! & 0x80n).toBe(0x80n);
    expect(guest.run(2_000_000)).toBe("limit");
    expect(guest.serial).toBe("");
  });
});

describe("the same boot", () => {
  it("is the same to the last instruction, whatever the slices, and with a TLB of any size", () => {
    const boot = (options: object, slice: number) => {
      const guest = new EarlyFault({ pool: "4", ramdisk: "9G" }, { memory: 16 * GIB, ...options });
      while (guest.machine.ended === undefined) guest.machine.run(slice);
      return {
        instructions: guest.machine.instructions,
        serial: guest.serial,
        faults: guest.count("page-fault"),
        resets: guest.count("reset"),
      };
    };
    const whole = boot({}, 1e9);
    expect(boot({}, 777)).toEqual(whole);
    expect(boot({ tlb: "off" }, 1e9)).toEqual(whole);
    expect(boot({ tlb: 16 }, 100_000)).toEqual(whole);
  });
});
