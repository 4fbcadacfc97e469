/** The local APIC's timer (SDM vol. 3A, 10.5.4), one-shot and periodic: one tick an instruction, divided. */
import type { Snapshotable } from "../snapshot";
import type { Clock } from "./ioBus";

export class ApicTimer implements Snapshotable<unknown> {
  /** Whether it begins anew when it has come to 0: the mode in the LVT. */
  private isPeriodic = false;
  private divideValue = 0;
  private initial = 0;
  /** When the count was the initial one, in instructions. */
  private started = 0;
  /** Expiries since `started` that have been taken. */
  private taken = 0;

  constructor(private readonly clock: Clock) {}

  save() {
    const { isPeriodic, divideValue, initial, started, taken } = this;
    return { isPeriodic, divideValue, initial, started, taken };
  }

  restore(state: ReturnType<ApicTimer["save"]>): void {
    this.isPeriodic = state.isPeriodic;
    this.divideValue = state.divideValue;
    this.initial = state.initial;
    this.started = state.started;
    this.taken = state.taken;
  }

  reset(): void {
    this.isPeriodic = false;
    this.divideValue = 0;
    this.start(0);
  }

  /** The divide configuration register: bits 0, 1 and 3. */
  get divide(): number {
    return this.divideValue;
  }

  set divide(value: number) {
    this.restartFrom(this.currentCount, () => {
      this.divideValue = value & 0xb;
    });
  }

  get periodic(): boolean {
    return this.isPeriodic;
  }

  set periodic(value: boolean) {
    if (value === this.isPeriodic) return;
    this.restartFrom(this.currentCount, () => {
      this.isPeriodic = value;
    });
  }

  get initialCount(): number {
    return this.initial;
  }

  /** What is left of the count, 0 where it does not run. */
  get currentCount(): number {
    if (this.initial === 0) return 0;
    const ticks = this.ticks;
    if (this.isPeriodic) return this.initial - (ticks % this.initial);
    return Math.max(0, this.initial - ticks);
  }

  /** Counts down from a number; 0 stops. */
  start(count: number): void {
    this.initial = count >>> 0;
    this.started = this.clock.now();
    this.taken = 0;
  }

  /** Whether the count has come to 0 since this was asked last. */
  takeExpiry(): boolean {
    if (this.initial === 0) return false;
    const expiries = Math.floor(this.ticks / this.initial);
    const news = this.isPeriodic ? expiries > this.taken : expiries > 0 && this.taken === 0;
    this.taken = expiries;
    return news;
  }

  /** The instruction count at which the count next comes to 0; infinity where it does not run. */
  nextExpiry(): number {
    const stopped = this.initial === 0 || (!this.isPeriodic && this.taken > 0);
    return stopped ? Number.POSITIVE_INFINITY : this.started + (this.taken + 1) * this.initial * this.divisor;
  }

  /** Ticks since the count was the initial one. */
  private get ticks(): number {
    return Math.floor((this.clock.now() - this.started) / this.divisor);
  }

  /** 2, 4 .. 128, 1 (figure 10-10). */
  private get divisor(): number {
    const code = (this.divideValue & 3) | ((this.divideValue & 8) >> 1);
    return code === 7 ? 1 : 2 << code;
  }

  /** Changes how it counts, and leaves the count where it is. */
  private restartFrom(count: number, change: () => void): void {
    const stopped = count === 0;
    change();
    if (stopped) return;
    this.started = this.clock.now() - (this.initial - count) * this.divisor;
    this.taken = 0;
  }
}
