/** What tests of i386-paravirt as a Xen domain expect of every boot. */
import { setImmediate } from "node:timers/promises";
import { expect } from "vitest";
import type { MachineEvent } from "../../src/machine/events";
import type { GuestOptions } from "./bootProgram";
import { MIB, PAGE } from "./i386Paravirt";
import {
  type ExpectedDomainTables,
  expectedDomainTables,
  HYPERVISOR_SLOT,
  I386ParavirtXen,
  MAX_LOW,
} from "./i386ParavirtXen";

/** Instructions. */
const SLICE = 5_000_000;

type Settings = Record<string, string>;
type Rejected = Extract<MachineEvent, { event: "hypercall-rejected" }>;

export const rejections = (guest: I386ParavirtXen) =>
  guest.events.filter((event): event is Rejected => event.event === "hypercall-rejected");

export function expected(guest: I386ParavirtXen, settings: Settings): ExpectedDomainTables {
  const { frames } = guest.xen!.domain;
  const lowEnd = Math.min(Number(settings.low_end ?? MAX_LOW), MAX_LOW);
  return expectedDomainTables({
    pages: frames.nrPages,
    maxLowPfn: Math.min(frames.nrPages, Math.floor(lowEnd / PAGE)),
    nx: settings.nx !== "off",
    text: [guest.pfnOf("_text"), guest.pfnOf("_etext")],
    end: guest.pfnOf("_end"),
    root: guest.pfnOf("swapper_pg_dir"),
    mfnOf: (pfn) => guest.mfnOf(pfn),
  });
}

/** Every entry that is not as expected; of page directories, what is the guest's. */
export function differences(
  guest: I386ParavirtXen,
  { tables, builders, directory }: ExpectedDomainTables,
): string[] {
  return [...tables].flatMap(([pfn, entries]) => {
    const found = guest.tableIn(pfn);
    const guests = pfn === directory || pfn === builders.directory ? HYPERVISOR_SLOT : entries.length;
    return entries
      .slice(0, guests)
      .flatMap((entry, i) =>
        found[i] === entry
          ? []
          : [`entry ${i} of frame ${pfn.toString(16)}: ${found[i].toString(16)}, not ${entry.toString(16)}`],
      );
  });
}

/** A boot without a refusal, whose tables are as expected, entry by entry. */
function expectBooted(guest: I386ParavirtXen, settings: Settings, result: number | string): void {
  expect({ result, serial: guest.serial, rejections: rejections(guest) }).toEqual({
    result: 0,
    serial: expect.stringMatching(/\nok\n$/),
    rejections: [],
  });
  const tables = expected(guest, settings);
  expect(differences(guest, tables).slice(0, 10)).toEqual([]);
  expect(guest.word("tables_allocated")).toBe(tables.allocated);
  expect(guest.word("bootmem_next")).toBe(tables.firstAllocated + tables.allocated);
}

/** Runs to the end, and compares every table. */
export function boots(settings: Settings, memory = 16 * MIB, options: GuestOptions = {}): I386ParavirtXen {
  const guest = new I386ParavirtXen(settings, { memory, ...options });
  expectBooted(guest, settings, guest.run());
  return guest;
}

/** The same with much memory, which takes long: the test runner is heard in between. */
export async function bootsLong(memory: number): Promise<I386ParavirtXen> {
  const guest = new I386ParavirtXen({}, { memory });
  guest.wantFewEvents();
  let result = guest.run(SLICE);
  while (result === "limit") {
    await setImmediate();
    result = guest.run(SLICE);
  }
  expectBooted(guest, {}, result);
  return guest;
}
