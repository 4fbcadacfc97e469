/** The I/O port space: 65,536 byte ports. */

/** A device on ports. Byte-wide unless it says otherwise: wider accesses reach it byte by byte, as on a PC's bus. */
export interface IoDevice {
  /** Takes accesses of 2 and 4 bytes whole. */
  readonly wide?: boolean;
  /** An unsigned value of `size` bytes. */
  read(port: number, size: 1 | 2 | 4): number;
  write(port: number, size: 1 | 2 | 4, value: number): void;
}

/** The machine's time in instructions: the only clock that devices have. */
export interface Clock {
  now(): number;
}

export class IoBus {
  private readonly devices = new Map<number, IoDevice>();

  /** Puts a device on the ports from `first` to `last`. */
  register(first: number, last: number, device: IoDevice): void {
    for (let port = first; port <= last; port++) this.devices.set(port, device);
  }

  /** Reads 1, 2 or 4 bytes, unsigned; all ones where nobody answers. */
  in(port: number, size: 1 | 2 | 4): number {
    const device = this.devices.get(port);
    if (size === 1 || device?.wide) return device === undefined ? 0xff : device.read(port, size) >>> 0;
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.in((port + i) & 0xffff, 1);
    return value;
  }

  /** Writes 1, 2 or 4 bytes; lost where nobody listens. */
  out(port: number, size: 1 | 2 | 4, value: number): void {
    const device = this.devices.get(port);
    if (size === 1 || device?.wide) {
      device?.write(port, size, value);
      return;
    }
    for (let i = 0; i < size; i++) this.out((port + i) & 0xffff, 1, (value >>> (8 * i)) & 0xff);
  }
}
