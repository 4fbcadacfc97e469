/**
 * One counter of the 8254 (Intel 82C54 data sheet, "Operational Description"). A count that is written takes effect
 * at once, also where the data sheet lets a period end first.
 *
 * Invariant: `since` is set exactly while the counter counts; `counted` is what it had counted when it last stopped.
 */

import type { Snapshotable } from "../snapshot";

/** Access modes of the control word: latch, low byte, high byte, low then high. */
const ACCESS_LATCH = 0;
const ACCESS_LOW = 1;
const ACCESS_HIGH = 2;

/** The modes of the data sheet. Mode 0 is "interrupt on terminal count". */
const MODE_ONE_SHOT = 1;
const MODE_RATE_GENERATOR = 2;
const MODE_SQUARE_WAVE = 3;
const MODE_SOFTWARE_STROBE = 4;
const MODE_HARDWARE_STROBE = 5;

const STATUS_OUTPUT = 0x80;
const STATUS_NULL_COUNT = 0x40;

export class PitCounter implements Snapshotable<unknown> {
  private mode = MODE_SQUARE_WAVE;
  private bcd = false;
  /** The control word's bits 5:0, as the status shows them. */
  private programmed = 0x36;
  private access = 3;
  private gate: boolean;
  /** Ticks until the count is 0: 1..65,536. */
  private reload = 0x10000;
  private loaded = false;
  private since: number | undefined;
  private counted = 0;
  private lowByte: number | undefined;
  private readsHigh = false;
  private latchedCount: number | undefined;
  private latchedStatus: number | undefined;

  /**
   * @param ticks the PIT clock's ticks so far
   * @param gate the level of the gate at the start
   */
  constructor(
    private readonly ticks: () => number,
    gate: boolean,
  ) {
    this.gate = gate;
  }

  save() {
    return {
      mode: this.mode,
      bcd: this.bcd,
      programmed: this.programmed,
      access: this.access,
      gate: this.gate,
      reload: this.reload,
      loaded: this.loaded,
      since: this.since,
      counted: this.counted,
      lowByte: this.lowByte,
      readsHigh: this.readsHigh,
      latchedCount: this.latchedCount,
      latchedStatus: this.latchedStatus,
    };
  }

  restore(state: ReturnType<PitCounter["save"]>): void {
    this.mode = state.mode;
    this.bcd = state.bcd;
    this.programmed = state.programmed;
    this.access = state.access;
    this.gate = state.gate;
    this.reload = state.reload;
    this.loaded = state.loaded;
    this.since = state.since;
    this.counted = state.counted;
    this.lowByte = state.lowByte;
    this.readsHigh = state.readsHigh;
    this.latchedCount = state.latchedCount;
    this.latchedStatus = state.latchedStatus;
  }

  /** The output pin. */
  output(): boolean {
    const elapsed = this.elapsed();
    switch (this.mode) {
      case MODE_ONE_SHOT:
        return this.since === undefined || elapsed >= this.reload;
      case MODE_RATE_GENERATOR:
        return this.since === undefined || elapsed % this.reload !== this.reload - 1;
      case MODE_SQUARE_WAVE:
        return this.since === undefined || elapsed % this.reload < this.highHalf();
      case MODE_SOFTWARE_STROBE:
      case MODE_HARDWARE_STROBE:
        return !this.loaded || elapsed !== this.reload;
      default:
        return this.loaded && elapsed >= this.reload;
    }
  }

  /** The tick, behind now, at which the output next goes from low to high by itself; infinity where it will not. */
  nextRise(): number {
    if (this.since === undefined) return Number.POSITIVE_INFINITY;
    const elapsed = this.elapsed();
    const start = this.ticks() - elapsed;
    switch (this.mode) {
      case MODE_RATE_GENERATOR:
      case MODE_SQUARE_WAVE:
        // A period of one tick has no other level.
        if (this.reload === 1) return Number.POSITIVE_INFINITY;
        return start + (Math.floor(elapsed / this.reload) + 1) * this.reload;
      case MODE_SOFTWARE_STROBE:
      case MODE_HARDWARE_STROBE:
        return elapsed <= this.reload ? start + this.reload + 1 : Number.POSITIVE_INFINITY;
      default:
        return elapsed < this.reload ? start + this.reload : Number.POSITIVE_INFINITY;
    }
  }

  /** A control word for this counter, bits 5:0; access 0 latches the count instead. */
  control(word: number): void {
    const access = (word >> 4) & 3;
    if (access === ACCESS_LATCH) {
      this.latchCount();
      return;
    }
    const mode = (word >> 1) & 7;
    this.programmed = word & 0x3f;
    this.access = access;
    // Modes 6 and 7 are 2 and 3.
    this.mode = mode > MODE_HARDWARE_STROBE ? mode - 4 : mode;
    this.bcd = (word & 1) !== 0;
    this.loaded = false;
    this.since = undefined;
    this.counted = 0;
    this.lowByte = undefined;
    this.readsHigh = false;
    this.latchedCount = undefined;
    this.latchedStatus = undefined;
  }

  /** The level of the gate: it stops and goes on, or (modes 1, 2, 3, 5) its rising edge starts anew. */
  setGate(gate: boolean): void {
    if (gate === this.gate) return;
    this.gate = gate;
    if (!gate) {
      if (!this.startsByGate()) this.stop();
      return;
    }
    if (!this.loaded) return;
    if (this.mode === 0 || this.mode === MODE_SOFTWARE_STROBE) this.since = this.ticks();
    else this.start();
  }

  write(byte: number): void {
    if (this.access === ACCESS_LOW) this.load(byte);
    else if (this.access === ACCESS_HIGH) this.load(byte << 8);
    else if (this.lowByte === undefined) this.lowByte = byte;
    else {
      this.load(this.lowByte | (byte << 8));
      this.lowByte = undefined;
    }
  }

  read(): number {
    if (this.latchedStatus !== undefined) {
      const status = this.latchedStatus;
      this.latchedStatus = undefined;
      return status;
    }
    const count = this.latchedCount ?? this.count();
    const high = this.access === ACCESS_HIGH || (this.access !== ACCESS_LOW && this.readsHigh);
    if (this.access === 3) this.readsHigh = !this.readsHigh;
    if (!this.readsHigh) this.latchedCount = undefined;
    return high ? count >> 8 : count & 0xff;
  }

  /** Keeps the count until it has been read. */
  latchCount(): void {
    this.latchedCount ??= this.count();
  }

  /** Keeps the status until it has been read. */
  latchStatus(): void {
    this.latchedStatus ??=
      this.programmed | (this.output() ? STATUS_OUTPUT : 0) | (this.loaded ? 0 : STATUS_NULL_COUNT);
  }

  private startsByGate(): boolean {
    return this.mode === MODE_ONE_SHOT || this.mode === MODE_HARDWARE_STROBE;
  }

  /** Takes a count over; 0 is the largest. */
  private load(value: number): void {
    const count = this.bcd ? fromBcd(value) : value;
    this.reload = count === 0 ? this.modulus() : count;
    this.loaded = true;
    if (this.startsByGate()) return;
    this.start();
    if (!this.gate) this.stop();
  }

  private start(): void {
    this.counted = 0;
    this.since = this.ticks();
  }

  private stop(): void {
    this.counted = this.elapsed();
    this.since = undefined;
  }

  /** Ticks counted since the count was loaded. */
  private elapsed(): number {
    return this.counted + (this.since === undefined ? 0 : this.ticks() - this.since);
  }

  private modulus(): number {
    return this.bcd ? 10_000 : 0x10000;
  }

  /** Ticks of a square wave's period in which it is high. */
  private highHalf(): number {
    return Math.ceil(this.reload / 2);
  }

  /** The counting element as it is read. */
  private count(): number {
    const modulus = this.modulus();
    const count = (((this.remaining() % modulus) + modulus) % modulus) & 0xffff;
    return this.bcd ? toBcd(count) : count;
  }

  private remaining(): number {
    const elapsed = this.elapsed();
    if (this.mode === MODE_RATE_GENERATOR) return this.reload - (elapsed % this.reload);
    if (this.mode !== MODE_SQUARE_WAVE) return this.reload - elapsed;
    // By two; an odd count starts one lower, and its high half lasts a tick longer.
    const phase = elapsed % this.reload;
    const half = this.highHalf();
    return this.reload - (this.reload & 1) - 2 * (phase < half ? phase : phase - half);
  }
}

function fromBcd(value: number): number {
  return (value >> 12) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);
}

function toBcd(value: number): number {
  const digit = (unit: number) => Math.floor(value / unit) % 10;
  return (digit(1000) << 12) | (digit(100) << 8) | (digit(10) << 4) | digit(1);
}
