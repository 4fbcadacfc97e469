/**
 * The x87 and SSE state, kept as the image that FXSAVE stores (SDM vol. 1, table 10-2): what kernels initialise, save and
 * restore. Nothing computes with it.
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

  get mxcsr(): number {
    return this.view.getUint32(FPU_MXCSR, true);
  }

  set mxcsr(value: number) {
    this.view.setUint32(FPU_MXCSR, value, true);
  }
}
