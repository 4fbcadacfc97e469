/**
 * The x87 and SSE state, kept as the image that FXSAVE stores (SDM vol. 1, table 10-2): what kernels initialise, save and
 * restore. Nothing computes with it, and the pointers to the last instruction and its operand are not kept.
 *
 * Invariant: the reserved bytes of the image, and those that FXSAVE leaves to software, are 0.
 */

/** Offsets in the image. */
export const FPU_CONTROL = 0;
export const FPU_STATUS = 2;
export const FPU_TAGS = 4;
/** Opcode, instruction pointer and data pointer of the last x87 instruction. */
export const FPU_POINTERS = 6;
export const FPU_MXCSR = 24;
export const FPU_MXCSR_MASK = 28;
export const FPU_REGISTERS = 32;
/** Where XMM0 begins, 16 bytes each; XMM8 and above exist in 64-bit mode. */
export const FPU_XMM = 160;
/** What FXSAVE writes of its 512 bytes: the rest is software's. */
export const FPU_IMAGE = 416;
/** The end of XMM7. */
export const FPU_IMAGE_32 = 288;

/** The bits of MXCSR that exist. */
export const MXCSR_BITS = 0xffff;
/** The top of the stack, and C1, in the status word. */
const TOP_SHIFT = 11;
const TOP_BITS = 0x3800;
const C1 = 0x200;
const EXPONENT_BIAS = 0x3fff;

/** All exceptions masked, extended precision: FNINIT. */
const CONTROL_INITIAL = 0x37f;
const MXCSR_INITIAL = 0x1f80;

export class FpuState {
  readonly image = new Uint8Array(FPU_IMAGE);
  private readonly view = new DataView(this.image.buffer);

  constructor() {
    this.initialise();
    this.mxcsr = MXCSR_INITIAL;
    this.view.setUint32(FPU_MXCSR_MASK, MXCSR_BITS, true);
  }

  /** FNINIT: control, status, tags and pointers; the registers' contents stay. */
  initialise(): void {
    this.image.fill(0, 0, FPU_MXCSR);
    this.control = CONTROL_INITIAL;
  }

  get control(): number {
    return this.view.getUint16(FPU_CONTROL, true);
  }

  set control(value: number) {
    // Bit 6 is always set, bits 7 and 13 to 15 never are.
    this.view.setUint16(FPU_CONTROL, (value & 0x1f3f) | 0x40, true);
  }

  get status(): number {
    return this.view.getUint16(FPU_STATUS, true);
  }

  /** FNCLEX: no exception is pending any more. */
  clearExceptions(): void {
    this.view.setUint16(FPU_STATUS, this.status & 0x7f00, true);
  }

  /** EMMS: all registers are empty. */
  empty(): void {
    this.image[FPU_TAGS] = 0;
  }

  /**
   * Pushes an integer, which the 80-bit format holds exactly (SDM vol. 1, 8.2 and 8.1.2).
   * @returns false where the stack is full: then nothing has changed
   */
  pushInteger(value: bigint): boolean {
    const top = ((this.status >> TOP_SHIFT) - 1) & 7;
    if ((this.image[FPU_TAGS] & (1 << top)) !== 0) return false;
    this.image[FPU_TAGS] |= 1 << top;
    this.view.setUint16(FPU_STATUS, (this.status & ~(TOP_BITS | C1)) | (top << TOP_SHIFT), true);
    // The image has the registers in the stack's order: each goes one down, and the last becomes the first.
    this.image.copyWithin(FPU_REGISTERS + 16, FPU_REGISTERS, FPU_REGISTERS + 7 * 16);
    const magnitude = value < 0n ? -value : value;
    const bits = magnitude.toString(2).length;
    const exponent = magnitude === 0n ? 0 : EXPONENT_BIAS + bits - 1;
    this.view.setBigUint64(FPU_REGISTERS, magnitude === 0n ? 0n : magnitude << BigInt(64 - bits), true);
    this.view.setUint16(FPU_REGISTERS + 8, exponent | (value < 0n ? 0x8000 : 0), true);
    return true;
  }

  get mxcsr(): number {
    return this.view.getUint32(FPU_MXCSR, true);
  }

  set mxcsr(value: number) {
    this.view.setUint32(FPU_MXCSR, value, true);
  }
}
