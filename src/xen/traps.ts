/** How exceptions get into the guest, and how its handlers return (Xen: create_bounce_frame, do_iret). */
import type { Cpu } from "../machine/cpu/cpu";
import { BP, CpuFault, GP, Halted, NO_ERROR, OF_VECTOR, PAGE_FAULT, vectorName } from "../machine/cpu/fault";
import { CS, IF, IOPL, NT, RAX, RCX, RF, RSP, SS, TF, VM } from "../machine/cpu/registers";
import { takeFixed } from "../machine/cpu/segments";
import { ACCESS_USER } from "../paging/state";
import type { GuestAbi } from "./abi";
import type { GuestMemory } from "./guestMemory";
import type { TrapHandler, Vcpu } from "./vcpu";

const R11 = 11;
/** VGCF_in_syscall: RCX and R11 are not restored. */
const IN_SYSCALL = 0x100;
const ERROR_USER = 4;
/** An error code's selector index is that of a gate. */
const FROM_IDT = 2;
/** evtchn_upcall_mask in a vcpu_info. */
const UPCALL_MASK = 1;
const FLAT = 0xffffffff;

export class Traps {
  constructor(
    private readonly cpu: Cpu,
    private readonly abi: GuestAbi,
    private readonly vcpu: Vcpu,
    private readonly memory: GuestMemory,
    /** Loads the root of a mode of a 64-bit guest. */
    private readonly loadRoot: (root: number) => void,
  ) {}

  /** Enters the guest's handler of an exception. @throws Halted where it has none, or no stack for it */
  deliver(fault: CpuFault): void {
    const { vcpu, abi, cpu } = this;
    const handler = vcpu.traps.get(fault.vector);
    if (fault.software && !this.mayInterrupt(fault.vector, handler)) {
      cpu.undoSoftwareInterrupt(fault);
      this.deliver(
        new CpuFault().set(GP, 8 * fault.vector + FROM_IDT, "the guest has no gate for this ring"),
      );
      return;
    }
    if (handler === undefined) {
      throw new Halted(
        `the domain has no handler for ${vectorName(fault.vector)}, and crashes: ${fault.describe()}`,
      );
    }
    const fromKernel = this.inKernel;
    let { error } = fault;
    if (fault.vector === PAGE_FAULT && !fault.software) {
      this.storeCr2(cpu.cr2);
      error = fromKernel ? error & ~ERROR_USER : error | ERROR_USER;
    }
    if (abi.bits === 64) this.enter64(handler, error, fromKernel);
    else this.enter32(handler, error, fromKernel);
    if (handler.masksEvents) this.setMask(true);
  }

  private get inKernel(): boolean {
    return this.abi.bits === 64 ? this.vcpu.inKernel : this.cpu.cpl === this.abi.ring;
  }

  /** INT n: what the handler's entry allows. INT3 and INTO are for everybody. */
  private mayInterrupt(vector: number, handler: TrapHandler | undefined): boolean {
    if (vector === BP || vector === OF_VECTOR) return true;
    return handler !== undefined && handler.dpl >= (this.inKernel ? 1 : 3);
  }

  /** Enters the guest's kernel at an address, as a system call of its user mode does. */
  systemCall(address: bigint): void {
    const { cpu } = this;
    cpu.setRegister(RCX, cpu.rip);
    cpu.setRegister(R11, BigInt(cpu.rflags));
    this.enter64({ cs: this.abi.kernelCs, address, masksEvents: false, dpl: 3 }, NO_ERROR, false);
  }

  /** The iret hypercall. @throws Rejection where the frame cannot be read */
  iret(): void {
    if (this.abi.bits === 64) this.iret64();
    else this.iret32();
    this.cpu.interruptReturned();
  }

  private enter64(handler: TrapHandler, error: number, fromKernel: boolean): void {
    const { cpu, vcpu, abi } = this;
    const frame = [BigInt(cpu.selectors[SS]), cpu.getRegister(RSP), this.savedFlags()];
    const cs = BigInt(fromKernel ? cpu.selectors[CS] & ~3 : cpu.selectors[CS]);
    frame.push(cs | (this.mask() << 32n), cpu.rip);
    if (error !== NO_ERROR) frame.push(BigInt(error >>> 0));
    frame.push(cpu.getRegister(R11), cpu.getRegister(RCX));
    if (!fromKernel) {
      vcpu.inKernel = true;
      this.loadRoot(vcpu.kernelRoot);
    }
    let sp = (fromKernel ? cpu.getRegister(RSP) : vcpu.kernelSp) & ~15n;
    for (const value of frame) {
      sp = BigInt.asUintN(64, sp - 8n);
      this.push(sp, 8, value);
    }
    cpu.setRegister(RSP, sp);
    takeFixed(cpu, CS, { selector: abi.kernelCs, base: 0n, limit: FLAT, attributes: 0xa0fb });
    takeFixed(cpu, SS, { selector: abi.kernelSs, base: 0n, limit: FLAT, attributes: 0xc0f3 });
    this.go(handler.address);
  }

  private enter32(handler: TrapHandler, error: number, fromKernel: boolean): void {
    const { cpu, vcpu, abi } = this;
    const frame: bigint[] = [];
    const cs = BigInt(cpu.selectors[CS]) | (this.mask() << 16n);
    let sp = cpu.getRegister(RSP);
    if (!fromKernel) {
      frame.push(BigInt(cpu.selectors[SS]), sp);
      sp = vcpu.kernelSp;
      takeFixed(cpu, SS, { selector: vcpu.kernelSs, base: 0n, limit: FLAT, attributes: 0xc0b3 });
    }
    frame.push(this.savedFlags(), cs, cpu.rip);
    if (error !== NO_ERROR) frame.push(BigInt(error >>> 0));
    cpu.setCpl(abi.ring);
    for (const value of frame) {
      sp = BigInt.asUintN(32, sp - 4n);
      this.push(sp, 4, value);
    }
    cpu.setRegister(RSP, sp);
    takeFixed(cpu, CS, { selector: handler.cs | abi.ring, base: 0n, limit: FLAT, attributes: 0xc0bb });
    this.go(handler.address);
  }

  private go(address: bigint): void {
    const { cpu } = this;
    cpu.setRflags(cpu.rflags & ~(TF | NT | RF | VM));
    cpu.updateMode();
    cpu.rip = address;
    cpu.leave = true;
  }

  private push(address: bigint, size: 4 | 8, value: bigint): void {
    const { cpu } = this;
    const access = this.abi.ring === 3 ? ACCESS_USER : 0;
    const halves = (of: bigint) => [Number(BigInt.asIntN(32, of)), Number(BigInt.asIntN(32, of >> 32n))];
    const [low, high] = halves(address);
    const [valueLow, valueHigh] = halves(value);
    try {
      cpu.mmu.storeAs(access, low, high, size, valueLow, valueHigh);
    } catch (thrown) {
      if (!(thrown instanceof CpuFault)) throw thrown;
      throw new Halted(
        `the domain's kernel stack cannot take an exception, and it crashes: ${thrown.describe()}`,
      );
    }
  }

  private iret64(): void {
    const { cpu, vcpu, memory, abi } = this;
    const sp = cpu.getRegister(RSP);
    const frame = memory.read(sp, 72);
    const word = (index: number) => frame.getBigUint64(8 * index, true);
    const [rax, r11, rcx, flags, rip, cs, rflags, rsp, ss] = Array.from({ length: 9 }, (_, i) => word(i));
    cpu.setRegister(RAX, rax);
    if ((flags & BigInt(IN_SYSCALL)) === 0n) {
      cpu.setRegister(R11, r11);
      cpu.setRegister(RCX, rcx);
    }
    if ((cs & 3n) === 3n && vcpu.inKernel && vcpu.userRoot >= 0) {
      vcpu.inKernel = false;
      this.loadRoot(vcpu.userRoot);
    }
    takeFixed(cpu, CS, { selector: Number(cs & 0xffffn) | 3, base: 0n, limit: FLAT, attributes: 0xa0fb });
    takeFixed(cpu, SS, { selector: Number(ss & 0xffffn) | 3, base: 0n, limit: FLAT, attributes: 0xc0f3 });
    this.setMask((rflags & BigInt(IF)) === 0n);
    cpu.setRegister(RSP, rsp);
    this.resume(Number(rflags & 0xffffffffn), rip);
    cpu.setCpl(abi.ring);
  }

  private iret32(): void {
    const { cpu, memory, abi } = this;
    const sp = cpu.getRegister(RSP);
    const frame = memory.read(sp, 16);
    const word = (index: number) => frame.getUint32(4 * index, true);
    const cs = word(2) & 0xffff;
    const flags = word(3);
    let next = sp + 16n;
    cpu.setRegister(RAX, BigInt(word(0)));
    const ring = Math.max(abi.ring, cs & 3);
    if (ring > abi.ring) {
      const outer = memory.read(next, 8);
      next = BigInt(outer.getUint32(0, true));
      const selector = outer.getUint32(4, true) & 0xffff;
      takeFixed(cpu, SS, { selector, base: 0n, limit: FLAT, attributes: 0xc0f3 });
    }
    const attributes = ring === 3 ? 0xc0fb : 0xc0bb;
    takeFixed(cpu, CS, { selector: (cs & ~3) | ring, base: 0n, limit: FLAT, attributes });
    cpu.setCpl(ring);
    this.setMask((flags & IF) === 0);
    cpu.setRegister(RSP, next);
    this.resume(flags, BigInt(word(1)));
  }

  private resume(flags: number, rip: bigint): void {
    const { cpu } = this;
    // With an I/O privilege level of its own a guest could mask the machine's interrupts.
    cpu.setRflags((flags & ~(VM | NT | IOPL)) | IF);
    cpu.updateMode();
    cpu.rip = rip;
    cpu.leave = true;
  }

  /** RFLAGS as a handler finds them: IF tells whether events were let through. */
  private savedFlags(): bigint {
    return BigInt((this.cpu.rflags & ~IF) | (this.mask() === 0n ? IF : 0));
  }

  private mask(): bigint {
    return BigInt(this.cpu.memory.read8(this.vcpu.info + UPCALL_MASK) & 1);
  }

  private setMask(masked: boolean): void {
    this.cpu.mmu.writePhysical(this.vcpu.info + UPCALL_MASK, 1, masked ? 1 : 0, 0);
  }

  private storeCr2(address: bigint): void {
    const { vcpu, cpu, abi } = this;
    vcpu.cr2 = address;
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    cpu.mmu.writePhysical(vcpu.info + abi.vcpuCr2, abi.word, low, high);
  }
}
