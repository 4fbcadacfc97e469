/** direct-map's variant xen with much memory; the rest is in directMapXen.test.ts. */
import { expect, it } from "vitest";
import { GIB, MIB } from "../support/bootProgram";
import { bootsInParts, expectAsComputed, expectNoWritableTable } from "../support/directMapXenChecks";

const TIMEOUT = 300_000;

it(
  "4 GiB: tables for what the builder and the first table pages leave",
  async () => {
    const guest = await bootsInParts({}, { memory: 4 * GIB });
    const { taken, tableSpace } = expectAsComputed(guest);
    expect(taken.filter(({ level }) => level === 1)).toHaveLength(2048 - 2 - 3);
    expect(taken.filter(({ level }) => level === 2)).toHaveLength(3);
    // Behind the list and its tables.
    expect(tableSpace.start).toBe(guest.xen!.domain.p2m.outside!.endPfn * 4096);
    expect(guest.serial).toMatch(/^existing: c02000-1002000, for the first tables$/m);
  },
  TIMEOUT,
);

it(
  "6 GiB with a hole below 4 GiB: no tables for it",
  async () => {
    const guest = await bootsInParts({ e820: "0-3G:usable,4G-7G:usable" });
    const { taken } = expectAsComputed(guest);
    expect(taken.filter(({ level }) => level === 2)).toHaveLength(6 - 1);
    expect(guest.meminfo.DirectMap4k).toBe((6 * GIB) / 1024);
  },
  TIMEOUT,
);

it(
  "600 GiB with memory at both ends crosses an entry of the root; the tables begin behind a list of 1.2 GiB",
  async () => {
    const guest = await bootsInParts({ e820: "0-2440M:usable,614360M-600G:usable" });
    const { root, taken, tableSpace } = expectAsComputed(guest);
    expect([...root.keys()]).toEqual([0, 1]);
    expect(taken.filter(({ level }) => level === 3)).toHaveLength(1);
    expect(tableSpace.start).toBeGreaterThan(1200 * MIB);
    expect(guest.meminfo.DirectMap4k).toBe((2440 + 40) * 1024);
    expectNoWritableTable(guest);
    expect(guest.machine.memory.residentBytes).toBeLessThan(250 * MIB);
  },
  TIMEOUT,
);
