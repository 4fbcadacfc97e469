/**
 * The keyboard controller (Intel 8042, as the IBM AT programs it) without a keyboard or mouse: it answers what is
 * asked of itself, at once, and can pull the CPU's reset line.
 */
import type { IoDevice } from "./ioBus";

const COMMAND_PORT = 0x64;

const STATUS_OUTPUT_FULL = 0x01;
/** Self-test passed, keyboard not locked. */
const STATUS_IDLE = 0x14;
const STATUS_LAST_WAS_COMMAND = 0x08;

const READ_COMMAND_BYTE = 0x20;
const WRITE_COMMAND_BYTE = 0x60;
const SELF_TEST = 0xaa;
const TEST_KEYBOARD_LINE = 0xab;
const READ_OUTPUT_PORT = 0xd0;
const WRITE_OUTPUT_PORT = 0xd1;
/** Commands F0H to FFH pulse the output lines whose bits are 0; line 0 resets the CPU. */
const PULSE_LINES = 0xf0;
const RESET_LINE = 0x01;

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
  private lastWasCommand = true;
  /** The command whose data byte comes next. */
  private awaiting = 0;

  /** @param onReset hears that the guest reset the CPU */
  constructor(private readonly onReset: () => void) {}

  save() {
    const { commandByte, output, outputFull, lastWasCommand, awaiting } = this;
    return { commandByte, output, outputFull, lastWasCommand, awaiting };
  }

  restore(state: ReturnType<Keyboard8042["save"]>): void {
    this.commandByte = state.commandByte;
    this.output = state.output;
    this.outputFull = state.outputFull;
    this.lastWasCommand = state.lastWasCommand;
    this.awaiting = state.awaiting;
  }

  read(port: number): number {
    if (port === COMMAND_PORT) {
      return (
        STATUS_IDLE |
        (this.outputFull ? STATUS_OUTPUT_FULL : 0) |
        (this.lastWasCommand ? STATUS_LAST_WAS_COMMAND : 0)
      );
    }
    this.outputFull = false;
    return this.output;
  }

  write(port: number, _size: number, value: number): void {
    this.lastWasCommand = port === COMMAND_PORT;
    if (this.lastWasCommand) this.command(value);
    else this.data(value);
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
        this.answer(0x00);
        break;
      case READ_OUTPUT_PORT:
        this.answer(OUTPUT_PORT);
        break;
      case WRITE_COMMAND_BYTE:
      case WRITE_OUTPUT_PORT:
        this.awaiting = command;
        break;
    }
  }

  /** A byte for the command before; otherwise it is for the keyboard, which is not there. A20 stays on. */
  private data(value: number): void {
    const { awaiting } = this;
    this.awaiting = 0;
    if (awaiting === WRITE_COMMAND_BYTE) this.commandByte = value;
    else if (awaiting === WRITE_OUTPUT_PORT && (value & RESET_LINE) === 0) this.onReset();
  }

  private answer(value: number): void {
    this.output = value;
    this.outputFull = true;
  }
}
