/** The debug-exit port, as QEMU's isa-debug-exit at its usual place: a write ends the machine. */
import type { IoDevice } from "./ioBus";

export class DebugExit implements IoDevice {
  static readonly PORT = 0xf4;
  readonly wide = true;

  /** @param onExit hears the value that the guest wrote: 0 says that all went well */
  constructor(private readonly onExit: (value: number) => void) {}

  /** It remembers nothing. */
  save(): undefined {
    return undefined;
  }

  restore(): void {}

  read(): number {
    return 0;
  }

  write(_port: number, _size: number, value: number): void {
    this.onExit(value);
  }
}
