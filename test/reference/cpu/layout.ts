/**
 * Where the cases live, in the recorder as in the replay.
 *
 * The data region (two writable pages, one read-only) and the code region are each seen at two linear addresses, one
 * below 4 GiB and one above; everything else that a case can reach is not mapped.
 */
import type { Random } from "./random";

export const PAGE = 0x1000;
export const WRITABLE_SIZE = 2 * PAGE;
export const DATA_SIZE = 3 * PAGE;
export const CODE_SIZE = 16 * PAGE;

export const DATA_LOW = 0x10000000n;
export const DATA_HIGH = 0x5a5a10000000n;
export const CODE_LOW = 0x20000000n;
export const CODE_HIGH = 0x5a5a20000000n;

/** Bases of FS and GS. Code that is not 64-bit uses the low 32 bits. */
export const FS_BASE = 0x0fff8000n;
export const GS_BASE = 0x5a5a0ff00000n;

/** Selectors as Linux gives them to user processes. ES, SS, DS, FS and GS all hold the same one. */
export const SELECTOR_CODE64 = 0x33;
export const SELECTOR_CODE32 = 0x23;
export const SELECTOR_DATA = 0x2b;

/** What the data region holds at the start of every case but for the case's patches. */
export function background(random: Random): Uint8Array {
  const bytes = new Uint8Array(DATA_SIZE);
  for (let i = 0; i < DATA_SIZE; i++) bytes[i] = random.next();
  return bytes;
}

/** The offset of a linear address in the data region; may lie outside of 0..DATA_SIZE - 1. */
export function dataOffset(address: bigint): number | undefined {
  for (const base of [DATA_LOW, DATA_HIGH]) {
    const offset = address - base;
    if (offset > -0x10000n && offset < 0x20000n) return Number(offset);
  }
  return undefined;
}
