/** 64-bit domains: where everything lies, what the guest is told, and which images are refused. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Walk, walkLinear } from "../../src/paging/walk";
import { NOTE } from "../../src/xen/abi";
import type { DomainOptions } from "../../src/xen/domain";
import { buildDomain } from "../../src/xen/domainBuilder";
import { MachineFrames } from "../../src/xen/machineFrames";
import { readNotes } from "../../src/xen/notes";
import {
  image64,
  KERNEL_PAGES,
  numberNote,
  OPTIONS,
  TestDomain,
  textNote,
  VIRT_BASE_64,
} from "../support/xenDomain";

const GIB_PAGES = 2 ** 18;
const INIT_P2M = 0x8000000000n;
const P2M_NOTE = numberNote(NOTE.INIT_P2M, INIT_P2M);

const build = (options: Partial<DomainOptions> = {}, notes = image64().notes) =>
  buildDomain({ ...image64(), notes }, { ...OPTIONS, ...options });

/** The machine address of a linear one by the guest's tables; undefined where there is none. */
function walk({ machine }: TestDomain, address: bigint): number | undefined {
  const found = new Walk();
  const [low, high] = [Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n))];
  if (walkLinear(machine.pagingState, machine.memory, low, high, 4, found) !== 0) return undefined;
  return found.frame + (low & ((1 << found.pageShift) - 1));
}

describe("the initial mapping", () => {
  test("kernel, list, start_info, tables and stack follow each other; the end is padded to 4 MiB", () => {
    const { mapping } = build();
    const page = 4096n;
    expect(mapping.p2mList).toBe(VIRT_BASE_64 + BigInt(KERNEL_PAGES) * page);
    expect(mapping.startInfo).toBe(mapping.p2mList + 8n * page);
    expect(mapping.tables).toBe(mapping.startInfo + page);
    expect(mapping.stack).toBe(mapping.tables + BigInt(mapping.tablePages) * page);
    expect(mapping.end).toBe(VIRT_BASE_64 + 0x400000n);
    // A root, an L3, an L2, and two L1 for 4 MiB.
    expect(mapping.tablePages).toBe(5);
  });

  test("with less than 512 KiB behind the stack there are 4 MiB more", () => {
    // The list takes up all but 100 pages of the first 4 MiB.
    const { mapping } = build({ nrPages: (1024 - KERNEL_PAGES - 100) * 512 });
    expect(mapping.end).toBe(VIRT_BASE_64 + 0x800000n);
  });

  test("every page of it is mapped to its frame; tables are read-only, all else is writable", () => {
    const domain = new TestDomain();
    const { mapping, frames } = domain.domain;
    for (let pfn = 0; pfn < 1024; pfn++) {
      const address = VIRT_BASE_64 + BigInt(pfn) * 4096n;
      expect(walk(domain, address)).toBe(frames.mfnOf(pfn) * 4096);
      const isTable = address >= mapping.tables && address < mapping.stack;
      expect(domain.xen.isMapped(address, true)).toBe(!isTable);
    }
    expect(walk(domain, mapping.end)).toBeUndefined();
  });

  test("start_info and the CPU tell where everything is", () => {
    const domain = new TestDomain({ nrPages: 8192 });
    const { mapping, start, frames, hypervisorFrames } = domain.domain;
    const base = walk(domain, mapping.startInfo)!;
    const { memory } = domain.machine;
    const text = String.fromCharCode(...memory.readBytes(base, 14));
    expect(text).toBe("xen-3.0-x86_64");
    const words = [32, 40, 88, 96, 104].map((offset) => memory.read64(base + offset));
    const sharedInfo = BigInt(hypervisorFrames.sharedInfo * 4096);
    expect(words).toEqual([8192n, sharedInfo, mapping.tables, BigInt(mapping.tablePages), mapping.p2mList]);
    expect(memory.read32(base + 48)).toBe(3);
    expect(start).toMatchObject({
      rip: VIRT_BASE_64,
      registers: { rsp: mapping.stack + 4096n, rsi: mapping.startInfo },
      cr3: BigInt(frames.mfnOf(Number((mapping.tables - mapping.start) >> 12n)) * 4096),
    });
    expect(start.segments.cs.selector & 3).toBe(3);
  });

  test("the list holds a machine frame for each page, the M2P what leads back", () => {
    const domain = new TestDomain();
    const { mapping, frames, hypervisorFrames } = domain.domain;
    const { memory } = domain.machine;
    for (const pfn of [0, 1, 511, 512, 4095]) {
      const mfn = frames.mfnOf(pfn);
      expect(mfn).not.toBe(pfn);
      expect(memory.read64(walk(domain, mapping.p2mList + BigInt(pfn) * 8n)!)).toBe(BigInt(mfn));
      expect(memory.read64(hypervisorFrames.m2p * 4096 + 8 * mfn)).toBe(BigInt(pfn));
      expect(walk(domain, 0xffff800000000000n + BigInt(8 * mfn))).toBe(hypervisorFrames.m2p * 4096 + 8 * mfn);
    }
    expect(memory.read64(hypervisorFrames.m2p * 4096)).toBe((1n << 64n) - 1n);
  });
});

describe("INIT_P2M", () => {
  const outside = (options: Partial<DomainOptions> = {}) => new TestDomain({ ...options, notes: [P2M_NOTE] });

  test("the list lies at its address; first_p2m_pfn and nr_p2m_frames tell of list and tables", () => {
    const domain = outside({ nrPages: 8192 });
    const { mapping, p2m, frames } = domain.domain;
    expect(p2m.address).toBe(INIT_P2M);
    // 16 pages of the list, below an L3, an L2 and an L1 table that come first.
    expect(p2m.outside).toMatchObject({ firstPfn: 1024, endPfn: 1024 + 19, listFrames: 16 });
    for (const pfn of [0, 4096, 8191]) {
      const at = walk(domain, INIT_P2M + BigInt(8 * pfn))!;
      expect(domain.machine.memory.read64(at)).toBe(BigInt(frames.mfnOf(pfn)));
    }
    const info = walk(domain, mapping.startInfo)!;
    expect(domain.machine.memory.read64(info + 1152)).toBe(1024n);
    expect(domain.machine.memory.read64(info + 1160)).toBe(19n);
  });

  test.each([
    [true, 3],
    [false, 2],
  ])("large pages are used where they fit (1 GiB pages: %s)", (pages1G, level) => {
    // 1 GiB of list, and a little more.
    const nrPages = 2 ** 27 + 512 * 513;
    const populated = [{ start: 0, end: 2 * GIB_PAGES }];
    const { p2m } = build({ nrPages, populated, pages1G }, [...image64().notes, P2M_NOTE]);
    expect(Math.max(...p2m.outside!.leaves.map((leaf) => leaf.level))).toBe(level);
    expect(p2m.outside!.leaves.at(-1)).toMatchObject({ level: 1, count: 1 });
    const pages = p2m.outside!.leaves.reduce((sum, leaf) => sum + leaf.count * 512 ** (leaf.level - 1), 0);
    expect(pages).toBe(p2m.outside!.listFrames);
  });

  test("a sparse domain of 600 GiB costs nothing until it is looked at", () => {
    const populated = [
      { start: 0, end: 2 * GIB_PAGES },
      { start: 599 * GIB_PAGES, end: 600 * GIB_PAGES },
    ];
    const domain = outside({ nrPages: 600 * GIB_PAGES, populated });
    expect(domain.machine.memory.residentBytes).toBeLessThan(16 * 2 ** 20);
    const word = (pfn: number) => domain.machine.memory.read64(walk(domain, INIT_P2M + BigInt(pfn) * 8n)!);
    expect(word(300 * GIB_PAGES)).toBe((1n << 64n) - 1n);
    expect(word(599 * GIB_PAGES)).toBe(BigInt(domain.mfn(599 * GIB_PAGES)));
  });
});

describe("what cannot be built is refused in a sentence", () => {
  const entry = numberNote(NOTE.ENTRY, VIRT_BASE_64);
  const base = numberNote(NOTE.VIRT_BASE, VIRT_BASE_64);
  test.each([
    ["no notes", [], "no Xen note ENTRY"],
    ["no VIRT_BASE", [entry], "no Xen note VIRT_BASE"],
    [
      "a note of 3 bytes",
      [entry, { type: NOTE.VIRT_BASE, description: new Uint8Array(3) }],
      "VIRT_BASE holds 3 bytes",
    ],
    [
      "two entries",
      [entry, numberNote(NOTE.ENTRY, VIRT_BASE_64 + 16n), base],
      "there are two different ENTRY",
    ],
    ["an entry below the base", [numberNote(NOTE.ENTRY, 0x1000n), base], "lies below VIRT_BASE"],
    [
      "an entry behind the image",
      [numberNote(NOTE.ENTRY, VIRT_BASE_64 + 0x100000n), base],
      "lies in none of its segments",
    ],
    [
      "a hypercall page elsewhere",
      [entry, base, numberNote(NOTE.HYPERCALL_PAGE, 0x1000n)],
      "is not a page of the image",
    ],
    [
      "a feature that is needed",
      [entry, base, textNote(NOTE.FEATURES, "!auto_translated_physmap")],
      "needs the hypervisor's feature auto_translated_physmap",
    ],
    ["an unaligned base", [entry, numberNote(NOTE.VIRT_BASE, VIRT_BASE_64 - 1n)], "not page aligned"],
    [
      "a base at the hypervisor's",
      [numberNote(NOTE.ENTRY, 0xffff800000000000n), numberNote(NOTE.VIRT_BASE, 0xffff800000000000n)],
      "touches the hypervisor's addresses",
    ],
    [
      "a list over the kernel",
      [entry, base, numberNote(NOTE.INIT_P2M, VIRT_BASE_64)],
      "overlaps the initial mapping",
    ],
    [
      "a list at the hypervisor's",
      [entry, base, numberNote(NOTE.INIT_P2M, 0xffff800000000000n)],
      "hypervisor's addresses",
    ],
    [
      "a list beyond the canonical",
      [entry, base, numberNote(NOTE.INIT_P2M, 0x900000000000n)],
      "not canonical",
    ],
  ])("%s", (_what, notes, sentence) => {
    expect(() => build({}, notes)).toThrow(sentence);
  });

  test("an offset above the segments", () => {
    expect(() => build({}, [entry, base, numberNote(NOTE.PADDR_OFFSET, 0x1000n)])).toThrow(
      "PADDR_OFFSET 0x1000 is above",
    );
  });

  test("too little memory for the mapping, and for the list outside", () => {
    expect(() => build({ nrPages: 512 })).toThrow(
      "the domain's first 1024 pages (4 MiB), and the domain has 512 (2 MiB)",
    );
    const populated = [{ start: 0, end: 1030 }];
    expect(() => build({ nrPages: 8192, populated }, [...image64().notes, P2M_NOTE])).toThrow(
      "the P->M list with its tables needs the domain's first",
    );
  });

  test("a list of a GiB inside: what was needed is told", () => {
    expect(() => build({ nrPages: 512 * GIB_PAGES })).toThrow(
      /does not fit: it needs 1028 MiB .* P->M list 1024 MiB\), and can be 1024 MiB at most/,
    );
  });

  test("machine addresses beyond the CPU", () => {
    expect(() =>
      build({ maxPhysicalBits: 36, nrPages: 64 * GIB_PAGES, populated: [{ start: 0, end: 8192 * 20 }] }),
    ).toThrow("beyond the CPU's 36 bits");
  });

  test("any notes are read or refused in words", () => {
    const note = fc.record({
      type: fc.integer({ min: 0, max: 20 }),
      description: fc.uint8Array({ maxLength: 12 }),
    });
    fc.assert(
      fc.property(
        fc.array(note, { maxLength: 8 }),
        fc.constantFrom(32 as const, 64 as const),
        (notes, bits) => {
          try {
            readNotes(notes, bits);
          } catch (error) {
            expect((error as Error).name).toBe("DomainError");
          }
        },
      ),
      { seed: 20081123, numRuns: 500 },
    );
  });
});

describe("machine frames", () => {
  test("are others than guest frames, each once, and lead back", () => {
    fc.assert(
      fc.property(fc.constantFrom("shuffled" as const, "offset" as const), fc.nat(100_000), (order, pfn) => {
        const frames = new MachineFrames(200_000, [{ start: 0, end: 100_001 }], 0x10000, order, [
          { pfn: 1000, mfn: 0x80000, count: 600 },
        ]);
        const mfn = frames.mfnOf(pfn);
        expect(frames.pfnOf(mfn)).toBe(pfn);
        expect(mfn).toBeLessThan(frames.endMfn);
        expect(frames.mfnOf(100_001 + pfn)).toBe(-1);
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});
