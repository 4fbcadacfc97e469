/** Boots of direct-map whose outcome is compared with what test/support/directMap.ts computes. */
import { expect } from "vitest";
import { type GuestOptions, ignoringUse } from "./bootProgram";
import { DirectMap, type ExpectedTables, expectedTables, type Variant } from "./directMap";

const MOST = 300_000_000;
/** A domain's reason to shut down. */
const SHUTDOWN_CRASH = 3;
/** Root index of 0xffff880000000000. */
const FIRST_SLOT = 272;

/** Boots to the end, which is "ok", without a fault or a stale translation. */
export function boots(settings: Record<string, string>, options: GuestOptions = {}): DirectMap {
  const guest = new DirectMap(settings, options);
  expectOk(guest, guest.run(MOST));
  return guest;
}

/** A boot has come to its end without a fault or a stale translation. */
export function expectOk(guest: DirectMap, status: number | string): void {
  expect(guest.serial).toMatch(/ok\n$/);
  expect(status).toBe(0);
  expect(guest.count("stale-tlb")).toBe(0);
  expect(guest.count("page-fault")).toBe(0);
}

/** Boots to the end, with the status that tells of a failure. */
export function fails(settings: Record<string, string>, options: GuestOptions = {}): DirectMap {
  const guest = new DirectMap(settings, options);
  expect(guest.run(MOST)).toBe(guest.xen === undefined ? 1 : SHUTDOWN_CRASH);
  expect(guest.serial).not.toContain("ok\n");
  return guest;
}

/** The guest's tables are the expected ones, and nothing else is in its root. */
export function expectTables(guest: DirectMap, expected: ExpectedTables, firstSlot = FIRST_SLOT): void {
  expect(guest.machine.pagingState.root).toBe(guest.physicalOf("init_level4_pgt"));
  const root = new Map([...guest.table("init_level4_pgt").entries()].filter(([, entry]) => entry !== 0n));
  expect([...root.keys()]).toEqual([...[...expected.root.keys()].map((slot) => firstSlot + slot), 511]);
  for (const [slot, entry] of expected.root) {
    expect(ignoringUse(root.get(firstSlot + slot)!)).toBe(ignoringUse(entry));
  }
  for (const [phys, entries] of expected.tables) {
    const table = guest.table(phys);
    const wrong = entries.findIndex((entry, i) => ignoringUse(entry) !== ignoringUse(table[i]!));
    if (wrong < 0) continue;
    throw new Error(
      `entry ${wrong} of the table at ${phys.toString(16)} is ${table[wrong]!.toString(16)}, ` +
        `not ${entries[wrong]!.toString(16)}`,
    );
  }
  expect(guest.meminfo).toEqual(expected.pages);
  expect(guest.serial).toContain(`, mapped up to ${expected.mappedEnd.toString(16)}\n`);
}

/** Every table page that was taken is one of the expected, and lost its alias before it was attached. */
export function expectRecord(guest: DirectMap, expected: Pick<ExpectedTables, "taken">): void {
  const record = guest.tablePages;
  expect(record.map(({ phys, level }) => ({ phys, level }))).toEqual(expected.taken);
  const late = record.filter(({ aliasDropped, attached }) => aliasDropped < 1 || aliasDropped >= attached);
  expect(late).toEqual([]);
  const steps = record.flatMap(({ aliasDropped, attached }) => [aliasDropped, attached]);
  expect(steps.sort((a, b) => a - b)).toEqual(steps.map((_, i) => i + 1));
  expect(guest.table("level1_fixmap_pgt").every((entry) => entry === 0n)).toBe(true);
}

/** Tables and record are those of the memory map, without entries that exist or other defects. */
export function expectAsComputed(guest: DirectMap, variant: Variant, firstSlot = FIRST_SLOT): ExpectedTables {
  const expected = expectedTables(guest, { e820: guest.boot.e820, variant });
  expectTables(guest, expected, firstSlot);
  expectRecord(guest, expected);
  return expected;
}
