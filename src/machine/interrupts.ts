/**
 * How interrupts of devices reach the CPU: the timer's output and the serial port's line to the PICs, the PICs through
 * the local APIC's LINT0 (virtual wire mode) or past it where it is off, and the local APIC's own.
 */
import type { InterruptSource } from "./cpu/interrupt";
import type { Clock } from "./devices/ioBus";
import type { LocalApic } from "./devices/localApic";
import { PicPair } from "./devices/picPair";
import { Pit8254 } from "./devices/pit8254";
import type { Snapshotable } from "./snapshot";

const TIMER_LINE = 0;

export class Interrupts implements InterruptSource, Snapshotable<number> {
  readonly pics: PicPair;
  readonly pit: Pit8254;
  /** The instruction count at which the timer's output rises next. */
  private timerRises: number;

  /**
   * @param apic the local APIC; undefined where the CPU has none or it is off
   * @param changed hears that something was written that may let another interrupt in
   */
  constructor(
    private readonly clock: Clock,
    private readonly apic: () => LocalApic | undefined,
    private readonly changed: () => void,
  ) {
    this.pics = new PicPair(() => this.update(), changed);
    this.pit = new Pit8254(
      clock,
      () => this.update(),
      (rises) => this.timerProgrammed(rises),
    );
    this.timerRises = this.pit.nextRise();
  }

  /** What the timer does next; PICs and timer are on the I/O bus. */
  save(): number {
    this.update();
    return this.timerRises;
  }

  restore(timerRises: number): void {
    this.timerRises = timerRises;
  }

  /** Sets the level of the line of a device, 1..15. */
  readonly setLine = (line: number, high: boolean): void => {
    this.pics.setLine(line, high);
    this.changed();
  };

  requested(): boolean {
    this.update();
    const apic = this.apic();
    if (apic?.requested()) return true;
    return (apic === undefined || apic.passesPics) && this.pics.requested;
  }

  acknowledge(): number {
    const apic = this.apic();
    return apic?.requested() ? apic.acknowledge() : this.pics.acknowledge();
  }

  next(): number {
    const apic = this.apic();
    const reachable = (apic === undefined || apic.passesPics) && this.pics.isUnmasked(TIMER_LINE);
    return Math.min(reachable ? this.timerRises : Number.POSITIVE_INFINITY, apic?.nextExpiry() ?? Infinity);
  }

  /** Lets the timer's output have risen, if it has since the last time. Each request is an edge. */
  private update(): void {
    if (this.clock.now() < this.timerRises) return;
    this.pulseTimer();
    this.timerRises = this.pit.nextRise();
  }

  private timerProgrammed(rises: boolean): void {
    if (rises) this.pulseTimer();
    this.timerRises = this.pit.nextRise();
    this.changed();
  }

  private pulseTimer(): void {
    this.pics.setLine(TIMER_LINE, true);
    this.pics.setLine(TIMER_LINE, false);
  }
}
