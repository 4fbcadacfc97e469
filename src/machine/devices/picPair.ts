/** The two 8259As of a PC, the second on line 2 of the first, with their edge/level control registers. */
import type { IoDevice } from "./ioBus";
import { Pic8259 } from "./pic8259";

const CASCADE = 2;
const SLAVE_PORT = 0xa0;
const ELCR_MASTER = 0x4d0;

/** Lines of the PIIX's ELCR that cannot be level-triggered: timer, keyboard, cascade; clock, coprocessor. */
const ELCR_MASTER_WRITABLE = 0xf8;
const ELCR_SLAVE_WRITABLE = 0xde;

/** As SeaBIOS leaves them: vectors from 08H and 70H, timer, keyboard... unmasked; IRQ 10 and 11 are PCI's. */
const MASTER_SETTINGS = { base: 0x08, mask: 0xb8 };
const SLAVE_SETTINGS = { base: 0x70, mask: 0x8e };
const SLAVE_ELCR = 0x0c;

/** Ports 20H, 21H, A0H, A1H, 4D0H and 4D1H. */
export class PicPair implements IoDevice {
  static readonly PORTS = [0x20, 0x21, 0xa0, 0xa1, ELCR_MASTER, ELCR_MASTER + 1] as const;

  private readonly master = new Pic8259(MASTER_SETTINGS, CASCADE, ELCR_MASTER_WRITABLE);
  private readonly slave = new Pic8259(SLAVE_SETTINGS, undefined, ELCR_SLAVE_WRITABLE);

  /**
   * @param update brings the lines up to date, before anything is read or written
   * @param changed hears that another interrupt may be requested than before
   */
  constructor(
    private readonly update: () => void,
    private readonly changed: () => void,
  ) {
    this.slave.elcr = SLAVE_ELCR;
  }

  /** With the lines up to date. */
  save() {
    this.update();
    return { master: this.master.save(), slave: this.slave.save() };
  }

  restore(state: ReturnType<PicPair["save"]>): void {
    this.master.restore(state.master);
    this.slave.restore(state.slave);
  }

  /** The level of a line 0..15. */
  setLine(line: number, high: boolean): void {
    if (line < 8) this.master.setLine(line, high);
    else {
      this.slave.setLine(line - 8, high);
      this.propagate();
    }
  }

  /** Whether the CPU's INTR is raised. */
  get requested(): boolean {
    return this.master.requested >= 0;
  }

  /** Whether a request of a line 0..15 would come through its mask, and that of the cascade. */
  isUnmasked(line: number): boolean {
    if (line < 8) return (this.master.unmasked & (1 << line)) !== 0;
    return (this.slave.unmasked & (1 << (line - 8))) !== 0 && this.isUnmasked(CASCADE);
  }

  /** Interrupt acknowledge. @returns the vector */
  acknowledge(): number {
    const { line, vector } = this.master.acknowledge();
    if (line !== CASCADE) return vector;
    const answer = this.slave.acknowledge().vector;
    this.propagate();
    return answer;
  }

  read(port: number): number {
    this.update();
    if (port >= ELCR_MASTER) return this.chip(port).elcr;
    const value = this.chip(port).read((port & 1) !== 0);
    this.propagate();
    this.changed();
    return value;
  }

  write(port: number, _size: number, value: number): void {
    this.update();
    if (port >= ELCR_MASTER) this.chip(port).elcr = value;
    else this.chip(port).write((port & 1) !== 0, value);
    this.propagate();
    this.changed();
  }

  private chip(port: number): Pic8259 {
    const isSlave = port >= ELCR_MASTER ? port !== ELCR_MASTER : port >= SLAVE_PORT;
    return isSlave ? this.slave : this.master;
  }

  private propagate(): void {
    this.master.setLine(CASCADE, this.slave.requested >= 0);
  }
}
