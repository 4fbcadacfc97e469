/**
 * What direct-map's variant xen has to do below its hypervisor: the program boots in every test, and its tables are
 * compared entry by entry with what test/support/directMapXen.ts computes of the domain.
 */
import { afterEach, describe, expect, it } from "vitest";
import { UsageError } from "../../src/boot/errors";
import { GIB, type GuestOptions, MIB } from "../support/bootProgram";
import { DirectMap } from "../support/directMap";
import { fails } from "../support/directMapChecks";
import { bootsXen, expectAsComputed, expectNoWritableTable, mappings } from "../support/directMapXenChecks";

const PAGE = 4096;

// Boots keep the thread busy for long: what vitest has to say is said between them.
afterEach(() => new Promise((resolve) => setImmediate(resolve)));

const failsXen = (settings: Record<string, string>, options: GuestOptions = { memory: 64 * MIB }) =>
  fails({ variant: "xen", ...settings }, options);

const reasons = (guest: DirectMap) =>
  guest.events.flatMap((event) => (event.event === "hypercall-rejected" ? [event.reason] : []));

/** "mfn 0x101f5 (pfn 0x8)". */
function frameText(guest: DirectMap, pfn: number): string {
  return `mfn 0x${guest.xen!.domain.frames.mfnOf(pfn).toString(16)} (pfn 0x${pfn.toString(16)})`;
}

describe("boots, and its tables are those of its domain", () => {
  it.each([
    // The builder's level-1 tables map the first 4 MiB.
    ["64 MiB", { memory: 64 * MIB }, 30],
    ["1 GiB", { memory: GIB }, 510],
  ] as const)("%s", (_name, options, pages) => {
    const guest = bootsXen({}, options);
    const { taken, tableSpace } = expectAsComputed(guest);
    expect(taken).toHaveLength(pages);
    expect(tableSpace.end).toBeLessThanOrEqual(4 * MIB);
    expectNoWritableTable(guest);
  });

  it("an end that is no multiple of 2 MiB", () => {
    const guest = bootsXen({ e820: "0-0x3f23000:usable" });
    expectAsComputed(guest);
    expect(guest.meminfo.DirectMap4k).toBe(0x3f23000 / 1024);
    expect(guest.serial).toContain("init_memory_mapping: 0-3f23000, mapped up to 3f23000\n");
  });

  it("the smallest domain that the builder can make: the list lies behind what is mapped", () => {
    const guest = bootsXen({}, { memory: 6 * MIB });
    expect(expectAsComputed(guest).taken).toEqual([{ phys: 0x8000, level: 1 }]);
  });

  it("frames at an offset", () => {
    const guest = bootsXen({ frames: "offset" }, { memory: 64 * MIB });
    expectAsComputed(guest);
    expectNoWritableTable(guest);
  });

  it("memory with holes: frames that the domain does not have get no entry", () => {
    const guest = bootsXen({ e820: "0-30M:usable,35M-50M:usable,1100M-1110M:usable" });
    const { taken } = expectAsComputed(guest);
    // 510 of the first GiB, which has memory, but for the builder's; the next level-2 table and its own up to the end.
    expect(taken).toHaveLength(510 + 1 + (1110 - 1024) / 2);
    expect(guest.meminfo.DirectMap4k).toBe(55 * 1024);
    expectNoWritableTable(guest);
  });

  it("a second pass after bootmem takes mapped pages without an alias, and makes them read-only where they are", () => {
    const guest = bootsXen({ after_bootmem: "on" }, { memory: 64 * MIB });
    const once = bootsXen({}, { memory: 64 * MIB });
    expectNoWritableTable(guest);
    expect(guest.meminfo).toEqual(once.meminfo);
    const half = guest.tablePages.filter(({ aliasDropped }) => aliasDropped > 0).length;
    expect(half).toBe(14);
    expect(guest.tablePages).toHaveLength(30);
    expect(guest.tablePages.slice(half).every(({ aliasDropped }) => aliasDropped === 0)).toBe(true);
  });

  it("a second pass begins no lower than what the builder has mapped, which the first would clear", () => {
    const guest = bootsXen({ after_bootmem: "on" }, { memory: 6 * MIB });
    expect(guest.serial).toContain("init_memory_mapping: 0-400000, mapped up to 400000\n");
    expectNoWritableTable(guest);
  });
});

describe("the builder's root", () => {
  it("is left for init_level4_pgt, which is pinned and has the builder's level-2 table of the kernel", () => {
    const guest = new DirectMap({ variant: "xen" }, { memory: 64 * MIB });
    guest.machine.want(["serial", "pin", "base-pointer"]);
    expect(guest.run()).toBe(0);
    const { domain } = guest.xen!;
    const [builders, own] = [domain.root * PAGE, guest.physicalOf("init_level4_pgt")];
    const roots = guest.events.flatMap((event) => {
      if (event.event === "pin") return [`${event.pinned ? "pin" : "unpin"} ${event.table}`];
      return event.event === "base-pointer" ? [`base ${event.from} ${event.to}`] : [];
    });
    expect(roots).toEqual([`pin ${own}`, `base ${builders} ${own}`, `unpin ${builders}`]);
    const level2 = domain.frames.mfnOf(Number((domain.mapping.tables - domain.mapping.start) >> 12n) + 2);
    expect(guest.table("level3_kernel_pgt")[510]! >> 12n).toBe(BigInt(level2));
  });
});

describe("no table has a writable mapping when it is linked", () => {
  /** For each link of a table that was taken: how often all tables that the root reaches map it writable. */
  function writableAtLinks(settings: Record<string, string>): number[] {
    const guest = new DirectMap({ variant: "xen", ...settings }, { memory: 64 * MIB });
    const { machine } = guest;
    guest.runTo("init_memory_mapping");
    machine.setBreakpoints([guest.linear("link_table")]);
    const seen: number[] = [];
    for (;;) {
      const result = machine.run(50_000_000, seen.length > 0);
      if (result.reason !== "breakpoint") return seen;
      const pfn = Number(machine.cpu.getRegister(6) >> 12n);
      seen.push(mappings(guest).writable.get(guest.xen!.domain.frames.mfnOf(pfn)) ?? 0);
    }
  }

  it("by the tables at each link, not only by the program's record", () => {
    expect(writableAtLinks({})).toEqual(Array(30).fill(0));
  });

  it("defect=keep-alias: the alias is one; defect=writable-table: the builder's mapping", () => {
    expect(writableAtLinks({ defect: "keep-alias" })).toEqual([1]);
    expect(writableAtLinks({ defect: "writable-table" })).toEqual([1]);
  });

  it("by the hypercalls of each table: alias set, cleared, flushed; the page read-only; then the link", () => {
    const guest = new DirectMap({ variant: "xen" }, { memory: 64 * MIB });
    guest.runTo("init_memory_mapping");
    guest.events.length = 0;
    guest.machine.want(["serial", "hypercall"]);
    guest.runUntil((event) => event.event === "serial" && event.text.startsWith("init_memory_mapping"));
    const calls = guest.events.flatMap((event) => (event.event === "hypercall" ? [event] : []));
    const text = calls
      .map(({ name, what }) => (name === "mmuext_op" ? what.replace(/.*: | .*/g, "") : name))
      .filter((name) => name !== "console_io");
    const attach = ["mmu_update", "mmu_update", "INVLPG_LOCAL", "update_va_mapping", "mmu_update"];
    const all = Array.from({ length: 30 }, () => attach).flat();
    expect(text.slice(0, all.length).map(shortName)).toEqual(all);
    // What is left of the table space, and the flush at the end.
    expect(text.slice(all.length).map(shortName)).toEqual(["mmu_update", "TLB_FLUSH_LOCAL"]);
  });

  /** Of "MMUEXT_INVLPG_LOCAL" what tells. */
  function shortName(name: string): string {
    return name.replace(/^MMUEXT_/, "");
  }
});

describe("what is done wrong is refused, with the reason", () => {
  it.each([
    ["64 MiB: the table space is in the builder's mapping", 64 * MIB],
    ["2 GiB: it is not", 2 * GIB],
  ])("keep-alias, %s", (_name, memory) => {
    const guest = failsXen({ defect: "keep-alias" }, { memory });
    const { phys } = guest.tablePages[0]!;
    const target = frameText(guest, phys / PAGE);
    expect(reasons(guest)).toEqual([
      expect.stringMatching(
        `^entry 2 of the L2 table .* links ${escaped(target)}: ${escaped(target)} is mapped writable \\(count 1\\), and cannot become an L1 table$`,
      ),
    ]);
    expect(guest.serial).toContain("is attached at step 1 while slot 1 of the fixmap still maps it\n");
    expect(guest.serial).toContain("FAILED: the hypervisor refused an update of a table: error 22\n");
  });

  it.each([64 * MIB, 2 * GIB])("writable-table, %i bytes", (memory) => {
    const guest = failsXen({ defect: "writable-table" }, { memory });
    const target = frameText(guest, guest.tablePages[0]!.phys / PAGE);
    expect(reasons(guest)).toEqual([
      expect.stringContaining(`${target} is mapped writable (count 1), and cannot become an L1 table`),
    ]);
    expect(guest.serial).not.toContain("invariant");
  });

  it("overwrite: the builder's entries for its tables are read-only, and new ones are not", () => {
    const guest = failsXen({ defect: "overwrite" });
    expect(reasons(guest)).toEqual([
      expect.stringMatching(
        /^entry 0 of the L3 table .* links .*: entry 0 of the L2 table .* links .*: entry \d+ of the L1 table .* maps (.*) writable: \1 is in use as an L\d table \(count \d+\), and cannot be mapped writable$/,
      ),
    ]);
  });

  it("page_offset=0xffff810000000000: the slot is the hypervisor's", () => {
    const guest = failsXen({ page_offset: "0xffff810000000000" });
    expect(reasons(guest)).toEqual([
      "slot 258 of an L4 table belongs to the hypervisor, which has 0xffff800000000000 to 0xffff87ffffffffff for itself",
    ]);
  });
});

describe("direct writes to level-1 tables", () => {
  it("are not made: the boot is the same whether the hypervisor would carry them out", () => {
    const [on, off] = ["on", "off"].map((ptwr) => bootsXen({ ptwr }, { memory: 64 * MIB }));
    expect(off!.serial).toBe(on!.serial);
    expect(off!.machine.instructions).toBe(on!.machine.instructions);
  });

  it("defect=direct-write: carried out with ptwr=on, as if they had been asked for", () => {
    const guest = new DirectMap({ variant: "xen", defect: "direct-write" }, { memory: 64 * MIB });
    guest.machine.want(["serial", "hypercall", "hypercall-rejected"]);
    expect(guest.run()).toBe(0);
    expectAsComputed(guest);
    const emulated = guest.events.filter(
      (event) => event.event === "hypercall" && event.name === "emulated page-table write",
    );
    expect(emulated.length).toBeGreaterThan(60);
  });

  it("defect=direct-write: a fault with ptwr=off", () => {
    const guest = failsXen({ defect: "direct-write", ptwr: "off" });
    const fault = guest.events.find((event) => event.event === "page-fault");
    // Slot 1 of the fixmap: the alias of the first table page.
    expect(fault).toMatchObject({ address: guest.linear("level1_fixmap_pgt") + 8n });
    expect(guest.serial).toMatch(/^FAILED: page fault at /m);
  });
});

describe("settings", () => {
  it.each([
    { load: "32M" },
    { boot_params: "0x20000" },
    { cmdline_at: "0x30000" },
    { table_space: "high" },
    { existing: "pte" },
    { defect: "large-as-table" },
  ])("%o is of no use for a domain", (settings: Record<string, string>) => {
    const boot = () => new DirectMap({ variant: "xen", ...settings });
    expect(boot).toThrow(UsageError);
    expect(boot).toThrow(/^variant=xen has no use for [\w=-]+: [^.]+$/);
  });

  it.each([{ frames: "offset" }, { ptwr: "off" }, { defect: "writable-table" }, { defect: "direct-write" }])(
    "%o is of no use on bare hardware",
    (settings: Record<string, string>) => {
      const boot = () => new DirectMap(settings);
      expect(boot).toThrow(UsageError);
      expect(boot).toThrow(/^variant=native has no use for [\w=-]+: [^.]+$/);
    },
  );

  it("the image has room for exactly the settings that are written into it", () => {
    expect(new DirectMap({ variant: "xen" }).symbols.sizeOf("boot_settings")).toBe(32n);
  });
});

function escaped(text: string): string {
  return text.replace(/[()]/g, "\\$&");
}
