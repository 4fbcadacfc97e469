/**
 * The machine: memory, CPU and devices put together, its events, and the run control that a debugger needs.
 *
 * Invariant: what happens depends on the start state, memory and devices only, never on how a run is cut into
 * slices, nor on which events are wanted.
 */
import { entrySize } from "../paging/layout";
import type { PagingState } from "../paging/state";
import { Walk } from "../paging/walk";
import { LDTR, TR } from "./cpu/attributes";
import { loadPdptes } from "./cpu/control";
import { Cpu, type CpuSurroundings } from "./cpu/cpu";
import type { CpuState } from "./cpu/cpuState";
import { recheck } from "./cpu/interrupt";
import type { CpuModel } from "./cpu/model";
import { APIC_BASE_ENABLE, readMsrValue } from "./cpu/msr";
import { firmwareMtrrs } from "./cpu/mtrr";
import { MSR_APIC_BASE } from "./cpu/plainMsrs";
import { R_RIP, R_SEGMENT_BASE, REGISTER_NAMES, SEGMENT_NAMES } from "./cpu/registers";
import { execute } from "./cpu/run";
import { type DataBreakpoint, DataBreakpoints, type DataChange } from "./dataBreakpoints";
import { CmosRtc } from "./devices/cmos";
import { DebugExit } from "./devices/debugExit";
import { FwCfg } from "./devices/fwCfg";
import { IoBus } from "./devices/ioBus";
import { LocalApic } from "./devices/localApic";
import { registerPlatform } from "./devices/platform";
import { Serial16550 } from "./devices/serial16550";
import { EVENT_KINDS, type EventKind, type MachineEvent } from "./events";
import { makesStale } from "./guestWrites";
import type { Hypervisor } from "./hypervisor";
import { Interrupts } from "./interrupts";
import { FRAME_TABLE, PhysicalMemory, type PhysicalRange } from "./memory";
import { type KnownRoots, type RootState, RootTracker } from "./rootTracker";
import type { Snapshotable } from "./snapshot";
import { type Cached, cachedStructure, cachedTranslation, whatMadeStale } from "./staleness";
import type { SegmentState, StartState } from "./startState";
import { type TableChange, TableChanges } from "./tableChanges";
import type { TranslationsState } from "./translations";

export interface MachineConfig {
  /** RAM: page aligned, ascending, not overlapping. */
  ram: readonly PhysicalRange[];
  cpu: CpuModel;
  /** "max" (the default) keeps all that the architecture allows, "off" walks on every access, or entries at most. */
  tlb?: "max" | "off" | number;
}

/** Where a run stops of itself. */
export interface RunStops {
  readonly atReturn?: boolean;
  readonly atDiversion?: boolean;
}

/** Why a run came back. */
export type RunResult =
  /** A data breakpoint's bytes changed: the instruction that did it is complete. */
  | { reason: "data"; change: DataChange }
  | { reason: "event"; event: MachineEvent }
  | { reason: "breakpoint" }
  /** An exception was raised (and is not delivered yet), or the like, in a run that was to stop there. */
  | { reason: "diversion" }
  /** An IRET has gone back, in a run that was to stop there. */
  | { reason: "interrupt-return" }
  | { reason: "limit" }
  | { reason: "ended"; event: MachineEvent };

/** IRQ 4: COM1. */
const SERIAL_LINE = 4;

const FINAL = new Set(EVENT_KINDS.filter((description) => description.final).map(({ kind }) => kind));

/** All of a machine but the contents of its frames. */
export interface MachineState {
  readonly cpu: CpuState;
  readonly mmu: TranslationsState;
  readonly roots: RootState;
  readonly io: readonly unknown[];
  readonly interrupts: number;
  readonly apic: ReturnType<LocalApic["save"]>;
  readonly apicBase: bigint;
  /** Where the local APIC is in physical memory, if anywhere. */
  readonly apicAt: number | undefined;
  readonly hypervisor: unknown;
  /** Frames that walks have read (see `TableFrames`). */
  readonly tableFrames: number;
  readonly ended: MachineEvent | undefined;
}

export class Machine implements CpuSurroundings, Snapshotable<MachineState> {
  readonly memory: PhysicalMemory;
  readonly io = new IoBus();
  readonly model: CpuModel;
  readonly tlbCapacity: number;
  readonly cpu: Cpu;
  readonly serial: Serial16550;
  readonly dataBreakpoints: DataBreakpoints;
  /** Called with each wanted event as it happens; true stops the run (a fault is then not delivered yet). */
  onEvent: (event: MachineEvent) => boolean = () => false;
  /** Names what lies at a physical address, for explanations; set by who knows symbols. */
  nameOfPhysical: (physical: number) => string | undefined = () => undefined;
  /** Which roots names tell of; set by who knows symbols. */
  knownRoots: KnownRoots = {};

  private muted = false;
  private wanted: ReadonlySet<EventKind> = new Set(EVENT_KINDS.map(({ kind }) => kind));
  private explained = this.wanted;
  private readonly roots: RootTracker;
  private readonly apic: LocalApic;
  private readonly interrupts: Interrupts;
  /** IA32_APIC_BASE, as the local APIC follows it. */
  private apicBase: bigint;
  private apicAt: number | undefined;
  /** Cached translations are compared with the tables, whoever wants to hear of it. */
  private exact = false;
  private tableChanges: TableChanges | undefined;
  /** Hears of changes of entries in frames that walks have read, by the guest and from outside. */
  onEntryChanged: ((entry: number) => void) | undefined;
  private lastEvent: MachineEvent | undefined;
  private finalEvent: MachineEvent | undefined;

  constructor(config: MachineConfig) {
    this.memory = new PhysicalMemory(config.ram);
    this.dataBreakpoints = new DataBreakpoints(this.memory);
    this.model = config.cpu;
    this.tlbCapacity = capacityOf(config.tlb ?? "max");
    this.cpu = new Cpu(this);
    if (config.cpu.features.mtrr) {
      for (const [index, value] of firmwareMtrrs(config.cpu, config.ram)) this.cpu.msrs.set(index, value);
    }
    this.roots = new RootTracker(
      this.cpu,
      () => this.knownRoots,
      (event) => this.cpu.emit(event),
    );
    const clock = { now: () => this.cpu.now() };
    this.serial = new Serial16550(
      (text) => this.cpu.emit({ event: "serial", ...this.cpu.here(), text }),
      (raised) => this.interrupts.setLine(SERIAL_LINE, raised),
    );
    this.io.register(Serial16550.FIRST_PORT, Serial16550.LAST_PORT, this.serial);
    this.io.register(
      DebugExit.PORT,
      DebugExit.PORT + 3,
      new DebugExit((value) => this.cpu.emit({ event: "exit", ...this.cpu.here(), status: value & 0xff })),
    );
    this.io.register(FwCfg.SELECTOR_PORT, FwCfg.DATA_PORT, new FwCfg(config.ram));
    const changed = () => recheck(this.cpu);
    this.apic = new LocalApic(clock, this.cpu, changed);
    this.apicBase = this.model.features.apic ? readMsrValue(this.cpu, MSR_APIC_BASE) : 0n;
    this.interrupts = new Interrupts(clock, () => (this.apicOn ? this.apic : undefined), changed);
    this.cpu.interrupts = this.interrupts;
    // Who wants RAM at the usual place of the APIC gets it; the guest may still put the APIC there.
    const covered = this.memory.isRam(this.apicPlace);
    if (this.apicOn && !covered) this.putApic(this.apicPlace);
    this.apic.setUpVirtualWire();
    registerPlatform(this.io, this.interrupts, new CmosRtc(config.ram), (through) => {
      const reason = `the guest reset the CPU through ${through}, and this machine does not start again`;
      this.cpu.emit({ event: "halt", ...this.cpu.here(), reason });
    });
  }

  /** Instructions retired since the start. */
  get instructions(): number {
    return this.cpu.retired;
  }

  /** The paging state now, for walks that only observe. */
  get pagingState(): PagingState {
    return this.cpu.paging;
  }

  /** The final event after which nothing runs any more, if there was one. */
  get ended(): MachineEvent | undefined {
    return this.finalEvent;
  }

  /**
   * Which kinds of events are made at all; final ones always are.
   * @param counted kinds that are made too, but need no reason: finding it costs more than all the rest of a page fault
   */
  want(kinds: Iterable<EventKind>, counted: Iterable<EventKind> = []): void {
    this.explained = new Set([...kinds, ...FINAL]);
    this.wanted = new Set([...this.explained, ...counted]);
    this.roots.trackWrites(!this.muted && this.wanted.has("table-write"));
    this.checkCached();
  }

  /**
   * Whether the machine's state is to depend in nothing on which events are wanted: a run that is made again is then the
   * same in what it has still to tell of stale translations, too.
   */
  beExact(exact: boolean): void {
    this.exact = exact;
    this.checkCached();
  }

  private checkCached(): void {
    this.cpu.mmu.checkCached(this.exact || this.wanted.has("stale-tlb"));
  }

  /** Linear addresses at which a run stops before the instruction there. */
  setBreakpoints(addresses: Iterable<bigint>): void {
    this.cpu.code.setBreakpoints(addresses);
  }

  /** Steps of the program by the linear address at which each begins, for `milestone` events. */
  setMilestones(milestones: ReadonlyMap<bigint, string>): void {
    this.cpu.code.setMilestones(milestones);
  }

  /**
   * Ranges of physical memory at whose change a run stops, after the instruction that changed them. Accessed and
   * dirty bits that the CPU sets do not count. Ranges outside of RAM never change.
   */
  setDataBreakpoints(ranges: readonly DataBreakpoint[]): void {
    this.dataBreakpoints.set(ranges);
    this.cpu.mmu.flushWriteCache();
  }

  /** Puts a hypervisor between the machine and what runs on it; before `start`. */
  attach(hypervisor: Hypervisor): void {
    this.cpu.hypervisor = hypervisor;
    // Its guest hears of no device: interrupts would be the hypervisor's.
    this.cpu.interrupts = undefined;
  }

  /** Takes over a start state; everything that is left out is as after reset. */
  start(state: StartState): void {
    const { cpu } = this;
    REGISTER_NAMES.forEach((name, index) => {
      cpu.setRegister(index, state.registers?.[name] ?? 0n);
    });
    SEGMENT_NAMES.forEach((name, index) => {
      this.setSegment(index, state.segments[name]);
    });
    this.setSegment(TR, state.tr ?? { selector: 0, base: 0n, limit: 0xffff, attributes: 0x8b });
    this.setSegment(LDTR, state.ldtr ?? { selector: 0, base: 0n, limit: 0, attributes: 0 });
    cpu.gdtBase = state.gdtr?.base ?? 0n;
    cpu.gdtLimit = state.gdtr?.limit ?? 0;
    cpu.idtBase = state.idtr?.base ?? 0n;
    cpu.idtLimit = state.idtr?.limit ?? 0;
    cpu.cr0 = state.cr0;
    cpu.cr3 = state.cr3;
    cpu.cr4 = state.cr4;
    cpu.efer = state.efer;
    cpu.setPair(R_RIP, state.rip);
    cpu.setRflags(state.rflags ?? 2);
    cpu.setCpl(state.segments.cs.selector & 3);
    cpu.updatePaging();
    if (cpu.paging.levels === 3) loadPdptes(cpu, cpu.paging.root);
    cpu.updateMode();
    cpu.mmu.flushAll();
    this.roots.started(cpu.hypervisor !== undefined);
  }

  /**
   * Runs until something stops it, or `instructions` more have been retired. An exception that waits for its delivery
   * is delivered first; 0 instructions do just that.
   * @param stops.atReturn stops after an IRET too: how a debugger runs a handler to its end
   * @param stops.atDiversion stops after a diversion too (see `Cpu.diversions`)
   * @throws MemoryExhaustedError
   */
  run(instructions: number, passBreakpoint = true, stops: RunStops = {}): RunResult {
    if (this.finalEvent !== undefined) return { reason: "ended", event: this.finalEvent };
    this.cpu.stopAtReturn = stops.atReturn ?? false;
    this.cpu.stopAtDiversion = stops.atDiversion ?? false;
    this.lastEvent = undefined;
    this.dataBreakpoints.change = undefined;
    const end = execute(this.cpu, this.cpu.retired + instructions, passBreakpoint);
    if (this.finalEvent !== undefined) {
      this.serial.flush();
      return { reason: "ended", event: this.finalEvent };
    }
    if (end === "breakpoint") return { reason: "breakpoint" };
    const { change } = this.dataBreakpoints;
    if (end === "stopped" && change !== undefined) return { reason: "data", change };
    if (end === "stopped" && this.lastEvent !== undefined) return { reason: "event", event: this.lastEvent };
    if (end === "stopped") {
      const returned = this.cpu.stopAtReturn && this.cpu.returnedAt === this.cpu.retired;
      return { reason: returned ? "interrupt-return" : "diversion" };
    }
    return { reason: "limit" };
  }

  /** Between two instructions. */
  save(): MachineState {
    const { cpu, memory } = this;
    return {
      cpu: cpu.save(),
      mmu: cpu.mmu.save(),
      roots: this.roots.save(),
      io: this.io.save(),
      interrupts: this.interrupts.save(),
      apic: this.apic.save(),
      apicBase: this.apicBase,
      apicAt: this.apicAt,
      hypervisor: cpu.hypervisor?.save(),
      tableFrames: memory.tableFrames.count,
      ended: this.finalEvent,
    };
  }

  /** Goes to another moment of the same run; the frames must have the contents of that moment already. */
  restore(state: MachineState): void {
    const { cpu, memory } = this;
    memory.tableFrames.moveTo(state.tableFrames);
    cpu.restore(state.cpu);
    cpu.mmu.restore(state.mmu);
    this.io.restore(state.io);
    this.interrupts.restore(state.interrupts);
    this.apic.restore(state.apic);
    this.apicBase = state.apicBase;
    this.putApic(state.apicAt);
    cpu.hypervisor?.restore(state.hypervisor);
    this.roots.restore(state.roots);
    this.finalEvent = state.ended;
    this.lastEvent = undefined;
    cpu.leave = false;
  }

  /** Whether nobody hears of events; an event that ends the machine still does. */
  mute(muted: boolean): void {
    if (this.muted === muted) return;
    this.muted = muted;
    this.roots.trackWrites(!muted && this.wanted.has("table-write"));
  }

  /** Runs one instruction, past a breakpoint on it. */
  step(): RunResult {
    return this.run(1);
  }

  /**
   * Writes physical memory from outside of the guest (a debugger): what was translated or cached from it is
   * forgotten. @throws MemoryExhaustedError
   */
  writePhysical(address: number, bytes: Uint8Array): void {
    this.cpu.codeWritten(address, bytes.length);
    const before = this.tableEntries(address, bytes.length);
    this.memory.writeBytes(address, bytes);
    for (let at = address; at < address + bytes.length; at++) this.onEntryChanged?.(at);
    this.recordEdits(before);
    this.cpu.mmu.tablesChanged();
  }

  /** Keeps what can make cached translations stale from now on, so that `whatMadeStale` can tell. Takes 3 MB. */
  recordTableChanges(): void {
    this.tableChanges ??= new TableChanges();
  }

  /**
   * The change since which something cached does not agree with the tables; undefined where that is not known.
   * @param before instructions that count: those retired, unless one is running
   */
  whatMadeStale(cached: Cached, before = this.cpu.retired): TableChange | undefined {
    const { tableChanges, cpu } = this;
    if (tableChanges === undefined) return undefined;
    tableChanges.forgetFrom(before);
    return whatMadeStale(cached, tableChanges, cpu.paging, this.memory, new Walk());
  }

  // --- what the CPU asks ---

  emit(event: MachineEvent): boolean {
    const stop = !this.muted && this.onEvent(event);
    if (FINAL.has(event.event)) this.finalEvent = event;
    else if (!stop) return false;
    this.lastEvent = event;
    return true;
  }

  wants(kind: EventKind): boolean {
    return this.muted ? FINAL.has(kind) : this.wanted.has(kind);
  }

  explains(kind: EventKind): boolean {
    return this.explained.has(kind);
  }

  nameOf(physical: number): string | undefined {
    return this.nameOfPhysical(physical);
  }

  causeOfStale(address: bigint): TableChange | undefined {
    const { cpu } = this;
    if (this.tableChanges === undefined) return undefined;
    const { translation, structure } = cpu.mmu.held(address);
    const end = cpu.now() + 1;
    if (translation !== undefined) return this.whatMadeStale(cachedTranslation(translation), end);
    if (structure === undefined) return undefined;
    return this.whatMadeStale(cachedStructure(structure.entry, structure.spanShift), end);
  }

  tableWritten(entry: number, oldLow: number, oldHigh: number, newLow: number, newHigh: number): void {
    if (this.tableChanges !== undefined && makesStale(oldLow, oldHigh, newLow, newHigh))
      this.tableChanges.wrote(this.cpu.here(), entry, oldLow, oldHigh, newLow, newHigh);
    this.onEntryChanged?.(entry);
    this.roots.written(entry, oldLow, oldHigh, newLow, newHigh);
  }

  rootLoaded(from: number, to: number, value: bigint | undefined, wasPaging: boolean): void {
    if (wasPaging && from !== to) this.tableChanges?.loaded(this.cpu.here(), from, to);
    this.roots.loaded(from, to, value, wasPaging);
  }

  apicBaseWritten(value: bigint): void {
    const before = this.apicBase;
    this.apicBase = value;
    if (((before ^ value) & (APIC_BASE_ENABLE | ~0xfffn)) === 0n) return;
    recheck(this.cpu);
    if (!this.apicOn) this.apic.reset();
    this.putApic(this.apicOn ? this.apicPlace : undefined);
  }

  /** The entries of walked tables that a range of memory holds, as they are; none while nobody wants to know. */
  private tableEntries(address: number, length: number): { entry: number; low: number; high: number }[] {
    if (this.tableChanges === undefined || this.cpu.paging.levels === 0) return [];
    const { memory } = this;
    const size = entrySize(this.cpu.paging.levels);
    const found: { entry: number; low: number; high: number }[] = [];
    for (let entry = address - (address % size); entry < address + length; entry += size) {
      if ((memory.flagsOf(entry) & FRAME_TABLE) === 0) continue;
      found.push({ entry, low: memory.read32(entry), high: size === 8 ? memory.read32(entry + 4) : 0 });
    }
    return found;
  }

  private recordEdits(before: readonly { entry: number; low: number; high: number }[]): void {
    const { memory, cpu } = this;
    const wide = cpu.paging.levels !== 2;
    // The instruction at which it stands comes behind the change.
    const at = { instruction: cpu.retired - 1, rip: cpu.rip };
    for (const { entry, low, high } of before) {
      const [newLow, newHigh] = [memory.read32(entry), wide ? memory.read32(entry + 4) : 0];
      if (makesStale(low, high, newLow, newHigh))
        this.tableChanges?.wrote(at, entry, low, high, newLow, newHigh, true);
    }
  }

  private get apicOn(): boolean {
    return (this.apicBase & APIC_BASE_ENABLE) !== 0n;
  }

  /** Where IA32_APIC_BASE puts the local APIC (SDM vol. 3A, 10.4.3 to 10.4.5). */
  private get apicPlace(): number {
    return Number(this.apicBase & ~0xfffn);
  }

  /** @param start where the local APIC is from now on in physical memory; undefined for nowhere */
  private putApic(start: number | undefined): void {
    const before = this.apicAt;
    if (start === before) return;
    this.apicAt = start;
    this.memory.unmapDevice(this.apic);
    if (start !== undefined) this.memory.mapDevice({ start, end: start + LocalApic.SIZE }, this.apic);
    // Code that was translated there is not what is there now.
    for (const place of [before, start]) if (place !== undefined) this.cpu.codeWritten(place, LocalApic.SIZE);
    this.cpu.mmu.flushCache();
  }

  private setSegment(index: number, state: SegmentState): void {
    const { cpu } = this;
    cpu.selectors[index] = state.selector;
    cpu.setPair(R_SEGMENT_BASE + 2 * index, state.base);
    cpu.limits[index] = state.limit;
    cpu.attributes[index] = state.attributes;
  }
}

function capacityOf(tlb: "max" | "off" | number): number {
  if (tlb === "max") return Number.POSITIVE_INFINITY;
  return tlb === "off" ? 0 : tlb;
}
