/**
 * Instructions that a guest may not execute and that the hypervisor carries out for it: control registers, MSRs,
 * CPUID behind its prefix, and writes to L1 tables (Xen: emul-priv-op, ptwr).
 */
import { Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import type { Cpu } from "../machine/cpu/cpu";
import { cpuid } from "../machine/cpu/cpuid";
import { CpuFault, Unimplemented } from "../machine/cpu/fault";
import { readMsr, writeMsr } from "../machine/cpu/msr";
import { RAX, RBX, RCX, RDX } from "../machine/cpu/registers";
import type { GuestAbi } from "./abi";
import type { GuestMemory } from "./guestMemory";
import type { PageTypes } from "./pageTypes";
import type { Vcpu } from "./vcpu";

const LONGEST_INSTRUCTION = 15;
/** ud2; "xen": before a CPUID that the hypervisor is to answer. */
const CPUID_PREFIX = [0x0f, 0x0b, 0x78, 0x65, 0x6e];
const CPUID_BYTES = [0x0f, 0xa2];
const CR0_TS = 8n;
/** What a guest cannot use, of leaf 1: VME PSE PGE MCE MCA PSE36 MTRR; MONITOR and VMX. */
const HIDDEN_EDX = (1 << 1) | (1 << 3) | (1 << 7) | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 17);
const HIDDEN_ECX = (1 << 3) | (1 << 5);
const HYPERVISOR_PRESENT = 1 << 31;
const XEN_LEAF = 0x40000000;

export class Emulation {
  constructor(
    private readonly cpu: Cpu,
    private readonly abi: GuestAbi,
    private readonly vcpu: Vcpu,
    private readonly memory: GuestMemory,
    private readonly pages: PageTypes,
  ) {}

  /** #UD: CPUID behind its prefix. Whether it was that. */
  prefixedCpuid(): boolean {
    const { cpu } = this;
    const bytes = this.codeAt(cpu.rip);
    if (![...CPUID_PREFIX, ...CPUID_BYTES].every((byte, index) => bytes[index] === byte)) return false;
    this.cpuid();
    this.skip(CPUID_PREFIX.length + CPUID_BYTES.length);
    return true;
  }

  /** #GP: a privileged instruction that is carried out. Whether it was one. */
  privileged(): boolean {
    return this.decoded((instruction) => {
      const emulated = this.emulate(instruction);
      if (emulated) this.skip(instruction.length);
      return emulated;
    });
  }

  /**
   * #PF: a write to an L1 table, carried out as if by mmu_update. Alignment and the frame have been looked at.
   * @param entry machine address of what is written
   * @throws Rejection where an entry breaks a rule, Unimplemented for instructions that are not known here
   */
  tableWrite(entry: number): { low: number; high: number } {
    return this.decoded((instruction) => {
      const { cpu } = this;
      const size = this.writtenBytes(instruction);
      if (size === undefined || instruction.op0Kind !== OpKind.Memory) {
        throw new Unimplemented(
          "this instruction writes to a page table, and the hypervisor emulates only MOV and XCHG",
        );
      }
      const base = entry - (entry % 8);
      const old = cpu.memory.read64(base);
      const shift = BigInt(8 * (entry % 8));
      const mask = (size === 8 ? (1n << 64n) - 1n : 0xffffffffn) << shift;
      const next = (old & ~mask) | ((this.source(instruction, size) << shift) & mask);
      const low = Number(BigInt.asIntN(32, next));
      const high = Number(BigInt.asIntN(32, next >> 32n));
      this.pages.update(base, low, high, false);
      if (instruction.mnemonic === Mnemonic.Xchg) {
        const was = BigInt.asUintN(8 * size, old >> shift);
        cpu.setRegister(registerNumber(instruction.op1Register), was);
      }
      this.skip(instruction.length);
      return { low, high };
    });
  }

  private writtenBytes(instruction: Instruction): 4 | 8 | undefined {
    if (instruction.mnemonic !== Mnemonic.Mov && instruction.mnemonic !== Mnemonic.Xchg) return undefined;
    if (instruction.op1Kind === OpKind.Register) {
      const register = instruction.op1Register;
      if (register >= Register.RAX && register <= Register.R15) return 8;
      return register >= Register.EAX && register <= Register.R15D ? 4 : undefined;
    }
    if (instruction.op1Kind === OpKind.Immediate32to64) return 8;
    return instruction.op1Kind === OpKind.Immediate32 ? 4 : undefined;
  }

  private source(instruction: Instruction, size: 4 | 8): bigint {
    const value =
      instruction.op1Kind === OpKind.Register
        ? this.cpu.getRegister(registerNumber(instruction.op1Register))
        : instruction.immediate(1);
    return BigInt.asUintN(8 * size, value);
  }

  private emulate(instruction: Instruction): boolean {
    const { cpu } = this;
    switch (instruction.mnemonic) {
      case Mnemonic.Clts:
        this.vcpu.taskSwitched = false;
        return true;
      case Mnemonic.Wbinvd:
        return true;
      case Mnemonic.Mov:
        return this.controlMove(instruction);
      case Mnemonic.Rdmsr: {
        const value = readMsr(cpu, cpu.r[2 * RCX] >>> 0);
        cpu.setRegister(RAX, value & 0xffffffffn);
        cpu.setRegister(RDX, value >> 32n);
        return true;
      }
      case Mnemonic.Wrmsr:
        writeMsr(
          cpu,
          cpu.r[2 * RCX] >>> 0,
          ((cpu.getRegister(RDX) & 0xffffffffn) << 32n) | (cpu.getRegister(RAX) & 0xffffffffn),
        );
        return true;
      default:
        return false;
    }
  }

  /** MOV from and to control registers: as the guest sees them. */
  private controlMove(instruction: Instruction): boolean {
    const { cpu, vcpu } = this;
    const reads = instruction.op1Register >= Register.CR0 && instruction.op1Register <= Register.CR15;
    if (reads) {
      const value = this.controlRegister(instruction.op1Register);
      if (value === undefined) return false;
      cpu.setRegister(registerNumber(instruction.op0Register), value);
      return true;
    }
    const value = cpu.getRegister(registerNumber(instruction.op1Register));
    if (instruction.op0Register === Register.CR0) {
      if ((value ^ BigInt(cpu.cr0)) & ~CR0_TS) return false;
      vcpu.taskSwitched = (value & CR0_TS) !== 0n;
      return true;
    }
    // CR4 is the hypervisor's: what the guest wants of it is taken note of by nobody, as in Xen.
    return instruction.op0Register === Register.CR4;
  }

  private controlRegister(register: Register): bigint | undefined {
    const { cpu, vcpu } = this;
    switch (register) {
      case Register.CR0:
        return BigInt(cpu.cr0 >>> 0) | (vcpu.taskSwitched ? CR0_TS : 0n);
      case Register.CR2:
        return vcpu.cr2;
      case Register.CR3:
        return BigInt(vcpu.kernelRoot) * 4096n;
      case Register.CR4:
        return BigInt(cpu.cr4 >>> 0);
      default:
        return undefined;
    }
  }

  private cpuid(): void {
    const { cpu } = this;
    const leaf = cpu.r[2 * RAX] >>> 0;
    const answer = this.answerOf(leaf, cpu.r[2 * RCX] >>> 0);
    if (leaf === 1) {
      answer[3] &= ~HIDDEN_EDX;
      answer[2] = (answer[2] & ~HIDDEN_ECX) | HYPERVISOR_PRESENT;
    }
    [RAX, RBX, RCX, RDX].forEach((register, index) => {
      cpu.setRegister(register, BigInt(answer[index] >>> 0));
    });
  }

  private answerOf(leaf: number, subleaf: number): number[] {
    if (leaf === XEN_LEAF) return [XEN_LEAF + 2, 0x566e6558, 0x65584d4d, 0x4d4d566e];
    if (leaf === XEN_LEAF + 1) return [(4 << 16) | 17, 0, 0, 0];
    if (leaf === XEN_LEAF + 2) return [1, 0x40000000, 0, 0];
    const out = new Int32Array(4);
    cpuid(this.cpu.model, leaf, subleaf, { osxsave: false, ospke: false }, out);
    return [...out];
  }

  /** Decodes the instruction at RIP. */
  private decoded<T>(use: (instruction: Instruction) => T): T {
    const { cpu, abi } = this;
    const decoder = new Decoder(abi.bits, this.codeAt(cpu.rip), DecoderOptions.None);
    const instruction = new Instruction();
    try {
      decoder.ip = cpu.rip;
      decoder.decodeOut(instruction);
      return use(instruction);
    } finally {
      instruction.free();
      decoder.free();
    }
  }

  private codeAt(address: bigint): Uint8Array {
    const inPage = Math.min(LONGEST_INSTRUCTION, 4096 - Number(address & 0xfffn));
    const first = new Uint8Array(this.memory.read(address, inPage).buffer);
    if (inPage === LONGEST_INSTRUCTION) return first;
    try {
      const rest = this.memory.read(address + BigInt(inPage), LONGEST_INSTRUCTION - inPage);
      return Uint8Array.of(...first, ...new Uint8Array(rest.buffer));
    } catch {
      return first;
    }
  }

  private skip(length: number): void {
    const { cpu } = this;
    cpu.rip = BigInt.asUintN(this.abi.bits, cpu.rip + BigInt(length));
    cpu.retired += 1;
  }
}

function registerNumber(register: Register): number {
  if (register >= Register.RAX && register <= Register.R15) return register - Register.RAX;
  if (register >= Register.EAX && register <= Register.R15D) return register - Register.EAX;
  throw new CpuFault().set(13, 0, "this register is not one of an emulated instruction");
}
