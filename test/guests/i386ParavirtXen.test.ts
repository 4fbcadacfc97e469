/** The boot program i386-paravirt as a 32-bit Xen domain: what it has to do, and what the hypervisor refuses. */
import { setImmediate } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { TYPE_L1, TYPE_L2, TYPE_L3 } from "../../src/xen/pageInfo";
import type { GuestOptions } from "../support/bootProgram";
import { KIB, MIB, PAGE, PAGE_OFFSET } from "../support/i386Paravirt";
import { I386ParavirtXen } from "../support/i386ParavirtXen";
import { boots, differences, expected, rejections } from "../support/i386ParavirtXenChecks";

/** A worker that runs one machine after the other would not answer the test runner for minutes. */
afterEach(() => setImmediate());

const MOST = 200_000_000;

describe("the final tables, entry by entry", () => {
  it.each(["shuffled", "offset"].flatMap((frames) => ["on", "off"].map((ptwr) => [frames, ptwr])))(
    "16 MiB, frames=%s, ptwr=%s: nothing is left to the emulation of writes",
    (frames, ptwr) => {
      const guest = boots({ frames, ptwr });
      const emulated = guest.events.filter(
        (event) => event.event === "hypercall" && event.name === "emulated page-table write",
      );
      expect(emulated).toEqual([]);
    },
  );

  it.each([
    ["16 MiB: a page directory, 6 page tables, two of the fixmap", 16, 9],
    ["128 MiB: a page directory, 62 page tables, two of the fixmap", 128, 65],
  ])("memory takes as many pages as it needs: %s", (_name, memory, pages) => {
    const guest = new I386ParavirtXen({}, { memory: memory * MIB });
    guest.runUntil((event) => event.event === "pin", MOST);
    expect(guest.word("tables_allocated")).toBe(pages);
  });

  it("low memory ends in the middle of a page table, and the rest is highmem", () => {
    const lowEnd = 61 * MIB + 12 * KIB;
    const guest = boots({ low_end: `${lowEnd}` }, 128 * MIB);
    expect(guest.word("max_low_pfn") * PAGE).toBe(lowEnd);
    expect(guest.translate(PAGE_OFFSET + lowEnd - 1)).toBe(guest.mfnOf(lowEnd / PAGE - 1) * PAGE + 0xfff);
    expect(guest.translate(PAGE_OFFSET + lowEnd)).toBe(undefined);
  });

  it("memory that ends in the middle of a page table", () => {
    boots({}, 17 * MIB + 20 * KIB);
  });
});

describe("what of the CPU is used", () => {
  it.each(["on", "off"])(
    "neither large nor global pages, with both settings %s: CPUID shows none",
    (value) => {
      const guest = boots({ pse: value, pge: value });
      expect(guest.serial).toMatch(/^xen-pae: NX\n/);
    },
  );

  it("without NX nothing is probed", () => {
    const guest = boots({ nx: "off" });
    expect(guest.count("page-fault")).toBe(0);
    expect(guest.serial).toMatch(/^xen-pae:\n/);
  });

  it("a CPU without NX: no table has the bit, not even the hypervisor's", () => {
    const guest = new I386ParavirtXen({}, { cpu: "max,-nx" });
    expect(guest.run(MOST)).toBe(0);
    const tables = expected(guest, { nx: "off" });
    expect(differences(guest, tables)).toEqual([]);
    expect(guest.tableIn(tables.directory).some((entry) => entry >> 63n !== 0n)).toBe(false);
  });

  it("a CPU without PAE cannot be entered", () => {
    const cpu = "max,-pae,-lm,-nx,-la57,-pdpe1gb,-pcid,-pku,-pks,-syscall";
    expect(() => new I386ParavirtXen({}, { cpu })).toThrow(
      /the xen-pv entry starts with PAE paging, which the CPU/,
    );
  });

  it("what is no text faults when it is run, with P and I/D: the kernel is in ring 1, which is no user", () => {
    const guest = boots({});
    const faults = guest.events.filter((event) => event.event === "page-fault");
    expect(faults.map((fault) => [fault.error, Number(fault.address) & ~0xfff])).toEqual(
      [guest.pfnOf("code_in_data"), 4095].map((pfn) => [0x11, (PAGE_OFFSET + pfn * PAGE) | 0]),
    );
    expect(guest.machine.cpu.cpl).toBe(1);
  });
});

describe("roots", () => {
  it("the base becomes the CPU's root before the first change, is pinned at the end, and loaded again", () => {
    const guest = boots({});
    const root = guest.physicalOf("swapper_pg_dir");
    const builders = guest.mfnOf(expected(guest, {}).builders.root) * PAGE;
    const kinds = ["base-pointer", "pin"];
    expect(guest.events.filter(({ event }) => kinds.includes(event))).toMatchObject([
      { event: "base-pointer", from: builders, to: root, user: false },
      { event: "pin", table: root, level: 3, pinned: true },
      { event: "base-pointer", from: root, to: root, user: false },
    ]);
  });

  it("both roots lead to the same page tables, each through a page directory of its own", () => {
    const guest = boots({});
    const { builders, directory } = expected(guest, {});
    const { info } = guest.xen!.pages;
    const of = (pfn: number) => [info.typeOf(guest.mfnOf(pfn)), info.countOf(guest.mfnOf(pfn))];
    expect(info.isPinned(guest.mfnOf(builders.root))).toBe(true);
    expect(of(builders.root)).toEqual([TYPE_L3, 1]);
    expect(of(guest.pfnOf("swapper_pg_dir"))).toEqual([TYPE_L3, 2]);
    expect([of(builders.directory), of(directory)]).toEqual([
      [TYPE_L2, 1],
      [TYPE_L2, 1],
    ]);
    for (let i = 0; i < builders.pageTables; i++)
      expect(of(builders.directory + 1 + i)).toEqual([TYPE_L1, 2]);
    expect(of(directory + 1)).toEqual([TYPE_L1, 1]);
  });

  it("a new table is read-only before it is linked, and was zeroed", () => {
    const guest = new I386ParavirtXen();
    guest.runTo("one_page_table_init");
    guest.runTo("xen_set_pmd");
    const pfn = guest.word("bootmem_next") - 1;
    const { info } = guest.xen!.pages;
    expect(info.countOf(guest.mfnOf(pfn))).toBe(0);
    expect(guest.tableIn(pfn).every((entry) => entry === 0n)).toBe(true);
    expect(guest.xen!.isMapped(BigInt(PAGE_OFFSET + pfn * PAGE))).toBe(true);
    expect(guest.xen!.isMapped(BigInt(PAGE_OFFSET + pfn * PAGE), true)).toBe(false);
  });

  it("no frame of the domain is a table and mapped writable", () => {
    const guest = boots({});
    const { info } = guest.xen!.pages;
    const { tables, builders } = expected(guest, {});
    for (const pfn of [...tables.keys(), builders.root]) {
      expect(info.describe(guest.mfnOf(pfn))).toMatch(/^in use as an L[123] table/);
      expect(guest.xen!.isMapped(BigInt(PAGE_OFFSET + pfn * PAGE), true)).toBe(false);
    }
  });
});

describe("defects", () => {
  const REFUSED: [string, string, RegExp][] = [
    [
      "writable-table: the first new page table is linked while it can be written",
      "writable-table",
      /^entry 2 of the L2 table mfn 0x\w+ \(pfn 0x212\) links (mfn 0x\w+ \(pfn 0x213\)): \1 is mapped writable \(count 1\), and cannot become an L1 table$/,
    ],
    [
      "writable-alias: the root's own mapping, in a page table of the builder's",
      "writable-alias",
      /^entry 2 of the L1 table mfn 0x\w+ \(pfn 0x20f\) maps (mfn 0x\w+ \(pfn 0x202\)) writable: \1 is in use as an L3 table \(count 1\), and cannot be mapped writable$/,
    ],
    [
      "overwrite: the page directory that maps the kernel is replaced",
      "overwrite",
      /^entry 3 of the L3 table mfn 0x\w+ \(pfn 0x202\) leads to the hypervisor's entries, and cannot be changed while the table is in use$/,
    ],
    [
      "fixmap-end: page tables for the hypervisor's addresses",
      "fixmap-end",
      /^slot 429 of an L2 table belongs to the hypervisor, which has 0xf5800000 to 0xffffffff for itself$/,
    ],
  ];

  it.each(REFUSED)("the hypervisor refuses %s", (_name, defect, reason) => {
    const guest = new I386ParavirtXen({ defect });
    expect(guest.run(MOST)).toBe(3);
    expect(rejections(guest)).toMatchObject([
      { name: "mmu_update", errno: "-EINVAL (22)", reason: expect.stringMatching(reason) },
    ]);
    expect(guest.serial).toMatch(/FAILED: the hypervisor refused an update of a table: error 22\n$/);
  });

  it("direct-write: the emulation of writes makes up for it", () => {
    const guest = boots({ defect: "direct-write" });
    const emulated = guest.events.filter(
      (event) => event.event === "hypercall" && event.name === "emulated page-table write",
    );
    // Two halves for each page of low memory.
    expect(emulated.length).toBe(2 * 4096);
  });

  it("direct-write without that emulation: a page fault of the kernel, which may not write", () => {
    const guest = new I386ParavirtXen({ defect: "direct-write", ptwr: "off" });
    expect(guest.run(MOST)).toBe(3);
    expect(guest.events.filter(({ event }) => event === "page-fault")).toMatchObject([{ error: 3 }]);
    expect(guest.serial).toMatch(/FAILED: exception 14 at c010\w+, error 3, cr2 c020e004\n$/);
  });

  it("no-advance takes the running kernel's executability at once: not even the handler can run", () => {
    const guest = new I386ParavirtXen({ defect: "no-advance" });
    expect(guest.run(MOST)).toBe("halt");
    expect(guest.events.at(-1)).toMatchObject({
      reason: expect.stringMatching(/^the domain's kernel stack cannot take an exception, and it crashes/),
    });
  });

  it.each([
    ["no-advance without NX", { defect: "no-advance", nx: "off" }],
    ["no-low-alias: a domain has none", { defect: "no-low-alias" }],
  ])("does no harm: %s", (_name, settings) => {
    boots(settings);
  });
});

it("every hook is filled", () => {
  const guest = new I386ParavirtXen();
  guest.runTo("paging_init");
  const hooks = guest.linear("paging_hooks");
  const count = Number(guest.symbols.sizeOf("paging_hooks")) / 4;
  expect(count).toBe(11);
  for (let i = 0; i < count; i++) {
    expect(guest.machine.memory.read32(guest.physicalOf(hooks + BigInt(4 * i))) >>> 0).toBeGreaterThan(
      PAGE_OFFSET,
    );
  }
});

it("the same boot is the same whatever the slices, and with a TLB of any size", () => {
  const boot = (options: GuestOptions, slice: number) => {
    const guest = new I386ParavirtXen({}, options);
    while (guest.machine.ended === undefined) guest.machine.run(slice);
    return { instructions: guest.machine.instructions, serial: guest.serial };
  };
  const whole = boot({}, 1e9);
  expect(boot({}, 777)).toEqual(whole);
  expect(boot({ tlb: "off" }, 1e9)).toEqual(whole);
  expect(boot({ tlb: 16 }, 100_000)).toEqual(whole);
});
