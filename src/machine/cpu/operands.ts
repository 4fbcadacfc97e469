/**
 * From decoded operands to closures: effective addresses, and readers and writers of registers, memory and
 * immediates. Values of 8 and 16 bits are sign-extended int32; a 64-bit value is its low half, with the high half
 * in `r[R_HIGH]`.
 */
import { type Instruction, MemorySizeExt, OpKind, Register } from "iced-x86";
import { join64 } from "../../paging/halves";
import type { Cpu } from "./cpu";
import type { CpuModel } from "./model";
import { CS, DS, FS, R_EA_HIGH, R_HIGH, R_SEGMENT_BASE } from "./registers";

export type Op = (c: Cpu) => void;
/** Computes a linear address: low half returned, high half in `r[R_EA_HIGH]`. */
export type Address = (c: Cpu) => number;
export type Reader = (c: Cpu) => number;
export type Writer = (c: Cpu, value: number) => void;
export type Writer64 = (c: Cpu, low: number, high: number) => void;
/** Operand size in bytes. */
export type Size = 1 | 2 | 4 | 8;

/** What a translation knows beyond the instruction. */
export interface Site {
  readonly instruction: Instruction;
  /** 16, 32 or 64. */
  readonly bitness: number;
  /** All of ES, CS, SS and DS are flat (base 0, limit 4 GiB - 1): no base to add, no limit to check. */
  readonly flat: boolean;
  /** Bytes of the stack pointer: 2, 4 or 8. */
  readonly stackSize: Size;
  /** Linear address of the instruction and of the one behind it. */
  readonly low: number;
  readonly high: number;
  readonly nextLow: number;
  readonly nextHigh: number;
  readonly features: CpuModel["features"];
  readonly vendor: CpuModel["vendor"];
}

/** Index into the byte view of the register file of an 8-bit register. */
export function byteIndex(register: Register): number {
  if (register >= Register.AH && register <= Register.BH) return (register - Register.AH) * 8 + 1;
  const number = register <= Register.BL ? register - Register.AL : register - Register.SPL + 4;
  return number * 8;
}

/** Encoding number 0..15 of a general register of 16, 32 or 64 bits. */
export function registerNumber(register: Register): number {
  if (register >= Register.RAX) return register - Register.RAX;
  if (register >= Register.EAX) return register - Register.EAX;
  return register - Register.AX;
}

/** Size in bytes of a general register. */
export function registerSize(register: Register): Size {
  if (register >= Register.RAX && register <= Register.R15) return 8;
  if (register >= Register.EAX && register <= Register.R15D) return 4;
  if (register >= Register.AX && register <= Register.R15W) return 2;
  return 1;
}

/** Size in bytes of operand `n` where it is a register or memory. */
export function operandSize(instruction: Instruction, n: number): Size {
  return instruction.opKind(n) === OpKind.Register
    ? registerSize(instruction.opRegister(n))
    : (MemorySizeExt.size(instruction.memorySize) as Size);
}

export function isRegister(instruction: Instruction, n: number): boolean {
  return instruction.opKind(n) === OpKind.Register;
}

export function isMemory(instruction: Instruction, n: number): boolean {
  return instruction.opKind(n) === OpKind.Memory;
}

/** The immediate operand `n` as int32 halves, sign-extended as the instruction has it. */
export function immediateOf(instruction: Instruction, n: number): { low: number; high: number } {
  const value = BigInt.asIntN(64, instruction.immediate(n));
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) };
}

/** Linear address behind an instruction, unsigned, as branch targets are. */
export function nextAddress({ nextLow, nextHigh }: Site): bigint {
  return join64(nextLow, nextHigh);
}

/** Number of a segment register, in encoding order. */
export function segmentNumber(register: Register): number {
  return register - Register.ES;
}

// --- effective addresses ---

/**
 * The linear address of the memory operand (segment base included; limit checked where not flat).
 * @param write whether the operand is written: what the segment must allow
 */
export function linearAddress(site: Site, write = false): Address {
  const { instruction } = site;
  const segment = segmentNumber(instruction.memorySegment);
  return inSegment(site, effectiveAddress(site), segment, operandBytes(instruction), write);
}

function operandBytes(instruction: Instruction): number {
  return Math.max(1, MemorySizeExt.size(instruction.memorySize));
}

/** Adds the base of a segment to an offset, and checks its limit outside of 64-bit mode where it is not flat. */
export function inSegment(
  site: Site,
  offset: Address,
  segment: number,
  size: number,
  write = false,
): Address {
  if (site.bitness === 64) return segment >= FS ? withBase64(offset, segment) : offset;
  if (site.flat && segment <= DS && !(write && segment === CS)) return offset;
  return (c) => {
    const low = offset(c);
    c.checkLimit(segment, low, size, write);
    c.r[R_EA_HIGH] = 0;
    return (low + c.r[R_SEGMENT_BASE + 2 * segment]) | 0;
  };
}

function withBase64(offset: Address, segment: number): Address {
  const base = R_SEGMENT_BASE + 2 * segment;
  return (c) => {
    const { r } = c;
    const a = offset(c);
    const low = (a + r[base]) | 0;
    r[R_EA_HIGH] = (r[R_EA_HIGH] + r[base + 1] + (low >>> 0 < a >>> 0 ? 1 : 0)) | 0;
    return low;
  };
}

/** The offset part of the memory operand, as LEA gives it, wrapped to the address size. */
export function effectiveAddress(site: Site): Address {
  const { instruction } = site;
  const base = instruction.memoryBase;
  const index = instruction.memoryIndex;
  const displacement = BigInt.asIntN(64, instruction.memoryDisplacement);
  const low = Number(BigInt.asIntN(32, displacement));
  const high = Number(BigInt.asIntN(32, displacement >> 32n));
  if (base === Register.RIP || base === Register.EIP) {
    return constantAddress(low, base === Register.EIP ? 0 : high);
  }
  const size = addressSize(site);
  const b = base === Register.None ? -1 : 2 * registerNumber(base);
  const i = index === Register.None ? -1 : 2 * registerNumber(index);
  const shift = 31 - Math.clz32(instruction.memoryIndexScale);
  if (size === 2) return address16(b, i, low);
  if (size === 4) return address32(b, i, shift, low);
  return address64(b, i, shift, low, high);
}

function addressSize(site: Site): Size {
  const { instruction, bitness } = site;
  const { memoryBase: base, memoryIndex: index } = instruction;
  const register = base !== Register.None ? base : index;
  if (register !== Register.None) return registerSize(register);
  const size = instruction.memoryDisplSize;
  if (size === 8) return 8;
  if (bitness === 64) return size === 4 && instruction.memoryDisplacement <= 0xffffffffn ? 4 : 8;
  return size === 2 ? 2 : 4;
}

function constantAddress(low: number, high: number): Address {
  return (c) => {
    c.r[R_EA_HIGH] = high;
    return low;
  };
}

function address16(b: number, i: number, displacement: number): Address {
  return (c) => {
    const { r } = c;
    r[R_EA_HIGH] = 0;
    return ((b < 0 ? 0 : r[b]) + (i < 0 ? 0 : r[i]) + displacement) & 0xffff;
  };
}

function address32(b: number, i: number, shift: number, displacement: number): Address {
  if (i < 0 && b >= 0) {
    return (c) => {
      const { r } = c;
      r[R_EA_HIGH] = 0;
      return (r[b] + displacement) | 0;
    };
  }
  return (c) => {
    const { r } = c;
    r[R_EA_HIGH] = 0;
    return ((b < 0 ? 0 : r[b]) + (i < 0 ? 0 : r[i] << shift) + displacement) | 0;
  };
}

function address64(b: number, i: number, shift: number, dLow: number, dHigh: number): Address {
  if (b < 0 && i < 0) return constantAddress(dLow, dHigh);
  if (i < 0) {
    return (c) => {
      const { r } = c;
      const a = r[b];
      const low = (a + dLow) | 0;
      r[R_EA_HIGH] = (r[b + 1] + dHigh + (low >>> 0 < a >>> 0 ? 1 : 0)) | 0;
      return low;
    };
  }
  if (b < 0) {
    return (c) => {
      const { r } = c;
      const a = r[i] << shift;
      const aHigh = shift === 0 ? r[i + 1] : (r[i + 1] << shift) | (r[i] >>> (32 - shift));
      const low = (a + dLow) | 0;
      r[R_EA_HIGH] = (aHigh + dHigh + (low >>> 0 < a >>> 0 ? 1 : 0)) | 0;
      return low;
    };
  }
  return (c) => {
    const { r } = c;
    const a = r[i] << shift;
    const aHigh = shift === 0 ? r[i + 1] : (r[i + 1] << shift) | (r[i] >>> (32 - shift));
    const partial = (a + r[b]) | 0;
    const low = (partial + dLow) | 0;
    const carries = (partial >>> 0 < a >>> 0 ? 1 : 0) + (low >>> 0 < partial >>> 0 ? 1 : 0);
    r[R_EA_HIGH] = (aHigh + r[b + 1] + dHigh + carries) | 0;
    return low;
  };
}

/** Adds a sign-extended int32 to a linear address of which the low half is given and the high half in R_EA_HIGH. */
export function advance(r: Int32Array, low: number, by: number): number {
  const next = (low + by) | 0;
  r[R_EA_HIGH] = (r[R_EA_HIGH] + (by < 0 ? -1 : 0) + (next >>> 0 < low >>> 0 ? 1 : 0)) | 0;
  return next;
}

// --- values ---

/** Reads operand `n` of up to 32 bits. */
export function reader(site: Site, n: number, size: Size): Reader {
  const { instruction } = site;
  if (isRegister(instruction, n)) return registerReader(instruction.opRegister(n));
  if (!isMemory(instruction, n)) {
    const { low } = immediateOf(instruction, n);
    const value = signExtend(low, size);
    return () => value;
  }
  return memoryReader(linearAddress(site), size);
}

/** Sign-extends the low `size` bytes of a value. */
export function signExtend(value: number, size: Size): number {
  return size === 1 ? (value << 24) >> 24 : size === 2 ? (value << 16) >> 16 : value | 0;
}

function registerReader(register: Register): Reader {
  switch (registerSize(register)) {
    case 1: {
      const index = byteIndex(register);
      return (c) => (c.r8[index] << 24) >> 24;
    }
    case 2: {
      const index = registerNumber(register) * 4;
      return (c) => c.r16[index];
    }
    default: {
      const index = registerNumber(register) * 2;
      return (c) => c.r[index];
    }
  }
}

function memoryReader(address: Address, size: Size): Reader {
  if (size === 1) {
    return (c) => {
      const low = address(c);
      return c.mmu.load8(low, c.r[R_EA_HIGH]);
    };
  }
  if (size === 2) {
    return (c) => {
      const low = address(c);
      return c.mmu.load16(low, c.r[R_EA_HIGH]);
    };
  }
  return (c) => {
    const low = address(c);
    return c.mmu.load32(low, c.r[R_EA_HIGH]);
  };
}

/** Writes operand `n` of up to 32 bits; a 32-bit register is zero-extended to 64. */
export function writer(site: Site, n: number, size: Size): Writer {
  const { instruction } = site;
  if (isRegister(instruction, n)) return registerWriter(instruction.opRegister(n));
  const address = linearAddress(site, true);
  return (c, value) => {
    const low = address(c);
    store(c, low, c.r[R_EA_HIGH], size, value);
  };
}

/** Stores a value of up to 32 bits. */
export function store(c: Cpu, low: number, high: number, size: Size, value: number): void {
  if (size === 4) c.mmu.store32(low, high, value);
  else if (size === 1) c.mmu.store8(low, high, value);
  else c.mmu.store16(low, high, value);
}

/** Loads a value of up to 32 bits, sign-extended. */
export function load(c: Cpu, low: number, high: number, size: Size): number {
  if (size === 4) return c.mmu.load32(low, high);
  return size === 1 ? c.mmu.load8(low, high) : c.mmu.load16(low, high);
}

function registerWriter(register: Register): Writer {
  switch (registerSize(register)) {
    case 1: {
      const index = byteIndex(register);
      return (c, value) => {
        c.r8[index] = value;
      };
    }
    case 2: {
      const index = registerNumber(register) * 4;
      return (c, value) => {
        c.r16[index] = value;
      };
    }
    default: {
      const index = registerNumber(register) * 2;
      return (c, value) => {
        c.r[index] = value;
        c.r[index + 1] = 0;
      };
    }
  }
}

/** Reads a 64-bit operand. */
export function reader64(site: Site, n: number): Reader {
  const { instruction } = site;
  if (isRegister(instruction, n)) {
    const index = registerNumber(instruction.opRegister(n)) * 2;
    return (c) => {
      c.r[R_HIGH] = c.r[index + 1];
      return c.r[index];
    };
  }
  if (isMemory(instruction, n)) {
    const address = linearAddress(site);
    return (c) => {
      const low = address(c);
      return c.mmu.load64(low, c.r[R_EA_HIGH]);
    };
  }
  const { low, high } = immediateOf(instruction, n);
  return (c) => {
    c.r[R_HIGH] = high;
    return low;
  };
}

/** Writes a 64-bit operand. */
export function writer64(site: Site, n: number): Writer64 {
  const { instruction } = site;
  if (isRegister(instruction, n)) {
    const index = registerNumber(instruction.opRegister(n)) * 2;
    return (c, low, high) => {
      c.r[index] = low;
      c.r[index + 1] = high;
    };
  }
  const address = linearAddress(site, true);
  return (c, valueLow, valueHigh) => {
    const low = address(c);
    c.mmu.store64(low, c.r[R_EA_HIGH], valueLow, valueHigh);
  };
}

/**
 * An operation of up to 32 bits on operand 0: reads it, computes, writes it back. Memory is probed for writing
 * first, so that a fault has the access right and nothing has changed.
 */
export function modify(site: Site, size: Size, compute: (c: Cpu, value: number) => number): Op {
  const { instruction } = site;
  if (isRegister(instruction, 0)) {
    const read = reader(site, 0, size);
    const write = writer(site, 0, size);
    return (c) => write(c, compute(c, read(c)));
  }
  const address = linearAddress(site, true);
  return (c) => {
    const low = address(c);
    const high = c.r[R_EA_HIGH];
    c.mmu.probeWrite(low, high, size);
    store(c, low, high, size, compute(c, load(c, low, high, size)));
  };
}

/** The same for 64 bits; `compute` gives the low half and leaves the high one in `r[R_HIGH]`. */
export function modify64(site: Site, compute: (c: Cpu, low: number, high: number) => number): Op {
  const { instruction } = site;
  if (isRegister(instruction, 0)) {
    const d = registerNumber(instruction.opRegister(0)) * 2;
    return (c) => {
      const { r } = c;
      const low = compute(c, r[d], r[d + 1]);
      r[d] = low;
      r[d + 1] = r[R_HIGH];
    };
  }
  const address = linearAddress(site, true);
  return (c) => {
    const { r, mmu } = c;
    const low = address(c);
    const high = r[R_EA_HIGH];
    mmu.probeWrite(low, high, 8);
    const value = mmu.load64(low, high);
    const result = compute(c, value, r[R_HIGH]);
    mmu.store64(low, high, result, r[R_HIGH]);
  };
}
