/** A 32-bit PAE domain as its builder makes it. */
import { describe, expect, test } from "vitest";
import { NOTE } from "../../src/xen/abi";
import { buildDomain, type DomainOptions } from "../../src/xen/domainBuilder";
import type { RawNote } from "../../src/xen/notes";
import { image32, numberNote, OPTIONS, TestDomain, textNote, VIRT_BASE_32 } from "../support/xenDomain";

// 16 pages of kernel, 4 of the list of 4096 frames.
const START_INFO = 20;
const ROOT = 21;
const DIRECTORY = 22;
const PAGE_TABLES = [23, 24];
const STACK = 25;
const MAPPED_PAGES = 1024;
const HYPERVISOR_SLOT = 428;

const boot = (options: Partial<DomainOptions> & { notes?: readonly RawNote[]; cpu?: string } = {}) =>
  new TestDomain({ image: image32(options.notes), ...options });

describe("layout", () => {
  test("kernel, list of 4-byte entries, start_info, tables, stack, up to a multiple of 4 MiB", () => {
    const { mapping, parts } = boot().domain;
    const pfn = (address: bigint) => Number((address - VIRT_BASE_32) >> 12n);
    expect([mapping.p2mList, mapping.startInfo, mapping.tables, mapping.stack, mapping.end].map(pfn)).toEqual(
      [16, START_INFO, ROOT, STACK, MAPPED_PAGES],
    );
    expect(mapping.tablePages).toBe(4);
    expect(parts.map(({ name }) => name)).not.toContain("P->M list with its tables");
  });

  test("a root of four entries, a page directory, page tables of 4 KiB pages; tables are read-only", () => {
    const domain = boot();
    const mfn = (pfn: number) => BigInt(domain.mfn(pfn)) << 12n;
    const root = domain.mfn(ROOT);
    expect(domain.domain.root).toBe(root);
    expect([0, 1, 2, 3].map((i) => domain.entry(root, i))).toEqual([0n, 0n, 0n, mfn(DIRECTORY) | 1n]);
    const directory = domain.mfn(DIRECTORY);
    expect([0, 1, 2].map((i) => domain.entry(directory, i))).toEqual([
      mfn(PAGE_TABLES[0]) | 0x63n,
      mfn(PAGE_TABLES[1]) | 0x63n,
      0n,
    ]);
    for (let pfn = 0; pfn < MAPPED_PAGES; pfn++) {
      const isTable = pfn >= ROOT && pfn < STACK;
      const entry = domain.entry(domain.mfn(PAGE_TABLES[Math.floor(pfn / 512)]), pfn % 512);
      expect(entry).toBe(mfn(pfn) | (isTable ? 0x21n : 0x23n));
    }
  });

  test("the hypervisor's slots of the fourth page directory: its table of machine frames, its descriptors", () => {
    const domain = boot();
    const directory = domain.mfn(DIRECTORY);
    const { m2p } = domain.domain.hypervisorFrames;
    expect(domain.entry(directory, HYPERVISOR_SLOT)).toBe((1n << 63n) | (BigInt(m2p) << 12n) | 0xa5n);
    expect(domain.entry(directory, 511) & 1n).toBe(1n);
    const { memory } = domain.machine;
    for (const pfn of [0, 7, 4095]) {
      expect(memory.read32(m2p * 4096 + 4 * domain.mfn(pfn))).toBe(pfn);
      expect(memory.read32(domain.mfn(16 + Math.floor(pfn / 1024)) * 4096 + 4 * (pfn % 1024))).toBe(
        domain.mfn(pfn),
      );
    }
    expect(domain.xen.isMapped(0xf5800000n)).toBe(true);
    expect(domain.xen.isMapped(0xf5800000n, true)).toBe(false);
  });

  test("a CPU without XD: nothing has the bit, and EFER is not set", () => {
    const domain = boot({ nx: false, cpu: "max,-nx" });
    expect(domain.machine.cpu.efer).toBe(0);
    expect(domain.entry(domain.mfn(DIRECTORY), HYPERVISOR_SLOT) >> 63n).toBe(0n);
    expect(domain.xen.isMapped(0xf5800000n)).toBe(true);
  });
});

test("start_info has words of four bytes, and knows no list outside of the mapping", () => {
  const domain = boot({ notes: [numberNote(NOTE.INIT_P2M, 0x80000000n)], cmdline: Uint8Array.of(0x61, 0) });
  const { memory } = domain.machine;
  const at = domain.mfn(START_INFO) * 4096;
  expect(String.fromCharCode(...memory.readBytes(at, 16))).toBe("xen-3.0-x86_32p\0");
  const address = (pfn: number) => Number(VIRT_BASE_32) + pfn * 4096;
  const words: [number, number][] = [
    [32, 4096],
    [36, domain.domain.hypervisorFrames.sharedInfo * 4096],
    [40, 3],
    [60, address(ROOT)],
    [64, 4],
    [68, address(16)],
    [72, 0],
    [76, 0],
    [80, 0x61],
    [1104, 0],
    [1108, 0],
  ];
  expect(words.map(([offset]) => [offset, memory.read32(at + offset) >>> 0])).toEqual(words);
});

test("the entry: ring 1, PAE, ESI at start_info, ESP at the end of the stack, and the root's entries are loaded", () => {
  const domain = boot();
  const { cpu, pagingState } = domain.machine;
  expect([cpu.cpl, cpu.selectors[1], cpu.selectors[2], cpu.selectors[3]]).toEqual([
    1, 0xe019, 0xe021, 0xe021,
  ]);
  expect(cpu.rip).toBe(VIRT_BASE_32);
  expect(cpu.getRegister(6)).toBe(VIRT_BASE_32 + BigInt(START_INFO) * 4096n);
  expect(cpu.getRegister(4)).toBe(VIRT_BASE_32 + BigInt(STACK + 1) * 4096n);
  expect([pagingState.levels, pagingState.root]).toEqual([3, domain.domain.root * 4096]);
  expect([...pagingState.pdpte]).toEqual([0, 0, 0, 0, 0, 0, (domain.mfn(DIRECTORY) << 12) | 1, 0]);
});

test("the hypercall page: mov eax, n; int 0x82; ret, and EAX is saved for iret", () => {
  const domain = boot();
  const slot = (number: number, length: number) => [
    ...domain.machine.memory.readBytes(domain.mfn(1) * 4096 + 32 * number, length),
  ];
  expect(slot(26, 8)).toEqual([0xb8, 26, 0, 0, 0, 0xcd, 0x82, 0xc3]);
  expect(slot(23, 8)).toEqual([0x50, 0xb8, 23, 0, 0, 0, 0xcd, 0x82]);
});

describe("refused", () => {
  const build = (notes: readonly RawNote[], options: Partial<DomainOptions> = {}) =>
    buildDomain(image32(notes), { ...OPTIONS, ...options });

  const NOTES: [string, RawNote[], RegExp][] = [
    [
      "a kernel that is not for PAE",
      [textNote(NOTE.PAE_MODE, "no")],
      /PAE_MODE is "no", and only PAE guests are supported/,
    ],
    [
      "a feature that is not there",
      [textNote(NOTE.FEATURES, "!auto_translated_physmap")],
      /needs the hypervisor's feature auto_translated_physmap/,
    ],
    [
      "addresses beyond 4 GiB",
      [numberNote(NOTE.HYPERCALL_PAGE, 0x1c0001000n)],
      /HYPERCALL_PAGE is 0x1c0001000, beyond the 4 GiB of the image/,
    ],
    [
      "a base in the hypervisor's addresses",
      [
        numberNote(NOTE.VIRT_BASE, 0xf5780000n),
        numberNote(NOTE.ENTRY, 0xf5780000n),
        numberNote(NOTE.HYPERCALL_PAGE, 0xf5781000n),
      ],
      /touches the hypervisor's addresses, 0xf5800000 to 0xffffffff$/,
    ],
  ];
  test.each(NOTES)("%s", (_name, notes, message) => {
    expect(() => build(notes)).toThrow(message);
  });

  test("more memory than the hypervisor has addresses for a table of", () => {
    const pages = 200 * 2 ** 18;
    expect(() => build([], { nrPages: pages })).toThrow(
      /52428800 pages are too many for a 32-bit guest: .* 201 MiB of the 166 MiB/,
    );
  });

  test("PAE_MODE with more words than yes is no refusal", () => {
    expect(build([textNote(NOTE.PAE_MODE, "yes[extended-cr3]")]).abi.levels).toBe(3);
  });
});
