/**
 * The rest of a PC that early boot code touches: each device answers sanely.
 */
import type { CmosRtc } from "./cmos";
import type { IoBus, IoDevice } from "./ioBus";
import { Keyboard8042 } from "./keyboard8042";
import { PciConfiguration } from "./pci";
import { PicPair } from "./picPair";
import { Pit8254 } from "./pit8254";

/** IRQ 1 and IRQ 12. */
const KEYBOARD_LINE = 1;
const MOUSE_LINE = 12;

const POST_PORT = 0x80;
const SYSTEM_CONTROL_A_PORT = 0x92;

/** What the devices are wired to. */
export interface DeviceInterrupts {
  readonly pics: PicPair;
  readonly pit: Pit8254;
  /** Sets the level of a device's line, 1..15. */
  readonly setLine: (line: number, high: boolean) => void;
}

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
 * Registers the platform's ports: PICs, PIT, CMOS, keyboard controller, POST code, A20, PCI, reset.
 * @param onReset hears that the guest reset the CPU, and through what ("port 0x64", ...); the devices go on
 */
export function registerPlatform(
  io: IoBus,
  { pics, pit, setLine }: DeviceInterrupts,
  cmos: CmosRtc,
  onReset: (through: string) => void = () => {},
): void {
  for (const port of PicPair.PORTS) io.register(port, port, pics);
  io.register(Pit8254.FIRST_PORT, Pit8254.LAST_PORT, pit);
  io.register(Pit8254.GATE_PORT, Pit8254.GATE_PORT, pit);
  const keyboard = new Keyboard8042(
    () => onReset("port 0x64"),
    (key, mouse) => {
      setLine(KEYBOARD_LINE, key);
      setLine(MOUSE_LINE, mouse);
    },
  );
  io.register(Keyboard8042.DATA_PORT, Keyboard8042.DATA_PORT, keyboard);
  io.register(Keyboard8042.COMMAND_PORT, Keyboard8042.COMMAND_PORT, keyboard);
  io.register(0x70, 0x71, cmos);
  io.register(POST_PORT, POST_PORT, new Latch());
  const controlA = new SystemControlA(() => onReset("port 0x92"));
  io.register(SYSTEM_CONTROL_A_PORT, SYSTEM_CONTROL_A_PORT, controlA);
  const pci = new PciConfiguration(() => onReset("port 0xcf9"));
  io.register(PciConfiguration.FIRST_PORT, PciConfiguration.LAST_PORT, pci);
}
