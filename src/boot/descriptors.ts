/** Flat segments as loaders leave them, and their descriptors in a GDT (SDM vol. 3A, 3.4.5). */
import {
  ATTRIBUTES_CODE32,
  ATTRIBUTES_CODE64,
  ATTRIBUTES_DATA,
  type SegmentName,
  type SegmentState,
} from "../machine/startState";
import { Struct } from "./bytes";
import type { Layout } from "./layout";

/** Selectors of the Linux boot protocols. */
export const BOOT_CS = 0x10;
export const BOOT_DS = 0x18;

/** Code and data segments over the whole address space, all data segment registers alike. */
export function flatSegments(
  code: 32 | 64,
  codeSelector: number,
  dataSelector: number,
): Record<SegmentName, SegmentState> {
  const attributes = code === 64 ? ATTRIBUTES_CODE64 : ATTRIBUTES_CODE32;
  const data = { selector: dataSelector, base: 0n, limit: 0xffffffff, attributes: ATTRIBUTES_DATA };
  return {
    cs: { ...data, selector: codeSelector, attributes },
    ds: data,
    es: { ...data },
    ss: { ...data },
    fs: { ...data },
    gs: { ...data },
  };
}

/**
 * Puts a GDT with __BOOT_CS and __BOOT_DS into the lowest free memory.
 * @returns what GDTR holds; its page, from `base` on, has to be mapped for as long as the GDT is used
 */
export function buildBootGdt(layout: Layout, code: 32 | 64): { base: bigint; limit: number } {
  const gdt = new Struct(BOOT_DS + 8);
  const segments = flatSegments(code, BOOT_CS, BOOT_DS);
  encodeFlat(gdt, BOOT_CS, segments.cs);
  encodeFlat(gdt, BOOT_DS, segments.ds);
  const base = layout.allocate("GDT", gdt.bytes.length);
  layout.write(base, gdt.bytes);
  return { base: BigInt(base), limit: gdt.bytes.length - 1 };
}

/** A descriptor with base 0 and limit 4 GiB. */
function encodeFlat(gdt: Struct, offset: number, segment: SegmentState): void {
  gdt.u16(offset, 0xffff);
  gdt.u8(offset + 5, segment.attributes & 0xff);
  gdt.u8(offset + 6, 0xf | ((segment.attributes >> 8) & 0xf0));
}
