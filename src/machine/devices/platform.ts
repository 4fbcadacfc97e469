/**
 * The rest of a PC that early boot code touches: each device answers sanely, none raises interrupts. There is no
 * PCI: its configuration ports read all ones.
 */
import type { CmosRtc } from "./cmos";
import type { Clock, IoBus, IoDevice } from "./ioBus";
import { Keyboard8042 } from "./keyboard8042";
import { Pic8259 } from "./pic8259";
import { Pit8254 } from "./pit8254";

const POST_PORT = 0x80;
const SYSTEM_CONTROL_A_PORT = 0x92;
const PCI_ADDRESS_PORT = 0xcf8;
const RESET_CONTROL_PORT = 0xcf9;

/** A byte that holds what was written: the POST code. */
class Latch implements IoDevice {
  private value = 0;

  save(): number {
    return this.value;
  }

  restore(value: number): void {
    this.value = value;
  }

  read(): number {
    return this.value;
  }

  write(_port: number, _size: number, value: number): void {
    this.value = value;
  }
}

/** System control port A of the PS/2: bit 1 is A20, which stays on; bit 0 going to 1 resets the CPU. */
class SystemControlA implements IoDevice {
  private value = 2;

  constructor(private readonly onReset: () => void) {}

  save(): number {
    return this.value;
  }

  restore(value: number): void {
    this.value = value;
  }

  read(): number {
    return this.value;
  }

  write(_port: number, _size: number, value: number): void {
    const resets = (value & ~this.value & 1) !== 0;
    this.value = value | 2;
    if (resets) this.onReset();
  }
}

/**
 * The reset control register of Intel's chipsets, a byte between those of PCI's configuration address: bit 2 going
 * to 1 resets. Wide, because a doubleword is a configuration address whatever stands in its second byte.
 */
class ResetControl implements IoDevice {
  readonly wide = true;
  private value = 0;

  constructor(private readonly onReset: () => void) {}

  save(): number {
    return this.value;
  }

  restore(value: number): void {
    this.value = value;
  }

  read(port: number, size: 1 | 2 | 4): number {
    return port === RESET_CONTROL_PORT && size === 1 ? this.value : 0xffffffff;
  }

  write(port: number, size: 1 | 2 | 4, value: number): void {
    if (port !== RESET_CONTROL_PORT || size !== 1) return;
    const resets = (value & ~this.value & 4) !== 0;
    this.value = value & 0x0e;
    if (resets) this.onReset();
  }
}

/**
 * Registers the platform's ports: PICs, PIT, CMOS, keyboard controller, POST code, A20, reset.
 * @param onReset hears that the guest reset the CPU, and through what ("port 0x64", ...); the devices go on
 */
export function registerPlatform(
  io: IoBus,
  clock: Clock,
  cmos: CmosRtc,
  onReset: (through: string) => void = () => {},
): void {
  io.register(0x20, 0x21, new Pic8259());
  io.register(0xa0, 0xa1, new Pic8259());
  const pit = new Pit8254(clock);
  io.register(Pit8254.FIRST_PORT, Pit8254.LAST_PORT, pit);
  io.register(Pit8254.GATE_PORT, Pit8254.GATE_PORT, pit);
  const keyboard = new Keyboard8042(() => onReset("port 0x64"));
  io.register(Keyboard8042.DATA_PORT, Keyboard8042.DATA_PORT, keyboard);
  io.register(Keyboard8042.COMMAND_PORT, Keyboard8042.COMMAND_PORT, keyboard);
  io.register(0x70, 0x71, cmos);
  io.register(POST_PORT, POST_PORT, new Latch());
  const controlA = new SystemControlA(() => onReset("port 0x92"));
  io.register(SYSTEM_CONTROL_A_PORT, SYSTEM_CONTROL_A_PORT, controlA);
  const resetControl = new ResetControl(() => onReset("port 0xcf9"));
  io.register(PCI_ADDRESS_PORT, PCI_ADDRESS_PORT + 3, resetControl);
}
