/**
 * The CPU's state, and what derives from it: paging state, block mode, the MMU's access bits.
 *
 * Invariants: `r` is the only home of general registers, RIP, flags and segment bases; every change of a control
 * register, of EFER, of CS or of CPL goes through the methods of this class or of `control.ts` and `segments.ts`,
 * which keep `paging`, `mode` and the MMU's access bits true.
 */
import { accessName, hex16 } from "../../paging/explain";
import { join64 } from "../../paging/halves";
import { ACCESS_AC, ACCESS_FETCH, ACCESS_USER, type PagingState } from "../../paging/state";
import { errorCodeOf } from "../../paging/walk";
import type { DataBreakpoints } from "../dataBreakpoints";
import type { IoBus } from "../devices/ioBus";
import type { EventKind, MachineEvent } from "../events";
import type { Hypervisor } from "../hypervisor";
import { ARENA_REGISTERS, type PhysicalMemory } from "../memory";
import { Mmu } from "../mmu";
import type { Snapshotable } from "../snapshot";
import type { TableChange } from "../tableChanges";
import type { MmuHost } from "../translations";
import {
  MODE_16,
  MODE_32,
  MODE_64,
  MODE_BITS,
  MODE_NOT_FLAT,
  MODE_STACK16,
  SEG_CODE,
  SEG_CONFORMING,
  SEG_DB,
  SEG_L,
  SEG_P,
  SEG_S,
  SEG_WRITABLE,
} from "./attributes";
import { NO_BLOCK } from "./block";
import { CodeCache } from "./codeCache";
import { type CpuState, restoreCpu, saveCpu } from "./cpuState";
import { CpuFault, GP, PAGE_FAULT, SS_FAULT, UD } from "./fault";
import { KIND_EXPLICIT, materialize } from "./flags";
import { FpuState } from "./fpu";
import type { InterruptSource } from "./interrupt";
import type { CpuModel } from "./model";
import { describeStaleUse, explainPageFault } from "./reasons";
import {
  AC,
  CR0_ET,
  CR0_PE,
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  CS,
  EFER_LMA,
  EFER_NXE,
  FLAGS_FIXED,
  IF,
  R_EPOCH,
  R_FLAGS,
  R_HIGH,
  R_KIND,
  R_RIP,
  R_SEGMENT_BASE,
  REGISTER_WORDS,
  SEGMENT_NAMES,
  SS,
  VM,
} from "./registers";
import { stackReference } from "./stackReference";

/** What the CPU needs of the machine around it. */
export interface CpuSurroundings {
  readonly memory: PhysicalMemory;
  readonly io: IoBus;
  readonly model: CpuModel;
  readonly tlbCapacity: number;
  readonly dataBreakpoints: DataBreakpoints;
  /** Hands an event on; true asks to stop. Only called for kinds that `wants`. */
  emit(event: MachineEvent): boolean;
  wants(kind: EventKind): boolean;
  /** Whether somebody reads the reasons of such events. */
  explains(kind: EventKind): boolean;
  /** What made the cached translation of an address stale, as far as it is known. */
  causeOfStale(address: bigint): TableChange | undefined;
  /** Names the table or symbol at a physical address, for explanations. */
  nameOf(physical: number): string | undefined;
  /** An entry of a watched or walked table changed. Halves are int32. */
  tableWritten(entry: number, oldLow: number, oldHigh: number, newLow: number, newHigh: number): void;
  /**
   * A root table was loaded (also the same one again).
   * @param from the root that CR3 named before
   * @param value what was moved to CR3; undefined where paging was turned on, or another mode, with CR3 as it was
   * @param wasPaging whether what `from` names was in use
   */
  rootLoaded(from: number, to: number, value: bigint | undefined, wasPaging: boolean): void;
  /** IA32_APIC_BASE was written: the local APIC goes elsewhere, or on or off. */
  apicBaseWritten(value: bigint): void;
}

interface DeliveryState {
  r: Int32Array;
  selectors: Uint16Array;
  limits: Uint32Array;
  attributes: Uint32Array;
  cpl: number;
}

export class Cpu implements MmuHost, Snapshotable<CpuState> {
  /** The register file; it lies in the memory's arena, where translated code finds it. */
  readonly r: Int32Array;
  readonly r8: Uint8Array;
  readonly r16: Int16Array;

  readonly selectors = new Uint16Array(8);
  readonly limits = new Uint32Array(8);
  readonly attributes = new Uint32Array(8);
  gdtBase = 0n;
  gdtLimit = 0;
  idtBase = 0n;
  idtLimit = 0;

  cr0 = CR0_ET;
  cr2 = 0n;
  cr3 = 0n;
  cr4 = 0;
  efer = 0;
  readonly dr = [0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n];
  /** What the time-stamp counter is ahead of the instruction count. */
  tscOffset = 0n;
  /** The task-priority register of the local APIC; its upper half is CR8. */
  tpr = 0;
  cpl = 0;
  readonly fpu = new FpuState();
  /** Model-specific registers that only hold what was written (see `msr.ts`). */
  readonly msrs = new Map<number, bigint>();

  readonly paging: PagingState;
  readonly mmu: Mmu;
  readonly memory: PhysicalMemory;
  readonly io: IoBus;
  readonly model: CpuModel;
  readonly code: CodeCache;
  /** MODE_* bits of the code that runs now. */
  mode = MODE_16;

  /** Instructions retired; while a block runs, those before it. */
  retired = 0;
  /** Index of the running instruction in its block. */
  index = 0;
  /** Instructions that may still be retired, counted at the start of the block. */
  budget = 0;
  /** Instructions retired when the last IRET had gone back. */
  returnedAt = -1;
  /** Instructions retired when a repeated string instruction was left unfinished last. */
  unfinishedAt = -1;
  /** Instructions retired when the last milestone was told of. */
  milestoneToldAt = -1;
  /** Whether a run stops after each IRET. */
  stopAtReturn = false;
  private readonly saved: readonly DeliveryState[] = [0, 1].map((cpl) => ({
    r: new Int32Array(REGISTER_WORDS),
    selectors: this.selectors.slice(),
    limits: this.limits.slice(),
    attributes: this.attributes.slice(),
    cpl,
  }));
  /** The last page fault, and how often it came again at once. */
  lastFault = { rip: 0n, address: 0n, error: 0, repeats: 0 };
  /** Set to leave the block after the running instruction. */
  leave = false;
  /** What interrupts it; undefined where nothing does. */
  interrupts: InterruptSource | undefined;
  /** The instruction count from which on an interrupt may come that was not there before (see `interrupt.ts`). */
  deadline = 0;
  /** The instruction count at which interrupts are held off, by STI or a load of SS before it. */
  inhibitedAt = -1;
  /** HLT waits for an interrupt. */
  halted = false;
  /** The sink asked to stop. */
  stopRequested = false;
  /**
   * How often the CPU has left the path of its instructions without having retired one: exceptions raised, and
   * whatever else takes it elsewhere between two instructions. With the instruction count, and whether a delivery is
   * pending, it names each moment of a run.
   */
  diversions = 0;
  /** Whether a run stops after each diversion; an exception is then not delivered yet. */
  stopAtDiversion = false;
  private waiting: CpuFault | undefined;
  readonly fault = new CpuFault();
  /** Where the guest is a paravirtual one. */
  hypervisor: Hypervisor | undefined;

  constructor(readonly surroundings: CpuSurroundings) {
    const { memory, io, model, tlbCapacity } = surroundings;
    this.memory = memory;
    this.r = memory.words(ARENA_REGISTERS, REGISTER_WORDS);
    this.r8 = new Uint8Array(this.r.buffer, ARENA_REGISTERS, 4 * REGISTER_WORDS);
    this.r16 = new Int16Array(this.r.buffer, ARENA_REGISTERS, 2 * REGISTER_WORDS);
    this.io = io;
    this.model = model;
    this.paging = {
      levels: 0,
      root: 0,
      pdpte: new Int32Array(8),
      maxPhysicalBits: model.maxPhysicalBits,
      pse: false,
      pse36: model.features.pse36,
      pages1G: model.features.pdpe1gb,
      nxe: false,
      wp: false,
      smep: false,
      smap: false,
      pke: false,
      pks: false,
      pkru: 0,
      pkrs: 0,
    };
    this.mmu = new Mmu(memory, this.paging, this.r, this, tlbCapacity, () => this.now());
    this.code = new CodeCache(this);
    // Compiled blocks are fetched once for all of their instructions.
    this.code.compiling = !this.mmu.tlb.forgets;
    this.r[R_FLAGS] = FLAGS_FIXED;
  }

  /** An exception whose delivery waits for the run to go on. */
  get pending(): CpuFault | undefined {
    return this.waiting;
  }

  set pending(fault: CpuFault | undefined) {
    this.waiting = fault;
    if (fault !== undefined) this.diverted();
  }

  /** The CPU goes elsewhere without having retired an instruction. */
  diverted(): void {
    this.diversions++;
    if (!this.stopAtDiversion) return;
    this.stopRequested = true;
    this.leave = true;
  }

  save(): CpuState {
    return saveCpu(this);
  }

  restore(state: CpuState): void {
    restoreCpu(this, state);
  }

  /** Stands between two instructions, with nothing asked for. */
  leaveBlock(): void {
    this.code.current = NO_BLOCK;
    this.index = 0;
    this.leave = false;
    this.stopRequested = false;
  }

  /** Stands within a repeated string instruction: RIP is on it, and did not arrive there now. */
  get isRepeating(): boolean {
    return this.unfinishedAt === this.retired;
  }

  /** Instructions retired before the running one: the machine's time. */
  now(): number {
    return this.retired + this.index;
  }

  // --- registers as 64-bit values, for everybody but translated code ---

  /** General register 0..15 in encoding order. */
  getRegister(index: number): bigint {
    return this.pair(2 * index);
  }

  setRegister(index: number, value: bigint): void {
    this.setPair(2 * index, value);
  }

  get rip(): bigint {
    return this.pair(R_RIP);
  }

  set rip(value: bigint) {
    this.setPair(R_RIP, value);
  }

  /** RFLAGS; its upper half is reserved. */
  get rflags(): number {
    return materialize(this.r) >>> 0;
  }

  set rflags(value: number) {
    this.setRflags(value);
  }

  /** Takes over another register file, but for the word in it that is the code cache's. */
  setRegisterFile(words: Int32Array): void {
    const epoch = this.r[R_EPOCH];
    this.r.set(words);
    this.r[R_EPOCH] = epoch;
  }

  /** A 64-bit value of the register file at a word index. */
  pair(word: number): bigint {
    return (BigInt(this.r[word + 1] >>> 0) << 32n) | BigInt(this.r[word] >>> 0);
  }

  setPair(word: number, value: bigint): void {
    this.r[word] = Number(BigInt.asIntN(32, value));
    this.r[word + 1] = Number(BigInt.asIntN(32, value >> 32n));
  }

  /** Sets all flags that are not reserved. */
  setRflags(value: number): void {
    const before = this.r[R_FLAGS];
    this.r[R_FLAGS] = (value & 0x3f7fd5) | FLAGS_FIXED;
    this.r[R_KIND] = KIND_EXPLICIT;
    if ((value & IF) !== 0) this.deadline = 0;
    if (((before ^ value) & AC) !== 0) this.updateAccess();
    if ((value & VM) !== 0) this.unsupportedVm86();
  }

  segmentBase(segment: number): bigint {
    return this.pair(R_SEGMENT_BASE + 2 * segment);
  }

  get longMode(): boolean {
    return (this.efer & EFER_LMA) !== 0;
  }

  get code64(): boolean {
    return (this.mode & MODE_BITS) === MODE_64;
  }

  get protectedMode(): boolean {
    return (this.cr0 & CR0_PE) !== 0;
  }

  // --- what derives from control registers and segments ---

  /** The access bits of explicit data accesses at a privilege level, with EFLAGS.AC as it is. */
  dataAccessAt(cpl: number): number {
    return cpl === 3 ? ACCESS_USER : (this.r[R_FLAGS] & AC) !== 0 ? ACCESS_AC : 0;
  }

  /** The CPL changed, or EFLAGS.AC: what the fast cache allows is no longer true. */
  updateAccess(): void {
    const access = this.dataAccessAt(this.cpl);
    if (access === this.mmu.dataAccess) return;
    const userChanged = ((access ^ this.mmu.dataAccess) & ACCESS_USER) !== 0;
    this.mmu.dataAccess = access;
    this.mmu.flushCache();
    if (userChanged) this.code.setUser((access & ACCESS_USER) !== 0);
  }

  setCpl(cpl: number): void {
    this.cpl = cpl;
    this.updateAccess();
  }

  /** Recomputes the paging state from CR0, CR3, CR4 and EFER. Flushes nothing of the TLB. */
  updatePaging(): void {
    const { paging, cr0, cr4, efer } = this;
    const on = (cr0 & CR0_PG) !== 0;
    if (!on) paging.levels = 0;
    else if ((efer & EFER_LMA) !== 0) paging.levels = (cr4 & CR4_LA57) !== 0 ? 5 : 4;
    else paging.levels = (cr4 & CR4_PAE) !== 0 ? 3 : 2;
    paging.root = this.rootOf(this.cr3);
    paging.pse = (cr4 & CR4_PSE) !== 0;
    paging.nxe = (efer & EFER_NXE) !== 0;
    paging.wp = (cr0 & CR0_WP) !== 0;
    paging.smep = (cr4 & CR4_SMEP) !== 0;
    paging.smap = (cr4 & CR4_SMAP) !== 0;
    paging.pke = (cr4 & CR4_PKE) !== 0;
    paging.pks = (cr4 & CR4_PKS) !== 0;
    this.mmu.globalPages = (cr4 & CR4_PGE) !== 0;
    this.mmu.pcid = (cr4 & CR4_PCIDE) !== 0 ? Number(this.cr3 & 0xfffn) : 0;
    this.mmu.flushCache();
    this.code.newEpoch();
  }

  /** Physical address of the root table in a value of CR3. */
  rootOf(cr3: bigint): number {
    if (this.paging.levels === 3) return Number(cr3 & 0xffffffe0n);
    if (this.paging.levels === 2) return Number(cr3 & 0xfffff000n);
    return Number(cr3 & 0xffffffffff000n);
  }

  /** Recomputes the block mode from CS, SS and the other data segments. */
  updateMode(): void {
    const cs = this.attributes[CS];
    const code64 = this.longMode && (cs & SEG_L) !== 0;
    let mode = code64 ? MODE_64 : (cs & SEG_DB) !== 0 ? MODE_32 : MODE_16;
    if (!code64) {
      if (!this.flatSegments()) mode |= MODE_NOT_FLAT;
      if ((this.attributes[SS] & SEG_DB) === 0) mode |= MODE_STACK16;
    }
    this.mode = mode;
  }

  /** Base 0, limit 4 GiB - 1, and all accesses allowed, in ES, CS, SS and DS. */
  private flatSegments(): boolean {
    for (let segment = 0; segment < 4; segment++) {
      const attributes = this.attributes[segment];
      if (this.limits[segment] !== 0xffffffff || (attributes & SEG_P) === 0) return false;
      const base = R_SEGMENT_BASE + 2 * segment;
      if (this.r[base] !== 0) return false;
      const plain = segment === CS ? SEG_WRITABLE : SEG_WRITABLE | SEG_CONFORMING | SEG_CODE;
      if ((attributes & plain) !== SEG_WRITABLE) return false;
    }
    return true;
  }

  /** Checks an access of `size` bytes at an offset against a segment's limit, outside of 64-bit mode (SDM 5.3). */
  checkLimit(segment: number, offset: number, size: number, write = false): void {
    const attributes = this.attributes[segment];
    const vector = segment === SS ? SS_FAULT : GP;
    const name = SEGMENT_NAMES[segment].toUpperCase();
    if (this.protectedMode && (attributes & SEG_P) === 0)
      throw this.raise(vector, 0, `${name} holds a null selector`);
    const forbidden = write
      ? (attributes & (SEG_CODE | SEG_WRITABLE)) !== SEG_WRITABLE
      : (attributes & (SEG_CODE | SEG_WRITABLE)) === SEG_CODE;
    if (this.protectedMode && forbidden) {
      throw this.raise(vector, 0, `${name} does not allow ${write ? "writing" : "reading"}`);
    }
    const first = offset >>> 0;
    const last = first + size - 1;
    const limit = this.limits[segment];
    const expandDown = (attributes & (SEG_S | SEG_CODE | SEG_CONFORMING)) === (SEG_S | SEG_CONFORMING);
    const top = (attributes & SEG_DB) !== 0 ? 0xffffffff : 0xffff;
    if (expandDown ? first <= limit || last > top : last > limit) {
      throw this.raise(vector, 0, `offset 0x${first.toString(16)} is beyond the limit of ${name}`);
    }
  }

  // --- faults ---

  /** The exception to throw. */
  raise(vector: number, error: number, reason: string | (() => string)): CpuFault {
    return this.fault.set(vector, error, reason);
  }

  gp(reason: string, error = 0): CpuFault {
    return this.raise(GP, error, reason);
  }

  ud(reason: string): CpuFault {
    return this.raise(UD, -1, reason);
  }

  pageFault(low: number, high: number, access: number, cause: number): never {
    this.cr2 = join64(low, high);
    throw this.raise(PAGE_FAULT, errorCodeOf(this.paging, cause, access), () =>
      explainPageFault(this, low, high, access, cause),
    );
  }

  nonCanonical(low: number, high: number, access: number): never {
    const stack = (access & ACCESS_FETCH) === 0 && stackReference(this, low, high);
    const reason = `${accessName(access)} ${hex16(join64(low, high))}: the address is not canonical`;
    throw this.raise(stack ? SS_FAULT : GP, 0, reason);
  }

  codeWritten(address: number, size: number): void {
    this.code.invalidate(address, size);
  }

  tableWritten(entry: number, oldLow: number, oldHigh: number, newLow: number, newHigh: number): void {
    this.surroundings.tableWritten(entry, oldLow, oldHigh, newLow, newHigh);
  }

  fetchesChanged(): void {
    this.code.newEpoch();
    this.leave = true;
  }

  dataWriteBegins(address: number, size: number): void {
    this.surroundings.dataBreakpoints.writeBegins(address, size);
  }

  dataWriteEnds(): void {
    if (!this.surroundings.dataBreakpoints.writeEnds()) return;
    this.stopRequested = true;
    this.leave = true;
  }

  translationDoubtful(page4K: number, pageShift: number): void {
    this.code.translationDoubtful(page4K, pageShift);
  }

  staleUse(low: number, high: number, access: number, cachedPage: number, _cachedRights: number): void {
    if (!this.surroundings.wants("stale-tlb")) return;
    const cause = this.surroundings.causeOfStale(join64(low, high));
    this.emit({
      event: "stale-tlb",
      ...this.here(),
      ...describeStaleUse(this, low, high, access, cachedPage),
      ...(cause === undefined ? {} : { cause }),
    });
  }

  /** Whether an address is canonical for the widest linear address that this CPU has (bases, MSRs). */
  isCanonicalAddress(address: bigint): boolean {
    const bits = this.model.features.la57 ? 57 : 48;
    return BigInt.asUintN(64, BigInt.asIntN(bits, address)) === address;
  }

  /** Whether an address is canonical in the present paging mode. */
  isCanonicalNow(address: bigint): boolean {
    const bits = this.paging.levels === 5 ? 57 : 48;
    return BigInt.asUintN(64, BigInt.asIntN(bits, address)) === address;
  }

  /**
   * What a far transfer or a delivery that fails half way must leave as it was.
   * @param nested 1 within a transfer that has saved the state itself; what is returned is good until the next call
   *   with the same number
   */
  saveForDelivery(nested: 0 | 1 = 0): DeliveryState {
    const saved = this.saved[nested];
    saved.r.set(this.r);
    saved.selectors.set(this.selectors);
    saved.limits.set(this.limits);
    saved.attributes.set(this.attributes);
    saved.cpl = this.cpl;
    return saved;
  }

  restoreAfterDelivery(saved: DeliveryState): void {
    this.setRegisterFile(saved.r);
    this.selectors.set(saved.selectors);
    this.limits.set(saved.limits);
    this.attributes.set(saved.attributes);
    this.setCpl(saved.cpl);
    this.updateMode();
  }

  /**
   * How often the page fault at hand came just before: its handler returned to the instruction, and the instruction
   * faulted again without any other between.
   */
  countRepeats(instruction: number, error: number): number {
    const last = this.lastFault;
    const again =
      instruction === this.returnedAt &&
      last.rip === this.rip &&
      last.address === this.cr2 &&
      last.error === error;
    this.lastFault = { rip: this.rip, address: this.cr2, error, repeats: again ? last.repeats + 1 : 0 };
    return this.lastFault.repeats;
  }

  /** The running instruction is an IRET that has gone back. */
  interruptReturned(): void {
    this.returnedAt = this.now() + 1;
    if (!this.stopAtReturn) return;
    this.stopRequested = true;
    this.leave = true;
  }

  /** A software interrupt could not be delivered: its instruction has not been executed. */
  undoSoftwareInterrupt(fault: CpuFault): void {
    this.rip = BigInt.asUintN(64, this.rip - BigInt(fault.length));
    this.retired -= 1;
  }

  // --- events ---

  /** Instruction count and RIP of the running instruction. */
  here(): { instruction: number; rip: bigint } {
    return { instruction: this.now(), rip: this.code.currentRip() };
  }

  /** Hands an event to the sink; the run stops after the running instruction if the sink asks for it. */
  emit(event: MachineEvent): void {
    if (!this.surroundings.wants(event.event)) return;
    if (this.surroundings.emit(event)) {
      this.stopRequested = true;
      this.leave = true;
    }
  }

  wants(kind: EventKind): boolean {
    return this.surroundings.wants(kind);
  }

  private unsupportedVm86(): never {
    throw this.ud("virtual-8086 mode is not supported");
  }

  /** A 64-bit pair as returned by `mmu.load64`. */
  returned64(low: number): bigint {
    return (BigInt(this.r[R_HIGH] >>> 0) << 32n) | BigInt(low >>> 0);
  }
}
