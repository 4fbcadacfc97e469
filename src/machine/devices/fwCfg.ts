/**
 * QEMU's firmware configuration device at its places in a PC's I/O space (QEMU documentation, "QEMU Firmware
 * Configuration (fw_cfg) Device"): a 16-bit selector, and a data port of bytes. There are no files and there is no DMA
 * interface: nothing that a guest could change.
 */
import type { PhysicalRange } from "../memory";
import type { IoDevice } from "./ioBus";

/** Selector keys. */
const SIGNATURE = 0x00;
const INTERFACE_ID = 0x01;
const RAM_SIZE = 0x03;
const NB_CPUS = 0x05;
const MAX_CPUS = 0x0f;
const FILE_DIRECTORY = 0x19;

/** Bit 0 of the interface's ID: selector and data port are there. Bit 1, DMA, is not. */
const TRADITIONAL = 1;
/** Bit 14 of the selector asks to write, which the device has not done since QEMU 2.4. */
const WRITE = 0x4000;

export class FwCfg implements IoDevice {
  static readonly SELECTOR_PORT = 0x510;
  static readonly DATA_PORT = 0x511;
  /** The selector is 16 bits wide, and reaches over the data port. */
  readonly wide = true;

  private readonly items: ReadonlyMap<number, readonly number[]>;
  private key = 0;
  /** Of the selected item: the byte that is read next. */
  private offset = 0;

  /** @param ram what the machine has; one CPU always */
  constructor(ram: readonly PhysicalRange[]) {
    const size = ram.reduce((sum, { start, end }) => sum + end - start, 0);
    this.items = new Map([
      [SIGNATURE, [..."QEMU"].map((character) => character.charCodeAt(0))],
      [INTERFACE_ID, littleEndian(TRADITIONAL, 4)],
      [RAM_SIZE, littleEndian(size, 8)],
      [NB_CPUS, littleEndian(1, 2)],
      [MAX_CPUS, littleEndian(1, 2)],
      // The number of files, big-endian.
      [FILE_DIRECTORY, [0, 0, 0, 0]],
    ]);
  }

  save() {
    return { key: this.key, offset: this.offset };
  }

  restore({ key, offset }: ReturnType<FwCfg["save"]>): void {
    this.key = key;
    this.offset = offset;
  }

  /** The next byte of the selected item: 0 behind its end, and for an item that there is not. */
  read(port: number, size: 1 | 2 | 4): number {
    if (port !== FwCfg.DATA_PORT || size !== 1) return 0xffffffff;
    return this.items.get(this.key)?.[this.offset++] ?? 0;
  }

  /** Selects an item, from its first byte on. Writes to the data port are ignored. */
  write(port: number, size: 1 | 2 | 4, value: number): void {
    if (port !== FwCfg.SELECTOR_PORT || size !== 2) return;
    this.key = value & ~WRITE;
    this.offset = 0;
  }
}

function littleEndian(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, index) => Math.floor(value / 256 ** index) % 256);
}
