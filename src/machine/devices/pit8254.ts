/**
 * The 8254 interval timer (Intel 82C54 data sheet) with port 61H, which gates counter 2 and shows its output. Time
 * is the instruction count: `TSC_HZ` instructions are a second.
 */
import type { Clock, IoDevice } from "./ioBus";
import { PitCounter } from "./pitCounter";

/** Ticks of the time-stamp counter a second; one instruction is one tick. */
export const TSC_HZ = 1_000_000_000;
/** The PIT's input clock. */
export const PIT_HZ = 1_193_182;

const CONTROL_PORT = 0x43;
const SYSTEM_CONTROL_PORT = 0x61;

const READ_BACK = 3;
const READ_BACK_NO_COUNT = 0x20;
const READ_BACK_NO_STATUS = 0x10;

const GATE_2 = 0x01;
/** Gate of counter 2, speaker, and the two parity enables: what port 61H keeps. */
const SYSTEM_CONTROL_WRITABLE = 0x0f;
const REFRESH_TOGGLE = 0x10;
const OUTPUT_2 = 0x20;
/** Counter 1 asks for a memory refresh, and turns the refresh bit over, every 18 ticks (15 microseconds). */
const REFRESH_TICKS = 18;

/** Ticks of the PIT's clock until an instruction. */
function ticksAt(instruction: number): number {
  return Math.floor((instruction * PIT_HZ) / TSC_HZ);
}

/** The first instruction at which so many ticks have passed. */
function instructionOf(tick: number): number {
  if (tick === Number.POSITIVE_INFINITY) return tick;
  let instruction = Math.ceil((tick * TSC_HZ) / PIT_HZ);
  while (ticksAt(instruction) < tick) instruction++;
  while (ticksAt(instruction - 1) >= tick) instruction--;
  return instruction;
}

/** Ports 40H to 43H and 61H. */
export class Pit8254 implements IoDevice {
  static readonly FIRST_PORT = 0x40;
  static readonly LAST_PORT = CONTROL_PORT;
  static readonly GATE_PORT = SYSTEM_CONTROL_PORT;

  private readonly counters: readonly PitCounter[];
  private readonly ticks: () => number;
  private systemControl = 0;

  /**
   * @param update called before anything changes: what the output of counter 0 has done until now counts
   * @param programmed called when counter 0 was written, with whether its output rises by that
   */
  constructor(
    clock: Clock,
    private readonly update: () => void = () => {},
    private readonly programmed: (rises: boolean) => void = () => {},
  ) {
    this.ticks = () => ticksAt(clock.now());
    this.counters = [true, true, false].map((gate) => new PitCounter(this.ticks, gate));
    // As a PC's firmware leaves them: 18.2 ticks a second, and memory refresh.
    this.program(0, 0x34, 0);
    this.program(1, 0x54, REFRESH_TICKS);
  }

  save() {
    return {
      counters: this.counters.map((counter) => counter.save()),
      systemControl: this.systemControl,
    };
  }

  restore(state: ReturnType<Pit8254["save"]>): void {
    this.counters.forEach((counter, index) => {
      counter.restore(state.counters[index]);
    });
    this.systemControl = state.systemControl;
  }

  read(port: number): number {
    if (port === SYSTEM_CONTROL_PORT) return this.readSystemControl();
    // The control word cannot be read back.
    return port === CONTROL_PORT ? 0 : this.counters[port & 3].read();
  }

  write(port: number, _size: number, value: number): void {
    if (port === SYSTEM_CONTROL_PORT) {
      this.systemControl = value & SYSTEM_CONTROL_WRITABLE;
      this.counters[2].setGate((value & GATE_2) !== 0);
    } else if (port !== CONTROL_PORT) this.change(port & 3, (counter) => counter.write(value));
    else if (value >> 6 === READ_BACK) this.readBack(value);
    else this.change(value >> 6, (counter) => counter.control(value));
  }

  /** The instruction count at which the output of counter 0 next rises by itself, behind now. */
  nextRise(): number {
    return instructionOf(this.counters[0].nextRise());
  }

  private change(index: number, action: (counter: PitCounter) => void): void {
    const counter = this.counters[index];
    if (index !== 0) {
      action(counter);
      return;
    }
    this.update();
    const before = counter.output();
    action(counter);
    this.programmed(!before && counter.output());
  }

  private readSystemControl(): number {
    const refresh = Math.floor(this.ticks() / REFRESH_TICKS) & 1;
    return (
      this.systemControl | (refresh !== 0 ? REFRESH_TOGGLE : 0) | (this.counters[2].output() ? OUTPUT_2 : 0)
    );
  }

  /** Latches count, status or both of the counters in bits 3:1. */
  private readBack(command: number): void {
    this.counters.forEach((counter, index) => {
      if ((command & (2 << index)) === 0) return;
      if ((command & READ_BACK_NO_COUNT) === 0) counter.latchCount();
      if ((command & READ_BACK_NO_STATUS) === 0) counter.latchStatus();
    });
  }

  private program(index: number, word: number, count: number): void {
    const counter = this.counters[index];
    counter.control(word);
    counter.write(count & 0xff);
    if ((word & 0x30) === 0x30) counter.write(count >> 8);
  }
}
