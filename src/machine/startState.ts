/**
 * The CPU state at which a boot loader hands over. `src/boot` describes it as data, the machine takes it over.
 */

/** A segment register with its hidden part (SDM vol. 3A, 3.4.3). */
export interface SegmentState {
  selector: number;
  base: bigint;
  /** The limit in bytes, after scaling by G. */
  limit: number;
  /** Descriptor bits 8..15 and 20..23 at bits 0..7 and 12..15: type, S, DPL, P, AVL, L, D/B, G. */
  attributes: number;
}

/** Flat ring-0 32-bit code and data, 64-bit code: the attribute words loaders use. */
export const ATTRIBUTES_CODE32 = 0xc09b;
export const ATTRIBUTES_CODE64 = 0xa09b;
export const ATTRIBUTES_DATA = 0xc093;
/** A busy 32-bit or 64-bit TSS. */
export const ATTRIBUTES_TSS = 0x008b;

/** General registers by their 64-bit names; what is left out is 0. */
export type RegisterName =
  | "rax"
  | "rcx"
  | "rdx"
  | "rbx"
  | "rsp"
  | "rbp"
  | "rsi"
  | "rdi"
  | "r8"
  | "r9"
  | "r10"
  | "r11"
  | "r12"
  | "r13"
  | "r14"
  | "r15";

export type SegmentName = "es" | "cs" | "ss" | "ds" | "fs" | "gs";

/** Everything a loader decides; what is left out is as after reset (flags 2, tables empty). */
export interface StartState {
  rip: bigint;
  rflags?: number;
  registers?: Partial<Record<RegisterName, bigint>>;
  cr0: number;
  cr3: bigint;
  cr4: number;
  efer: number;
  segments: Record<SegmentName, SegmentState>;
  tr?: SegmentState;
  ldtr?: SegmentState;
  gdtr?: { base: bigint; limit: number };
  idtr?: { base: bigint; limit: number };
}
