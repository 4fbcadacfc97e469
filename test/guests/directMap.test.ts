/**
 * What the boot program direct-map has to do, and what has to follow from it: the program boots in every test, and its
 * tables are compared entry by entry with what test/support/directMap.ts computes of the memory map.
 */
import { afterEach, describe, expect, it } from "vitest";
import { UsageError } from "../../src/boot/errors";
import { E820_USABLE } from "../../src/boot/memoryMap";
import { leafRuns } from "../../src/paging/ranges";
import { GIB, KIB, MIB } from "../support/bootProgram";
import { DirectMap, endOfRam, expectedTables, tableBytes, VARIANTS } from "../support/directMap";
import { boots, expectAsComputed, expectRecord, expectTables, fails } from "../support/directMapChecks";

const MOST = 300_000_000;
/** An end within a large page, in a last large page that is half full. */
const ODD_E820 = "0-0x9fc00:usable,1M-0x3f23000:usable";

// Boots keep the thread busy for long: what vitest has to say is said between them.
afterEach(() => new Promise((resolve) => setImmediate(resolve)));

/** Little memory in each of two GiB, so that there can be a page of 1 GiB. */
const TWO_GIB_E820 = "0-0x9fc00:usable,1M-64M:usable,1G-1040M:usable";

describe.each(VARIANTS)("%s", (variant) => {
  it("64 MiB: boots, and its tables are those of its memory map", () => {
    const guest = boots({ variant }, { memory: 64 * MIB });
    const { taken } = expectAsComputed(guest, variant);
    expect(taken).toHaveLength({ "native-gbpages": 1, native: 2, "native-nopse": 34 }[variant]);
  });

  it("an end that is no multiple of 2 MiB: the last page or table reaches beyond it or ends there", () => {
    const guest = boots({ variant, e820: ODD_E820 });
    const { mappedEnd, pages } = expectAsComputed(guest, variant);
    expect(mappedEnd).toBe({ "native-gbpages": GIB, native: 64 * MIB, "native-nopse": 0x3f23000 }[variant]);
    expect(pages.DirectMap4k).toBe(variant === "native-nopse" ? 0x3f23000 / KIB : 0);
  });

  it("relocated above 4 GiB, and with the direct map where it was before mid-2008", () => {
    const guest = boots({
      variant,
      load: "5G",
      page_offset: "0xffff810000000000",
      e820: `${ODD_E820},5G-5200M:usable`,
    });
    expectAsComputed(guest, variant, 258);
  });

  it.each(["pud", "pmd", "pte", "all"] as const)("keeps what exists at each level: %s", (existing) => {
    const guest = boots({ variant, existing, e820: TWO_GIB_E820 });
    const kinds = existing === "all" ? (["pud", "pmd", "pte"] as const) : [existing];
    const expected = expectedTables(guest, { e820: guest.boot.e820, variant, existing: [...kinds] });
    expectTables(guest, expected);
    expectRecord(guest, expected);
    expect(guest.serial).toContain("0 entries rewritten, 0 words of mapped data overwritten\n");
  });

  it("clears an existing entry behind the end of memory", () => {
    const guest = boots({ variant, existing: "pud" }, { memory: 64 * MIB });
    expectTables(guest, expectedTables(guest, { e820: guest.boot.e820, variant, existing: ["pud"] }));
    expect(guest.meminfo.DirectMap1G).toBe(variant === "native-gbpages" ? GIB / KIB : 0);
  });

  it("table_space=high: the tables are right, and that they were attached before they were mapped is reported", () => {
    for (const e820 of [ODD_E820, TWO_GIB_E820]) {
      const guest = fails({ variant, table_space: "high", e820 });
      const end = endOfRam(guest.boot.e820);
      const tableSpace = end - tableBytes(end, variant);
      const expected = expectedTables(guest, { e820: guest.boot.e820, variant, tableSpace });
      expectTables(guest, expected);
      // Inner tables are attached first.
      const depth = { "native-gbpages": 0, native: 1, "native-nopse": 2 }[variant];
      const { phys, level } = expected.taken[depth]!;
      const reports = guest.serial.match(/^invariant: .*$/gm);
      expect(reports).toHaveLength(1);
      expect(reports![0]).toMatch(
        `the table at ${phys.toString(16)} (level ${level}) is attached at step 2 outside of the direct map, which ends at 0`,
      );
    }
  });

  it("a second pass after bootmem takes mapped pages without an alias, and maps the rest", () => {
    const e820 = "0-0x9fc00:usable,1M-0x3f27000:usable";
    const guest = boots({ variant, e820, after_bootmem: "on" });
    const once = boots({ variant, e820 });
    const runs = ({ machine }: DirectMap) =>
      [...leafRuns(machine.pagingState, machine.memory)]
        .filter(({ start }) => start < 0xffffffff80000000n)
        .map(({ start, end, physical, pageSize }) => ({ start, end, physical, pageSize }));
    const bytes = (all: ReturnType<typeof runs>) => all.reduce((sum, run) => sum + run.end - run.start, 0n);
    expect(bytes(runs(guest))).toBe(bytes(runs(once)));
    expect(guest.meminfo).toEqual(once.meminfo);
    expect(guest.tablePages.map(({ level }) => level)).toEqual(once.tablePages.map(({ level }) => level));
    const half = guest.tablePages.filter(({ aliasDropped }) => aliasDropped > 0).length;
    expect(guest.tablePages.slice(half).every(({ aliasDropped }) => aliasDropped === 0)).toBe(true);
    expect(guest.tablePages.length - half).toBe(variant === "native-nopse" ? 16 : 0);
  });
});

describe("no table has an alias when it is attached", () => {
  /** Which of the tables that are linked are mapped by the fixmap at that moment, by the tables themselves. */
  function aliasesAtLinks(settings: Record<string, string>): boolean[] {
    const guest = new DirectMap({ variant: "native-nopse", ...settings }, { memory: 64 * MIB });
    const seen: boolean[] = [];
    const { machine } = guest;
    machine.setBreakpoints([guest.linear("link_table")]);
    for (;;) {
      const result = machine.run(MOST, seen.length === 0 ? false : undefined);
      if (result.reason !== "breakpoint") return seen;
      const physical = machine.cpu.getRegister(6);
      const fixmap = guest.table("level1_fixmap_pgt");
      seen.push(fixmap.some((entry) => (entry & 1n) === 1n && (entry & 0xffffffffff000n) === physical));
    }
  }

  it("by the tables at each link, not only by the program's record", () => {
    expect(aliasesAtLinks({})).toEqual(Array(34).fill(false));
  });

  it("defect=keep-alias: each has one, and the program reports the first", () => {
    expect(aliasesAtLinks({ defect: "keep-alias" })).toEqual(Array(34).fill(true));
    const guest = fails({ variant: "native", defect: "keep-alias" }, { memory: 64 * MIB });
    expect(guest.serial).toContain(
      "invariant: the table at 9000 (level 2) is attached at step 1 while slot 2 of the fixmap still maps it\n",
    );
    expect(guest.serial).toContain("table pages: 2, 2 with an alias dropped too late");
    expect(guest.tablePages.map(({ attached, aliasDropped }) => [attached, aliasDropped])).toEqual([
      [3, 4],
      [1, 2],
    ]);
  });
});

describe("defects in how existing entries are treated", () => {
  it.each(VARIANTS)("large-as-table (%s): PTEs are written into the data of the large page", (variant) => {
    const guest = fails({ variant, defect: "large-as-table" }, { memory: 64 * MIB });
    const base = guest.physicalOf("mapped_data");
    const table = guest.table(base);
    expect(table).toEqual(table.map((_, i) => BigInt(base + i * 4 * KIB) | 0x8000000000000163n));
    expect(guest.serial).toContain(
      `existing: mapped data at ${base.toString(16)} was overwritten with ${table[0]!.toString(16)}\n`,
    );
    expect(guest.serial).toContain("0 entries rewritten, 512 words of mapped data overwritten\n");
  });

  it.each(["pud", "pmd", "pte", "all"])(
    "overwrite (existing=%s): what was there is lost, and reported",
    (existing) => {
      const guest = fails({ variant: "native", defect: "overwrite", existing, e820: TWO_GIB_E820 });
      expect(guest.serial).toMatch(/^existing: an entry was rewritten, from [0-9a-f]+ to [0-9a-f]+$/m);
      expect(guest.serial).toMatch(/^checked \d+ pages, 0 wrong$/m);
      const all = expectedTables(guest, { e820: guest.boot.e820, variant: "native" });
      expect(guest.meminfo).toEqual(all.pages);
    },
  );

  it("show by themselves, and not without entries to treat", () => {
    expect(fails({ defect: "overwrite" }, { memory: 64 * MIB }).serial).toContain("existing: 261 entries\n");
    for (const settings of [
      { defect: "overwrite", existing: "none" },
      { defect: "large-as-table", existing: "pte" },
    ]) {
      expect(() => new DirectMap(settings)).toThrow(UsageError);
      expect(() => new DirectMap(settings)).toThrow(/does not show with existing=/);
    }
  });
});

describe("what cannot be", () => {
  it("no memory for the tables: stops and says so", () => {
    const guest = fails({ variant: "native-nopse", e820: `${ODD_E820},1T-1048578M:usable` });
    expect(guest.serial).toMatch(/^Cannot find space for the kernel page tables: 2101268 kB$/m);
    expect(guest.tablePages).toEqual([]);
  });

  it("table_space=high with a second pass: the first one's tables cannot be reached", () => {
    const guest = fails(
      { variant: "native-nopse", table_space: "high", after_bootmem: "on" },
      { memory: 64 * MIB },
    );
    expect(guest.count("page-fault")).toBe(1);
    expect(guest.serial).toMatch(/^page fault at ffff880003fce000, error 0/m);
  });

  it("a CPU without 1 GiB pages: 2 MiB have to do, and none can exist", () => {
    const cpu = "max,-pdpe1gb";
    const guest = boots({ variant: "native-gbpages" }, { memory: 64 * MIB, cpu });
    expect(guest.serial).toContain("this CPU has no pages of 1 GiB: 2 MiB have to do\n");
    expectTables(guest, expectedTables(guest, { e820: guest.boot.e820, variant: "native" }));
    const refused = fails({ existing: "pud" }, { memory: 64 * MIB, cpu });
    expect(refused.serial).toContain("existing: this CPU has no pages of 1 GiB\n");
  });

  it("a CPU without NX: no entry has bit 63", () => {
    const guest = boots({ variant: "native-nopse" }, { memory: 64 * MIB, cpu: "qemu64,-nx" });
    for (const { phys } of guest.tablePages) {
      expect(guest.table(phys).every((entry) => entry >> 63n === 0n)).toBe(true);
    }
  });

  it("a ramdisk is refused, since nobody reads it", () => {
    expect(() => new DirectMap({}, { initrd: Uint8Array.of(1) })).toThrow(/direct-map uses no ramdisk/);
  });

  it("a kernel that is not aligned to 2 MiB stops at bad_address", () => {
    const guest = new DirectMap({ load: "17M" }, { memory: 64 * MIB });
    expect(guest.run()).toBe("halt");
    expect(guest.symbols.nameOfPhysical(Number(guest.machine.cpu.rip))?.name).toBe("bad_address");
  });
});

describe("memory between ranges", () => {
  it("without RAM in a GiB there is no entry, whatever else the map says of it", () => {
    const e820 = "0-0x9fc00:usable,1M-64M:usable,1G-2G:reserved,2G-2050M:usable";
    const guest = boots({ variant: "native", e820 });
    const { tables, taken } = expectAsComputed(guest, "native");
    const level3 = tables.get(taken[0]!.phys)!;
    expect(level3.slice(0, 4).map((entry) => entry !== 0n)).toEqual([true, false, true, false]);
    expect(guest.boot.e820.filter(({ type }) => type === E820_USABLE)).toHaveLength(3);
  });
});

describe("where the kernel and its data may lie", () => {
  it.each([
    ["no memory below 4 GiB", { e820: "4G-5G:usable,600G-601G:usable", load: "600G" }],
    [
      "boot data above 4 GiB, across pages",
      { boot_params: "0x100000800", cmdline_at: "0x100003001", e820: `${ODD_E820},4G-4100M:usable` },
    ],
    [
      "a kernel across a 1 GiB boundary",
      { load: "1022M", e820: "0-0x9fc00:usable,1M-64M:usable,1000M-1100M:usable" },
    ],
  ] as const)("%s: boots, and its tables are those of its memory map", (_name, settings) => {
    expectAsComputed(boots(settings), "native");
  });

  it("a kernel across a 512 GiB boundary, with existing entries there", () => {
    const e820 = "0-0x9fc00:usable,1M-64M:usable,524280M-524300M:usable";
    const guest = boots({ load: "524286M", existing: "all", e820 });
    const existing = (["pud", "pmd", "pte"] as const).slice();
    expectTables(guest, expectedTables(guest, { e820: guest.boot.e820, variant: "native", existing }));
  });

  it("the image has room for exactly the settings that are written into it", () => {
    expect(new DirectMap().symbols.sizeOf("boot_settings")).toBe(32n);
  });
});

describe("the same boot", () => {
  it("is the same to the last instruction, whatever the slices, and with a TLB of any size", () => {
    const boot = (options: object, slice: number) => {
      const guest = new DirectMap(
        { variant: "native-nopse", existing: "all" },
        { memory: 64 * MIB, ...options },
      );
      while (guest.machine.ended === undefined) guest.machine.run(slice);
      return {
        instructions: guest.machine.instructions,
        serial: guest.serial,
        stale: guest.count("stale-tlb"),
      };
    };
    const whole = boot({}, 1e9);
    expect(boot({}, 777)).toEqual(whole);
    expect(boot({ tlb: "off" }, 1e9)).toEqual(whole);
    expect(boot({ tlb: 16 }, 100_000)).toEqual(whole);
  });
});
