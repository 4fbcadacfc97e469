/** i386-paravirt as a Xen domain with much memory; the rest is in i386ParavirtXen.test.ts. */
import { expect, it } from "vitest";
import { MIB, PAGE } from "../support/i386Paravirt";
import { MAX_LOW } from "../support/i386ParavirtXen";
import { bootsLong, expected } from "../support/i386ParavirtXenChecks";

/** Milliseconds: each page is a hypercall. */
const LONG = 240_000;

it(
  "512 MiB: a page directory, 254 page tables besides two of the builder's, two of the fixmap",
  async () => {
    expect((await bootsLong(512 * MIB)).word("tables_allocated")).toBe(257);
  },
  LONG,
);

it(
  "896 MiB need more tables than the builder has mapped memory for: what is mapped can be handed out",
  async () => {
    const guest = await bootsLong(896 * MIB);
    expect(guest.word("bootmem_next") * PAGE).toBeGreaterThan(4 * MIB);
    expect(guest.word("init_map_end")).toBe(MAX_LOW);
  },
  LONG,
);

it(
  "2 GiB: the P->M list makes the builder's mapping 8 MiB",
  async () => {
    const guest = await bootsLong(2048 * MIB);
    expect(expected(guest, {}).builders.pageTables).toBe(4);
  },
  LONG,
);
