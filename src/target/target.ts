/**
 * What a debugger debugs: a machine at or behind the entry of a booted image, with the image's symbols. Looking at a
 * target changes nothing: no accessed bit is set, nothing is cached, nothing faults.
 */
import type { Boot } from "../boot/boot";
import type { Machine } from "../machine/machine";
import type { PagingState } from "../paging/state";
import type { Symbols } from "../symbols/symbols";
import type { Xen } from "../xen/hypervisor";
import { type Observed, physicalOf } from "./linear";
import { Places } from "./places";
import { type RegisterDescription, writeRegister } from "./registers";

const PAGE = 4096;

export class Target implements Observed {
  readonly places: Places;
  /** Makes each change of the user's; whoever keeps the history makes it again when the run is made again. */
  edit: (change: () => void) => void = (change) => change();

  constructor(
    readonly machine: Machine,
    readonly symbols: Symbols,
    readonly boot: Boot,
    /** What was booted how, in words. */
    readonly details: string,
    /** The hypervisor below the guest, where the guest is a paravirtual domain. */
    readonly xen?: Xen,
  ) {
    this.places = new Places(symbols);
    machine.nameOfPhysical = (physical) => this.places.physical(physical);
  }

  /** The paging state now. */
  get pagingState(): PagingState {
    return this.machine.pagingState;
  }

  /** Physical memory, for walks. Write through `writePhysical`. */
  get memory() {
    return this.machine.memory;
  }

  /** The physical address of a linear one as the tables have it (the TLB may differ); undefined where unmapped. */
  physicalOf(linear: bigint): number | undefined {
    return physicalOf(this, linear);
  }

  /**
   * Linear memory from an address on: all of `length` bytes, or fewer where what follows is not mapped; empty where
   * the address itself is not.
   */
  readLinear(linear: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const done = this.forEachPage(linear, length, (physical, at, count) => {
      bytes.set(this.machine.memory.readBytes(physical, count), at);
    });
    return done === length ? bytes : bytes.subarray(0, done);
  }

  /** The same, but undefined unless all of it is mapped. */
  readExactly(linear: bigint, length: number): Uint8Array | undefined {
    const bytes = this.readLinear(linear, length);
    return bytes.length === length ? bytes : undefined;
  }

  /**
   * Writes linear memory as a debugger does: rights are not asked for. What was translated or cached from it is
   * forgotten.
   * @returns bytes written: fewer where what follows is not mapped
   * @throws MemoryExhaustedError
   */
  writeLinear(linear: bigint, bytes: Uint8Array): number {
    return this.forEachPage(linear, bytes.length, (physical, at, count) => {
      this.writePhysical(physical, bytes.slice(at, at + count));
    });
  }

  /** Writes physical memory as a debugger does. @throws MemoryExhaustedError */
  writePhysical(physical: number, bytes: Uint8Array): void {
    this.edit(() => this.machine.writePhysical(physical, bytes));
  }

  /** Changes a register by the CPU's rules. @throws RegisterError */
  writeRegister(register: RegisterDescription, value: bigint): void {
    this.edit(() => writeRegister(this.machine.cpu, register, value));
  }

  private forEachPage(
    linear: bigint,
    length: number,
    visit: (physical: number, at: number, count: number) => void,
  ): number {
    for (let done = 0; done < length; ) {
      const address = BigInt.asUintN(64, linear + BigInt(done));
      const physical = this.physicalOf(address);
      if (physical === undefined) return done;
      const count = Math.min(length - done, PAGE - (physical % PAGE));
      visit(physical, done, count);
      done += count;
    }
    return length;
  }
}
