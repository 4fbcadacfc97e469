/**
 * MOVS CMPS SCAS LODS STOS INS OUTS, with and without REP (SDM vol. 2, REP).
 *
 * With REP the instruction ends its block and does as many iterations as the budget of the run allows; each counts
 * as an instruction. Unfinished, it leaves RIP on itself with the registers advanced, as an interrupt would find
 * it. A fault leaves the registers as after the last whole iteration.
 */
import { Mnemonic, OpKind, Register } from "iced-x86";
import type { Cpu } from "../cpu";
import { KIND_SUB32, KIND_SUB64, materialize, setFlags, zero } from "../flags";
import type { Op, Site, Size } from "../operands";
import { load, signExtend, store } from "../operands";
import {
  DF,
  ES,
  FS,
  R_EA_HIGH,
  R_FLAGS,
  R_HIGH,
  R_KIND,
  R_OP1,
  R_OP2,
  R_RES,
  R_RIP,
  R_SEGMENT_BASE,
  RAX,
  RCX,
  RDI,
  RDX,
  RSI,
  STATUS_FLAGS,
} from "../registers";
import { portAllowed } from "./io";
import type { Builder } from "./table";

/** What a string instruction is made of, known at translation. */
interface StringSite {
  readonly site: Site;
  readonly size: Size;
  readonly addressSize: Size;
  /** Segment of the source. */
  readonly segment: number;
}

/** One iteration, registers advanced. */
type Iteration = (c: Cpu, s: StringSite) => void;
/** Many iterations at once within a page; returns how many were done, 0 where they must go one by one. */
type Bulk = (c: Cpu, s: StringSite, most: number) => number;

/** The linear address in an index register: low returned, high in R_EA_HIGH. */
function at(c: Cpu, s: StringSite, register: number, segment: number): number {
  const { r } = c;
  const { addressSize, site } = s;
  let low = r[2 * register];
  if (addressSize === 2) low &= 0xffff;
  r[R_EA_HIGH] = addressSize === 8 ? r[2 * register + 1] : 0;
  if (site.bitness === 64) {
    if (segment < FS) return low;
    const base = R_SEGMENT_BASE + 2 * segment;
    const sum = (low + r[base]) | 0;
    r[R_EA_HIGH] = (r[R_EA_HIGH] + r[base + 1] + (sum >>> 0 < low >>> 0 ? 1 : 0)) | 0;
    return sum;
  }
  if (site.flat && segment < FS) return low;
  c.checkLimit(segment, low, s.size);
  return (low + r[R_SEGMENT_BASE + 2 * segment]) | 0;
}

/** Moves an index register by `count` elements in the direction of DF. */
function step(c: Cpu, s: StringSite, register: number, count: number): void {
  const { r } = c;
  const bytes = (r[R_FLAGS] & DF) !== 0 ? -s.size * count : s.size * count;
  if (s.addressSize === 2) {
    c.r16[4 * register] += bytes;
    return;
  }
  const old = r[2 * register];
  const next = (old + bytes) | 0;
  r[2 * register] = next;
  if (s.addressSize === 4) {
    r[2 * register + 1] = 0;
    return;
  }
  if (bytes >= 0) {
    if (next >>> 0 < old >>> 0) r[2 * register + 1] += 1;
  } else if (next >>> 0 > old >>> 0) r[2 * register + 1] -= 1;
}

function loadElement(c: Cpu, s: StringSite, low: number, high: number): number {
  if (s.size === 8) return c.mmu.load64(low, high);
  return load(c, low, high, s.size);
}

function storeElement(
  c: Cpu,
  s: StringSite,
  low: number,
  high: number,
  value: number,
  valueHigh: number,
): void {
  if (s.size === 8) c.mmu.store64(low, high, value, valueHigh);
  else store(c, low, high, s.size, value);
}

const movs: Iteration = (c, s) => {
  const { r } = c;
  const from = at(c, s, RSI, s.segment);
  const low = loadElement(c, s, from, r[R_EA_HIGH]);
  const high = r[R_HIGH];
  const to = at(c, s, RDI, ES);
  storeElement(c, s, to, r[R_EA_HIGH], low, high);
  step(c, s, RSI, 1);
  step(c, s, RDI, 1);
};

const stos: Iteration = (c, s) => {
  const { r } = c;
  const to = at(c, s, RDI, ES);
  storeElement(c, s, to, r[R_EA_HIGH], r[2 * RAX], r[2 * RAX + 1]);
  step(c, s, RDI, 1);
};

const lods: Iteration = (c, s) => {
  const { r } = c;
  const from = at(c, s, RSI, s.segment);
  const low = loadElement(c, s, from, r[R_EA_HIGH]);
  step(c, s, RSI, 1);
  if (s.size === 1) c.r8[0] = low;
  else if (s.size === 2) c.r16[0] = low;
  else {
    r[2 * RAX] = low;
    r[2 * RAX + 1] = s.size === 8 ? r[R_HIGH] : 0;
  }
};

/** Flags of a - b. */
function compare(c: Cpu, s: StringSite, aLow: number, aHigh: number, bLow: number, bHigh: number): void {
  const { r } = c;
  r[R_OP1] = aLow;
  r[R_OP2] = bLow;
  if (s.size !== 8) {
    r[R_RES] = signExtend(aLow - bLow, s.size);
    r[R_KIND] = KIND_SUB32;
    return;
  }
  r[R_OP1 + 1] = aHigh;
  r[R_OP2 + 1] = bHigh;
  r[R_RES] = aLow - bLow;
  r[R_RES + 1] = aHigh - bHigh - (aLow >>> 0 < bLow >>> 0 ? 1 : 0);
  r[R_KIND] = KIND_SUB64;
}

/** The destination is read first, as the order of faults on real CPUs shows. */
const cmps: Iteration = (c, s) => {
  const { r } = c;
  const to = at(c, s, RDI, ES);
  const bLow = loadElement(c, s, to, r[R_EA_HIGH]);
  const bHigh = r[R_HIGH];
  const from = at(c, s, RSI, s.segment);
  const aLow = loadElement(c, s, from, r[R_EA_HIGH]);
  compare(c, s, aLow, r[R_HIGH], bLow, bHigh);
  step(c, s, RSI, 1);
  step(c, s, RDI, 1);
};

const scas: Iteration = (c, s) => {
  const { r } = c;
  const to = at(c, s, RDI, ES);
  const bLow = loadElement(c, s, to, r[R_EA_HIGH]);
  compare(c, s, signExtend(r[2 * RAX], s.size === 8 ? 4 : s.size), r[2 * RAX + 1], bLow, r[R_HIGH]);
  step(c, s, RDI, 1);
};

const ins: Iteration = (c, s) => {
  const { r } = c;
  const port = r[2 * RDX] & 0xffff;
  portAllowed(c, port, s.size);
  const to = at(c, s, RDI, ES);
  const high = r[R_EA_HIGH];
  c.mmu.probeWrite(to, high, s.size);
  storeElement(c, s, to, high, c.io.in(port, s.size as 1 | 2 | 4) | 0, 0);
  step(c, s, RDI, 1);
};

const outs: Iteration = (c, s) => {
  const { r } = c;
  const port = r[2 * RDX] & 0xffff;
  portAllowed(c, port, s.size);
  const from = at(c, s, RSI, s.segment);
  const value = loadElement(c, s, from, r[R_EA_HIGH]);
  step(c, s, RSI, 1);
  c.io.out(port, s.size as 1 | 2 | 4, value);
};

/** Elements from an address up to the end of its page. */
function elementsInPage(low: number, size: Size): number {
  return Math.floor((4096 - (low & 0xfff)) / size);
}

/** Forward STOS within a page that the fast cache may write. */
const stosBulk: Bulk = (c, s, most) => {
  const { r, mmu } = c;
  if ((r[R_FLAGS] & DF) !== 0 || s.addressSize === 2) return 0;
  const to = at(c, s, RDI, ES);
  const count = Math.min(most, elementsInPage(to, s.size));
  if (count < 2) return 0;
  const [low, high] = [r[2 * RAX], r[2 * RAX + 1]];
  const byte = low & 0xff;
  const uniform = s.size === 1 || (low === Math.imul(byte, 0x01010101) && (s.size !== 8 || high === low));
  const toHigh = r[R_EA_HIGH];
  const offset = mmu.writeOffset(to, toHigh);
  if (offset < 0) {
    if (!uniform || !mmu.isFilledWith(byte, to, toHigh)) return 0;
    step(c, s, RDI, count);
    return count;
  }
  const { view, bytes } = c.memory;
  if (uniform) bytes.fill(byte, offset, offset + count * s.size);
  else {
    for (let i = 0; i < count; i++) {
      const where = offset + i * s.size;
      if (s.size === 2) view.setInt16(where, low, true);
      else view.setInt32(where, low, true);
      if (s.size === 8) view.setInt32(where + 4, high, true);
    }
  }
  step(c, s, RDI, count);
  return count;
};

/** Forward MOVS between pages that the fast cache reaches, where source and destination do not overlap. */
const movsBulk: Bulk = (c, s, most) => {
  const { r, mmu } = c;
  if ((r[R_FLAGS] & DF) !== 0 || s.addressSize === 2) return 0;
  const from = at(c, s, RSI, s.segment);
  const fromHigh = r[R_EA_HIGH];
  const to = at(c, s, RDI, ES);
  const toHigh = r[R_EA_HIGH];
  const count = Math.min(most, elementsInPage(from, s.size), elementsInPage(to, s.size));
  if (count < 2) return 0;
  if (mmu.readOffset(from, fromHigh) < 0) return 0;
  const target = mmu.writeOffset(to, toHigh);
  // Asked for last: making room for the target may have moved what the source stood for.
  const source = mmu.readOffset(from, fromHigh);
  const length = count * s.size;
  if (source < 0 || target < 0 || (target < source + length && source < target + length)) return 0;
  c.memory.bytes.copyWithin(target, source, source + length);
  step(c, s, RSI, count);
  step(c, s, RDI, count);
  return count;
};

/** The count register, as a number that is exact as far as any run goes. */
function counter(c: Cpu, size: Size): number {
  const { r } = c;
  if (size === 2) return c.r16[4 * RCX] & 0xffff;
  const low = r[2 * RCX] >>> 0;
  return size === 4 ? low : (r[2 * RCX + 1] >>> 0) * 0x100000000 + low;
}

function lessCounter(c: Cpu, size: Size, by: number): void {
  const { r } = c;
  if (size === 2) {
    c.r16[4 * RCX] -= by;
    return;
  }
  const old = r[2 * RCX];
  r[2 * RCX] = old - by;
  if (size === 4) r[2 * RCX + 1] = 0;
  else if (old >>> 0 < by) r[2 * RCX + 1] -= 1;
}

/** What a repeated instruction does, beyond its iterations. */
interface Repetition {
  readonly iterate: Iteration;
  readonly bulk?: Bulk;
  /** The value of ZF that ends REPE (false) or REPNE (true). */
  readonly stopOn?: boolean;
  /** Index registers that a 32-bit address size zero-extends even when nothing is done. */
  readonly extended: readonly number[];
}

function repeated(s: StringSite, repetition: Repetition): Op {
  const { low: ripLow, high: ripHigh, bitness } = s.site;
  const extended = s.addressSize === 4 && bitness === 64 ? [RCX, ...repetition.extended] : [];
  const { stopOn } = repetition;
  return (c) => {
    for (const register of extended) c.r[2 * register + 1] = 0;
    const left = counter(c, s.addressSize);
    if (left === 0 || iterateAll(c, s, repetition, left)) return;
    c.r[R_RIP] = ripLow;
    c.r[R_RIP + 1] = ripHigh;
    c.unfinishedAt = c.now() + 1;
  };

  /** True where the instruction is finished. */
  function iterateAll(c: Cpu, site: StringSite, { iterate, bulk }: Repetition, count: number): boolean {
    const allowed = c.budget - c.index;
    const startRetired = c.retired;
    // A comparison that faults leaves the flags as they were before the instruction (SDM vol. 2, REP).
    const flags = stopOn === undefined ? 0 : materialize(c.r);
    let left = count;
    let done = 0;
    let finished = false;
    try {
      while (!finished && done < allowed && !c.leave) {
        let step =
          bulk === undefined || c.mmu.tlb.forgets ? 0 : bulk(c, site, Math.min(left, allowed - done));
        if (step === 0) {
          iterate(c, site);
          step = 1;
        }
        lessCounter(c, site.addressSize, step);
        left -= step;
        done += step;
        // The instruction itself counts as one when it ends; a fault leaves the whole iterations counted.
        c.retired = startRetired + done;
        finished = left === 0 || (stopOn !== undefined && zero(c.r) === stopOn);
      }
    } catch (thrown) {
      if (stopOn !== undefined) setFlags(c.r, STATUS_FLAGS, flags);
      throw thrown;
    }
    c.retired = startRetired + done - 1;
    return finished;
  }
}

function stringInstruction(
  size: Size,
  iterate: Iteration,
  bulk: Bulk | undefined,
  compares: boolean,
): Builder {
  return {
    build: (site) => {
      const { instruction } = site;
      const s = {
        site,
        size,
        addressSize: stringAddressSize(site),
        segment: instruction.memorySegment - Register.ES,
      };
      if (!instruction.hasRepPrefix && !instruction.hasRepnePrefix) return (c) => iterate(c, s);
      return repeated(s, {
        iterate,
        ...(bulk === undefined ? {} : { bulk }),
        ...(compares ? { stopOn: instruction.hasRepnePrefix } : {}),
        extended: iterate === movs ? [RSI, RDI] : iterate === stos ? [RDI] : [],
      });
    },
    endsFor: (instruction) => instruction.hasRepPrefix || instruction.hasRepnePrefix,
  };
}

/** The address size shows in the index register of the memory operand. */
function stringAddressSize(site: Site): Size {
  const { instruction } = site;
  for (let n = 0; n < instruction.opCount; n++) {
    const name = OP_KIND_ADDRESS_SIZE.get(instruction.opKind(n));
    if (name !== undefined) return name;
  }
  return site.bitness === 64 ? 8 : site.bitness === 32 ? 4 : 2;
}

const OP_KIND_ADDRESS_SIZE = new Map<OpKind, Size>([
  [OpKind.MemorySegSI, 2],
  [OpKind.MemorySegESI, 4],
  [OpKind.MemorySegRSI, 8],
  [OpKind.MemorySegDI, 2],
  [OpKind.MemorySegEDI, 4],
  [OpKind.MemorySegRDI, 8],
  [OpKind.MemoryESDI, 2],
  [OpKind.MemoryESEDI, 4],
  [OpKind.MemoryESRDI, 8],
]);

export const STRING = new Map<Mnemonic, Builder>([
  [Mnemonic.Movsb, stringInstruction(1, movs, movsBulk, false)],
  [Mnemonic.Movsw, stringInstruction(2, movs, movsBulk, false)],
  [Mnemonic.Movsd, stringInstruction(4, movs, movsBulk, false)],
  [Mnemonic.Movsq, stringInstruction(8, movs, movsBulk, false)],
  [Mnemonic.Stosb, stringInstruction(1, stos, stosBulk, false)],
  [Mnemonic.Stosw, stringInstruction(2, stos, stosBulk, false)],
  [Mnemonic.Stosd, stringInstruction(4, stos, stosBulk, false)],
  [Mnemonic.Stosq, stringInstruction(8, stos, stosBulk, false)],
  [Mnemonic.Lodsb, stringInstruction(1, lods, undefined, false)],
  [Mnemonic.Lodsw, stringInstruction(2, lods, undefined, false)],
  [Mnemonic.Lodsd, stringInstruction(4, lods, undefined, false)],
  [Mnemonic.Lodsq, stringInstruction(8, lods, undefined, false)],
  [Mnemonic.Cmpsb, stringInstruction(1, cmps, undefined, true)],
  [Mnemonic.Cmpsw, stringInstruction(2, cmps, undefined, true)],
  [Mnemonic.Cmpsd, stringInstruction(4, cmps, undefined, true)],
  [Mnemonic.Cmpsq, stringInstruction(8, cmps, undefined, true)],
  [Mnemonic.Scasb, stringInstruction(1, scas, undefined, true)],
  [Mnemonic.Scasw, stringInstruction(2, scas, undefined, true)],
  [Mnemonic.Scasd, stringInstruction(4, scas, undefined, true)],
  [Mnemonic.Scasq, stringInstruction(8, scas, undefined, true)],
  [Mnemonic.Insb, stringInstruction(1, ins, undefined, false)],
  [Mnemonic.Insw, stringInstruction(2, ins, undefined, false)],
  [Mnemonic.Insd, stringInstruction(4, ins, undefined, false)],
  [Mnemonic.Outsb, stringInstruction(1, outs, undefined, false)],
  [Mnemonic.Outsw, stringInstruction(2, outs, undefined, false)],
  [Mnemonic.Outsd, stringInstruction(4, outs, undefined, false)],
]);
