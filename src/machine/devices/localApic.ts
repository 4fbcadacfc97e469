/**
 * The local APIC in xAPIC mode (SDM vol. 3A, chapter 10): its registers in a page of physical memory.
 *
 * Another CPU is nowhere, so that what is sent to others is lost. LINT0 takes the PICs' interrupts as ExtINT only. NMI, SMI and INIT to this CPU, which would be felt whatever its flags say,
 * stop the machine as unimplemented; so do accesses that the SDM forbids. There is no x2APIC mode.
 */
import { Unimplemented } from "../cpu/fault";
import type { MmioDevice } from "../memory";
import type { Snapshotable } from "../snapshot";
import { ApicTimer } from "./apicTimer";
import type { Clock } from "./ioBus";

/** Offsets of registers (table 10-1). */
const ID = 0x20;
const VERSION = 0x30;
const TPR = 0x80;
const APR = 0x90;
const PPR = 0xa0;
const EOI = 0xb0;
const RRD = 0xc0;
const LDR = 0xd0;
const DFR = 0xe0;
const SVR = 0xf0;
const ISR = 0x100;
const TMR = 0x180;
const IRR = 0x200;
const ESR = 0x280;
const ICR_LOW = 0x300;
const ICR_HIGH = 0x310;
const LVT_TIMER = 0x320;
const INITIAL_COUNT = 0x380;
const CURRENT_COUNT = 0x390;
const DIVIDE = 0x3e0;

/** Integrated APIC, version 14H, with six entries in the LVT. */
const VERSION_VALUE = 0x00050014;
/** Timer, thermal sensor, performance counters, LINT0, LINT1, error: which bits software writes (figure 10-8). */
const LVT_WRITABLE = [0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const;
const LINT0 = 3;
const LINT1 = 4;
const MASKED = 0x10000;
const DELIVERY_MODE = 0x700;
const DELIVERY_EXTINT = 0x700;
const PERIODIC = 0x20000;
const SOFTWARE_ENABLED = 0x100;
/** Of the ICR's lower half: vector, delivery mode, destination mode, level, trigger mode, shorthand. */
const ICR_WRITABLE = 0xccfff;

/** Error status bits (figure 10-9). */
const SEND_ILLEGAL_VECTOR = 0x20;
const RECEIVE_ILLEGAL_VECTOR = 0x40;
const ILLEGAL_REGISTER = 0x80;
/** Vectors below this one are reserved (10.5.2). */
const FIRST_VECTOR = 16;

/** Delivery modes (10.6.1) that this CPU would feel at once. 6, start-up, means nothing to a CPU that runs. */
const FELT: Readonly<Record<number, string>> = { 2: "an SMI", 4: "an NMI", 5: "an INIT" };
const DELIVERY_INIT = 5;
const LOWEST_PRIORITY = 1;
const LEVEL_ASSERT = 0x4000;
const TRIGGER_LEVEL = 0x8000;

/** The task-priority register, of which CR8 is the upper half (10.8.6). */
export interface TaskPriority {
  /** 0..255 */
  tpr: number;
}

export class LocalApic implements MmioDevice, Snapshotable<unknown> {
  static readonly SIZE = 0x1000;

  private readonly timer: ApicTimer;
  private readonly lvt = new Uint32Array(LVT_WRITABLE.length);
  private readonly irr = new Uint32Array(8);
  private readonly isr = new Uint32Array(8);
  private id = 0;
  private ldr = 0;
  private dfr = 0;
  private svr = 0;
  private icrLow = 0;
  private icrHigh = 0;
  /** As software sees them; those found since the last write to ESR. */
  private errors = 0;
  private newErrors = 0;

  constructor(
    clock: Clock,
    private readonly priority: TaskPriority,
    private readonly changed: () => void = () => {},
  ) {
    this.timer = new ApicTimer(clock);
    this.reset();
  }

  /** With the timer's expiries so far taken. The task priority is the CPU's. */
  save() {
    this.acceptTimer();
    return {
      timer: this.timer.save(),
      lvt: this.lvt.slice(),
      irr: this.irr.slice(),
      isr: this.isr.slice(),
      id: this.id,
      ldr: this.ldr,
      dfr: this.dfr,
      svr: this.svr,
      icrLow: this.icrLow,
      icrHigh: this.icrHigh,
      errors: this.errors,
      newErrors: this.newErrors,
    };
  }

  restore(state: ReturnType<LocalApic["save"]>): void {
    this.timer.restore(state.timer);
    this.lvt.set(state.lvt);
    this.irr.set(state.irr);
    this.isr.set(state.isr);
    this.id = state.id;
    this.ldr = state.ldr;
    this.dfr = state.dfr;
    this.svr = state.svr;
    this.icrLow = state.icrLow;
    this.icrHigh = state.icrHigh;
    this.errors = state.errors;
    this.newErrors = state.newErrors;
  }

  /** The state after power-up (10.4.7.1), and after it was disabled in IA32_APIC_BASE. */
  reset(): void {
    this.lvt.fill(MASKED);
    this.irr.fill(0);
    this.isr.fill(0);
    this.id = 0;
    this.ldr = 0;
    this.dfr = 0xffffffff;
    this.svr = 0xff;
    this.icrLow = 0;
    this.icrHigh = 0;
    this.errors = 0;
    this.newErrors = 0;
    this.priority.tpr = 0;
    this.timer.reset();
  }

  /** What a PC's firmware makes of it: on, the PICs' interrupts through LINT0, NMI through LINT1 (10.1). */
  setUpVirtualWire(): void {
    this.svr = 0xff | SOFTWARE_ENABLED;
    this.lvt[LINT0] = 0x8700;
    this.lvt[LINT1] = 0x8400;
  }

  /** Whether an interrupt of its own is to be taken: one of a higher class than task and service allow (10.8.3.1). */
  requested(): boolean {
    this.acceptTimer();
    return this.enabled && highest(this.irr) >> 4 > this.processorPriority >> 4;
  }

  /** Takes the pending interrupt of the highest priority into service. @returns its vector */
  acknowledge(): number {
    const vector = highest(this.irr);
    this.irr[vector >> 5] &= ~(1 << (vector & 31));
    this.isr[vector >> 5] |= 1 << (vector & 31);
    return vector;
  }

  /** Whether LINT0 lets the PICs' interrupts through. */
  get passesPics(): boolean {
    return (this.lvt[LINT0] & (MASKED | DELIVERY_MODE)) === DELIVERY_EXTINT;
  }

  /** The instruction count at which the timer next raises an interrupt; infinity where it does not. */
  nextExpiry(): number {
    return (this.lvt[0] & MASKED) !== 0 ? Number.POSITIVE_INFINITY : this.timer.nextExpiry();
  }

  /** @throws Unimplemented for an access that is not of 32 bits at a multiple of 16 bytes */
  read(offset: number, size: 1 | 2 | 4): number {
    requireWhole(offset, size);
    this.acceptTimer();
    if (offset >= ISR && offset < ESR) return this.vectorBits(offset);
    const entry = lvtIndex(offset);
    if (entry >= 0) return this.lvt[entry];
    switch (offset) {
      case ID:
        return this.id;
      case VERSION:
        return VERSION_VALUE;
      case TPR:
        return this.priority.tpr;
      case PPR:
        return this.processorPriority;
      case APR:
      case EOI:
      case RRD:
        return 0;
      case LDR:
        return this.ldr;
      case DFR:
        return this.dfr;
      case SVR:
        return this.svr;
      case ESR:
        return this.errors;
      case ICR_LOW:
        return this.icrLow;
      case ICR_HIGH:
        return this.icrHigh;
      case INITIAL_COUNT:
        return this.timer.initialCount;
      case CURRENT_COUNT:
        return this.timer.currentCount;
      case DIVIDE:
        return this.timer.divide;
    }
    this.newErrors |= ILLEGAL_REGISTER;
    return 0;
  }

  /** @throws Unimplemented for an access as `read` refuses it, and for an NMI, SMI or INIT to this CPU */
  write(offset: number, size: 1 | 2 | 4, value: number): void {
    requireWhole(offset, size);
    this.acceptTimer();
    this.changed();
    const entry = lvtIndex(offset);
    if (entry >= 0) {
      this.writeLvt(entry, value);
      return;
    }
    switch (offset) {
      case ID:
        this.id = (value & 0xff000000) >>> 0;
        return;
      case TPR:
        this.priority.tpr = value & 0xff;
        return;
      case EOI:
        this.endOfInterrupt();
        return;
      case LDR:
        this.ldr = (value & 0xff000000) >>> 0;
        return;
      case DFR:
        this.dfr = (value | 0x0fffffff) >>> 0;
        return;
      case SVR:
        this.svr = value & 0x1ff;
        // 10.4.7.2: the masks of the LVT are set, and stay so.
        if (!this.enabled) this.maskLvt();
        return;
      case ESR:
        this.errors = this.newErrors;
        this.newErrors = 0;
        return;
      case ICR_LOW:
        this.icrLow = value & ICR_WRITABLE;
        this.send();
        return;
      case ICR_HIGH:
        this.icrHigh = (value & 0xff000000) >>> 0;
        return;
      case INITIAL_COUNT:
        this.timer.start(value);
        return;
      case DIVIDE:
        this.timer.divide = value;
        return;
      case VERSION:
      case APR:
      case PPR:
      case RRD:
      case CURRENT_COUNT:
        return;
    }
    if (offset < ISR || offset >= ESR) this.newErrors |= ILLEGAL_REGISTER;
  }

  /** ISR, TMR (no interrupt is level-triggered) or IRR at an offset, 32 bits each. */
  private vectorBits(offset: number): number {
    if (offset >= IRR) return this.irr[(offset - IRR) >> 4];
    return offset < TMR ? this.isr[(offset - ISR) >> 4] : 0;
  }

  /** 10.8.3.1: of the task's priority and what is in service, the higher class. */
  private get processorPriority(): number {
    const serves = Math.max(0, highest(this.isr));
    const { tpr } = this.priority;
    return tpr >> 4 >= serves >> 4 ? tpr : serves & 0xf0;
  }

  private endOfInterrupt(): void {
    const vector = highest(this.isr);
    if (vector >= 0) this.isr[vector >> 5] &= ~(1 << (vector & 31));
  }

  private get enabled(): boolean {
    return (this.svr & SOFTWARE_ENABLED) !== 0;
  }

  private writeLvt(index: number, value: number): void {
    this.lvt[index] = (value & LVT_WRITABLE[index]) | (this.enabled ? 0 : MASKED);
    if (index === 0) this.timer.periodic = (value & PERIODIC) !== 0;
  }

  private maskLvt(): void {
    for (let index = 0; index < this.lvt.length; index++) this.lvt[index] |= MASKED;
  }

  /** Makes an expiry of the timer since the last access pending. */
  private acceptTimer(): void {
    if (!this.timer.takeExpiry()) return;
    if ((this.lvt[0] & MASKED) === 0) this.accept(this.lvt[0] & 0xff);
  }

  /** An interrupt message to this APIC (10.8.4). */
  private accept(vector: number): void {
    if (vector < FIRST_VECTOR) this.newErrors |= RECEIVE_ILLEGAL_VECTOR;
    else if (this.enabled) this.irr[vector >> 5] |= 1 << (vector & 31);
  }

  /** Sends the interrupt that the ICR describes (10.6.1). It is sent at once: the delivery status stays 0. */
  private send(): void {
    const vector = this.icrLow & 0xff;
    const mode = (this.icrLow >> 8) & 7;
    if (mode <= LOWEST_PRIORITY) {
      if (vector < FIRST_VECTOR) this.newErrors |= SEND_ILLEGAL_VECTOR;
      else if (this.isAddressed()) this.accept(vector);
      return;
    }
    // INIT level de-assert means nothing since the Pentium 4.
    const deassert = (this.icrLow & (LEVEL_ASSERT | TRIGGER_LEVEL)) === TRIGGER_LEVEL;
    if (mode === DELIVERY_INIT && deassert) return;
    const what = FELT[mode];
    if (what !== undefined && this.isAddressed()) {
      throw new Unimplemented(
        `the local APIC is to send ${what} to its own CPU, which this machine does not deliver`,
      );
    }
  }

  /** Whether this APIC is among those that the ICR sends to. */
  private isAddressed(): boolean {
    const shorthand = this.icrLow >> 18;
    if (shorthand !== 0) return shorthand !== 3;
    const destination = this.icrHigh >>> 24;
    if (destination === 0xff) return true;
    if ((this.icrLow & 0x800) === 0) return destination === this.id >>> 24;
    const logical = this.ldr >>> 24;
    // 10.6.2.2: the flat model, or clusters of four.
    if (this.dfr >>> 28 === 0xf) return (logical & destination) !== 0;
    return logical >> 4 === destination >> 4 && (logical & destination & 0xf) !== 0;
  }
}

/** The highest vector among 256 bits; -1 where there is none. */
function highest(bits: Uint32Array): number {
  for (let word = 7; word >= 0; word--) if (bits[word] !== 0) return 32 * word + 31 - Math.clz32(bits[word]);
  return -1;
}

/** The LVT's entry at an offset; -1 where there is none. */
function lvtIndex(offset: number): number {
  const index = (offset - LVT_TIMER) / 16;
  return index >= 0 && index < LVT_WRITABLE.length ? index : -1;
}

/** 10.4.1: what other accesses do is undefined, or depends on the CPU's model. */
function requireWhole(offset: number, size: number): void {
  if (size === 4 && offset % 16 === 0) return;
  const bytes = size === 1 ? "1 byte" : `${size} bytes`;
  throw new Unimplemented(
    "the local APIC's registers are for 32-bit accesses at multiples of 16 bytes only " +
      `(SDM vol. 3A, 10.4.1), not for ${bytes} at offset 0x${offset.toString(16)}`,
  );
}
