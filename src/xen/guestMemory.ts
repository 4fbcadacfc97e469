/** The guest's linear memory, as the hypervisor reads and writes it for its guest: with the guest's own rights. */
import type { Cpu } from "../machine/cpu/cpu";
import { ACCESS_USER, ACCESS_WRITE } from "../paging/state";
import { FAULT_NONE, Walk, walkLinear } from "../paging/walk";
import type { GuestAbi } from "./abi";
import { Rejection } from "./errors";

const PAGE = 4096;

export class GuestMemory {
  private readonly walk = new Walk();

  constructor(
    private readonly cpu: Cpu,
    private readonly abi: GuestAbi,
  ) {}

  /** The machine address of a linear one; undefined where the guest may not access it so. */
  machineOf(address: bigint, access: number): number | undefined {
    const { cpu, walk } = this;
    if (!cpu.isCanonicalNow(address) || (this.abi.bits === 32 && address >> 32n !== 0n)) return undefined;
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    const user = this.abi.ring === 3 ? ACCESS_USER : 0;
    const cause = walkLinear(cpu.paging, cpu.memory, low, high, access | user, walk);
    if (cause !== FAULT_NONE) return undefined;
    return walk.frame + (low & ((1 << walk.pageShift) - 1));
  }

  /** @throws Rejection (EFAULT) */
  read(address: bigint, length: number): DataView {
    const bytes = new Uint8Array(length);
    this.forEachPage(address, length, 0, (machine, done, count) => {
      bytes.set(this.cpu.memory.readBytes(machine, count), done);
    });
    return new DataView(bytes.buffer);
  }

  /** A word of the guest's size. @throws Rejection (EFAULT) */
  readWord(address: bigint): bigint {
    const view = this.read(address, this.abi.word);
    return this.abi.word === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
  }

  /** @throws Rejection (EFAULT) */
  write32(address: bigint, value: number): void {
    const machine = this.machineOf(address, ACCESS_WRITE);
    if (machine === undefined || machine % PAGE > PAGE - 4) throw unreachable(address, "written");
    this.cpu.mmu.writePhysical(machine, 4, value | 0, 0);
  }

  /** @throws Rejection (EFAULT) */
  writeWord(address: bigint, value: bigint): void {
    const machine = this.machineOf(address, ACCESS_WRITE);
    if (machine === undefined || machine % PAGE > PAGE - this.abi.word) throw unreachable(address, "written");
    const low = Number(BigInt.asIntN(32, value));
    this.cpu.mmu.writePhysical(machine, this.abi.word, low, Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** @throws Rejection (EFAULT) */
  writeBytes(address: bigint, bytes: Uint8Array): void {
    this.forEachPage(address, bytes.length, ACCESS_WRITE, (machine, done, count) => {
      for (let i = 0; i < count; i++) this.cpu.mmu.writePhysical(machine + i, 1, bytes[done + i], 0);
    });
  }

  private forEachPage(
    address: bigint,
    length: number,
    access: number,
    visit: (machine: number, done: number, count: number) => void,
  ): void {
    for (let done = 0; done < length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const machine = this.machineOf(at, access);
      if (machine === undefined) throw unreachable(at, access === 0 ? "read" : "written");
      const count = Math.min(length - done, PAGE - (machine % PAGE));
      visit(machine, done, count);
      done += count;
    }
  }
}

function unreachable(address: bigint, how: string): Rejection {
  return new Rejection("EFAULT", `0x${address.toString(16)} cannot be ${how} by the guest`);
}
