/** A paravirtual domain without a program: its hypercalls are made by the test, as if its kernel had made them. */
import { parseCpu } from "../../src/machine/cpu/model";
import type { MachineEvent } from "../../src/machine/events";
import { Machine } from "../../src/machine/machine";
import { HYPERCALL_VECTOR, NOTE } from "../../src/xen/abi";
import { buildDomain, type Domain, type DomainOptions, type PvImage } from "../../src/xen/domainBuilder";
import { Xen } from "../../src/xen/hypervisor";
import type { RawNote } from "../../src/xen/notes";

export const VIRT_BASE_64 = 0xffffffff80000000n;
export const VIRT_BASE_32 = 0xc0000000n;
export const KERNEL_PAGES = 16;
const RAX = 0;
const ARGUMENTS_64 = [7, 6, 2, 10, 8, 9];
const ARGUMENTS_32 = [3, 1, 2, 6, 7, 5];

/** A note whose description is a number of 8 bytes. */
export function numberNote(type: number, value: bigint): RawNote {
  const description = new Uint8Array(8);
  new DataView(description.buffer).setBigUint64(0, value, true);
  return { type, description };
}

export function textNote(type: number, text: string): RawNote {
  return { type, description: Uint8Array.from(`${text}\0`, (character) => character.charCodeAt(0)) };
}

/** The notes of a 64-bit kernel, with what a test wants otherwise. */
export function notes64(other: readonly RawNote[] = []): RawNote[] {
  return notesAt(VIRT_BASE_64, other);
}

function notesAt(virtBase: bigint, other: readonly RawNote[]): RawNote[] {
  const usual = [
    numberNote(NOTE.ENTRY, virtBase),
    numberNote(NOTE.VIRT_BASE, virtBase),
    numberNote(NOTE.HYPERCALL_PAGE, virtBase + 0x1000n),
  ];
  const types = new Set(other.map(({ type }) => type));
  return [...usual.filter(({ type }) => !types.has(type)), ...other];
}

/** A kernel of zeros. */
export function image64(other: readonly RawNote[] = []): PvImage {
  const bytes = new Uint8Array(KERNEL_PAGES * 4096);
  return {
    bits: 64,
    segments: [{ physical: 0n, bytes, memorySize: bytes.length }],
    notes: notes64(other),
  };
}

/** A 32-bit kernel of zeros, but for code at its entry. */
export function image32(other: readonly RawNote[] = [], code: readonly number[] = []): PvImage {
  const bytes = new Uint8Array(KERNEL_PAGES * 4096);
  bytes.set(code);
  return {
    bits: 32,
    segments: [{ physical: 0n, bytes, memorySize: bytes.length }],
    notes: notesAt(VIRT_BASE_32, other),
  };
}

export const OPTIONS: DomainOptions = {
  nrPages: 4096,
  cmdline: Uint8Array.of(0),
  order: "shuffled",
  p2mOutside: true,
  pages1G: true,
  nx: true,
  maxPhysicalBits: 46,
};

/** A domain in a machine, with its hypervisor. */
export class TestDomain {
  readonly domain: Domain;
  readonly machine: Machine;
  readonly xen: Xen;
  readonly events: MachineEvent[] = [];

  constructor({
    notes,
    image = image64(notes),
    cpu = "max",
    ptwr = true,
    ...options
  }: Partial<DomainOptions> & {
    notes?: readonly RawNote[];
    image?: PvImage;
    cpu?: string;
    ptwr?: boolean;
  } = {}) {
    this.domain = buildDomain(image, { ...OPTIONS, ...options });
    this.machine = new Machine({ ram: this.domain.ram, cpu: parseCpu(cpu) });
    this.domain.apply(this.machine.memory);
    this.xen = new Xen(this.machine, this.domain, { ptwr });
    this.machine.attach(this.xen);
    this.machine.start(this.domain.start);
    this.machine.onEvent = (event) => {
      this.events.push(event);
      return false;
    };
  }

  /** A hypercall's result. */
  call(number: number, ...args: (bigint | number)[]): number {
    const { cpu } = this.machine;
    const { bits } = this;
    cpu.setRegister(RAX, BigInt(number));
    (bits === 64 ? ARGUMENTS_64 : ARGUMENTS_32).forEach((register, index) => {
      cpu.setRegister(register, BigInt(args[index] ?? 0));
    });
    if (bits === 64) this.xen.systemCall();
    else this.xen.interrupt(HYPERCALL_VECTOR);
    return Number(BigInt.asIntN(bits, cpu.getRegister(RAX)));
  }

  private get bits(): 32 | 64 {
    return this.domain.abi.bits;
  }

  /** Why the last refused request was refused. */
  get refusal(): string {
    const last = this.events.filter((event) => event.event === "hypercall-rejected").at(-1);
    return last?.event === "hypercall-rejected" ? last.reason : "";
  }

  mfn(pfn: number): number {
    return this.domain.frames.mfnOf(pfn);
  }

  /** Where the guest reads and writes a frame of the initial mapping. */
  address(pfn: number): bigint {
    return this.domain.notes.virtBase + BigInt(pfn) * 4096n;
  }

  /** Puts words into the page that tests use for what hypercalls are given. */
  argument(...words: (bigint | number)[]): bigint {
    const page = this.mfn(8) * 4096;
    words.forEach((word, index) => {
      this.machine.memory.write64(page + 8 * index, BigInt(word));
    });
    return this.address(8);
  }

  entry(table: number, index: number): bigint {
    return this.machine.memory.read64(table * 4096 + 8 * index);
  }

  /** mmu_update of one entry. */
  update(table: number, index: number, value: bigint): number {
    return this.call(1, this.argument(BigInt(table * 4096 + 8 * index), value), 1, 0, 0x7ff0);
  }

  /** mmuext_op of one operation. */
  extended(command: number, mfn: number): number {
    const words = this.bits === 64 ? [command, mfn, 0] : [BigInt(command) | (BigInt(mfn) << 32n), 0];
    return this.call(26, this.argument(...words), 1, 0, 0x7ff0);
  }

  /** Makes the guest's mapping of a frame read-only, or writable again. */
  protect(pfn: number, writable = false): number {
    const flags = writable ? 0x63n : 0x61n;
    const value = (BigInt(this.mfn(pfn)) << 12n) | flags;
    const words = this.bits === 64 ? [value] : [value & 0xffffffffn, value >> 32n];
    return this.call(14, this.address(pfn), ...words, 2);
  }
}
