/**
 * A paravirtual hypervisor below a machine (Xen). What its guest asks, it does at once; between two instructions of
 * the guest, all of its rules hold.
 */
import { LDTR } from "../machine/cpu/attributes";
import { writeCr3 } from "../machine/cpu/control";
import { CpuFault, GP, PAGE_FAULT, UD } from "../machine/cpu/fault";
import { MSR_KERNEL_GS_BASE, writeMsr } from "../machine/cpu/msr";
import { FS, GS, R_SEGMENT_BASE, RAX, RBX, RCX, RDI, RDX, RSI } from "../machine/cpu/registers";
import { loadNull } from "../machine/cpu/segments";
import { Serial16550 } from "../machine/devices/serial16550";
import type { Hypervisor } from "../machine/hypervisor";
import type { Machine } from "../machine/machine";
import { join64 } from "../paging/halves";
import { ACCESS_WRITE } from "../paging/state";
import { ERRNO, errnoText, type GuestAbi, HYPERCALL_NAMES, HYPERCALL_VECTOR, IRET } from "./abi";
import type { Domain } from "./domain";
import { Emulation } from "./emulation";
import { Rejection } from "./errors";
import { GuestMemory } from "./guestMemory";
import type { HypercallContext, MachineAccess } from "./hypercalls/hypercall";
import { leafEntryOf } from "./hypercalls/mmu";
import { HYPERCALLS } from "./hypercalls/table";
import { OwnEntries } from "./hypervisorEntries";
import { TYPE_L1 } from "./pageInfo";
import { PageTypes } from "./pageTypes";
import { Traps } from "./traps";
import { Vcpu } from "./vcpu";

/** What may be chosen of a hypervisor. */
export interface HypervisorOptions {
  /** Whether direct writes to L1 tables are carried out as if by mmu_update. */
  readonly ptwr: boolean;
}

const ARGUMENTS_64 = [RDI, RSI, RDX, 10, 8, 9];
const ARGUMENTS_32 = [RBX, RCX, RDX, RSI, RDI, 5];
const UPCALL_MASK = 1;
const PFEC_PRESENT_WRITE = 3;
const SYSCALL_CALLBACK = 2;

export class Xen implements Hypervisor {
  readonly vcpu: Vcpu;
  readonly pages: PageTypes;
  private readonly abi: GuestAbi;
  private readonly memory: GuestMemory;
  private readonly traps: Traps;
  private readonly emulation: Emulation;
  private readonly own: OwnEntries;
  private readonly context: HypercallContext;
  private listMapped = true;

  /** Takes over a machine in whose memory the domain lies. */
  constructor(
    private readonly machine: Machine,
    readonly domain: Domain,
    private readonly options: HypervisorOptions,
  ) {
    const { abi, frames, root, hypervisorFrames } = domain;
    const { cpu, memory } = machine;
    this.abi = abi;
    this.vcpu = new Vcpu(root, hypervisorFrames.sharedInfo * 4096);
    this.memory = new GuestMemory(cpu, abi);
    const { maxPhysicalBits } = cpu.model;
    const { nx } = cpu.model.features;
    this.own = new OwnEntries(memory, domain, nx);
    const writer = {
      read32: (address: number) => memory.read32(address),
      writeEntry: (address: number, low: number, high: number) =>
        cpu.mmu.writePhysical(address, 8, low, high),
      flushTranslations: () => cpu.mmu.flushAll(),
    };
    this.pages = new PageTypes(abi, frames, writer, this.own, { maxPhysicalBits, nx });
    this.traps = new Traps(cpu, abi, this.vcpu, this.memory, (frame) => this.loadRoot(frame));
    this.emulation = new Emulation(cpu, abi, this.vcpu, this.memory, this.pages);
    this.context = {
      abi,
      domain,
      memory: this.memory,
      pages: this.pages,
      vcpu: this.vcpu,
      machine: this.machineAccess(),
      call: (number, args) => this.call(number, args),
      refused: (name, { errno, reason }) => this.refused(name, errno, reason),
    };
    memory.write8(this.vcpu.info + UPCALL_MASK, 1);
    this.pages.adopt(root);
  }

  /** The hypervisor's own frames are memory like any other. */
  save() {
    return { vcpu: this.vcpu.save(), pages: this.pages.save(), listMapped: this.listMapped };
  }

  restore(state: ReturnType<Xen["save"]>): void {
    this.vcpu.restore(state.vcpu);
    this.pages.restore(state.pages);
    this.listMapped = state.listMapped;
  }

  /** What the domain's tables say of a machine frame: "an L1 table (count 1, pinned)". */
  describeFrame(mfn: number): string {
    return this.pages.info.describe(mfn);
  }

  systemCall(): void {
    const { cpu } = this.machine;
    if (this.vcpu.inKernel) {
      this.hypercall();
      return;
    }
    const callback = this.vcpu.callbacks.get(SYSCALL_CALLBACK);
    if (callback === undefined)
      throw cpu.ud("SYSCALL in user mode, and the guest's kernel has no entry for it");
    this.traps.systemCall(callback.address);
  }

  interrupt(vector: number): boolean {
    const { bits, ring } = this.abi;
    if (vector !== HYPERCALL_VECTOR || bits !== 32 || this.machine.cpu.cpl !== ring) return false;
    this.hypercall();
    return true;
  }

  intercept(fault: CpuFault): boolean {
    const intercepted = this.deal(fault);
    if (intercepted) this.machine.cpu.diverted();
    return intercepted;
  }

  private deal(fault: CpuFault): boolean {
    if (fault.software) return false;
    try {
      if (fault.vector === UD) return this.emulation.prefixedCpuid();
      if (fault.vector === GP) return this.emulation.privileged();
      if (fault.vector === PAGE_FAULT) return this.tableWrite(fault);
      return false;
    } catch (thrown) {
      // What the hypervisor could not read or do for its guest stays the guest's fault.
      if (thrown instanceof Rejection || thrown instanceof CpuFault) return false;
      throw thrown;
    }
  }

  deliver(fault: CpuFault): void {
    this.traps.deliver(fault);
  }

  private hypercall(): void {
    const { cpu } = this.machine;
    const mask = this.abi.bits === 64 ? (1n << 64n) - 1n : 0xffffffffn;
    const registers = this.abi.bits === 64 ? ARGUMENTS_64 : ARGUMENTS_32;
    const number = cpu.r[2 * RAX] >>> 0;
    const result = this.call(
      number,
      registers.map((register) => cpu.getRegister(register) & mask),
    );
    if (number !== IRET) cpu.setRegister(RAX, BigInt.asUintN(this.abi.bits, result));
  }

  private call(number: number, args: readonly bigint[]): bigint {
    const name = HYPERCALL_NAMES[number] ?? `hypercall ${number}`;
    const handler = HYPERCALLS.get(number);
    let result: bigint;
    let what = "";
    try {
      if (handler === undefined) throw new Rejection("ENOSYS", `${name} is not supported`);
      ({ result, what } = handler(this.context, args));
    } catch (thrown) {
      if (!(thrown instanceof Rejection)) throw thrown;
      result = BigInt(-ERRNO[thrown.errno]);
      this.refused(name, errnoText(thrown.errno), thrown.reason);
    }
    const { cpu } = this.machine;
    if (cpu.wants("hypercall")) {
      cpu.emit({ event: "hypercall", ...cpu.here(), number, name, what, result: Number(result) });
    }
    this.watchList();
    return result;
  }

  private refused(name: string, errno: string, reason: string): void {
    const { cpu } = this.machine;
    cpu.emit({ event: "hypercall-rejected", ...cpu.here(), name, errno, reason });
  }

  /** Tells when the builder's P->M list is mapped no more. */
  private watchList(): void {
    if (!this.listMapped || !this.pages.takeCleared()) return;
    const { p2m, frames } = this.domain;
    if (this.memory.machineOf(p2m.address, 0) !== undefined) return;
    this.listMapped = false;
    const { cpu } = this.machine;
    const listed = p2m.outside?.listFrames ?? Math.ceil((frames.nrPages * this.abi.word) / 4096);
    cpu.emit({ event: "p2m-free", ...cpu.here(), address: p2m.address, frames: listed });
  }

  /** A write of the guest to one of its L1 tables, which it may only read. */
  private tableWrite(fault: CpuFault): boolean {
    const { cpu } = this.machine;
    if (!this.options.ptwr || (fault.error & PFEC_PRESENT_WRITE) !== PFEC_PRESENT_WRITE) return false;
    const leaf = leafEntryOf(this.context, cpu.cr2);
    if (leaf === undefined || this.memory.machineOf(cpu.cr2, 0) === undefined) return false;
    const frame = Math.floor(this.memory.machineOf(cpu.cr2, 0)! / 4096);
    const { info } = this.pages;
    if (info.countOf(frame) === 0 || info.typeOf(frame) !== TYPE_L1) return false;
    const entry = frame * 4096 + Number(cpu.cr2 & 0xfffn);
    try {
      const { low, high } = this.emulation.tableWrite(entry);
      const value = join64(low, high).toString(16);
      cpu.emit({
        event: "hypercall",
        ...cpu.here(),
        number: -1,
        name: "emulated page-table write",
        what: `entry ${(entry % 4096) / 8} of ${this.pages.frameText(frame)} := 0x${value}`,
        result: 0,
      });
    } catch (thrown) {
      if (!(thrown instanceof Rejection)) throw thrown;
      this.refused("emulated page-table write", errnoText(thrown.errno), thrown.reason);
      return false;
    }
    this.watchList();
    return true;
  }

  private loadRoot(frame: number): void {
    this.pages.markCleared();
    writeCr3(this.machine.cpu, BigInt(frame) * 4096n);
  }

  private machineAccess(): MachineAccess {
    const { machine } = this;
    const { cpu, memory } = machine;
    const write = (address: number, size: 4 | 8, value: bigint) => {
      const low = Number(BigInt.asIntN(32, value));
      cpu.mmu.writePhysical(address, size, low, Number(BigInt.asIntN(32, value >> 32n)));
    };
    return {
      read32: (address) => memory.read32(address),
      read64: (address) => memory.read64(address),
      write32: (address, value) => write(address, 4, BigInt(value)),
      write64: (address, value) => write(address, 8, value),
      copyFrame: (to, from) => machine.writePhysical(to * 4096, memory.readBytes(from * 4096, 4096)),
      clearFrame: (frame) => machine.writePhysical(frame * 4096, new Uint8Array(4096)),
      flushTlb: () => this.flushTlb(),
      flushAddress: (address) => this.flushAddress(address),
      loadRoot: (frame) => this.loadRoot(frame),
      setSegmentBase: (segment, base) => this.setSegmentBase(segment, base),
      setGdt: (frames) => this.own.setGuestGdt(frames),
      setLdt: (base, entries) => this.setLdt(base, entries),
      console: (text) => {
        for (const character of text)
          machine.serial.write(Serial16550.FIRST_PORT, 1, character.charCodeAt(0));
      },
      shutDown: (reason) => cpu.emit({ event: "exit", ...cpu.here(), status: reason & 0xff }),
      pinned: (table, level, pinned) => cpu.emit({ event: "pin", ...cpu.here(), pinned, table, level }),
      baseLoaded: (from, to, user) => cpu.emit({ event: "base-pointer", ...cpu.here(), from, to, user }),
      iret: () => this.traps.iret(),
    };
  }

  private flushTlb(): void {
    const { cpu } = this.machine;
    cpu.mmu.flushAll();
    cpu.leave = true;
    if (cpu.wants("tlb-flush"))
      cpu.emit({ event: "tlb-flush", ...cpu.here(), cause: "mmuext_op", global: true });
  }

  private flushAddress(address: bigint): void {
    const { cpu } = this.machine;
    const low = Number(BigInt.asIntN(32, address));
    cpu.mmu.flushAddress(cpu.mmu.pcid, low, Number(BigInt.asIntN(32, address >> 32n)), true);
    if (!cpu.wants("tlb-flush")) return;
    cpu.emit({ event: "tlb-flush", ...cpu.here(), cause: "mmuext_op", address, global: true });
  }

  private setSegmentBase(segment: "fs" | "gs" | "kernel-gs", base: bigint): void {
    const { cpu } = this.machine;
    if (!cpu.isCanonicalAddress(base))
      throw new Rejection("EINVAL", `0x${base.toString(16)} is not canonical`);
    if (segment === "kernel-gs") writeMsr(cpu, MSR_KERNEL_GS_BASE, base);
    else cpu.setPair(R_SEGMENT_BASE + 2 * (segment === "fs" ? FS : GS), base);
  }

  private setLdt(base: bigint, entries: number): void {
    const { cpu } = this.machine;
    if (entries === 0) {
      loadNull(cpu, LDTR, 0);
      return;
    }
    throw new Rejection("ENOSYS", `an LDT (${entries} entries at 0x${base.toString(16)}) is not supported`);
  }

  /** Whether an address can be read by the guest: for who looks at it from outside. */
  isMapped(address: bigint, write = false): boolean {
    return this.memory.machineOf(address, write ? ACCESS_WRITE : 0) !== undefined;
  }
}
