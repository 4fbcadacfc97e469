/** A case under construction: registers, memory and the parts of the instruction, put together by `finish`. */
import type { Form } from "./forms";
import {
  CODE_HIGH,
  CODE_LOW,
  CODE_SIZE,
  DATA_HIGH,
  DATA_LOW,
  DATA_SIZE,
  dataOffset,
  PAGE,
  WRITABLE_SIZE,
} from "./layout";
import type { Random } from "./random";

export type Mode = 32 | 64;

/** One recorded case: everything that decides its outcome. */
export interface Case {
  form: Form;
  mode: Mode;
  /** Operand size in bits. */
  size: number;
  code: Uint8Array;
  /** Linear address of the instruction. */
  address: bigint;
  registers: bigint[];
  flags: number;
  /** Bytes of the data region that differ from its background. */
  patches: Patch[];
  /** The flags that a sequence of instructions leaves undefined. */
  undefinedFlags?: number;
}

export interface Patch {
  offset: number;
  bytes: Uint8Array;
}

/** Where the instruction lies: inside a page, across two, up to the end of the code region, or beyond that. */
export type Placement = "inside" | "crossing" | "last" | "beyond";

export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

const STATUS_FLAGS = 0x8d5;
const FLAG_DF = 0x400;
const FLAG_ID = 0x200000;
const FLAGS_FIXED = 0x202;
/** One more than an instruction may have. */
const MAX_CODE = 16;

/** Little endian. */
export function bytesOf(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let rest = value;
  for (let i = 0; i < length; i++) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

export class CaseBuilder {
  readonly registers: bigint[] = [];
  flags: number;
  readonly patches: Patch[] = [];
  /** Registers whose values the addressing must not change. */
  readonly pinned = new Set<number>();
  addressSize: number;
  /** The segment-override prefix in force. */
  segment: number | undefined;
  /** Legacy prefixes in the order of their bytes (without REX). */
  readonly legacy: number[] = [];
  /** Bits W, R, X, B; used when not 0, or when `bareRex`. */
  rex = 0;
  bareRex = false;
  /** A REX that stands before a legacy prefix and so means nothing. */
  deadRex: number | undefined;
  vvvv = 0;
  vexL = 0;
  opcodeRegister = 0;
  /** ModRM, SIB and displacement. */
  modrm: number[] = [];
  displacement: Uint8Array = new Uint8Array(0);
  /** Bytes behind the displacement. */
  immediate: Uint8Array = new Uint8Array(0);
  placement: Placement = "inside";
  codeBase: bigint;
  /** Linear address of the memory operand, and its length. */
  target: bigint | undefined;
  targetLength = 0;
  /** What the memory operand holds; something random where it is undefined. */
  memoryValue: bigint | undefined;

  constructor(
    readonly random: Random,
    readonly form: Form,
    readonly mode: Mode,
    readonly size: number,
    readonly memory: boolean,
  ) {
    for (let i = 0; i < 16; i++)
      this.registers.push(mode === 64 ? random.operand() : this.low32(random.operand(), i));
    this.flags = FLAGS_FIXED | (random.next() & STATUS_FLAGS);
    if (random.percent(20)) this.flags |= FLAG_DF;
    if (random.percent(10)) this.flags |= FLAG_ID;
    this.addressSize = mode;
    this.codeBase = mode === 64 && random.percent(60) ? CODE_HIGH : CODE_LOW;
    if (random.percent(5)) this.placement = "crossing";
  }

  /** Code that is not 64-bit leaves R8..R15 and the high halves of the others alone: they are 0. */
  private low32(value: bigint, register: number): bigint {
    return register < 8 ? value & 0xffffffffn : 0n;
  }

  get registerCount(): number {
    return this.mode === 64 ? 16 : 8;
  }

  /** Replaces the low bits of a register. */
  setLow(register: number, bits: number, value: bigint): void {
    const mask = (1n << BigInt(bits)) - 1n;
    this.registers[register] = (this.registers[register] & ~mask) | (value & mask);
  }

  /** Makes a register hold an address as far as `bits` of it count, and keeps it. */
  pin(register: number, value: bigint, bits: number): void {
    this.setLow(register, bits, value);
    this.pinned.add(register);
  }

  /** What bytes of the data region hold before the case. Bytes outside of it are left out. */
  patch(address: bigint, bytes: Uint8Array): void {
    const offset = dataOffset(address);
    if (offset === undefined) return;
    const from = Math.max(0, -offset);
    const to = Math.min(bytes.length, DATA_SIZE - offset);
    if (from < to) this.patches.push({ offset: offset + from, bytes: bytes.slice(from, to) });
  }

  /** A linear address for `length` bytes of data: mostly good memory, sometimes across its edges or elsewhere. */
  pickData(length: number, base: bigint): bigint {
    const { random } = this;
    const at = (offset: number): bigint => base + BigInt(offset);
    const across = (edge: number): bigint => at(edge - 1 - random.below(Math.max(length - 1, 1)));
    switch (random.below(32)) {
      case 0:
        return at(random.between(WRITABLE_SIZE, DATA_SIZE - length));
      case 1:
        return across(WRITABLE_SIZE);
      case 2:
        return across(DATA_SIZE);
      case 3:
        return random.percent(50) ? across(0) : at(random.between(DATA_SIZE, DATA_SIZE + 64));
      case 4:
      case 5:
        return across(PAGE);
      default:
        return at(random.between(0, WRITABLE_SIZE - length));
    }
  }

  /** Good writable memory with room on both sides. */
  pickRoom(base: bigint): bigint {
    return base + BigInt(this.random.between(0x200, WRITABLE_SIZE - 0x200));
  }

  pickBase(): bigint {
    return this.mode === 64 && this.random.percent(60) ? DATA_HIGH : DATA_LOW;
  }

  /** An address in the code region that this case's instruction does not cover. */
  pickLanding(): bigint {
    const base = this.mode === 64 && this.random.percent(50) ? CODE_HIGH : CODE_LOW;
    return base + BigInt(this.random.below(0x800));
  }

  private prefixBytes(): number[] {
    const bytes: number[] = [];
    if (this.deadRex !== undefined && this.legacy.length > 0) bytes.push(this.deadRex);
    bytes.push(...this.legacy);
    const { form } = this;
    if (form.vex) {
      const pp = form.mandatory === undefined ? 0 : { 102: 1, 243: 2, 242: 3 }[form.mandatory]!;
      const inverted = ~this.rex & 7;
      bytes.push(
        0xc4,
        (inverted << 5) | form.map,
        ((this.rex & 8) << 4) | ((~this.vvvv & 15) << 3) | (this.vexL << 2) | pp,
      );
      return bytes;
    }
    if (form.mandatory !== undefined) bytes.push(form.mandatory);
    if (this.rex !== 0 || this.bareRex) bytes.push(0x40 | this.rex);
    if (form.map > 0) bytes.push(0x0f);
    if (form.map > 1) bytes.push(form.map === 2 ? 0x38 : 0x3a);
    return bytes;
  }

  /** Length of the instruction with a displacement of so many bytes. */
  length(displacement: number): number {
    return this.prefixBytes().length + 1 + this.modrm.length + displacement + this.immediate.length;
  }

  /** Where an instruction of a length lies. Decided once the length is known. */
  place(length: number): bigint {
    const { random } = this;
    const end = this.codeBase + BigInt(CODE_SIZE);
    switch (this.placement) {
      case "last":
        return end - BigInt(length);
      case "beyond":
        return end - BigInt(random.between(1, Math.max(length - 1, 1)));
      case "crossing":
        return this.codeBase + BigInt(PAGE * random.between(2, 12) - random.below(length));
      default:
        return (
          this.codeBase + BigInt(PAGE * random.between(1, 12) + random.below(PAGE - 2 * MAX_CODE) + MAX_CODE)
        );
    }
  }

  /** The whole instruction. */
  bytes(): number[] {
    const opcode = this.form.opcode | this.opcodeRegister;
    return [...this.prefixBytes(), opcode, ...this.modrm, ...this.displacement, ...this.immediate];
  }

  finish(address: bigint): Case {
    const bytes = this.bytes();
    let code = Uint8Array.from(bytes.slice(0, MAX_CODE));
    if (this.placement === "beyond") code = code.slice(0, Number(this.codeBase - address) + CODE_SIZE);
    const { form, mode, size, registers, flags, patches } = this;
    return { form, mode, size, code, address, registers, flags, patches };
  }
}
