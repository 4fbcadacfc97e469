/**
 * A 16550 serial port at COM1 (National Semiconductor PC16550D). It sends at once and receives only its own
 * loopback.
 */
import type { IoDevice } from "./ioBus";

const LCR_DLAB = 0x80;
const FCR_ENABLE = 0x01;
const FCR_CLEAR_RECEIVER = 0x02;
const IER_RECEIVED = 0x01;
const IER_THR_EMPTY = 0x02;
const IIR_NONE = 0x01;
const IIR_THR_EMPTY = 0x02;
const IIR_RECEIVED = 0x04;
const IIR_FIFOS = 0xc0;
/** On a PC it lets the interrupt through. */
const MCR_OUT2 = 0x08;
const MCR_LOOPBACK = 0x10;
const LSR_DATA_READY = 0x01;
const LSR_OVERRUN = 0x02;
const LSR_THR_EMPTY = 0x20;
const LSR_IDLE = 0x40;
/** Carrier detect, data set ready, clear to send: somebody listens. */
const MSR_CONNECTED = 0xb0;
const FIFO_BYTES = 16;
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
  /** The "transmitter holding register empty" interrupt: gone once IIR was read, back with the next byte sent. */
  private emptyPending = false;
  /** What loopback sends back, at most FIFO_BYTES of it; one byte without FIFOs. */
  private received: number[] = [];
  private lastReceived = 0;
  private overrun = false;
  /** The line that has not ended yet. */
  private line: number[] = [];
  /** The interrupt line's level. */
  private raised = false;
  /** Bytes of it that were handed on already: whoever looks at a machine that stands still sees them. */
  private told = 0;
  /** Bytes sent since the start. */
  private sent = 0;

  /**
   * @param onLine hears each line that the guest sends, without its line end; a byte is a character of Latin-1
   * @param onInterrupt hears the level of the interrupt line when it changes
   */
  constructor(
    private readonly onLine: (text: string) => void,
    private readonly onInterrupt: (raised: boolean) => void = () => {},
  ) {}

  save() {
    return {
      interruptEnable: this.interruptEnable,
      lineControl: this.lineControl,
      modemControl: this.modemControl,
      scratch: this.scratch,
      divisor: this.divisor,
      fifos: this.fifos,
      emptyPending: this.emptyPending,
      raised: this.raised,
      lastReceived: this.lastReceived,
      overrun: this.overrun,
      sent: this.sent,
      received: [...this.received],
      line: [...this.line],
    };
  }

  /** What the line had at that moment counts as handed on. */
  restore(state: ReturnType<Serial16550["save"]>): void {
    this.interruptEnable = state.interruptEnable;
    this.lineControl = state.lineControl;
    this.modemControl = state.modemControl;
    this.scratch = state.scratch;
    this.divisor = state.divisor;
    this.fifos = state.fifos;
    this.emptyPending = state.emptyPending;
    this.raised = state.raised;
    this.lastReceived = state.lastReceived;
    this.overrun = state.overrun;
    this.sent = state.sent;
    this.received = [...state.received];
    this.line = [...state.line];
    this.told = this.line.length;
  }

  read(port: number): number {
    const value = this.readRegister(port);
    this.tellInterrupt();
    return value;
  }

  write(port: number, _size: number, value: number): void {
    this.writeRegister(port, value);
    this.tellInterrupt();
  }

  private readRegister(port: number): number {
    const latch = (this.lineControl & LCR_DLAB) !== 0;
    switch (port & 7) {
      case 0:
        return latch ? this.divisor & 0xff : this.takeReceived();
      case 1:
        return latch ? this.divisor >> 8 : this.interruptEnable;
      case 2:
        return this.identifyInterrupt() | (this.fifos ? IIR_FIFOS : 0);
      case 3:
        return this.lineControl;
      case 4:
        return this.modemControl;
      case 5:
        return this.lineStatus();
      case 6:
        return this.modemStatus();
      default:
        return this.scratch;
    }
  }

  private writeRegister(port: number, value: number): void {
    const latch = (this.lineControl & LCR_DLAB) !== 0;
    switch (port & 7) {
      case 0:
        if (latch) this.divisor = (this.divisor & 0xff00) | value;
        else this.send(value);
        break;
      case 1:
        if (latch) this.divisor = (this.divisor & 0xff) | (value << 8);
        else this.enableInterrupts(value & 0xf);
        break;
      case 2:
        this.controlFifos(value);
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

  /** Hands on what is new of a line that has not ended yet. The guest sees no difference. */
  flush(): void {
    if (this.line.length > this.told) this.tell();
  }

  private endLine(): void {
    // An empty line is one; the end of a line that was handed on whole is none.
    if (this.told === 0 || this.line.length > this.told) this.tell();
    this.line = [];
    this.told = 0;
  }

  private tell(): void {
    const text = String.fromCharCode(...this.line.slice(this.told));
    this.told = this.line.length;
    this.onLine(text);
  }

  private send(byte: number): void {
    this.emptyPending = true;
    if ((this.modemControl & MCR_LOOPBACK) !== 0) this.receive(byte);
    else {
      this.sent++;
      if (byte === 0x0a) this.endLine();
      else if (byte !== 0x0d) this.line.push(byte);
      if (this.line.length >= LONGEST_LINE) this.endLine();
    }
  }

  /** On an overrun a full FIFO keeps its bytes, and a receiver without FIFO keeps the newest. */
  private receive(byte: number): void {
    const room = this.fifos ? FIFO_BYTES : 1;
    this.overrun ||= this.received.length >= room;
    if (this.received.length < room) this.received.push(byte);
    else if (!this.fifos) this.received[0] = byte;
  }

  private takeReceived(): number {
    this.lastReceived = this.received.shift() ?? this.lastReceived;
    return this.lastReceived;
  }

  private controlFifos(value: number): void {
    const enable = (value & FCR_ENABLE) !== 0;
    // Both FIFOs are emptied when they are turned on or off.
    if (enable !== this.fifos || (value & FCR_CLEAR_RECEIVER) !== 0) this.received = [];
    this.fifos = enable;
  }

  private enableInterrupts(value: number): void {
    const rises = value & ~this.interruptEnable;
    this.interruptEnable = value;
    if ((rises & IER_THR_EMPTY) !== 0) this.emptyPending = true;
  }

  /** The pending interrupt of the highest priority; to name an empty transmitter is to acknowledge it. */
  private identifyInterrupt(): number {
    if ((this.interruptEnable & IER_RECEIVED) !== 0 && this.received.length > 0) return IIR_RECEIVED;
    if ((this.interruptEnable & IER_THR_EMPTY) === 0 || !this.emptyPending) return IIR_NONE;
    this.emptyPending = false;
    return IIR_THR_EMPTY;
  }

  private tellInterrupt(): void {
    const wanted =
      ((this.interruptEnable & IER_RECEIVED) !== 0 && this.received.length > 0) ||
      ((this.interruptEnable & IER_THR_EMPTY) !== 0 && this.emptyPending);
    const raised = wanted && (this.modemControl & (MCR_OUT2 | MCR_LOOPBACK)) === MCR_OUT2;
    if (raised === this.raised) return;
    this.raised = raised;
    this.onInterrupt(raised);
  }

  private lineStatus(): number {
    const status =
      LSR_THR_EMPTY |
      LSR_IDLE |
      (this.received.length > 0 ? LSR_DATA_READY : 0) |
      (this.overrun ? LSR_OVERRUN : 0);
    this.overrun = false;
    return status;
  }

  /** In loopback the outputs DTR RTS OUT1 OUT2 come back as the inputs DSR CTS RI DCD. */
  private modemStatus(): number {
    const out = this.modemControl;
    if ((out & MCR_LOOPBACK) === 0) return MSR_CONNECTED;
    return ((out & 2) << 3) | ((out & 1) << 5) | ((out & 4) << 4) | ((out & 8) << 4);
  }
}
