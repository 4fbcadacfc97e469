/** Boots of direct-map's variant xen whose outcome is compared with what test/support/directMapXen.ts computes. */
import { expect } from "vitest";
import { listTables } from "../../src/paging/tables";
import { TYPE_WRITABLE } from "../../src/xen/pageInfo";
import { type GuestOptions, ignoringUse } from "./bootProgram";
import { DirectMap } from "./directMap";
import { boots, expectOk, expectRecord } from "./directMapChecks";
import { type ExpectedXenTables, expectedXenTables, LINK } from "./directMapXen";

const PAGE = 4096;
/** Root index of 0xffff880000000000, and of the P->M list. */
const FIRST_SLOT = 272;
const P2M_SLOT = 1;
const HYPERVISOR_SLOTS = { first: 256, last: 271 };

/** Boots a domain to the end, which is "ok". */
export const bootsXen = (settings: Record<string, string> = {}, options: GuestOptions = {}): DirectMap =>
  boots({ variant: "xen", ...settings }, options);

/** Does the same in parts, so that the test runner stays alive. */
export async function bootsInParts(settings: Record<string, string>, options: GuestOptions = {}) {
  const guest = new DirectMap({ variant: "xen", ...settings }, options);
  let status: number | string = "limit";
  while (status === "limit") {
    status = guest.run(10_000_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expectOk(guest, status);
  return guest;
}

/** The machine frame in an entry. */
const frameOf = (low: number, high: number): number => (high & 0xfffff) * 2 ** 20 + (low >>> 12);

/** The root, the direct map's tables and the counters are those of the domain. */
function expectTables(guest: DirectMap): ExpectedXenTables {
  const expected = expectedXenTables(guest);
  const { frames, p2m } = guest.xen!.domain;
  const root = guest.table("init_level4_pgt").map(ignoringUse);
  const link = (pfn: number) => (BigInt(frames.mfnOf(pfn)) << 12n) | LINK;
  const own = new Map([
    [P2M_SLOT, link(p2m.outside!.tables[0]!.pfn)],
    ...[...expected.root].map(([slot, entry]) => [FIRST_SLOT + slot, entry] as const),
    [511, BigInt(guest.physicalOf("level3_kernel_pgt")) | LINK],
  ]);
  root.forEach((entry, slot) => {
    if (slot >= HYPERVISOR_SLOTS.first && slot <= HYPERVISOR_SLOTS.last) return;
    expect(entry, `slot ${slot}`).toBe(own.get(slot) ?? 0n);
  });
  for (const [pfn, entries] of expected.tables) {
    const table = guest.table(frames.mfnOf(pfn) * PAGE);
    const wrong = entries.findIndex((entry, i) => entry !== ignoringUse(table[i]!));
    if (wrong < 0) continue;
    throw new Error(
      `entry ${wrong} of the table in frame ${pfn.toString(16)} is ${table[wrong]!.toString(16)}, ` +
        `not ${entries[wrong]!.toString(16)}`,
    );
  }
  expect(guest.meminfo).toEqual(expected.pages);
  return expected;
}

/** Every table page has been taken as computed, and lost its alias before it was attached. */
export function expectAsComputed(guest: DirectMap): ExpectedXenTables {
  const expected = expectTables(guest);
  expectRecord(guest, expected);
  expect(guest.count("hypercall-rejected")).toBe(0);
  return expected;
}

/** Machine frames of the tables that the guest's root reaches and that are the guest's, and of writable pages, by how often. */
export function mappings(guest: DirectMap) {
  const { pagingState, memory } = guest.machine;
  const { frames } = guest.xen!.domain;
  const tables = listTables(pagingState, memory).filter(({ physical }) => frames.pfnOf(physical / PAGE) >= 0);
  const writable = new Map<number, number>();
  for (const { physical, level } of tables) {
    for (let i = 0; i < 512; i++) {
      const low = memory.read32(physical + 8 * i);
      const isPage = level === 1 || (level < 4 && (low & 0x80) !== 0);
      if (!isPage || (low & 3) !== 3) continue;
      const first = frameOf(low, memory.read32(physical + 8 * i + 4));
      for (let mfn = first; mfn < first + 512 ** (level - 1); mfn++) {
        writable.set(mfn, (writable.get(mfn) ?? 0) + 1);
      }
    }
  }
  return { tables: new Set(tables.map(({ physical }) => physical / PAGE)), writable };
}

/** No table of the guest is mapped writable anywhere, and the hypervisor has counted what its tables say. */
export function expectNoWritableTable(guest: DirectMap): void {
  const { tables, writable } = mappings(guest);
  const { info } = guest.xen!.pages;
  expect(tables.size).toBeGreaterThan(0);
  for (const { phys } of guest.tablePages) {
    expect(tables.has(guest.xen!.domain.frames.mfnOf(phys / PAGE))).toBe(true);
  }
  expect([...tables].filter((mfn) => writable.has(mfn))).toEqual([]);
  const wrong = [...writable].filter(
    ([mfn, count]) => info.typeOf(mfn) !== TYPE_WRITABLE || info.countOf(mfn) !== count,
  );
  expect(wrong).toEqual([]);
}
