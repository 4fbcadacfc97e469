/** The rest of a PC that early boot code touches: each answers sanely, none raises interrupts. */
import type { CmosRtc } from "./cmos";
import type { Clock, IoBus, IoDevice } from "./ioBus";
import { Pic8259 } from "./pic8259";
import { Pit8254 } from "./pit8254";

/** A byte that holds what was written. */
class Latch implements IoDevice {
  constructor(private value: number) {}

  read(): number {
    return this.value;
  }

  write(_port: number, _size: number, value: number): void {
    this.value = value;
  }
}

/** The 8042 keyboard controller, idle: nothing to read, ready for commands. */
const KEYBOARD: IoDevice = { read: (port) => (port === 0x64 ? 0x1c : 0), write: () => {} };

/** Registers the platform's ports: PICs, PIT, CMOS, keyboard controller, POST code, A20. PCI is absent. */
export function registerPlatform(io: IoBus, clock: Clock, cmos: CmosRtc): void {
  io.register(0x20, 0x21, new Pic8259());
  io.register(0xa0, 0xa1, new Pic8259());
  const pit = new Pit8254(clock);
  io.register(Pit8254.FIRST_PORT, Pit8254.LAST_PORT, pit);
  io.register(Pit8254.GATE_PORT, Pit8254.GATE_PORT, pit);
  io.register(0x60, 0x60, KEYBOARD);
  io.register(0x64, 0x64, KEYBOARD);
  io.register(0x70, 0x71, cmos);
  io.register(0x80, 0x80, new Latch(0));
  // Fast A20: always on.
  io.register(0x92, 0x92, new Latch(2));
}
