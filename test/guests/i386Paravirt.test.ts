/** What the boot program i386-paravirt has to do, and what its defects lead to: the program boots in every test. */
import { setImmediate } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { MachineEvent } from "../../src/machine/events";
import { rootInOtherFormat } from "../../src/paging/otherFormat";
import type { GuestOptions } from "../support/bootProgram";
import {
  differences,
  type ExpectedTables,
  expectedTables,
  I386Paravirt,
  KIB,
  MIB,
  PAGE,
  PAGE_OFFSET,
} from "../support/i386Paravirt";

/** A worker that runs one machine after the other would not answer the test runner for minutes. */
afterEach(() => setImmediate());

type Settings = Record<string, string>;

const ok = (value: number | string, guest: I386Paravirt) =>
  expect({ result: value, serial: guest.serial }).toEqual({
    result: 0,
    serial: expect.stringMatching(/\nok\n$/),
  });

/** The tables that settings and memory lead to on a CPU that has everything. */
function expected(guest: I386Paravirt, settings: Settings): ExpectedTables {
  const usable = guest.boot.e820.filter(({ type }) => type === 1).map(({ end }) => Math.floor(end / PAGE));
  const maxPfn = Math.max(...usable);
  const lowEnd = Math.floor(Number(settings.low_end ?? 896 * MIB) / PAGE);
  return expectedTables({
    pae: settings.variant === "native-pae",
    pse: settings.pse !== "off",
    pge: settings.pge !== "off",
    nx: settings.nx !== "off",
    maxLowPfn: Math.min(maxPfn, lowEnd),
    highmem: maxPfn > lowEnd,
    text: [guest.physicalOf("_text"), guest.physicalOf("_etext")],
    end: guest.physicalOf("_end"),
    root: guest.physicalOf("swapper_pg_dir"),
    zeroPage: guest.physicalOf("empty_zero_page"),
  });
}

/** Runs to the end, and compares every table entry by entry. */
function boots(settings: Settings, memory: number, options: GuestOptions = {}): I386Paravirt {
  const guest = new I386Paravirt(settings, { memory, ...options });
  ok(guest.run(), guest);
  const tables = expected(guest, settings);
  expect(differences(guest, tables.pages)).toEqual([]);
  expect(guest.word("tables_allocated")).toBe(tables.allocated);
  expect(guest.word("bootmem_next") * PAGE).toBe(tables.firstAllocated + tables.allocated * PAGE);
  return guest;
}

const SWITCHES = ["on", "off"];
const NATIVE = SWITCHES.flatMap((pse) =>
  SWITCHES.map((pge): Settings => ({ variant: "native", pse, pge, nx: "on" })),
);
const PAE = SWITCHES.flatMap((nx) => NATIVE.map((it): Settings => ({ ...it, variant: "native-pae", nx })));
const words = (settings: Settings) =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
const named = (all: Settings[]) => all.map((settings): [string, Settings] => [words(settings), settings]);

describe("the final tables, entry by entry", () => {
  it.each(named([...NATIVE, ...PAE]))("%s, 16 MiB", (_name, settings) => {
    boots(settings, 16 * MIB);
  });

  // Small pages take long to write: each size of memory once at least.
  const cases: [string, string, number][] = [
    ...["native", "native-pae"].flatMap((variant) =>
      [512, 896, 2048].map((memory): [string, string, number] => [variant, "on", memory]),
    ),
    ["native", "off", 512],
    ["native-pae", "off", 896],
    ["native", "off", 2048],
  ];
  it.each(cases)("%s, pse=%s, %i MiB", (variant, pse, memory) => {
    boots({ variant, pse }, memory * MIB);
  });

  it.each(["native", "native-pae"].flatMap((variant) => SWITCHES.map((pse) => [variant, pse])))(
    "%s, pse=%s: low memory ends in the middle of a large page, and the rest is highmem",
    (variant, pse) => {
      const lowEnd = 61 * MIB + 12 * KIB;
      const guest = boots({ variant, pse, low_end: `${lowEnd}` }, 128 * MIB);
      expect(guest.word("max_low_pfn") * PAGE).toBe(lowEnd);
      // A large page maps what lies behind as well; small ones end where low memory does.
      expect(guest.translate(PAGE_OFFSET + lowEnd - 1)).toBe(lowEnd - 1);
      expect(guest.translate(PAGE_OFFSET + lowEnd)).toBe(pse === "on" ? lowEnd : undefined);
    },
  );

  it.each([
    [
      "native, small pages: the entry's table is kept, 31 page tables and the fixmap's one are new",
      "native",
      "off",
      32,
    ],
    ["native, large pages: only the fixmap's table", "native", "on", 1],
    ["native-pae, small pages: a directory, 64 page tables, two of the fixmap", "native-pae", "off", 67],
    ["native-pae, large pages: a directory, two tables of the fixmap", "native-pae", "on", 3],
  ])("128 MiB take as many pages as they need: %s", (_name, variant, pse, pages) => {
    const guest = new I386Paravirt({ variant, pse }, { memory: 128 * MIB });
    guest.runTo("check_new_tables");
    expect(guest.word("tables_allocated")).toBe(pages);
  });
});

describe("a CPU that lacks what the settings allow", () => {
  it.each(["native", "native-pae"])(
    "%s on a CPU without PSE, PGE and NX builds as with all off",
    (variant) => {
      const settings = { variant, pse: "off", pge: "off", nx: "off" };
      const guest = new I386Paravirt({ variant }, { memory: 16 * MIB, cpu: "max,-pse,-pse36,-pge,-nx" });
      ok(guest.run(), guest);
      expect(differences(guest, expected(guest, settings).pages)).toEqual([]);
      expect(guest.serial).toMatch(new RegExp(`^${variant}:\n`));
    },
  );
});

describe("a CPU without PAE", () => {
  const cpu = "max,-pae,-lm,-nx,-la57,-pdpe1gb,-pcid,-pku,-pks,-syscall";

  it("runs native, with a root of 2-level tables", () => {
    boots({ variant: "native" }, 16 * MIB, { cpu });
  });

  it("is told by native-pae", () => {
    const guest = new I386Paravirt({ variant: "native-pae" }, { memory: 16 * MIB, cpu });
    expect(guest.run()).toBe(1);
    expect(guest.serial).toBe("FAILED: this CPU has no PAE\n");
  });
});

describe("the page that is read in two formats (native-pae)", () => {
  const all = Array.from({ length: 8 * KIB }, (_, page) => page * PAGE);
  const mapped = (guest: I386Paravirt, offset: number) =>
    all.filter((linear) => guest.translate(linear + offset) !== undefined);

  it("pagetable_setup_start clobbers linear 0 to 32 MiB; the kernel's mapping, far up in the page, survives", () => {
    const guest = new I386Paravirt({ variant: "native-pae" }, { memory: 16 * MIB });
    guest.runTo("pagetable_init");
    const kernel = mapped(guest, PAGE_OFFSET);
    expect(kernel.length * PAGE).toBe(4 * MIB);
    expect(mapped(guest, 0)).toEqual(kernel);
    guest.runTo("kernel_physical_mapping_init");
    expect(guest.machine.pagingState.levels).toBe(2);
    expect(mapped(guest, 0)).toEqual([]);
    expect(mapped(guest, PAGE_OFFSET)).toEqual(kernel);
    for (const linear of kernel) expect(guest.translate(PAGE_OFFSET + linear)).toBe(linear);
    const zero = guest.physicalOf("empty_zero_page") | 1;
    // Three 8-byte entries, then the kernel's, which is empty yet: the bytes of eight 2-level entries.
    const root = guest.page(guest.physicalOf("swapper_pg_dir"));
    expect([...root.subarray(0, 8)]).toEqual([zero, 0, zero, 0, zero, 0, 0, 0]);
  });

  it("the root is ready to be read as PAE before it is: each of its entries takes 8 MiB of 2-level mappings", () => {
    const guest = new I386Paravirt({ variant: "native-pae" }, { memory: 16 * MIB });
    guest.runTo("check_new_tables");
    const { memory, pagingState } = guest.machine;
    const entries = rootInOtherFormat(pagingState, memory);
    const zero = guest.physicalOf("empty_zero_page");
    const directory = guest.page(guest.physicalOf("swapper_pg_dir"))[6] & ~0xfff;
    expect(entries.map(({ entry }) => entry)).toMatchObject(
      [directory, zero, zero, directory].map((address) => ({ kind: "table", address, reserved: [] })),
    );
    const ends = entries.map(({ takes }) => Number(takes!.translates.end) / MIB);
    expect(ends).toEqual([8, 16, 24, 32]);
  });

  it("the kernel's root entry, read as a 2-level one, takes the page directory for a page table of 24 to 28 MiB", () => {
    const guest = new I386Paravirt({ variant: "native-pae" }, { memory: 16 * MIB });
    guest.runTo("fixmap_init");
    expect(guest.machine.pagingState.levels).toBe(2);
    // Every other 4-byte entry is the upper half of a large page's: empty but for XD, which has no P.
    expect(guest.translate(24 * MIB)).toBe(0);
    expect(guest.translate(24 * MIB + PAGE)).toBe(undefined);
    expect(guest.translate(24 * MIB + 2 * PAGE)).toBe(2 * MIB);
    expect(guest.translate(28 * MIB)).toBe(undefined);
  });

  it("CR4.PAE is set while paging is on, in the page that CR3 holds already", () => {
    const guest = new I386Paravirt({ variant: "native-pae" }, { memory: 16 * MIB });
    const sets = (name: string) => (event: MachineEvent) =>
      event.event === "paging-mode" && event.set.includes(name);
    guest.runUntil(sets("PG"));
    const root = guest.machine.pagingState.root;
    const modes = guest.count("paging-mode");
    expect(guest.runUntil(sets("PAE"))).toMatchObject({ set: ["PAE"], cleared: [], mode: "PAE" });
    const changed = guest.events.filter(({ event }) => event === "paging-mode").slice(modes);
    expect(changed.some((event) => event.event === "paging-mode" && event.cleared.includes("PG"))).toBe(
      false,
    );
    expect(guest.machine.pagingState.root).toBe(root);
    expect(root).toBe(guest.physicalOf("swapper_pg_dir"));
    // What the PDPTE registers were loaded with at that moment: no A, which a 2-level walk of them would have set.
    const [directory, zero] = [guest.page(root)[0], guest.physicalOf("empty_zero_page") | 1];
    expect([...guest.machine.pagingState.pdpte]).toEqual([directory, 0, zero, 0, zero, 0, directory, 0]);
    expect(guest.translate(0x100000)).toBe(0x100000);
    ok(guest.run(), guest);
  });

  it("native stays in 2-level mode, and the entry's identity mapping stays", () => {
    const guest = new I386Paravirt({ variant: "native" }, { memory: 16 * MIB });
    ok(guest.run(), guest);
    expect(guest.machine.pagingState.levels).toBe(2);
    expect(mapped(guest, 0).length * PAGE).toBe(4 * MIB);
  });
});

describe("execution (native-pae with NX)", () => {
  it.each([
    // Data shares its large page with text; the last page of low memory does not.
    ["on", [15 * MIB + 892 * KIB]],
    ["off", [0x201000, 15 * MIB + 892 * KIB]],
  ])("pse=%s: what is no text faults when it is run, with P and I/D", (pse, places) => {
    const guest = new I386Paravirt({ variant: "native-pae", pse }, { memory: 16 * MIB });
    ok(guest.run(), guest);
    const faults = guest.events.filter((event) => event.event === "page-fault");
    expect(faults.map((fault) => [fault.error, Number(fault.address) & ~0xfff])).toEqual(
      places.map((place) => [0x11, (PAGE_OFFSET + place) & ~0xfff]),
    );
  });

  it("without NX nothing is probed", () => {
    const guest = new I386Paravirt({ variant: "native-pae", nx: "off" }, { memory: 16 * MIB });
    ok(guest.run(), guest);
    expect(guest.count("page-fault")).toBe(0);
  });

  it("the first large page is executable for its last byte, the second for its first, the third not at all", () => {
    const guest = new I386Paravirt({ variant: "native-pae" }, { memory: 16 * MIB });
    expect([guest.physicalOf("_text"), guest.physicalOf("_etext")]).toEqual([MIB, 2 * MIB + PAGE]);
    ok(guest.run(), guest);
    const directory = guest.page(guest.page(guest.physicalOf("swapper_pg_dir"))[6] & ~0xfff);
    expect([directory[1], directory[3], directory[5]]).toEqual([0, 0, 0x80000000]);
  });
});

describe("defects", () => {
  const FAILS: [string, Settings, RegExp][] = [
    [
      "no-advance: text that is not first in its table loses its executability",
      { defect: "no-advance", variant: "native-pae", pse: "off" },
      /FAILED: kernel text at c0100000 is not executable in the new tables\n/,
    ],
    [
      "overwrite: each large page gets a page directory of its own, and the last one is kept",
      { defect: "overwrite", variant: "native-pae" },
      /FAILED: 12 tables were there or allocated, 2 are linked: tables that were present have been replaced\n/,
    ],
    [
      "overwrite: the entry's page table is replaced while the kernel runs on it",
      { defect: "overwrite", variant: "native", pse: "off" },
      /FAILED: 6 tables were there or allocated, 5 are linked: tables that were present have been replaced\n/,
    ],
    [
      "fixmap-end: page tables up to the top of the address space (PAE)",
      { defect: "fixmap-end", variant: "native-pae" },
      /FAILED: there is a page table for ff800000, above the end of the fixmap\n/,
    ],
    [
      "fixmap-end: page tables up to the top of the address space (2-level)",
      { defect: "fixmap-end", variant: "native" },
      /FAILED: there is a page table for ff800000, above the end of the fixmap\n/,
    ],
    [
      "no-low-alias: nothing at physical addresses",
      { defect: "no-low-alias", variant: "native-pae" },
      /FAILED: low memory is not mapped at 100000, its physical address, too\n/,
    ],
  ];

  it.each(FAILS)("%s", (_name, settings, reason) => {
    const guest = new I386Paravirt(settings, { memory: 16 * MIB });
    expect(guest.run()).toBe(1);
    expect(guest.serial).toMatch(reason);
    expect(guest.serial).not.toContain("ok\n");
  });

  const HARMLESS: [string, Settings][] = [
    ["no-advance with large pages", { defect: "no-advance", variant: "native-pae" }],
    ["no-advance without NX", { defect: "no-advance", variant: "native-pae", pse: "off", nx: "off" }],
    [
      "no-advance in 2-level tables, which have no NX",
      { defect: "no-advance", variant: "native", pse: "off" },
    ],
    ["overwrite where nothing is kept: large pages", { defect: "overwrite", variant: "native" }],
    ["no-low-alias in 2-level tables", { defect: "no-low-alias", variant: "native" }],
  ];

  it.each(HARMLESS)("does no harm: %s", (_name, settings) => {
    boots(settings, 16 * MIB);
  });

  it("no-advance gives every page the executability of its table's first", () => {
    const settings = { defect: "no-advance", variant: "native-pae", pse: "off" };
    const guest = new I386Paravirt(settings, { memory: 16 * MIB });
    guest.runTo("check_new_tables");
    const directory = guest.page(guest.page(guest.physicalOf("swapper_pg_dir"))[6] & ~0xfff);
    const xd = (slot: number) =>
      new Set(guest.page(directory[2 * slot] & ~0xfff).filter((_, i) => i % 2 === 1));
    expect([xd(0), xd(1), xd(2)]).toEqual([new Set([0x80000000]), new Set([0]), new Set([0x80000000])]);
  });

  it("a replaced table is survived by what the TLB kept alone: without a TLB the machine shuts down", () => {
    const settings = { defect: "overwrite", variant: "native", pse: "off" };
    expect(new I386Paravirt(settings, { memory: 16 * MIB, tlb: "off" }).run()).toBe("triple-fault");
    const guest = new I386Paravirt(settings, { memory: 16 * MIB });
    guest.run();
    expect(guest.count("stale-tlb")).toBeGreaterThan(0);
  });

  it("too many tables are told for what they are, where they fill the memory that is mapped", () => {
    const guest = new I386Paravirt({ defect: "overwrite", variant: "native-pae", pse: "off" });
    expect(guest.run()).toBe(1);
    expect(guest.serial).toMatch(/FAILED: \d+ tables were there or allocated, 2 are linked/);
  });
});

describe("the same boot", () => {
  it.each(["native", "native-pae"])(
    "%s is the same whatever the slices, and with a TLB of any size",
    (variant) => {
      const boot = (options: GuestOptions, slice: number) => {
        const guest = new I386Paravirt({ variant }, { memory: 16 * MIB, ...options });
        while (guest.machine.ended === undefined) guest.machine.run(slice);
        return { instructions: guest.machine.instructions, serial: guest.serial };
      };
      const whole = boot({}, 1e9);
      expect(boot({}, 777)).toEqual(whole);
      expect(boot({ tlb: "off" }, 1e9)).toEqual(whole);
      expect(boot({ tlb: 16 }, 100_000)).toEqual(whole);
    },
  );
});

it("every hook is filled", () => {
  const guest = new I386Paravirt({}, { memory: 16 * MIB });
  guest.runTo("paging_init");
  const hooks = guest.physicalOf("paging_hooks");
  const count = Number(guest.symbols.sizeOf("paging_hooks")) / 4;
  expect(count).toBe(11);
  for (let i = 0; i < count; i++)
    expect(guest.machine.memory.read32(hooks + 4 * i) >>> 0).toBeGreaterThan(PAGE_OFFSET);
});

describe("the debugging information", () => {
  /** The functions on the stack, and whether they were interrupted. */
  function chain(guest: I386Paravirt): [string | undefined, boolean][] {
    const { cpu, memory } = guest.machine;
    const general = Array.from({ length: 8 }, (_, n): [number, bigint] => [n, cpu.getRegister(n)]);
    let registers: ReadonlyMap<number, bigint> = new Map([...general, [8, cpu.rip]]);
    const frames: [string | undefined, boolean][] = [];
    for (;;) {
      const frame = guest.symbols.debug?.unwind(registers, (at, length) =>
        memory.readBytes(guest.physicalOf(at), length),
      );
      const eip = frame?.registers.get(8);
      if (frame === undefined || eip === undefined || eip === 0n) return frames;
      // Where a call does not come back, the return address is another function's.
      frames.push([guest.symbols.nameOf(frame.signalFrame ? eip : eip - 1n)?.name, frame.signalFrame]);
      registers = frame.registers;
    }
  }

  it("unwinds from C to the first frame", () => {
    const guest = new I386Paravirt({}, { memory: 16 * MIB });
    guest.runTo("one_page_table_init");
    const callers = [
      "page_table_range_init",
      "fixmap_init",
      "pagetable_init",
      "paging_init",
      "start_kernel",
      "i386_start_kernel",
    ];
    expect(chain(guest)).toEqual(callers.map((name) => [name, false]));
  });

  it("unwinds through an exception to the code that ran into it", () => {
    const guest = new I386Paravirt({ pse: "off" }, { memory: 16 * MIB });
    guest.runTo("handle_exception");
    expect(chain(guest)).toEqual([
      ["exception", false],
      ["code_in_data", true],
    ]);
  });
});
