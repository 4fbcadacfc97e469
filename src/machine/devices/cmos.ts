/**
 * The real-time clock and its CMOS memory (Motorola MC146818A): a date that stands still, and the size of memory
 * where a PC's firmware leaves it. It raises no interrupts.
 */
import type { PhysicalRange } from "../memory";
import type { IoDevice } from "./ioBus";

const STATUS_A = 0x0a;
const STATUS_B = 0x0b;
const STATUS_C = 0x0c;
const STATUS_D = 0x0d;
/** In status register A: the clock is being updated. It never is. */
const UPDATE_IN_PROGRESS = 0x80;

/** Always 2013-01-24 12:00:00, a Thursday, in BCD: runs must not depend on the day. */
const DATE: readonly [register: number, bcd: number][] = [
  [0x00, 0x00],
  [0x02, 0x00],
  [0x04, 0x12],
  [0x06, 0x05],
  [0x07, 0x24],
  [0x08, 0x01],
  [0x09, 0x13],
  [0x32, 0x20],
];
const FIXED = new Set([...DATE.map(([register]) => register), STATUS_C, STATUS_D]);

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Ports 70H (index) and 71H (data). */
export class CmosRtc implements IoDevice {
  private index = 0;
  private readonly registers = new Uint8Array(128);

  /** @param ram the machine's RAM, for the registers that firmware leaves its size in */
  constructor(ram: readonly PhysicalRange[]) {
    for (const [register, bcd] of DATE) this.registers[register] = bcd;
    // Divider chain running, 24-hour BCD, battery good.
    this.registers[STATUS_A] = 0x26;
    this.registers[STATUS_B] = 0x02;
    this.registers[STATUS_D] = 0x80;
    this.describeMemory(ram);
  }

  save() {
    return { index: this.index, registers: this.registers.slice() };
  }

  restore(state: ReturnType<CmosRtc["save"]>): void {
    this.index = state.index;
    this.registers.set(state.registers);
  }

  read(port: number): number {
    // The index cannot be read back.
    return (port & 1) === 0 ? 0xff : this.registers[this.index];
  }

  write(port: number, _size: number, value: number): void {
    // Bit 7 masks NMIs, of which there are none.
    if ((port & 1) === 0) this.index = value & 0x7f;
    else if (this.index === STATUS_A) this.registers[STATUS_A] = value & ~UPDATE_IN_PROGRESS;
    else if (!FIXED.has(this.index)) this.registers[this.index] = value;
  }

  private describeMemory(ram: readonly PhysicalRange[]): void {
    const low = endOfRam(ram, 4 * GIB);
    const extended = Math.floor((low - MIB) / KIB);
    this.set16(0x15, 640);
    this.set16(0x17, extended);
    this.set16(0x30, extended);
    this.set16(0x34, Math.floor((low - 16 * MIB) / (64 * KIB)));
    const high = Math.floor((endOfRam(ram, Number.POSITIVE_INFINITY) - 4 * GIB) / (64 * KIB));
    const clamped = Math.min(0xffffff, Math.max(0, high));
    for (let byte = 0; byte < 3; byte++) this.registers[0x5b + byte] = clamped >> (8 * byte);
  }

  /** A size of 16 bits, cut off at 0 and FFFFH as firmware does. */
  private set16(register: number, value: number): void {
    const clamped = Math.min(0xffff, Math.max(0, value));
    this.registers[register] = clamped & 0xff;
    this.registers[register + 1] = clamped >> 8;
  }
}

/** The end of RAM below an address; 0 where there is none. */
function endOfRam(ram: readonly PhysicalRange[], limit: number): number {
  return ram.reduce(
    (end, range) => (range.start < limit ? Math.max(end, Math.min(range.end, limit)) : end),
    0,
  );
}
