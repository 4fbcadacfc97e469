/** A machine in the state of a user process, on which recorded instruction cases run one after another. */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from "iced-x86";
import type { Cpu } from "../../src/machine/cpu/cpu";
import { CpuFault } from "../../src/machine/cpu/fault";
import { parseCpu } from "../../src/machine/cpu/model";
import type { MachineEvent } from "../../src/machine/events";
import { Machine } from "../../src/machine/machine";
import type { SegmentState } from "../../src/machine/startState";
import { BACKGROUND, type Case, type Mode, type Outcome, undefinedFlags } from "../reference/cpu";
import * as layout from "../reference/cpu/layout";

/** The recording processor as far as the cases show it: an Intel CPU with all the features that they use. */
const RECORDED_CPU = parseCpu("max");

const TABLES = 0x10000;
const DATA = 0x100000;
const CODE = 0x200000;
const RAM_END = 0x300000;
const INT3 = 0xcc;
const BREAKPOINT = 3;
const PAGE_FAULT = 14;
const ERROR_FETCH = 0x10;
/** A case that takes longer, the iterations of a repeated string instruction counted, never ends. */
const MAX_STEPS = 100_000;

const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const NO_EXECUTE = 1n << 63n;

const CR0 = 0x80050033;
const CR4 = 0x6a0;
const EFER = 0xd01;
const ATTRIBUTES_USER_CODE: Record<Mode, number> = { 64: 0xa0fb, 32: 0xc0fb };
const ATTRIBUTES_USER_DATA = 0xc0f3;
/** Without an I/O permission bitmap. */
const TR: SegmentState = { selector: 0x40, base: 0n, limit: 0x5f, attributes: 0x8b };

const NAMES = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** What an instruction did, as far as it is compared. */
interface Ending {
  rip: bigint;
  /** "completed", or the exception. */
  fate: string;
}

export class HardwareMachine {
  private machine!: Machine;
  private event: MachineEvent | undefined;
  private nextTable = TABLES;
  private readonly wanted = new Uint8Array(layout.DATA_SIZE);

  /** @param compiled whether every block is compiled before it runs, as only hot ones are otherwise */
  constructor(
    private readonly mode: Mode,
    private readonly compiled = false,
  ) {
    this.powerOn();
  }

  /** Runs a case. Returns what differs from the recorded outcome, in words; "" for nothing. */
  differences(one: Case, expected: Outcome): string {
    const { memory, cpu } = this.machine;
    const code = CODE + Number(one.address & BigInt(layout.CODE_SIZE - 1));
    cpu.codeWritten(code, one.code.length);
    memory.writeBytes(code, one.code);
    for (const { offset, bytes } of one.patches) memory.writeBytes(DATA + offset, bytes);
    one.registers.forEach((value, i) => {
      cpu.setRegister(i, value);
    });
    cpu.rflags = one.flags;
    const ending = this.run(one.address);
    const found = this.compare(one, expected, ending);
    cpu.codeWritten(code, one.code.length);
    memory.fill(code, one.code.length, INT3);
    if (found.length === 0) this.restoreData(one, expected);
    else memory.writeBytes(DATA, BACKGROUND);
    if (this.machine.ended !== undefined) this.powerOn();
    return found.length === 0 ? "" : `${describeCase(one)}: ${found.join("; ")}`;
  }

  /** Runs until an exception: as in the recorder, an INT3 waits wherever the instruction leads. */
  private run(address: bigint): Ending {
    const { machine } = this;
    const { cpu } = machine;
    cpu.pending = undefined;
    cpu.rip = address;
    this.event = undefined;
    if (this.compiled) compileBlockAtRip(cpu);
    machine.run(MAX_STEPS);
    const event = this.lastEvent();
    if (event === undefined) return { rip: cpu.rip, fate: "never ended" };
    const landed = event.rip !== address && (isBreakpoint(event) || isFetchFault(event));
    return landed ? { rip: event.rip, fate: "completed" } : { rip: cpu.rip, fate: fateOf(event) };
  }

  private lastEvent(): MachineEvent | undefined {
    return this.event;
  }

  private compare(one: Case, expected: Outcome, { rip, fate }: Ending): string[] {
    const { cpu, memory } = this.machine;
    const found: string[] = [];
    const check = (name: string, actual: string, wanted: string): void => {
      if (actual !== wanted) found.push(`${name} is ${actual}, not ${wanted}`);
    };
    check("outcome", fate, expectedFate(expected));
    if (rip !== expected.rip) check("rip", hex(rip), hex(expected.rip));
    for (let i = 0; i < 16; i++) {
      const value = cpu.getRegister(i);
      if (value !== expected.registers[i]) check(NAMES[i], hex(value), hex(expected.registers[i]));
    }
    const compared = expected.exception === undefined ? ~undefinedFlags(one) : -1;
    check("rflags", hex((cpu.rflags & compared) >>> 0), hex((expected.flags & compared) >>> 0));
    const at = this.firstStrayByte(one, expected);
    if (at >= 0) {
      const show = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(at, at + 8)).toString("hex");
      const actual = memory.readBytes(DATA, layout.DATA_SIZE);
      check(`memory at data + ${hex(at)}`, show(actual), show(this.wanted));
    }
    return found;
  }

  /** The first offset at which the data region is not as expected, or -1. Leaves what is expected in `wanted`. */
  private firstStrayByte(one: Case, expected: Outcome): number {
    const { memory } = this.machine;
    const { wanted } = this;
    wanted.set(BACKGROUND);
    for (const { offset, bytes } of one.patches) wanted.set(bytes, offset);
    for (const [offset, value] of expected.memory) wanted[offset] = value;
    for (let page = 0; page < layout.DATA_SIZE; page += layout.PAGE) {
      const from = memory.readOffset(DATA + page);
      const actual = memory.bytes.subarray(from, from + layout.PAGE);
      if (Buffer.compare(actual, wanted.subarray(page, page + layout.PAGE)) === 0) continue;
      return page + actual.findIndex((byte, i) => byte !== wanted[page + i]);
    }
    return -1;
  }

  private restoreData(one: Case, expected: Outcome): void {
    const { memory } = this.machine;
    for (const [offset] of expected.memory) memory.write8(DATA + offset, BACKGROUND[offset]);
    for (const { offset, bytes } of one.patches) {
      memory.writeBytes(DATA + offset, BACKGROUND.subarray(offset, offset + bytes.length));
    }
  }

  /** A machine with the recorder's mappings, in user mode. */
  private powerOn(): void {
    const machine = new Machine({ ram: [{ start: 0, end: RAM_END }], cpu: RECORDED_CPU });
    this.machine = machine;
    this.nextTable = TABLES + layout.PAGE;
    machine.memory.writeBytes(DATA, BACKGROUND);
    machine.memory.fill(CODE, layout.CODE_SIZE, INT3);
    for (const base of [layout.DATA_LOW, layout.DATA_HIGH]) {
      this.map(base, DATA, layout.WRITABLE_SIZE, PRESENT | WRITABLE | USER | NO_EXECUTE);
      const readOnly = layout.WRITABLE_SIZE;
      this.map(base + BigInt(readOnly), DATA + readOnly, layout.PAGE, PRESENT | USER | NO_EXECUTE);
    }
    for (const base of [layout.CODE_LOW, layout.CODE_HIGH])
      this.map(base, CODE, layout.CODE_SIZE, PRESENT | USER);
    machine.onEvent = (event) => {
      this.event = event;
      return true;
    };
    machine.want(["exception", "page-fault"]);
    const data = (base: bigint): SegmentState => ({
      selector: layout.SELECTOR_DATA,
      base,
      limit: 0xffffffff,
      attributes: ATTRIBUTES_USER_DATA,
    });
    const selector = this.mode === 64 ? layout.SELECTOR_CODE64 : layout.SELECTOR_CODE32;
    const cs = { selector, base: 0n, limit: 0xffffffff, attributes: ATTRIBUTES_USER_CODE[this.mode] };
    const flat = {
      es: data(0n),
      ss: data(0n),
      ds: data(0n),
      fs: data(layout.FS_BASE),
      gs: data(layout.GS_BASE),
    };
    const segments = { cs, ...flat };
    machine.start({ rip: 0n, cr0: CR0, cr3: BigInt(TABLES), cr4: CR4, efer: EFER, segments, tr: TR });
  }

  private map(linear: bigint, physical: number, size: number, flags: bigint): void {
    for (let offset = 0; offset < size; offset += layout.PAGE) {
      const address = linear + BigInt(offset);
      let table = TABLES;
      for (let shift = 39n; shift > 12n; shift -= 9n) table = this.tableBelow(table, address, shift);
      this.machine.memory.write64(table + indexOf(address, 12n), BigInt(physical + offset) | flags);
    }
  }

  private tableBelow(table: number, address: bigint, shift: bigint): number {
    const { memory } = this.machine;
    const entry = table + indexOf(address, shift);
    const present = memory.read64(entry);
    if (present !== 0n) return Number(present & 0xffffff000n);
    const below = this.nextTable;
    this.nextTable += layout.PAGE;
    memory.write64(entry, BigInt(below) | PRESENT | WRITABLE | USER);
    return below;
  }
}

/** Compiles what is about to run, unless it cannot be fetched. */
function compileBlockAtRip(cpu: Cpu): void {
  try {
    cpu.code.compile([cpu.code.find()]);
  } catch (fault) {
    if (!(fault instanceof CpuFault)) throw fault;
  }
}

/** Byte offset of the entry for an address in its table. */
function indexOf(address: bigint, shift: bigint): number {
  return Number((address >> shift) & 0x1ffn) * 8;
}

function isBreakpoint(event: MachineEvent): boolean {
  return event.event === "exception" && event.vector === BREAKPOINT;
}

/** Whether RIP points to where nothing can be fetched. */
function isFetchFault(event: MachineEvent): boolean {
  return event.event === "page-fault" && event.address === event.rip && (event.error & ERROR_FETCH) !== 0;
}

function fateOf(event: MachineEvent): string {
  if (event.event === "page-fault") return `#PF(${event.error}) at ${hex(event.address)}`;
  if (event.event === "exception") return `vector ${event.vector}`;
  return event.event === "unimplemented" ? `unimplemented (${event.reason})` : event.event;
}

/** All error codes but those of page faults are 0 here. */
function expectedFate({ exception }: Outcome): string {
  if (exception === undefined) return "completed";
  const { vector, error, cr2 } = exception;
  return vector === PAGE_FAULT ? `#PF(${error}) at ${hex(cr2)}` : `vector ${vector}`;
}

/** The text of all instructions of a case. */
function disassemble(one: Case): string {
  const decoder = new Decoder(one.mode, one.code, DecoderOptions.None);
  decoder.ip = one.address;
  const formatter = new Formatter(FormatterSyntax.Intel);
  const texts: string[] = [];
  do {
    const instruction = decoder.decode();
    texts.push(formatter.format(instruction));
    instruction.free();
  } while (decoder.canDecode);
  decoder.free();
  formatter.free();
  return texts.join(" | ");
}

function describeCase(one: Case): string {
  const registers = one.registers
    .map((value, i) => `${NAMES[i]}=${hex(value)}`)
    .slice(0, one.mode === 64 ? 16 : 8);
  const bytes = Buffer.from(one.code).toString("hex");
  return `${disassemble(one)} [${bytes}] at ${hex(one.address)} with ${registers.join(" ")} rflags=${hex(one.flags)}`;
}
