/** A 16550 serial port at COM1 (National Semiconductor PC16550D). Sends at once, receives nothing. */
import type { IoDevice } from "./ioBus";

const LCR_DLAB = 0x80;
const LSR_THR_EMPTY = 0x20;
const LSR_IDLE = 0x40;
const MCR_LOOPBACK = 0x10;
const IIR_NONE = 0x01;
const IIR_FIFOS = 0xc0;
/** A line is handed on at this length even without a line end. */
const LONGEST_LINE = 4096;

export class Serial16550 implements IoDevice {
  static readonly FIRST_PORT = 0x3f8;
  static readonly LAST_PORT = 0x3ff;

  private interruptEnable = 0;
  private lineControl = 0;
  private modemControl = 0;
  private scratch = 0;
  private divisor = 1;
  private fifos = false;
  /** What loopback sends back. */
  private received: number | undefined;
  private line: number[] = [];

  /** @param onLine hears each line that the guest sends, without its line end */
  constructor(private readonly onLine: (text: string) => void) {}

  read(port: number): number {
    const latch = (this.lineControl & LCR_DLAB) !== 0;
    switch (port & 7) {
      case 0:
        return latch ? this.divisor & 0xff : this.takeReceived();
      case 1:
        return latch ? this.divisor >> 8 : this.interruptEnable;
      case 2:
        return IIR_NONE | (this.fifos ? IIR_FIFOS : 0);
      case 3:
        return this.lineControl;
      case 4:
        return this.modemControl;
      case 5:
        return LSR_THR_EMPTY | LSR_IDLE | (this.received === undefined ? 0 : 1);
      case 6:
        return this.modemStatus();
      default:
        return this.scratch;
    }
  }

  write(port: number, _size: number, value: number): void {
    const latch = (this.lineControl & LCR_DLAB) !== 0;
    switch (port & 7) {
      case 0:
        if (latch) this.divisor = (this.divisor & 0xff00) | value;
        else this.send(value);
        break;
      case 1:
        if (latch) this.divisor = (this.divisor & 0xff) | (value << 8);
        else this.interruptEnable = value & 0xf;
        break;
      case 2:
        this.fifos = (value & 1) !== 0;
        break;
      case 3:
        this.lineControl = value;
        break;
      case 4:
        this.modemControl = value & 0x1f;
        break;
      case 7:
        this.scratch = value;
        break;
    }
  }

  /** Hands on a line that has not ended yet. */
  flush(): void {
    if (this.line.length === 0) return;
    const text = String.fromCharCode(...this.line);
    this.line = [];
    this.onLine(text);
  }

  private send(byte: number): void {
    if ((this.modemControl & MCR_LOOPBACK) !== 0) {
      this.received = byte;
      return;
    }
    if (byte === 0x0a) {
      const text = String.fromCharCode(...this.line);
      this.line = [];
      this.onLine(text);
    } else if (byte !== 0x0d) {
      this.line.push(byte);
      if (this.line.length >= LONGEST_LINE) this.flush();
    }
  }

  private takeReceived(): number {
    const byte = this.received ?? 0;
    this.received = undefined;
    return byte;
  }

  /** In loopback the outputs come back as inputs; otherwise carrier, data set ready and clear to send. */
  private modemStatus(): number {
    if ((this.modemControl & MCR_LOOPBACK) === 0) return 0xb0;
    const out = this.modemControl;
    return ((out & 2) << 3) | ((out & 1) << 5) | ((out & 4) << 4) | ((out & 8) << 4);
  }
}
