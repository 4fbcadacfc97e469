/**
 * A machine in 64-bit mode with an identity map of the first GiB, a GDT, a TSS and an IDT, for tests that run a few
 * instructions. Tables stand where the constants say.
 */
import type { CpuModel } from "../../src/machine/cpu/model";
import { parseCpu } from "../../src/machine/cpu/model";
import type { MachineEvent } from "../../src/machine/events";
import { Machine, type MachineConfig } from "../../src/machine/machine";
import {
  ATTRIBUTES_CODE64,
  ATTRIBUTES_DATA,
  ATTRIBUTES_TSS,
  type RegisterName,
  type SegmentState,
} from "../../src/machine/startState";

export const PML4 = 0x1000;
export const PDPT = 0x2000;
export const PD = 0x3000;
export const PT = 0x4000;
export const GDT = 0x5000;
export const IDT = 0x6000;
export const TSS = 0x7000;
/** Ring-0, IST and ring-3 stacks grow down from here. */
export const STACK0 = 0x20000;
export const STACK_IST = 0x28000;
export const STACK3 = 0x30000;
export const CODE = 0x100000;
/** Handlers: one `hlt` for each vector, 16 bytes apart, so that RIP tells the vector. */
export const HANDLERS = 0x200000;
export const DATA = 0x300000;

export const KERNEL_CS = 0x08;
export const KERNEL_DS = 0x10;
export const USER_CS32 = 0x1b;
export const USER_DS = 0x23;
export const USER_CS = 0x2b;
export const KERNEL_CS32 = 0x30;
export const TSS_SELECTOR = 0x38;

/** Entry flags. */
export const P = 1n;
export const RW = 2n;
export const US = 4n;
export const PS = 0x80n;
export const G = 0x100n;
export const XD = 1n << 63n;

const GDT_ENTRIES = [
  0n,
  0x00af9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cffb000000ffffn,
  0x00cff3000000ffffn,
  0x00affb000000ffffn,
  0x00cf9b000000ffffn,
];

export interface LongModeOptions {
  cpu?: string | CpuModel;
  tlb?: MachineConfig["tlb"];
  cpl?: 0 | 3;
  cr0?: number;
  cr4?: number;
  efer?: number;
  rflags?: number;
  registers?: Partial<Record<RegisterName, bigint>>;
  /** Run in the 32-bit code segment instead (compatibility mode). */
  code32?: boolean;
  ram?: MachineConfig["ram"];
}

/** PE, MP, ET, NE, WP, AM, PG. */
export const CR0 = 0x80050033;
/** PAE, PGE. */
export const CR4 = 0xa0;
/** SCE, LME, LMA, NXE. */
export const EFER = 0xd01;

function segment(selector: number, attributes: number): SegmentState {
  return { selector, base: 0n, limit: 0xffffffff, attributes };
}

/** A machine that is about to run `code` (bytes, or hexadecimal with spaces) at CODE. */
export function longMode(code: string | Uint8Array, options: LongModeOptions = {}): Machine {
  const cpu = typeof options.cpu === "object" ? options.cpu : parseCpu(options.cpu ?? "max");
  const machine = new Machine({
    ram: options.ram ?? [{ start: 0, end: 0x40000000 }],
    cpu,
    ...(options.tlb === undefined ? {} : { tlb: options.tlb }),
  });
  const { memory } = machine;
  memory.write64(PML4, BigInt(PDPT) | P | RW | US);
  memory.write64(PDPT, BigInt(PD) | P | RW | US);
  // The first 2 MiB in 4 KiB pages, the rest of the GiB in large ones.
  memory.write64(PD, BigInt(PT) | P | RW | US);
  for (let i = 0; i < 512; i++) memory.write64(PT + 8 * i, BigInt(i * 0x1000) | P | RW | US);
  for (let i = 1; i < 512; i++) memory.write64(PD + 8 * i, BigInt(i * 0x200000) | P | RW | US | PS);
  GDT_ENTRIES.forEach((entry, i) => {
    memory.write64(GDT + 8 * i, entry);
  });
  memory.write64(GDT + TSS_SELECTOR, tssDescriptor());
  for (let vector = 0; vector < 256; vector++)
    writeGate(machine, vector, HANDLERS + 16 * vector, { dpl: vector === 0x80 ? 3 : 0 });
  memory.fill(HANDLERS, 256 * 16, 0xf4);
  memory.write64(TSS + 4, BigInt(STACK0));
  memory.write64(TSS + 0x24, BigInt(STACK_IST));
  // The I/O permission bitmap lies beyond the limit: there is none.
  memory.write16(TSS + 0x66, 0x68);
  memory.writeBytes(CODE, typeof code === "string" ? hexBytes(code) : code);
  const user = options.cpl === 3;
  const ds = segment(user ? USER_DS : KERNEL_DS, user ? 0xc0f3 : ATTRIBUTES_DATA);
  const cs64 = segment(user ? USER_CS : KERNEL_CS, user ? 0xa0fb : ATTRIBUTES_CODE64);
  const cs32 = segment(user ? USER_CS32 : KERNEL_CS32, user ? 0xc0fb : 0xc09b);
  machine.start({
    rip: BigInt(CODE),
    rflags: options.rflags ?? 2,
    registers: { rsp: BigInt(user ? STACK3 : STACK0 - 0x1000), ...options.registers },
    cr0: options.cr0 ?? CR0,
    cr3: BigInt(PML4),
    cr4: options.cr4 ?? CR4,
    efer: options.efer ?? EFER,
    segments: { es: ds, cs: options.code32 ? cs32 : cs64, ss: ds, ds, fs: ds, gs: ds },
    tr: { selector: TSS_SELECTOR, base: BigInt(TSS), limit: 0x67, attributes: ATTRIBUTES_TSS },
    gdtr: { base: BigInt(GDT), limit: TSS_SELECTOR + 15 },
    idtr: { base: BigInt(IDT), limit: 0xfff },
  });
  return machine;
}

/** Descriptor of an available TSS at TSS. */
export function tssDescriptor(): bigint {
  return 0x67n | (BigInt(TSS) << 16n) | (0x89n << 40n);
}

/** Writes a 64-bit interrupt (or trap) gate. */
export function writeGate(
  machine: Machine,
  vector: number,
  target: number | bigint,
  options: { dpl?: number; ist?: number; type?: number; present?: boolean; selector?: number } = {},
): void {
  const offset = BigInt(target);
  const type =
    BigInt(options.type ?? 0xe) | (BigInt(options.dpl ?? 0) << 5n) | (options.present === false ? 0n : 0x80n);
  const low =
    (offset & 0xffffn) |
    (BigInt(options.selector ?? KERNEL_CS) << 16n) |
    (BigInt(options.ist ?? 0) << 32n) |
    (type << 40n) |
    (((offset >> 16n) & 0xffffn) << 48n);
  machine.memory.write64(IDT + 16 * vector, low);
  machine.memory.write64(IDT + 16 * vector + 8, offset >> 32n);
}

export function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(text.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16));
}

/** Runs until the machine ends or `most` instructions are done; returns all events. */
export function runToEnd(machine: Machine, most = 10_000): MachineEvent[] {
  const events: MachineEvent[] = [];
  machine.onEvent = (event) => {
    events.push(event);
    return false;
  };
  machine.run(most);
  return events;
}

/** The vector whose handler's HLT the machine halted at. */
export function haltedIn(machine: Machine): number {
  return (Number(machine.cpu.rip) - HANDLERS) >> 4;
}

/** Makes the first GiB accessible to user mode. */
export function mapForUser(machine: Machine): void {
  const { memory } = machine;
  for (const table of [PML4, PDPT]) memory.write64(table, memory.read64(table) | US);
  for (const table of [PD, PT]) {
    for (let i = 0; i < 512; i++) memory.write64(table + 8 * i, memory.read64(table + 8 * i) | US);
  }
}
