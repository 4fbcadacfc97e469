/**
 * The plain entry of an executable (e_entry), without a boot protocol. ELF64 begins in long mode with an identity map
 * of the low 4 GiB and of the image; ELF32 in protected mode with paging off. Flat segments, interrupts off, all
 * general registers 0, no stack. The GDT and the page tables take the lowest free memory from 0x1000 on.
 */
import type { StartState } from "../machine/startState";
import { buildBootGdt } from "./descriptors";
import { longModeState, protectedModeState } from "./entryState";
import { UsageError } from "./errors";
import { buildIdentityMap } from "./identityMap";
import type { Layout } from "./layout";
import type { LoadedImage } from "./load";
import { GIB, hex } from "./values";

/** @throws UsageError where the image lies beyond the reach of its mode; ImageError where its entry lies outside */
export function bootElfEntry(layout: Layout, image: LoadedImage): StartState {
  const entry = image.entry();
  if (image.image.class === 64) {
    const gdtr = buildBootGdt(layout, 64);
    const gdt = Number(gdtr.base);
    const low = { start: 0, end: 4 * GIB };
    const cr3 = buildIdentityMap(layout, [low, { start: gdt, end: gdt + gdtr.limit + 1 }, ...image.ranges]);
    return longModeState(entry, cr3, gdtr);
  }
  requireLow(image);
  return { ...protectedModeState(entry), gdtr: buildBootGdt(layout, 32) };
}

/** 32-bit code reaches 4 GiB. @throws UsageError where the image lies above */
export function requireLow(image: LoadedImage): void {
  if (image.end > 4 * GIB) {
    throw new UsageError(
      `the image ends at ${hex(image.end)}, but a 32-bit entry reaches only 4 GiB: load it at a lower address`,
    );
  }
}
