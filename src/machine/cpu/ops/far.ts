/**
 * Far JMP, CALL, RET, and IRET, INT n, INT3, INTO, SYSCALL, SYSRET (SDM vol. 2). Call gates and task switches are
 * not supported, and say so.
 */
import { Mnemonic, OpKind } from "iced-x86";
import { SEG_CONFORMING, SEG_S } from "../attributes";
import type { Cpu } from "../cpu";
import { BP, GP, NO_ERROR, OF_VECTOR, SS_FAULT, Unimplemented } from "../fault";
import { materialize, overflow } from "../flags";
import { MSR_LSTAR, readMsrValue } from "../msr";
import { advance, linearAddress, load, type Op, operandSize, type Site, type Size } from "../operands";
import { MSR_FMASK, MSR_STAR } from "../plainMsrs";
import { CS, EFER_SCE, IF, IOPL, NT, R_EA_HIGH, R_HIGH, R_RIP, RCX, RF, RSP, SS, VM } from "../registers";
import {
  attributesOf,
  checkCode,
  type Descriptor,
  dplOf,
  dropPrivilegedSegments,
  hex,
  loadStackSegment,
  readDescriptor,
  takeCode,
  takeFixed,
} from "../segments";
import { endingFamily } from "./family";
import { jumpTo } from "./jump";
import { advanceStack, peek, pushValue, writableFlags } from "./stack";

/** A far target: where it is read from, and how wide its offset is. */
interface FarTarget {
  readonly size: Size;
  /** Reads offset and selector. Faults as a load. */
  read(c: Cpu): { low: number; high: number; selector: number };
}

function farTarget(site: Site): FarTarget {
  const { instruction } = site;
  if (instruction.op0Kind === OpKind.FarBranch16 || instruction.op0Kind === OpKind.FarBranch32) {
    const wide = instruction.op0Kind === OpKind.FarBranch32;
    const low = wide ? instruction.farBranch32 : instruction.farBranch16;
    const selector = instruction.farBranchSelector;
    return { size: wide ? 4 : 2, read: () => ({ low: low | 0, high: 0, selector }) };
  }
  const size = offsetSize(site);
  const address = linearAddress(site);
  return {
    size,
    read: (c) => {
      const { r } = c;
      const at = address(c);
      const atHigh = r[R_EA_HIGH];
      const low = size === 8 ? c.mmu.load64(at, atHigh) : load(c, at, atHigh, size);
      const high = size === 8 ? r[R_HIGH] : 0;
      r[R_EA_HIGH] = atHigh;
      const next = advance(r, at, size);
      const selector = c.mmu.load16(next, r[R_EA_HIGH]) & 0xffff;
      return { low: size === 2 ? low & 0xffff : low, high, selector };
    },
  };
}

/**
 * Bytes of the offset in memory. AMD's CPUs ignore REX.W on far jumps and calls through memory and read a 32-bit
 * offset (AMD APM vol. 3, JMP far: "m16:64" does not exist), Intel's read 64 bits.
 */
function offsetSize(site: Site): Size {
  const bytes = operandSize(site.instruction, 0) - 2;
  return bytes === 8 && site.vendor === "AuthenticAMD" ? 4 : (bytes as Size);
}

/** Checks a far transfer's code segment: no change of privilege but through a conforming segment. */
function targetDescriptor(c: Cpu, selector: number): Descriptor {
  if ((selector & 0xfffc) === 0) throw c.gp("far transfer through a null selector");
  const descriptor = readDescriptor(c, selector);
  const attributes = attributesOf(descriptor);
  if ((attributes & SEG_S) === 0)
    throw new Unimplemented("call gates, task gates and task switches are not supported");
  checkCode(c, descriptor);
  const error = selector & 0xfffc;
  const dpl = dplOf(attributes);
  if ((attributes & SEG_CONFORMING) !== 0) {
    if (dpl > c.cpl) throw c.gp(`far transfer to less privileged code by ${hex(selector)}`, error);
  } else if ((selector & 3) > c.cpl || dpl !== c.cpl) {
    throw c.gp(`far transfer to code of privilege ${dpl} from CPL ${c.cpl}`, error);
  }
  return descriptor;
}

/** Goes to an offset in new code; leaves CS as it was where the offset is refused. */
function enterCode(c: Cpu, descriptor: Descriptor, cpl: number, low: number, high: number): void {
  const before = c.saveForDelivery(1);
  try {
    takeCode(c, descriptor, cpl);
    jumpTo(c, low, c.code64 ? high : 0);
  } catch (thrown) {
    c.restoreAfterDelivery(before);
    throw thrown;
  }
  c.leave = true;
}

export function farJump(site: Site): Op {
  const target = farTarget(site);
  return (c) => {
    const { low, high, selector } = target.read(c);
    if (!c.protectedMode) throw new Unimplemented("far jumps in real mode are not supported");
    enterCode(c, targetDescriptor(c, selector), c.cpl, low, high);
  };
}

export function farCall(site: Site): Op {
  const target = farTarget(site);
  const push = pushValue(site, target.size);
  return (c) => {
    const { low, high, selector } = target.read(c);
    if (!c.protectedMode) throw new Unimplemented("far calls in real mode are not supported");
    const descriptor = targetDescriptor(c, selector);
    const before = c.saveForDelivery();
    try {
      push(c, c.selectors[CS], 0);
      push(c, site.nextLow, site.nextHigh);
      enterCode(c, descriptor, c.cpl, low, high);
    } catch (thrown) {
      c.restoreAfterDelivery(before);
      throw thrown;
    }
  };
}

function codeSize(site: Site): Size {
  const code = site.instruction.opCode;
  try {
    return code.operandSize === 16 ? 2 : code.operandSize === 64 ? 8 : 4;
  } finally {
    code.free();
  }
}

/** A value of the frame being returned through, as halves. */
function frameValue(c: Cpu, site: Site, size: Size, index: number, extra = 0): { low: number; high: number } {
  const low = peek(c, site, size, index * size + extra);
  return { low: size === 2 ? low & 0xffff : low, high: size === 8 ? c.r[R_HIGH] : 0 };
}

/** The code segment that RETF or IRET goes back to. */
function returnDescriptor(c: Cpu, selector: number): Descriptor {
  if ((selector & 0xfffc) === 0) throw c.gp("return through a null code selector");
  const descriptor = readDescriptor(c, selector);
  checkCode(c, descriptor);
  const attributes = attributesOf(descriptor);
  const rpl = selector & 3;
  const error = selector & 0xfffc;
  if (rpl < c.cpl) throw c.gp(`return to privilege ${rpl} from CPL ${c.cpl}`, error);
  const conforming = (attributes & SEG_CONFORMING) !== 0;
  if (conforming ? dplOf(attributes) > rpl : dplOf(attributes) !== rpl) {
    throw c.gp(`return to code of privilege ${dplOf(attributes)} with RPL ${rpl}`, error);
  }
  return descriptor;
}

function farReturn(site: Site): Op {
  const { instruction } = site;
  const size = codeSize(site);
  const release = instruction.opCount === 1 ? Number(instruction.immediate(0) & 0xffffn) : 0;
  return (c) => {
    if (!c.protectedMode) throw new Unimplemented("far returns in real mode are not supported");
    const { low, high } = frameValue(c, site, size, 0);
    const selector = frameValue(c, site, size, 1).low & 0xffff;
    const descriptor = returnDescriptor(c, selector);
    const rpl = selector & 3;
    const before = c.saveForDelivery();
    try {
      if (rpl === c.cpl) {
        advanceStack(c, site.stackSize, 2 * size + release);
        enterCode(c, descriptor, rpl, low, high);
        return;
      }
      const sp = frameValue(c, site, size, 2, release);
      const ss = frameValue(c, site, size, 3, release).low & 0xffff;
      returnOuter(c, site, descriptor, rpl, low, high, sp, ss, size);
      advanceStack(c, site.stackSize, release);
    } catch (thrown) {
      c.restoreAfterDelivery(before);
      throw thrown;
    }
  };
}

/** The part of RETF and IRET that goes to an outer level, or that always loads a stack (IRETQ). */
function returnOuter(
  c: Cpu,
  site: Site,
  descriptor: Descriptor,
  rpl: number,
  low: number,
  high: number,
  sp: { low: number; high: number },
  ss: number,
  size: Size,
): void {
  const outward = rpl !== c.cpl;
  const to64 = c.longMode && (attributesOf(descriptor) & 0x2000) !== 0;
  if ((ss & 0xfffc) === 0 && !(to64 && rpl !== 3)) throw c.gp("return with a null stack selector");
  const wasCpl = c.cpl;
  enterCode(c, descriptor, rpl, low, high);
  loadStackSegment(c, ss, rpl, GP, SS_FAULT);
  const stackSize: Size = c.code64 ? 8 : site.stackSize === 2 && size === 2 ? 2 : 4;
  if (stackSize === 2) c.r16[4 * RSP] = sp.low;
  else {
    c.r[2 * RSP] = sp.low;
    c.r[2 * RSP + 1] = size === 8 ? sp.high : 0;
  }
  if (outward && rpl > wasCpl) dropPrivilegedSegments(c);
  c.updateMode();
}

/** IRET, IRETD, IRETQ (SDM vol. 2). */
function interruptReturn(size: Size): (site: Site) => Op {
  return (site) => (c) => {
    if (!c.protectedMode) throw new Unimplemented("IRET in real mode is not supported");
    const flagsNow = materialize(c.r);
    if ((flagsNow & NT) !== 0) {
      if (c.longMode) throw c.gp("IRET with RFLAGS.NT set in IA-32e mode");
      throw new Unimplemented("task returns (IRET with NT set) are not supported");
    }
    const { low, high } = frameValue(c, site, size, 0);
    const selector = frameValue(c, site, size, 1).low & 0xffff;
    const flags = frameValue(c, site, size, 2).low;
    if ((flags & VM) !== 0 && size !== 2 && c.cpl === 0 && !c.longMode) {
      throw new Unimplemented("virtual-8086 mode is not supported");
    }
    const descriptor = returnDescriptor(c, selector);
    const rpl = selector & 3;
    const mask = iretFlags(c, size);
    const before = c.saveForDelivery();
    try {
      if (site.bitness === 64 || rpl !== c.cpl) {
        const sp = frameValue(c, site, size, 3);
        const ss = frameValue(c, site, size, 4).low & 0xffff;
        returnOuter(c, site, descriptor, rpl, low, high, sp, ss, size);
      } else {
        enterCode(c, descriptor, rpl, low, high);
        advanceStack(c, site.stackSize, 3 * size);
      }
    } catch (thrown) {
      c.restoreAfterDelivery(before);
      throw thrown;
    }
    c.setRflags((flagsNow & ~mask & ~(size === 2 ? 0 : RF)) | (flags & mask));
    c.interruptReturned();
  };
}

/** What IRET takes from the frame, by the privilege it returns from. */
function iretFlags(c: Cpu, size: Size): number {
  return writableFlags(c, size) | (c.cpl === 0 ? IOPL | IF : 0);
}

/** INT n: to a hypervisor, or through the gate, whose DPL must allow it. */
function softwareInterrupt(site: Site): Op {
  const vector = Number(site.instruction.immediate(0) & 0xffn);
  const trap = trapTo(vector, "INT n");
  return (c) => {
    if (c.hypervisor?.interrupt(vector)) c.leave = true;
    else trap(c);
  };
}

function trapTo(vector: number, reason: string): Op {
  return (c) => {
    const fault = c.raise(vector, NO_ERROR, reason);
    fault.software = true;
    fault.trap = true;
    throw fault;
  };
}

function interruptOnOverflow(): Op {
  const trap = trapTo(OF_VECTOR, "INTO with OF set");
  return (c) => {
    if (overflow(c.r)) trap(c);
  };
}

const FLAT_LIMIT = 0xffffffff;

/** SYSCALL (SDM vol. 2), 64-bit mode only. */
function syscall(): Op {
  return (c) => {
    if ((c.efer & EFER_SCE) === 0 || !c.code64)
      throw c.ud("SYSCALL without EFER.SCE, or outside of 64-bit mode");
    if (c.hypervisor !== undefined) {
      c.hypervisor.systemCall();
      c.leave = true;
      return;
    }
    const target = readMsrValue(c, MSR_LSTAR);
    const star = readMsrValue(c, MSR_STAR);
    const flags = materialize(c.r);
    c.setRegister(RCX, c.rip);
    c.setRegister(11, BigInt(flags & ~RF));
    c.setRflags(flags & ~Number(readMsrValue(c, MSR_FMASK) & 0xffffffffn) & ~RF);
    const selector = Number((star >> 32n) & 0xffffn);
    takeFixed(c, CS, { selector: selector & 0xfffc, base: 0n, limit: FLAT_LIMIT, attributes: 0xa09b });
    takeFixed(c, SS, { selector: selector + 8, base: 0n, limit: FLAT_LIMIT, attributes: 0xc093 });
    c.setCpl(0);
    c.updateMode();
    c.setPair(R_RIP, target);
    c.leave = true;
  };
}

/** SYSRET: to 64-bit code with REX.W, else to compatibility mode. */
function sysret(wide: boolean): () => Op {
  return () => (c) => {
    if ((c.efer & EFER_SCE) === 0 || !c.code64)
      throw c.ud("SYSRET without EFER.SCE, or outside of 64-bit mode");
    if (c.cpl !== 0) throw c.gp(`SYSRET at CPL ${c.cpl}`);
    const target = c.getRegister(RCX);
    if (wide && !c.isCanonicalNow(target)) throw c.gp("SYSRET to an address that is not canonical");
    const star = Number(readMsrValue(c, MSR_STAR) >> 48n);
    const flags = Number(c.getRegister(11) & 0xffffffffn);
    takeFixed(c, CS, {
      selector: (star + (wide ? 16 : 0)) | 3,
      base: 0n,
      limit: FLAT_LIMIT,
      attributes: wide ? 0xa0fb : 0xc0fb,
    });
    takeFixed(c, SS, { selector: (star + 8) | 3, base: 0n, limit: FLAT_LIMIT, attributes: 0xc0f3 });
    c.setCpl(3);
    c.updateMode();
    c.setRflags(flags & 0x3c7fd7 & ~(RF | VM));
    c.setPair(R_RIP, wide ? target : target & 0xffffffffn);
    c.leave = true;
  };
}

export const FAR = new Map(
  endingFamily(
    [Mnemonic.Retf, farReturn],
    [Mnemonic.Iret, interruptReturn(2)],
    [Mnemonic.Iretd, interruptReturn(4)],
    [Mnemonic.Iretq, interruptReturn(8)],
    [Mnemonic.Int, softwareInterrupt],
    [Mnemonic.Int3, () => trapTo(BP, "INT3")],
    [Mnemonic.Into, interruptOnOverflow],
    [Mnemonic.Syscall, syscall],
    [Mnemonic.Sysret, sysret(false)],
    [Mnemonic.Sysretq, sysret(true)],
  ),
);
