/**
 * One 8259A interrupt controller (Intel 8259A data sheet). An edge stays latched until it is acknowledged, also where
 * its line falls before; whether a line is level-triggered is said by the chipset's ELCR (PIIX, 4D0H and 4D1H), not by
 * ICW1. The MCS-80 mode and buffered mode mean nothing on a PC.
 */

import type { Snapshotable } from "../snapshot";

const ICW1 = 0x10;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;
const ICW4_AUTO_EOI = 0x02;
const ICW4_FULLY_NESTED = 0x10;

const OCW3 = 0x08;
const OCW3_POLL = 0x04;
const OCW3_READ = 0x02;
const OCW3_READ_ISR = 0x01;
const OCW3_SET_SPECIAL_MASK = 0x40;
const OCW3_SPECIAL_MASK = 0x20;

/** Bits 7:5 of OCW2: rotate, specific, end of interrupt. */
const OCW2_ROTATE = 0x80;
const OCW2_SPECIFIC = 0x40;
const OCW2_EOI = 0x20;

/** The line that is given where nothing is requested any more at the time of the acknowledge. */
const SPURIOUS = 7;
const NO_REQUEST = -1;

/** What firmware leaves: the base of the vectors, and the mask. */
export interface PicSettings {
  readonly base: number;
  readonly mask: number;
}

export class Pic8259 implements Snapshotable<unknown> {
  private mask: number;
  /** Bits 7:3 of the vectors. */
  private base: number;
  private requests = 0;
  private inService = 0;
  private lines = 0;
  /** Which lines are level-triggered. The cascade is: its line falls where the other one's requests go away. */
  private levelTriggered: number;
  private autoEoi = false;
  private rotateOnAutoEoi = false;
  private fullyNested = false;
  private specialMask = false;
  private readsInService = false;
  private poll = false;
  /** The line of the lowest priority; the next one has the highest. */
  private lowest = 7;
  /** The initialisation word that comes next (2, 3, 4), or 0. */
  private nextWord = 0;
  private icw1 = 0;

  /**
   * @param cascade the line on which another controller hangs; none for that other one
   * @param elcrWritable which lines can be level-triggered
   */
  constructor(
    { base, mask }: PicSettings,
    private readonly cascade: number | undefined,
    private readonly elcrWritable: number,
  ) {
    this.base = base;
    this.mask = mask;
    this.levelTriggered = this.cascadeBit;
  }

  save() {
    return {
      mask: this.mask,
      base: this.base,
      requests: this.requests,
      inService: this.inService,
      lines: this.lines,
      levelTriggered: this.levelTriggered,
      autoEoi: this.autoEoi,
      rotateOnAutoEoi: this.rotateOnAutoEoi,
      fullyNested: this.fullyNested,
      specialMask: this.specialMask,
      readsInService: this.readsInService,
      poll: this.poll,
      lowest: this.lowest,
      nextWord: this.nextWord,
      icw1: this.icw1,
    };
  }

  restore(state: ReturnType<Pic8259["save"]>): void {
    this.mask = state.mask;
    this.base = state.base;
    this.requests = state.requests;
    this.inService = state.inService;
    this.lines = state.lines;
    this.levelTriggered = state.levelTriggered;
    this.autoEoi = state.autoEoi;
    this.rotateOnAutoEoi = state.rotateOnAutoEoi;
    this.fullyNested = state.fullyNested;
    this.specialMask = state.specialMask;
    this.readsInService = state.readsInService;
    this.poll = state.poll;
    this.lowest = state.lowest;
    this.nextWord = state.nextWord;
    this.icw1 = state.icw1;
  }

  /** The level of a line 0..7. */
  setLine(line: number, high: boolean): void {
    const bit = 1 << line;
    const rises = high && (this.lines & bit) === 0;
    this.lines = high ? this.lines | bit : this.lines & ~bit;
    if (rises && (this.levelTriggered & bit) === 0) this.requests |= bit;
  }

  /** Lines whose requests are not masked. */
  get unmasked(): number {
    return ~this.mask & 0xff;
  }

  /** The request that the CPU is to be told of; negative where there is none of sufficient priority. */
  get requested(): number {
    const requests = this.irr & ~this.mask;
    if (requests === 0) return NO_REQUEST;
    // In special mask mode a masked line that is in service holds nothing back.
    const inService = this.specialMask ? this.inService & ~this.mask : this.inService;
    for (let i = 1; i <= 8; i++) {
      const line = (this.lowest + i) & 7;
      const bit = 1 << line;
      const serves = (inService & bit) !== 0;
      const nests = this.fullyNested && line === this.cascade;
      if ((requests & bit) !== 0 && (!serves || nests)) return line;
      if (serves && !this.specialMask) return NO_REQUEST;
    }
    return NO_REQUEST;
  }

  /** Interrupt acknowledge: the line that is in service now, and its vector. */
  acknowledge(): { line: number; vector: number } {
    const line = this.requested;
    if (line === NO_REQUEST) return { line, vector: this.base | SPURIOUS };
    const bit = 1 << line;
    if ((this.levelTriggered & bit) === 0) this.requests &= ~bit;
    if (!this.autoEoi) this.inService |= bit;
    else if (this.rotateOnAutoEoi) this.lowest = line;
    return { line, vector: this.base | line };
  }

  /** @param odd whether the port of the mask is read */
  read(odd: boolean): number {
    if (this.poll) {
      this.poll = false;
      const { line } = this.acknowledge();
      return line === NO_REQUEST ? 0 : 0x80 | line;
    }
    if (odd) return this.mask;
    return this.readsInService ? this.inService : this.irr;
  }

  /** @param odd whether the port of the mask is written */
  write(odd: boolean, value: number): void {
    if (!odd) {
      if ((value & ICW1) !== 0) this.initialise(value);
      else if ((value & OCW3) !== 0) this.control(value);
      else this.command(value);
    } else if (this.nextWord !== 0) this.initialisationWord(value);
    else this.mask = value;
  }

  /** The edge/level control register. */
  get elcr(): number {
    return this.levelTriggered & ~this.cascadeBit;
  }

  set elcr(value: number) {
    this.levelTriggered = (value & this.elcrWritable) | this.cascadeBit;
  }

  private get cascadeBit(): number {
    return this.cascade === undefined ? 0 : 1 << this.cascade;
  }

  private get irr(): number {
    return (this.requests & ~this.levelTriggered) | (this.lines & this.levelTriggered);
  }

  private initialise(icw1: number): void {
    this.icw1 = icw1;
    this.nextWord = 2;
    this.mask = 0;
    this.requests = 0;
    this.inService = 0;
    this.lowest = 7;
    this.specialMask = false;
    this.readsInService = false;
    this.poll = false;
    this.rotateOnAutoEoi = false;
    this.setMode(0);
  }

  private initialisationWord(value: number): void {
    const word = this.nextWord;
    if (word === 2) this.base = value & 0xf8;
    if (word === 4) this.setMode(value);
    const single = (this.icw1 & ICW1_SINGLE) !== 0;
    const last = (this.icw1 & ICW1_NEEDS_ICW4) !== 0 ? 4 : single ? 2 : 3;
    // A single controller has no third word.
    const next = word === 2 && single ? 4 : word + 1;
    this.nextWord = word >= last ? 0 : next;
  }

  private setMode(icw4: number): void {
    this.autoEoi = (icw4 & ICW4_AUTO_EOI) !== 0;
    this.fullyNested = (icw4 & ICW4_FULLY_NESTED) !== 0;
  }

  /** OCW3. */
  private control(value: number): void {
    if ((value & OCW3_POLL) !== 0) this.poll = true;
    else if ((value & OCW3_READ) !== 0) this.readsInService = (value & OCW3_READ_ISR) !== 0;
    if ((value & OCW3_SET_SPECIAL_MASK) !== 0) this.specialMask = (value & OCW3_SPECIAL_MASK) !== 0;
  }

  /** OCW2: ends of interrupts, and rotation of priorities. */
  private command(value: number): void {
    const rotates = (value & OCW2_ROTATE) !== 0;
    if ((value & OCW2_EOI) === 0) {
      if ((value & OCW2_SPECIFIC) === 0) this.rotateOnAutoEoi = rotates;
      else if (rotates) this.lowest = value & 7;
      return;
    }
    const line = (value & OCW2_SPECIFIC) !== 0 ? value & 7 : this.highestInService();
    if (line === NO_REQUEST) return;
    this.inService &= ~(1 << line);
    if (rotates) this.lowest = line;
  }

  private highestInService(): number {
    for (let i = 1; i <= 8; i++) {
      const line = (this.lowest + i) & 7;
      const bit = 1 << line;
      const masked = this.specialMask && (this.mask & bit) !== 0;
      if ((this.inService & bit) !== 0 && !masked) return line;
    }
    return NO_REQUEST;
  }
}
