/** The real-time clock and its CMOS memory (Motorola MC146818): a fixed date and the size of memory. */
import type { PhysicalRange } from "../memory";
import type { IoDevice } from "./ioBus";

/** Always 2013-01-24 12:00:00, in BCD: runs must not depend on the day. */
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

const KIB = 1024;
const MIB = 1024 * KIB;

export class CmosRtc implements IoDevice {
  private index = 0;
  private readonly registers = new Uint8Array(128);

  /** @param ram the machine's RAM, for the registers that firmware leaves its size in */
  constructor(ram: readonly PhysicalRange[]) {
    for (const [register, bcd] of DATE) this.registers[register] = bcd;
    // Divider chain running, 24-hour BCD, battery good.
    this.registers[0x0a] = 0x26;
    this.registers[0x0b] = 0x02;
    this.registers[0x0d] = 0x80;
    const below4G = ramBelow(ram, 4 * KIB * MIB);
    this.set16(0x15, 640);
    this.set16(0x17, Math.min(0xffff, Math.max(0, (below4G - MIB) / KIB)));
    this.set16(0x30, Math.min(0xffff, Math.max(0, (below4G - MIB) / KIB)));
    this.set16(0x34, Math.min(0xffff, Math.max(0, (below4G - 16 * MIB) / (64 * KIB))));
  }

  read(port: number): number {
    return (port & 1) === 0 ? 0xff : this.registers[this.index];
  }

  write(port: number, _size: number, value: number): void {
    if ((port & 1) === 0) this.index = value & 0x7f;
    else if (this.index >= 0x0a) this.registers[this.index] = value;
  }

  private set16(register: number, value: number): void {
    this.registers[register] = value & 0xff;
    this.registers[register + 1] = (value >> 8) & 0xff;
  }
}

/** The end of RAM below an address. */
function ramBelow(ram: readonly PhysicalRange[], limit: number): number {
  return ram.reduce((end, range) => (range.start < limit ? Math.min(range.end, limit) : end), 0);
}
