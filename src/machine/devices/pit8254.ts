/**
 * The 8254 interval timer with port 61H, which gates channel 2 and shows its output. Time is the instruction count:
 * with `TSC_HZ` instructions a second.
 */
import type { Clock, IoDevice } from "./ioBus";

/** Ticks of the time-stamp counter a second; one instruction is one tick. */
export const TSC_HZ = 1_000_000_000;
/** The PIT's input clock. */
export const PIT_HZ = 1_193_182;

const MODE_PORT = 0x43;
const GATE_PORT = 0x61;

/** Access modes of the control word: latch, low byte, high byte, low then high. */
const ACCESS_LATCH = 0;
const ACCESS_LOW = 1;
const ACCESS_HIGH = 2;

class Channel {
  mode = 0;
  access = 3;
  private reload = 0x10000;
  private startedAt = 0;
  private lowByte = 0;
  private writesHigh = false;
  private readsHigh = false;
  private latched: number | undefined;

  constructor(private readonly ticks: () => number) {}

  /** PIT ticks since the count was loaded. */
  private elapsed(): number {
    return this.ticks() - this.startedAt;
  }

  /** The counter as it stands. */
  private count(): number {
    const elapsed = this.elapsed();
    const periodic = this.mode === 2 || this.mode === 3;
    const value = periodic ? this.reload - (elapsed % this.reload) : this.reload - elapsed;
    return ((value % 0x10000) + 0x10000) % 0x10000;
  }

  /** The output pin. */
  output(): boolean {
    const elapsed = this.elapsed();
    if (this.mode === 3) return elapsed % this.reload < Math.ceil(this.reload / 2);
    if (this.mode === 2) return elapsed % this.reload !== this.reload - 1;
    return elapsed >= this.reload;
  }

  control(access: number, mode: number): void {
    if (access === ACCESS_LATCH) {
      this.latched ??= this.count();
      return;
    }
    this.access = access;
    this.mode = mode > 5 ? mode - 4 : mode;
    this.writesHigh = false;
    this.readsHigh = false;
    this.latched = undefined;
  }

  write(value: number): void {
    if (this.access === ACCESS_LOW) this.load(value);
    else if (this.access === ACCESS_HIGH) this.load(value << 8);
    else if (this.writesHigh) {
      this.writesHigh = false;
      this.load(this.lowByte | (value << 8));
    } else {
      this.lowByte = value;
      this.writesHigh = true;
    }
  }

  /** Loads the counter and starts it; 0 stands for 65,536. */
  private load(value: number): void {
    this.reload = value === 0 ? 0x10000 : value;
    this.restart();
  }

  restart(): void {
    this.startedAt = this.ticks();
  }

  read(): number {
    const count = this.latched ?? this.count();
    if (this.access === ACCESS_LOW) return this.done(count & 0xff);
    if (this.access === ACCESS_HIGH) return this.done(count >> 8);
    this.readsHigh = !this.readsHigh;
    return this.readsHigh ? count & 0xff : this.done(count >> 8);
  }

  private done(byte: number): number {
    this.latched = undefined;
    return byte;
  }
}

/** Ports 40H to 43H and 61H. */
export class Pit8254 implements IoDevice {
  static readonly FIRST_PORT = 0x40;
  static readonly LAST_PORT = 0x43;
  static readonly GATE_PORT = GATE_PORT;

  private readonly channels: Channel[];
  /** Bits 0 (gate of channel 2) and 1 (speaker) of port 61H. */
  private gate = 0;

  constructor(clock: Clock) {
    const ticks = () => Math.floor((clock.now() * PIT_HZ) / TSC_HZ);
    this.channels = [new Channel(ticks), new Channel(ticks), new Channel(ticks)];
  }

  read(port: number): number {
    if (port === GATE_PORT)
      return this.gate | (this.refreshBit() << 4) | (this.channels[2].output() ? 0x20 : 0);
    return port === MODE_PORT ? 0xff : this.channels[port & 3].read();
  }

  write(port: number, _size: number, value: number): void {
    if (port === GATE_PORT) {
      const rises = (value & 1) !== 0 && (this.gate & 1) === 0;
      this.gate = value & 3;
      if (rises) this.channels[2].restart();
      return;
    }
    if (port !== MODE_PORT) {
      this.channels[port & 3].write(value);
      return;
    }
    const channel = this.channels[value >> 6];
    // The read-back command (3) is not one of a channel; nobody here uses it.
    channel?.control((value >> 4) & 3, (value >> 1) & 7);
  }

  /** The refresh bit toggles with each read, as software only waits for it to change. */
  private refresh = 0;
  private refreshBit(): number {
    this.refresh ^= 1;
    return this.refresh;
  }
}
