/** Segment attributes (SDM vol. 3A, 3.4.5), and the block modes that follow from them. */

/** Bits of the block mode: what translated code depends on (see `Site`). */
export const MODE_16 = 0;
export const MODE_32 = 1;
export const MODE_64 = 2;
export const MODE_BITS = 3;
export const MODE_NOT_FLAT = 4;
export const MODE_STACK16 = 8;

/** Numbers of the system segment registers, behind the six of the encoding. */
export const LDTR = 6;
export const TR = 7;

/** Attribute bits as in `SegmentState`: descriptor bits 8..15 at 0..7, 20..23 at 12..15. */
export const SEG_TYPE = 0xf;
export const SEG_ACCESSED = 0x1;
/** Data: writable. Code: readable. */
export const SEG_WRITABLE = 0x2;
/** Data: expand-down. Code: conforming. */
export const SEG_CONFORMING = 0x4;
export const SEG_CODE = 0x8;
export const SEG_S = 0x10;
export const SEG_DPL_SHIFT = 5;
export const SEG_P = 0x80;
export const SEG_L = 0x2000;
export const SEG_DB = 0x4000;
export const SEG_G = 0x8000;
