/** PUSH POP PUSHA POPA PUSHF POPF ENTER LEAVE (SDM vol. 2). The stack pointer changes after the last access. */
import { Code, Mnemonic, OpKind, Register } from "iced-x86";
import type { Cpu } from "../cpu";
import { materialize } from "../flags";
import { inhibitInterrupts } from "../interrupt";
import {
  isMemory,
  isRegister,
  linearAddress,
  load,
  type Op,
  reader,
  reader64,
  registerNumber,
  type Site,
  type Size,
  segmentNumber,
  store,
} from "../operands";
import {
  AC,
  DF,
  ID,
  IF,
  IOPL,
  IOPL_SHIFT,
  NT,
  R_EA_HIGH,
  R_HIGH,
  R_SEGMENT_BASE,
  RBP,
  RF,
  RSP,
  SS,
  STATUS_FLAGS,
  TF,
  VIF,
  VIP,
  VM,
} from "../registers";
import { loadSegment } from "../segments";
import { endingFamily, family } from "./family";

/** A linear stack address from an offset given as halves: adds and checks the base of SS outside of 64-bit mode. */
function stackAddress(c: Cpu, site: Site, low: number, high: number, size: number): number {
  if (site.stackSize === 8) {
    c.r[R_EA_HIGH] = high;
    return low;
  }
  c.r[R_EA_HIGH] = 0;
  const offset = site.stackSize === 2 ? low & 0xffff : low;
  if (site.flat) return offset;
  c.checkLimit(SS, offset, size);
  return (offset + c.r[R_SEGMENT_BASE + 2 * SS]) | 0;
}

/** Writes the stack pointer as wide as the stack is. */
function setStackPointer(c: Cpu, stackSize: Size, low: number, high: number): void {
  if (stackSize === 2) {
    c.r16[4 * RSP] = low;
    return;
  }
  c.r[2 * RSP] = low;
  c.r[2 * RSP + 1] = stackSize === 8 ? high : 0;
}

/** Pushes a value of 2, 4 or 8 bytes given as halves. */
export function pushValue(site: Site, size: Size): (c: Cpu, low: number, high: number) => void {
  if (site.stackSize === 8 && size === 8) {
    return (c, low, high) => {
      const { r } = c;
      const sp = (r[2 * RSP] - 8) | 0;
      const spHigh = r[2 * RSP] >>> 0 < 8 ? (r[2 * RSP + 1] - 1) | 0 : r[2 * RSP + 1];
      c.mmu.store64(sp, spHigh, low, high);
      r[2 * RSP] = sp;
      r[2 * RSP + 1] = spHigh;
    };
  }
  return (c, low, high) => {
    const { r } = c;
    const sp = (r[2 * RSP] - size) | 0;
    const spHigh = r[2 * RSP] >>> 0 < size ? (r[2 * RSP + 1] - 1) | 0 : r[2 * RSP + 1];
    const at = stackAddress(c, site, sp, spHigh, size);
    if (size === 8) c.mmu.store64(at, r[R_EA_HIGH], low, high);
    else store(c, at, r[R_EA_HIGH], size, low);
    setStackPointer(c, site.stackSize, sp, spHigh);
  };
}

/** Pops a value: low half returned (sign-extended below 4 bytes), high half in R_HIGH. */
export function popValue(site: Site, size: Size): (c: Cpu) => number {
  return (c) => {
    const value = peek(c, site, size, 0);
    advanceStack(c, site.stackSize, size);
    return value;
  };
}

/** Reads the stack `offset` bytes above its pointer. */
export function peek(c: Cpu, site: Site, size: Size, offset: number): number {
  const { r } = c;
  const sp = (r[2 * RSP] + offset) | 0;
  const spHigh = (r[2 * RSP + 1] + (sp >>> 0 < r[2 * RSP] >>> 0 ? 1 : 0)) | 0;
  const at = stackAddress(c, site, sp, spHigh, size);
  if (size === 8) return c.mmu.load64(at, r[R_EA_HIGH]);
  const value = load(c, at, r[R_EA_HIGH], size);
  r[R_HIGH] = 0;
  return value;
}

/** Moves the stack pointer up. */
export function advanceStack(c: Cpu, stackSize: Size, by: number): void {
  const { r } = c;
  const sp = (r[2 * RSP] + by) | 0;
  setStackPointer(c, stackSize, sp, (r[2 * RSP + 1] + (sp >>> 0 < r[2 * RSP] >>> 0 ? 1 : 0)) | 0);
}

/** Operand size of ENTER and LEAVE. */
function pushSize({ instruction }: Site): Size {
  switch (instruction.code) {
    case Code.Enterw_imm16_imm8:
    case Code.Leavew:
      return 2;
    case Code.Enterd_imm16_imm8:
    case Code.Leaved:
      return 4;
    default:
      return 8;
  }
}

function isSegmentRegister(site: Site): boolean {
  const { instruction } = site;
  return (
    isRegister(instruction, 0) &&
    instruction.op0Register >= Register.ES &&
    instruction.op0Register <= Register.GS
  );
}

function push(site: Site): Op {
  const { instruction } = site;
  const segment = isSegmentRegister(site);
  const size = Math.abs(instruction.stackPointerIncrement) as Size;
  const put = pushValue(site, size);
  if (segment) {
    const number = segmentNumber(instruction.op0Register);
    if (size === 4) return (c) => pushSelector(c, site, c.selectors[number]);
    return (c) => put(c, c.selectors[number], 0);
  }
  if (size === 8) {
    if (isRegister(instruction, 0)) {
      const s = 2 * registerNumber(instruction.op0Register);
      return (c) => put(c, c.r[s], c.r[s + 1]);
    }
    const read = reader64(site, 0);
    return (c) => {
      const low = read(c);
      put(c, low, c.r[R_HIGH]);
    };
  }
  const read = reader(site, 0, size);
  return (c) => put(c, read(c), 0);
}

/** A 32-bit push of a segment register moves the pointer by 4 and writes 2 bytes, as recent CPUs do (SDM vol. 2, PUSH). */
function pushSelector(c: Cpu, site: Site, selector: number): void {
  const { r } = c;
  const sp = (r[2 * RSP] - 4) | 0;
  const at = stackAddress(c, site, sp, 0, 4);
  c.mmu.store16(at, r[R_EA_HIGH], selector);
  setStackPointer(c, site.stackSize, sp, 0);
}

function pop(site: Site): Op {
  const { instruction } = site;
  const size = Math.abs(instruction.stackPointerIncrement) as Size;
  const take = popValue(site, size);
  if (isSegmentRegister(site)) {
    const number = segmentNumber(instruction.op0Register);
    return (c) => {
      const selector = peek(c, site, 2, 0) & 0xffff;
      loadSegment(c, number, selector);
      if (number === SS) inhibitInterrupts(c);
      advanceStack(c, site.stackSize, size);
    };
  }
  if (isMemory(instruction, 0)) return popToMemory(site, size);
  const d = registerNumber(instruction.op0Register);
  if (size === 2) {
    return (c) => {
      const value = take(c);
      c.r16[4 * d] = value;
    };
  }
  return (c) => {
    const low = take(c);
    c.r[2 * d] = low;
    c.r[2 * d + 1] = size === 8 ? c.r[R_HIGH] : 0;
  };
}

/** The address is computed with the stack pointer as it is after the pop. */
function popToMemory(site: Site, size: Size): Op {
  const address = linearAddress(site, true);
  return (c) => {
    const { r } = c;
    const [spLow, spHigh] = [r[2 * RSP], r[2 * RSP + 1]];
    const low = peek(c, site, size, 0);
    const high = r[R_HIGH];
    advanceStack(c, site.stackSize, size);
    try {
      const at = address(c);
      if (size === 8) c.mmu.store64(at, r[R_EA_HIGH], low, high);
      else store(c, at, r[R_EA_HIGH], size, low);
    } catch (thrown) {
      r[2 * RSP] = spLow;
      r[2 * RSP + 1] = spHigh;
      throw thrown;
    }
  };
}

/** PUSHA: all eight, with the stack pointer as it was before. */
function pushAll(size: 2 | 4): (site: Site) => Op {
  return (site) => {
    const put = pushValue(site, size);
    return (c) => {
      const { r } = c;
      const old = r[2 * RSP];
      try {
        for (let register = 0; register < 8; register++) put(c, register === RSP ? old : r[2 * register], 0);
      } catch (thrown) {
        r[2 * RSP] = old;
        throw thrown;
      }
    };
  };
}

/** POPA: all eight but the stack pointer. */
function popAll(size: 2 | 4): (site: Site) => Op {
  return (site) => (c) => {
    const values: number[] = [];
    for (let n = 0; n < 8; n++) values.push(peek(c, site, size, n * size));
    for (let register = 7; register >= 0; register--) {
      const value = values[7 - register];
      if (register === RSP) continue;
      if (size === 2) c.r16[4 * register] = value;
      else c.r[2 * register] = value;
    }
    advanceStack(c, site.stackSize, 8 * size);
  };
}

function pushFlags(size: Size): (site: Site) => Op {
  return (site) => {
    const put = pushValue(site, size);
    return (c) => put(c, materialize(c.r) & ~(RF | VM), 0);
  };
}

/** The flags that POPF and IRET may change at a privilege level (SDM vol. 2, POPF). */
export function writableFlags(c: Cpu, size: Size): number {
  let mask = STATUS_FLAGS | TF | DF | NT;
  if (size !== 2) mask |= AC | ID;
  if (c.cpl === 0) mask |= IOPL;
  if (c.cpl <= (materialize(c.r) & IOPL) >> IOPL_SHIFT) mask |= IF;
  return mask;
}

function popFlags(size: Size): (site: Site) => Op {
  return (site) => {
    const take = popValue(site, size);
    return (c) => {
      const value = take(c);
      const mask = writableFlags(c, size);
      const keep = size === 2 ? ~mask : ~(mask | RF | VIF | VIP);
      c.setRflags((materialize(c.r) & keep) | (value & mask));
    };
  };
}

/** ENTER: a frame of `bytes`, with `level` pointers to outer frames. */
function enter(site: Site): Op {
  const { instruction, stackSize } = site;
  const bytes = instruction.immediate16;
  const level = instruction.immediate8_2nd & 31;
  const size = pushSize(site);
  const put = pushValue(site, size);
  return (c) => {
    const { r } = c;
    const saved = [r[2 * RSP], r[2 * RSP + 1], r[2 * RBP], r[2 * RBP + 1]];
    try {
      put(c, r[2 * RBP], r[2 * RBP + 1]);
      const [frameLow, frameHigh] = [r[2 * RSP], r[2 * RSP + 1]];
      for (let n = 1; n < level; n++) {
        moveFramePointer(c, stackSize, -size);
        const at = stackAddress(c, site, r[2 * RBP], r[2 * RBP + 1], size);
        const low = size === 8 ? c.mmu.load64(at, r[R_EA_HIGH]) : load(c, at, r[R_EA_HIGH], size);
        put(c, low, r[R_HIGH]);
      }
      if (level > 0) put(c, frameLow, frameHigh);
      advanceStack64(c, stackSize, -bytes);
      const below = stackAddress(c, site, r[2 * RSP], r[2 * RSP + 1], size);
      c.mmu.probeWrite(below, r[R_EA_HIGH], size);
      setFramePointer(c, size, frameLow, frameHigh);
    } catch (thrown) {
      [r[2 * RSP], r[2 * RSP + 1], r[2 * RBP], r[2 * RBP + 1]] = saved;
      throw thrown;
    }
  };
}

function advanceStack64(c: Cpu, stackSize: Size, by: number): void {
  const { r } = c;
  const sp = (r[2 * RSP] + by) | 0;
  const borrow = by < 0 && sp >>> 0 > r[2 * RSP] >>> 0 ? 1 : 0;
  setStackPointer(c, stackSize, sp, (r[2 * RSP + 1] - borrow) | 0);
}

function moveFramePointer(c: Cpu, stackSize: Size, by: number): void {
  const { r } = c;
  if (stackSize === 2) {
    c.r16[4 * RBP] += by;
    return;
  }
  const next = (r[2 * RBP] + by) | 0;
  if (next >>> 0 > r[2 * RBP] >>> 0) r[2 * RBP + 1] -= 1;
  r[2 * RBP] = next;
}

function setFramePointer(c: Cpu, size: Size, low: number, high: number): void {
  if (size === 2) c.r16[4 * RBP] = low;
  else {
    c.r[2 * RBP] = low;
    c.r[2 * RBP + 1] = size === 8 ? high : 0;
  }
}

/** LEAVE: the stack pointer to the frame, then pop the frame pointer. */
function leave(site: Site): Op {
  const size = pushSize(site);
  return (c) => {
    const { r } = c;
    const at = stackAddress(c, site, r[2 * RBP], r[2 * RBP + 1], size);
    const low = size === 8 ? c.mmu.load64(at, r[R_EA_HIGH]) : load(c, at, r[R_EA_HIGH], size);
    const high = r[R_HIGH];
    setStackPointer(c, site.stackSize, r[2 * RBP], r[2 * RBP + 1]);
    advanceStack(c, site.stackSize, size);
    setFramePointer(c, size, low, high);
  };
}

export const STACK = new Map([
  ...family(
    [Mnemonic.Push, push],
    [Mnemonic.Pusha, pushAll(2)],
    [Mnemonic.Pushad, pushAll(4)],
    [Mnemonic.Popa, popAll(2)],
    [Mnemonic.Popad, popAll(4)],
    [Mnemonic.Pushf, pushFlags(2)],
    [Mnemonic.Pushfd, pushFlags(4)],
    [Mnemonic.Pushfq, pushFlags(8)],
    [Mnemonic.Enter, enter],
    [Mnemonic.Leave, leave],
  ),
  // POP may load a segment; POPF may set TF or AC.
  ...endingFamily([Mnemonic.Popf, popFlags(2)], [Mnemonic.Popfd, popFlags(4)], [Mnemonic.Popfq, popFlags(8)]),
  [
    Mnemonic.Pop,
    {
      build: pop,
      endsFor: (instruction: Site["instruction"]) =>
        instruction.op0Kind === OpKind.Register &&
        instruction.op0Register >= Register.ES &&
        instruction.op0Register <= Register.GS,
    },
  ] as const,
]);
