/**
 * PCI configuration space through mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2), with the functions of
 * QEMU's `pc` (i440FX host bridge, PIIX3, PIIX4 power management) as firmware leaves them. Registers hold what is
 * written; behind them is nothing: no drives, no bus mastering, no remapping of memory.
 */
import type { Snapshotable } from "../snapshot";
import type { IoDevice } from "./ioBus";
import { PC_FUNCTIONS, type PciFunction } from "./pciFunctions";

const ADDRESS_PORT = 0xcf8;
const DATA_PORT = 0xcfc;
const RESET_CONTROL_PORT = 0xcf9;
const ENABLE = 0x80000000;
/** Bits 30:24 and 1:0 of the address cannot be set. */
const ADDRESS_BITS = 0x80fffffc;

/** Bit 2 of the reset control register going to 1 resets. */
const RESET_CPU = 0x04;
const RESET_CONTROL_WRITABLE = 0x0e;

/**
 * Ports CF8H to CFFH. Wide: the address is one only as a doubleword, and a byte at CF9H is the reset control register
 * of Intel's chipsets.
 */
export class PciConfiguration implements IoDevice {
  static readonly FIRST_PORT = ADDRESS_PORT;
  static readonly LAST_PORT = DATA_PORT + 3;
  readonly wide = true;

  private address = 0;
  private resetControl = 0;
  private readonly spaces: ReadonlyMap<number, ConfigurationSpace>;

  /** @param onReset hears that the guest reset the CPU through the reset control register */
  constructor(private readonly onReset: () => void) {
    this.spaces = new Map(
      PC_FUNCTIONS.map((it) => [(it.device << 3) | it.function, new ConfigurationSpace(it)]),
    );
  }

  save() {
    return {
      address: this.address,
      resetControl: this.resetControl,
      spaces: [...this.spaces.values()].map((space) => space.save()),
    };
  }

  restore(state: ReturnType<PciConfiguration["save"]>): void {
    this.address = state.address;
    this.resetControl = state.resetControl;
    [...this.spaces.values()].forEach((space, index) => {
      space.restore(state.spaces[index]);
    });
  }

  read(port: number, size: 1 | 2 | 4): number {
    if (port === ADDRESS_PORT && size === 4) return this.address;
    if (port === RESET_CONTROL_PORT && size === 1) return this.resetControl;
    if (port < DATA_PORT) return 0xffffffff;
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.readByte(port + i);
    return value;
  }

  write(port: number, size: 1 | 2 | 4, value: number): void {
    if (port === ADDRESS_PORT && size === 4) this.address = (value & ADDRESS_BITS) >>> 0;
    else if (port === RESET_CONTROL_PORT && size === 1) this.controlReset(value);
    else if (port >= DATA_PORT) {
      for (let i = 0; i < size; i++)
        this.selected(port + i)?.write(this.register(port + i), value >>> (8 * i));
    }
  }

  private readByte(port: number): number {
    return this.selected(port)?.read(this.register(port)) ?? 0xff;
  }

  /** The function that the address names; undefined where none answers. */
  private selected(port: number): ConfigurationSpace | undefined {
    const enabled = (this.address & ENABLE) !== 0 && port <= PciConfiguration.LAST_PORT;
    return enabled ? this.spaces.get((this.address >>> 8) & 0xffff) : undefined;
  }

  private register(port: number): number {
    return (this.address & 0xfc) | (port & 3);
  }

  private controlReset(value: number): void {
    const resets = (value & ~this.resetControl & RESET_CPU) !== 0;
    this.resetControl = value & RESET_CONTROL_WRITABLE;
    if (resets) this.onReset();
  }
}

/** The 256 bytes of one function. */
class ConfigurationSpace implements Snapshotable<Uint8Array> {
  private readonly bytes = new Uint8Array(256);
  private readonly writable = new Uint8Array(256);

  constructor({ registers, writable }: PciFunction) {
    fill(this.bytes, registers);
    fill(this.writable, writable);
    // Behind the header everything belongs to the device.
    this.writable.fill(0xff, 0x40);
  }

  save(): Uint8Array {
    return this.bytes.slice();
  }

  restore(bytes: Uint8Array): void {
    this.bytes.set(bytes);
  }

  read(register: number): number {
    return this.bytes[register];
  }

  write(register: number, value: number): void {
    const mask = this.writable[register];
    this.bytes[register] = (this.bytes[register] & ~mask) | (value & mask);
  }
}

/** Puts doublewords at their offsets. */
function fill(bytes: Uint8Array, words: Readonly<Record<number, number>>): void {
  const view = new DataView(bytes.buffer);
  for (const [offset, word] of Object.entries(words)) view.setUint32(Number(offset), word, true);
}
