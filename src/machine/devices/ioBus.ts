/** The I/O port space: 65,536 byte ports. */

import type { Snapshotable } from "../snapshot";

/** A device on ports. Byte-wide unless it says otherwise: wider accesses reach it byte by byte, as on a PC's bus. */
export interface IoDevice extends Snapshotable<unknown> {
  /** Takes accesses of 2 and 4 bytes whole. */
  readonly wide?: boolean;
  /** An unsigned value of `size` bytes; what is above them is dropped. */
  read(port: number, size: 1 | 2 | 4): number;
  /** @param value unsigned, of `size` bytes */
  write(port: number, size: 1 | 2 | 4, value: number): void;
}

/** The machine's time in instructions: the only clock that devices have. */
export interface Clock {
  now(): number;
}

export class IoBus implements Snapshotable<readonly unknown[]> {
  private readonly devices = new Map<number, IoDevice>();

  /** The states of the devices, by the lowest port of each. */
  save(): readonly unknown[] {
    return this.attached().map((device) => device.save());
  }

  restore(states: readonly unknown[]): void {
    this.attached().forEach((device, index) => {
      device.restore(states[index]);
    });
  }

  /** Every device once, by its lowest port. */
  attached(): IoDevice[] {
    const byPort = [...this.devices].sort(([a], [b]) => a - b);
    return [...new Set(byPort.map(([, device]) => device))];
  }

  /** Puts a device on the ports from `first` to `last`, both included, in place of what was there. */
  register(first: number, last: number, device: IoDevice): void {
    for (let port = first; port <= last; port++) this.devices.set(port, device);
  }

  /** Reads 1, 2 or 4 bytes, unsigned; all ones where nobody answers. Ports wrap round behind FFFFH. */
  in(port: number, size: 1 | 2 | 4): number {
    const device = this.devices.get(port);
    if (size === 1 || device?.wide) return device === undefined ? 0xff : cut(device.read(port, size), size);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.in((port + i) & 0xffff, 1);
    return value;
  }

  /** Writes the lowest 1, 2 or 4 bytes of a value; lost where nobody listens. */
  out(port: number, size: 1 | 2 | 4, value: number): void {
    const device = this.devices.get(port);
    if (size === 1 || device?.wide) {
      device?.write(port, size, cut(value, size));
      return;
    }
    for (let i = 0; i < size; i++) this.out((port + i) & 0xffff, 1, value >>> (8 * i));
  }
}

function cut(value: number, size: 1 | 2 | 4): number {
  return size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
}
