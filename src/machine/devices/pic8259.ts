/** One 8259A interrupt controller: it takes its initialisation and keeps its mask. It raises no interrupts. */
import type { IoDevice } from "./ioBus";

const ICW1 = 0x10;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;

export class Pic8259 implements IoDevice {
  private mask = 0;
  /** Initialisation words still to come: ICW2, ICW3 in a cascade, and perhaps ICW4. */
  private pendingWords = 0;

  save() {
    return { mask: this.mask, pendingWords: this.pendingWords };
  }

  restore(state: ReturnType<Pic8259["save"]>): void {
    this.mask = state.mask;
    this.pendingWords = state.pendingWords;
  }

  read(port: number): number {
    // No request is ever pending or in service: IRR and ISR read the same, whichever OCW3 chose.
    return (port & 1) !== 0 ? this.mask : 0;
  }

  write(port: number, _size: number, value: number): void {
    if ((port & 1) === 0) {
      if ((value & ICW1) !== 0) this.initialise(value);
      // OCW2 (end of interrupt) and OCW3 (which register to read) change nothing that shows.
    } else if (this.pendingWords > 0) this.pendingWords--;
    else this.mask = value;
  }

  private initialise(icw1: number): void {
    this.mask = 0;
    this.pendingWords = 1 + ((icw1 & ICW1_SINGLE) === 0 ? 1 : 0) + ((icw1 & ICW1_NEEDS_ICW4) !== 0 ? 1 : 0);
  }
}
