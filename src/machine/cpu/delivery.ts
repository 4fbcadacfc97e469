/**
 * Delivery of exceptions and software interrupts through the IDT (SDM vol. 3A, 6.11 to 6.15), in 32-bit and 64-bit
 * mode, with double fault and shutdown.
 *
 * Nothing of the interrupted state changes before every check has passed and every push has been made.
 */
import { SEG_CONFORMING, SEG_DB, SEG_L, SEG_P, SEG_S, SEG_TYPE, TR } from "./attributes";
import type { Cpu } from "./cpu";
import {
  CpuFault,
  DOUBLE_FAULT,
  GP,
  NO_ERROR,
  NP,
  PAGE_FAULT,
  SS_FAULT,
  TS,
  Unimplemented,
  vectorName,
} from "./fault";
import { CS, IF, NT, R_FLAGS, R_RIP, R_SEGMENT_BASE, RF, RSP, SS, TF, VM } from "./registers";
import {
  attributesOf,
  checkCode,
  type Descriptor,
  dplOf,
  hex,
  limitOf,
  loadNull,
  loadStackSegment,
  loadSystem,
  loadSystem64,
  readDescriptor,
  takeCode,
} from "./segments";

/** Shutdown: the reasons of the exceptions that led to it, oldest first. */
export class TripleFault {
  constructor(readonly reasons: string[]) {}
}

/** The bit of an error code that says that the event came from outside the program (SDM 6.13). */
const EXT = 1;
/** The bit of an error code that says that it names an IDT entry. */
const IDT = 2;

const GATE_TASK = 0x5;
const GATE_INTERRUPT16 = 0x6;
const GATE_TRAP16 = 0x7;
const GATE_INTERRUPT = 0xe;
const GATE_TRAP = 0xf;

interface Gate {
  readonly selector: number;
  readonly offset: bigint;
  readonly type: number;
  readonly dpl: number;
  readonly ist: number;
}

/**
 * Delivers an exception; what goes wrong on the way becomes a double fault, or shutdown.
 * @throws TripleFault
 */
export function deliver(c: Cpu, fault: CpuFault): void {
  const reasons = [() => describe(c, fault)];
  let current = fault;
  for (;;) {
    // In IA-32e mode nothing changes before the last check, and nothing has to be undone.
    const before = c.longMode ? undefined : c.saveForDelivery();
    try {
      deliverOnce(c, current);
      return;
    } catch (thrown) {
      if (!(thrown instanceof CpuFault)) throw thrown;
      if (before !== undefined) c.restoreAfterDelivery(before);
      if (current.software) c.undoSoftwareInterrupt(current);
      const second = thrown.copy();
      const { vector, software } = current;
      reasons.push(() => `${describe(c, second)}, while delivering ${vectorName(vector)}`);
      if (vector === DOUBLE_FAULT && !software)
        throw new TripleFault(reasons.slice(-3).map((tell) => tell()));
      current = combine(current, second);
      announceNested(c, second, current);
    }
  }
}

function describe(c: Cpu, fault: CpuFault): string {
  const error = fault.error === NO_ERROR ? "" : ` with error code ${hex(fault.error)}`;
  const where = fault.vector === PAGE_FAULT ? "" : ` at 0x${c.rip.toString(16)}`;
  return `${vectorName(fault.vector)}${error}${where}: ${fault.describe()}`;
}

/** The fault met while delivering shows as an event of its own, before the double fault where there is one. */
function announceNested(c: Cpu, second: CpuFault, current: CpuFault): void {
  for (const fault of current === second ? [second] : [second, current]) {
    if (fault.vector === PAGE_FAULT) {
      c.emit({
        event: "page-fault",
        ...c.here(),
        address: c.cr2,
        error: fault.error,
        reason: fault.describe(),
        repeats: 0,
      });
    } else {
      c.emit({
        event: "exception",
        ...c.here(),
        vector: fault.vector,
        name: vectorName(fault.vector),
        error: fault.error,
        reason: fault.describe(),
      });
    }
  }
}

/** Contributory exceptions (SDM table 6-4). */
function contributory(vector: number): boolean {
  return vector === 0 || (vector >= 10 && vector <= 13) || vector === 21;
}

/** The exception to handle when `second` came while delivering `first` (SDM table 6-5). */
function combine(first: CpuFault, second: CpuFault): CpuFault {
  const double =
    !first.software &&
    ((contributory(first.vector) && contributory(second.vector)) ||
      (first.vector === PAGE_FAULT && (contributory(second.vector) || second.vector === PAGE_FAULT)));
  if (!double) return second;
  const reason = `${vectorName(second.vector)} while delivering ${vectorName(first.vector)}`;
  return new CpuFault().set(DOUBLE_FAULT, 0, reason);
}

function deliverOnce(c: Cpu, fault: CpuFault): void {
  if (!c.protectedMode) throw new Unimplemented("exceptions in real mode are not supported");
  const ext = fault.software ? 0 : EXT;
  const gate = c.longMode ? readGate64(c, fault, ext) : readGate32(c, fault, ext);
  const descriptor = readHandler(c, gate, ext);
  if (c.longMode) enter64(c, fault, gate, descriptor);
  else enter32(c, fault, gate, descriptor, ext);
  const interrupt = gate.type === GATE_INTERRUPT || gate.type === GATE_INTERRUPT16;
  c.r[R_FLAGS] &= ~(TF | NT | RF | VM | (interrupt ? IF : 0));
  c.setPair(R_RIP, gate.offset);
}

function gateError(vector: number, ext: number): number {
  return vector * 8 + IDT + ext;
}

function readGate64(c: Cpu, fault: CpuFault, ext: number): Gate {
  const { vector } = fault;
  const error = gateError(vector, ext);
  if (vector * 16 + 15 > c.idtLimit) throw c.gp(`vector ${vector} is beyond the limit of the IDT`, error);
  const address = c.idtBase + BigInt(vector * 16);
  const low = loadSystem(c, address);
  const middle = loadSystem(c, address + 4n);
  const high = loadSystem(c, address + 8n);
  const type = (middle >>> 8) & 0x1f;
  if (type !== GATE_INTERRUPT && type !== GATE_TRAP) {
    throw c.gp(`the IDT entry of vector ${vector} is not an interrupt or trap gate`, error);
  }
  const gate = {
    selector: low >>> 16,
    offset: (BigInt(high >>> 0) << 32n) | BigInt(((middle & 0xffff0000) | (low & 0xffff)) >>> 0),
    type,
    dpl: (middle >>> 13) & 3,
    ist: middle & 7,
  };
  checkGate(c, fault, gate, (middle & (SEG_P << 8)) !== 0, error);
  return gate;
}

function readGate32(c: Cpu, fault: CpuFault, ext: number): Gate {
  const { vector } = fault;
  const error = gateError(vector, ext);
  if (vector * 8 + 7 > c.idtLimit) throw c.gp(`vector ${vector} is beyond the limit of the IDT`, error);
  const address = c.idtBase + BigInt(vector * 8);
  const low = loadSystem(c, address);
  const high = loadSystem(c, address + 4n);
  const type = (high >>> 8) & 0x1f;
  if (type === GATE_TASK) throw new Unimplemented("task gates are not supported");
  if (type !== GATE_INTERRUPT && type !== GATE_TRAP && type !== GATE_INTERRUPT16 && type !== GATE_TRAP16) {
    throw c.gp(`the IDT entry of vector ${vector} is not a gate`, error);
  }
  const narrow = type === GATE_INTERRUPT16 || type === GATE_TRAP16;
  const offset = narrow ? low & 0xffff : (high & 0xffff0000) | (low & 0xffff);
  const gate = { selector: low >>> 16, offset: BigInt(offset >>> 0), type, dpl: (high >>> 13) & 3, ist: 0 };
  checkGate(c, fault, gate, (high & (SEG_P << 8)) !== 0, error);
  return gate;
}

function checkGate(c: Cpu, fault: CpuFault, gate: Gate, present: boolean, error: number): void {
  if (fault.software && gate.dpl < c.cpl) {
    throw c.gp(`the gate of vector ${fault.vector} may not be used from CPL ${c.cpl}`, error);
  }
  if (!present) throw c.raise(NP, error, `the gate of vector ${fault.vector} is not present`);
}

function readHandler(c: Cpu, gate: Gate, ext: number): Descriptor {
  if ((gate.selector & 0xfffc) === 0) throw c.gp("the gate's code selector is null", ext);
  const descriptor = readDescriptor(c, gate.selector, GP, ext);
  checkCode(c, descriptor, GP, ext);
  const attributes = attributesOf(descriptor);
  const error = (gate.selector & 0xfffc) | ext;
  if (dplOf(attributes) > c.cpl) throw c.gp("the handler's code segment is of lower privilege", error);
  if (c.longMode && (attributes & SEG_L) === 0)
    throw c.gp("the handler's code segment is not a 64-bit one", error);
  return descriptor;
}

/** The privilege level in which the handler runs. */
function handlerLevel(c: Cpu, descriptor: Descriptor): number {
  const attributes = attributesOf(descriptor);
  return (attributes & SEG_CONFORMING) !== 0 ? c.cpl : dplOf(attributes);
}

/** RFLAGS as delivery pushes them: a fault sets RF, so that it does not meet an instruction breakpoint again. */
function pushedFlags(c: Cpu, fault: CpuFault): number {
  return c.rflags | (fault.trap || fault.software ? 0 : RF);
}

function enter64(c: Cpu, fault: CpuFault, gate: Gate, descriptor: Descriptor): void {
  const cpl = handlerLevel(c, descriptor);
  let sp = c.getRegister(RSP);
  if (gate.ist !== 0) sp = tssStack64(c, 0x24 + 8 * (gate.ist - 1));
  else if (cpl !== c.cpl) sp = tssStack64(c, 4 + 8 * cpl);
  sp &= ~15n;
  const frame = [
    BigInt(c.selectors[SS]),
    c.getRegister(RSP),
    BigInt(pushedFlags(c, fault)),
    BigInt(c.selectors[CS]),
    c.rip,
  ];
  if (fault.error !== NO_ERROR) frame.push(BigInt(fault.error >>> 0));
  const access = c.dataAccessAt(cpl);
  for (const value of frame) {
    sp = BigInt.asUintN(64, sp - 8n);
    if (!c.isCanonicalNow(sp))
      throw c.raise(SS_FAULT, fault.software ? 0 : EXT, "the handler's stack is not canonical");
    c.mmu.storeAs(access, low32(sp), high32(sp), 8, low32(value), high32(value));
  }
  if (!c.isCanonicalNow(gate.offset))
    throw c.gp("the handler's address is not canonical", fault.software ? 0 : EXT);
  const inner = cpl !== c.cpl;
  takeCode(c, descriptor, cpl);
  if (inner) loadNull(c, SS, cpl);
  c.setRegister(RSP, sp);
}

/** A stack pointer out of the 64-bit TSS (SDM 7.7). */
function tssStack64(c: Cpu, offset: number): bigint {
  if (offset + 7 > c.limits[TR]) throw c.raise(TS, c.selectors[TR] & 0xfffc, "the TSS holds no such stack");
  return loadSystem64(c, c.segmentBase(TR) + BigInt(offset));
}

function enter32(c: Cpu, fault: CpuFault, gate: Gate, descriptor: Descriptor, ext: number): void {
  const cpl = handlerLevel(c, descriptor);
  const size = gate.type === GATE_INTERRUPT || gate.type === GATE_TRAP ? 4 : 2;
  const frame: number[] = [];
  const oldSs = c.selectors[SS];
  const oldSp = c.r[2 * RSP];
  const oldFlags = pushedFlags(c, fault);
  const access = c.dataAccessAt(cpl);
  if (cpl !== c.cpl) {
    const { ss, sp } = tssStack32(c, cpl);
    loadStackSegment(c, ss, cpl, TS, SS_FAULT);
    c.r[2 * RSP] = sp;
    frame.push(oldSs, oldSp);
  }
  frame.push(oldFlags, c.selectors[CS], c.r[R_RIP]);
  if (fault.error !== NO_ERROR) frame.push(fault.error);
  for (const value of frame) push32(c, access, value, size);
  if (Number(gate.offset) > limitOf(descriptor))
    throw c.gp("the handler's address is beyond the limit of CS", ext);
  takeCode(c, descriptor, cpl);
}

function push32(c: Cpu, access: number, value: number, size: 2 | 4): void {
  const wide = (c.attributes[SS] & SEG_DB) !== 0;
  const sp = wide ? (c.r[2 * RSP] - size) | 0 : (c.r[2 * RSP] - size) & 0xffff;
  c.checkLimit(SS, sp, size);
  c.mmu.storeAs(access, (sp + c.r[R_SEGMENT_BASE + 2 * SS]) | 0, 0, size, value, 0);
  c.r[2 * RSP] = wide ? sp : (c.r[2 * RSP] & ~0xffff) | sp;
}

/** SS:ESP of a privilege level out of the 32-bit TSS (SDM 7.2.1). */
function tssStack32(c: Cpu, cpl: number): { ss: number; sp: number } {
  const type = c.attributes[TR] & (SEG_TYPE | SEG_S);
  if (type !== 0xb && type !== 0x9) throw new Unimplemented("16-bit task-state segments are not supported");
  const offset = 4 + 8 * cpl;
  if (offset + 5 > c.limits[TR]) throw c.raise(TS, c.selectors[TR] & 0xfffc, "the TSS holds no such stack");
  const base = c.segmentBase(TR) + BigInt(offset);
  return { sp: loadSystem(c, base), ss: loadSystem(c, base + 4n) & 0xffff };
}

function low32(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

function high32(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}
