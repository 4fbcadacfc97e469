/**
 * Unwinding by ORC, the tables that Linux' objtool makes of every function of the kernel, those in assembly too
 * (Linux, Documentation/arch/x86/orc-unwinder.rst): one section has the addresses, each as a signed distance from
 * where it stands, rising; another for each of them six bytes: how the caller's stack pointer is found, how RBP is,
 * and what kind of frame it is. x86-64 only.
 */
import type { UnwoundFrame } from "./debugInfo";

/** The two sections. */
export interface OrcSections {
  readonly addresses: Uint8Array;
  /** Where the addresses are linked to. */
  readonly linked: bigint;
  readonly entries: Uint8Array;
  /**
   * Whether the kinds are those of Linux 6.4 and later, which has a section `.orc_header`: two more stand before
   * them, in three bits instead of two.
   */
  readonly withHeader: boolean;
}

const ENTRY = 6;

/** What the caller's stack pointer counts from. */
const BASE = {
  UNDEFINED: 0,
  PREVIOUS_SP: 1,
  DX: 2,
  DI: 3,
  BP: 4,
  SP: 5,
  R10: 6,
  R13: 7,
  BP_INDIRECT: 8,
  SP_INDIRECT: 9,
} as const;

/** A call's frame; one with all registers of interrupted code; one with the hardware's exception frame only. */
type Kind = "call" | "registers" | "exception" | "none";
const KINDS: readonly Kind[] = ["call", "registers", "exception", "none"];
const KINDS_WITH_HEADER: readonly Kind[] = ["none", "none", "call", "registers", "exception"];

/** DWARF numbers (x86-64 psABI, figure 3.36). */
const DWARF = { RDX: 1, RDI: 5, RBP: 6, RSP: 7, R10: 10, R13: 13, RIP: 16 } as const;

/** Registers as Linux saves them on the stack at an entry (struct pt_regs of x86-64), by DWARF number; 8 bytes each. */
const SAVED = [15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5];
/** Behind those: the error code or system call, RIP, CS, RFLAGS, RSP, SS. */
const SAVED_RIP = 16;
const SAVED_RSP = 19;

type Read = (address: bigint, length: number) => Uint8Array | undefined;

export class OrcFrames {
  private readonly count: number;
  private readonly addresses: DataView;
  private readonly entries: DataView;
  private readonly kinds: readonly Kind[];

  constructor(private readonly sections: OrcSections) {
    const { addresses, entries, withHeader } = sections;
    this.count = Math.min(Math.floor(addresses.length / 4), Math.floor(entries.length / ENTRY));
    this.addresses = new DataView(addresses.buffer, addresses.byteOffset, addresses.length);
    this.entries = new DataView(entries.buffer, entries.byteOffset, entries.length);
    this.kinds = withHeader ? KINDS_WITH_HEADER : KINDS;
  }

  /**
   * The caller of a frame, or what it interrupted. Undefined where no entry covers RIP, the stack ends there, or it
   * cannot be read.
   * @param registers by DWARF number; RIP as linked
   */
  unwind(registers: ReadonlyMap<number, bigint>, read: Read): UnwoundFrame | undefined {
    const rip = registers.get(DWARF.RIP);
    const index = rip === undefined ? -1 : this.find(rip);
    if (index < 0) return undefined;
    const at = index * ENTRY;
    const bits = this.entries.getUint16(at + 4, true);
    const kind = this.kinds[this.sections.withHeader ? (bits >> 8) & 7 : (bits >> 8) & 3] ?? "none";
    const load = (address: bigint) => loadWord(read, address);
    const cfa = base(bits & 15, this.entries.getInt16(at, true), registers, load);
    if (kind === "none" || cfa === undefined) return undefined;
    if (kind === "registers") return savedFrame(cfa, load);
    const caller = new Map<number, bigint>();
    const callerBp = basePointer(bits, this.entries.getInt16(at + 2, true), cfa, registers, load);
    if (callerBp !== undefined) caller.set(DWARF.RBP, callerBp);
    const interrupted = kind === "exception";
    const returns = load(interrupted ? cfa : cfa - 8n);
    const stackPointer = interrupted ? load(cfa + 24n) : cfa;
    if (returns === undefined || stackPointer === undefined) return undefined;
    caller.set(DWARF.RIP, returns).set(DWARF.RSP, stackPointer);
    return { registers: caller, cfa, signalFrame: interrupted };
  }

  /** Index of the last entry at or before an address; -1 before the first. */
  private find(address: bigint): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.addressAt(middle) <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  private addressAt(index: number): bigint {
    const distance = this.addresses.getInt32(4 * index, true);
    return BigInt.asUintN(64, this.sections.linked + BigInt(4 * index + distance));
  }
}

type Load = (address: bigint) => bigint | undefined;

function base(
  from: number,
  offset: number,
  registers: ReadonlyMap<number, bigint>,
  load: Load,
): bigint | undefined {
  const by = BigInt(offset);
  const plus = (value: bigint | undefined, more: bigint) =>
    value === undefined ? undefined : BigInt.asUintN(64, value + more);
  const at = (address: bigint | undefined) => (address === undefined ? undefined : load(address));
  switch (from) {
    case BASE.SP:
      return plus(registers.get(DWARF.RSP), by);
    case BASE.BP:
      return plus(registers.get(DWARF.RBP), by);
    case BASE.SP_INDIRECT:
      return plus(at(registers.get(DWARF.RSP)), by);
    case BASE.BP_INDIRECT:
      return at(plus(registers.get(DWARF.RBP), by));
    case BASE.R10:
      return registers.get(DWARF.R10);
    case BASE.R13:
      return registers.get(DWARF.R13);
    case BASE.DI:
      return registers.get(DWARF.RDI);
    case BASE.DX:
      return registers.get(DWARF.RDX);
    default:
      return undefined;
  }
}

/** RBP of the caller; where the entry says nothing of it, it was not changed. */
function basePointer(
  bits: number,
  offset: number,
  cfa: bigint,
  registers: ReadonlyMap<number, bigint>,
  load: Load,
): bigint | undefined {
  const from = (bits >> 4) & 15;
  const own = registers.get(DWARF.RBP);
  if (from === BASE.UNDEFINED) return own;
  if (from === BASE.PREVIOUS_SP) return load(cfa + BigInt(offset));
  return from === BASE.BP && own !== undefined ? load(own + BigInt(offset)) : undefined;
}

function savedFrame(cfa: bigint, load: Load): UnwoundFrame | undefined {
  const registers = new Map<number, bigint>();
  const word = (index: number) => load(cfa + BigInt(8 * index));
  for (const [index, register] of SAVED.entries()) {
    const value = word(index);
    if (value !== undefined) registers.set(register, value);
  }
  const [rip, stackPointer] = [word(SAVED_RIP), word(SAVED_RSP)];
  if (rip === undefined || stackPointer === undefined) return undefined;
  registers.set(DWARF.RIP, rip).set(DWARF.RSP, stackPointer);
  return { registers, cfa, signalFrame: true };
}

function loadWord(read: Read, address: bigint): bigint | undefined {
  const bytes = read(BigInt.asUintN(64, address), 8);
  if (bytes === undefined) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(0, true);
}
