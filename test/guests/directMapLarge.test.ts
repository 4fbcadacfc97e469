/** direct-map with much memory; the rest is in directMap.test.ts. */
import { afterEach, describe, expect, it } from "vitest";
import { GIB, MIB, TIB } from "../support/bootProgram";
import { endOfRam, VARIANTS } from "../support/directMap";
import { boots, expectAsComputed } from "../support/directMapChecks";

// Boots keep the thread busy for long: what vitest has to say is said between them.
afterEach(() => new Promise((resolve) => setImmediate(resolve)));

describe.each(VARIANTS)("%s", (variant) => {
  it.each([
    ["4 GiB", 4 * GIB],
    ["6 GiB with the hole below 4 GiB", 6 * GIB],
  ])("%s: boots, and its tables are those of its memory map", (_name, memory) => {
    const guest = boots({ variant }, { memory });
    const expected = expectAsComputed(guest, variant);
    const gib = Math.ceil(endOfRam(guest.boot.e820) / GIB);
    // No RAM between 3 and 4 GiB: no tables for it.
    const mapped = gib - 1;
    const small = variant === "native-nopse" ? 512 * mapped : 0;
    const pages = { "native-gbpages": 1, native: 1 + mapped, "native-nopse": 1 + mapped + small };
    expect(expected.taken).toHaveLength(pages[variant]);
  });
});

describe("memory that crosses an entry of the root", () => {
  it.each([
    ["native", 600 * GIB],
    ["native-gbpages", 600 * GIB],
    ["native-gbpages", TIB],
  ] as const)("%s with %i bytes", (variant, memory) => {
    const guest = boots({ variant }, { memory });
    const expected = expectAsComputed(guest, variant);
    expect(expected.root.size).toBe(Math.ceil(endOfRam(guest.boot.e820) / (512 * GIB)));
  });

  it("native-nopse, with islands of memory on both sides: tables are only there where memory is", () => {
    const e820 = "0-0x9fc00:usable,1M-1200M:usable,523264M-524800M:usable";
    const guest = boots({ variant: "native-nopse", e820 });
    expectAsComputed(guest, "native-nopse");
    expect(guest.machine.memory.residentBytes).toBeLessThan(32 * MIB);
  });
});
