/**
 * The keyboard controller (Intel 8042, as the IBM PS/2 programs it) without a keyboard or mouse: it answers what is
 * asked of itself, at once, and can pull the CPU's reset line. What is sent to keyboard or mouse is lost.
 */
import type { IoDevice } from "./ioBus";

const COMMAND_PORT = 0x64;

const STATUS_OUTPUT_FULL = 0x01;
/** Self-test passed, keyboard not locked. */
const STATUS_IDLE = 0x14;
const STATUS_LAST_WAS_COMMAND = 0x08;
/** The output is the mouse's. */
const STATUS_MOUSE = 0x20;

const READ_COMMAND_BYTE = 0x20;
const WRITE_COMMAND_BYTE = 0x60;
const DISABLE_MOUSE = 0xa7;
const ENABLE_MOUSE = 0xa8;
const TEST_MOUSE_LINE = 0xa9;
const SELF_TEST = 0xaa;
const TEST_KEYBOARD_LINE = 0xab;
const READ_OUTPUT_PORT = 0xd0;
const DISABLE_KEYBOARD = 0xad;
const ENABLE_KEYBOARD = 0xae;
const WRITE_OUTPUT_PORT = 0xd1;
/** The next byte comes back as if keyboard or mouse had sent it, or goes to the mouse. */
const WRITE_KEYBOARD_OUTPUT = 0xd2;
const WRITE_MOUSE_OUTPUT = 0xd3;
const WRITE_MOUSE = 0xd4;
/** Commands F0H to FFH pulse the output lines whose bits are 0; line 0 resets the CPU. */
const PULSE_LINES = 0xf0;
const RESET_LINE = 0x01;

/** Bits of the command byte: interrupts of keyboard and mouse, and their clocks off. */
const KEYBOARD_INTERRUPT = 0x01;
const MOUSE_INTERRUPT = 0x02;
const KEYBOARD_OFF = 0x10;
const MOUSE_OFF = 0x20;

/** Output port: not in reset, A20 on. */
const OUTPUT_PORT = 0x03;

/** Ports 60H and 64H. */
export class Keyboard8042 implements IoDevice {
  static readonly DATA_PORT = 0x60;
  static readonly COMMAND_PORT = COMMAND_PORT;

  /** Clocks of keyboard and mouse off, no interrupts, scan codes translated. */
  private commandByte = 0x70;
  private output = 0;
  private outputFull = false;
  private outputOfMouse = false;
  private lastWasCommand = true;
  /** The command whose data byte comes next. */
  private awaiting = 0;

  /**
   * @param onReset hears that the guest reset the CPU
   * @param onInterrupts hears the levels of the two interrupt lines, after each access
   */
  constructor(
    private readonly onReset: () => void,
    private readonly onInterrupts: (keyboard: boolean, mouse: boolean) => void = () => {},
  ) {}

  save() {
    const { commandByte, output, outputFull, outputOfMouse, lastWasCommand, awaiting } = this;
    return { commandByte, output, outputFull, outputOfMouse, lastWasCommand, awaiting };
  }

  restore(state: ReturnType<Keyboard8042["save"]>): void {
    this.commandByte = state.commandByte;
    this.output = state.output;
    this.outputFull = state.outputFull;
    this.outputOfMouse = state.outputOfMouse;
    this.lastWasCommand = state.lastWasCommand;
    this.awaiting = state.awaiting;
  }

  read(port: number): number {
    if (port === COMMAND_PORT) {
      return (
        STATUS_IDLE |
        (this.outputFull ? STATUS_OUTPUT_FULL : 0) |
        (this.outputFull && this.outputOfMouse ? STATUS_MOUSE : 0) |
        (this.lastWasCommand ? STATUS_LAST_WAS_COMMAND : 0)
      );
    }
    this.outputFull = false;
    this.tellInterrupts();
    return this.output;
  }

  write(port: number, _size: number, value: number): void {
    this.lastWasCommand = port === COMMAND_PORT;
    if (this.lastWasCommand) this.command(value);
    else this.data(value);
    this.tellInterrupts();
  }

  private tellInterrupts(): void {
    const wanted = (bit: number) => this.outputFull && (this.commandByte & bit) !== 0;
    this.onInterrupts(
      !this.outputOfMouse && wanted(KEYBOARD_INTERRUPT),
      this.outputOfMouse && wanted(MOUSE_INTERRUPT),
    );
  }

  private command(command: number): void {
    this.awaiting = 0;
    if (command >= PULSE_LINES) {
      if ((command & RESET_LINE) === 0) this.onReset();
      return;
    }
    switch (command) {
      case READ_COMMAND_BYTE:
        this.answer(this.commandByte);
        break;
      case SELF_TEST:
        this.answer(0x55);
        break;
      case TEST_KEYBOARD_LINE:
      case TEST_MOUSE_LINE:
        this.answer(0x00);
        break;
      case READ_OUTPUT_PORT:
        this.answer(OUTPUT_PORT);
        break;
      case DISABLE_MOUSE:
        this.commandByte |= MOUSE_OFF;
        break;
      case ENABLE_MOUSE:
        this.commandByte &= ~MOUSE_OFF;
        break;
      case DISABLE_KEYBOARD:
        this.commandByte |= KEYBOARD_OFF;
        break;
      case ENABLE_KEYBOARD:
        this.commandByte &= ~KEYBOARD_OFF;
        break;
      case WRITE_COMMAND_BYTE:
      case WRITE_OUTPUT_PORT:
      case WRITE_KEYBOARD_OUTPUT:
      case WRITE_MOUSE_OUTPUT:
      case WRITE_MOUSE:
        this.awaiting = command;
        break;
    }
  }

  /** A byte for the command before; otherwise it is for keyboard or mouse, which are not there. A20 stays on. */
  private data(value: number): void {
    const { awaiting } = this;
    this.awaiting = 0;
    if (awaiting === WRITE_COMMAND_BYTE) this.commandByte = value;
    else if (awaiting === WRITE_KEYBOARD_OUTPUT || awaiting === WRITE_MOUSE_OUTPUT)
      this.answer(value, awaiting === WRITE_MOUSE_OUTPUT);
    else if (awaiting === WRITE_OUTPUT_PORT && (value & RESET_LINE) === 0) this.onReset();
  }

  private answer(value: number, ofMouse = false): void {
    this.output = value;
    this.outputOfMouse = ofMouse;
    this.outputFull = true;
  }
}
