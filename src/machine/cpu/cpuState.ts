/** The CPU's state as data: all that software can see of it, and what decides which exceptions and events come next. */
import type { Cpu } from "./cpu";
import { CpuFault } from "./fault";
import { R_EPOCH } from "./registers";

export interface CpuState {
  /** The register file, lazy flags and segment bases among it. */
  readonly registers: Int32Array;
  /** The image of the x87 and SSE state. */
  readonly fpu: Uint8Array;
  readonly selectors: Uint16Array;
  readonly limits: Uint32Array;
  readonly attributes: Uint32Array;
  readonly gdtBase: bigint;
  readonly gdtLimit: number;
  readonly idtBase: bigint;
  readonly idtLimit: number;
  readonly cr0: number;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: number;
  readonly efer: number;
  readonly dr: readonly bigint[];
  readonly tscOffset: bigint;
  readonly tpr: number;
  readonly cpl: number;
  readonly msrs: readonly (readonly [number, bigint])[];
  /** The PDPTE registers of PAE paging, and the protection keys' rights. */
  readonly pdpte: Int32Array;
  readonly pkru: number;
  readonly pkrs: number;
  readonly retired: number;
  readonly diversions: number;
  readonly returnedAt: number;
  readonly unfinishedAt: number;
  readonly milestoneToldAt: number;
  readonly inhibitedAt: number;
  readonly halted: boolean;
  readonly lastFault: Cpu["lastFault"];
  readonly pending: PendingState | undefined;
}

/** An exception that waits for its delivery. */
interface PendingState {
  readonly vector: number;
  readonly error: number;
  readonly reason: string;
  readonly software: boolean;
  readonly trap: boolean;
  readonly length: number;
}

/** @see Cpu.save */
export function saveCpu(c: Cpu): CpuState {
  const registers = c.r.slice();
  registers[R_EPOCH] = 0;
  return {
    registers,
    fpu: c.fpu.image.slice(),
    selectors: c.selectors.slice(),
    limits: c.limits.slice(),
    attributes: c.attributes.slice(),
    gdtBase: c.gdtBase,
    gdtLimit: c.gdtLimit,
    idtBase: c.idtBase,
    idtLimit: c.idtLimit,
    cr0: c.cr0,
    cr2: c.cr2,
    cr3: c.cr3,
    cr4: c.cr4,
    efer: c.efer,
    dr: [...c.dr],
    tscOffset: c.tscOffset,
    tpr: c.tpr,
    cpl: c.cpl,
    msrs: [...c.msrs],
    pdpte: c.paging.pdpte.slice(),
    pkru: c.paging.pkru,
    pkrs: c.paging.pkrs,
    retired: c.retired,
    diversions: c.diversions,
    returnedAt: c.returnedAt,
    // Where it is not now, it means nothing, and depends on where runs have ended.
    unfinishedAt: c.isRepeating ? c.unfinishedAt : -1,
    milestoneToldAt: c.milestoneToldAt,
    inhibitedAt: c.inhibitedAt,
    halted: c.halted,
    lastFault: c.lastFault,
    pending: savePending(c.pending),
  };
}

/** @see Cpu.restore */
export function restoreCpu(c: Cpu, state: CpuState): void {
  c.setRegisterFile(state.registers);
  c.fpu.image.set(state.fpu);
  c.selectors.set(state.selectors);
  c.limits.set(state.limits);
  c.attributes.set(state.attributes);
  c.gdtBase = state.gdtBase;
  c.gdtLimit = state.gdtLimit;
  c.idtBase = state.idtBase;
  c.idtLimit = state.idtLimit;
  c.cr0 = state.cr0;
  c.cr2 = state.cr2;
  c.cr3 = state.cr3;
  c.cr4 = state.cr4;
  c.efer = state.efer;
  state.dr.forEach((value, index) => {
    c.dr[index] = value;
  });
  c.tscOffset = state.tscOffset;
  c.tpr = state.tpr;
  c.msrs.clear();
  for (const [index, value] of state.msrs) c.msrs.set(index, value);
  c.paging.pdpte.set(state.pdpte);
  c.paging.pkru = state.pkru;
  c.paging.pkrs = state.pkrs;
  c.retired = state.retired;
  c.returnedAt = state.returnedAt;
  c.unfinishedAt = state.unfinishedAt;
  c.milestoneToldAt = state.milestoneToldAt;
  c.inhibitedAt = state.inhibitedAt;
  c.halted = state.halted;
  c.lastFault = state.lastFault;
  c.pending = restorePending(state.pending);
  c.diversions = state.diversions;
  // Interrupts are looked at before anything else.
  c.deadline = 0;
  c.leaveBlock();
  c.updatePaging();
  c.setCpl(state.cpl);
  c.updateMode();
}

/** The reason is put into words now: later the tables may be others. */
function savePending(fault: CpuFault | undefined): PendingState | undefined {
  if (fault === undefined) return undefined;
  const { vector, error, software, trap, length } = fault;
  fault.reason = fault.describe();
  return { vector, error, reason: fault.reason, software, trap, length };
}

function restorePending(state: PendingState | undefined): CpuFault | undefined {
  if (state === undefined) return undefined;
  const fault = new CpuFault().set(state.vector, state.error, state.reason);
  fault.software = state.software;
  fault.trap = state.trap;
  fault.length = state.length;
  return fault;
}
