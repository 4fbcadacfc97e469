/** A bundled boot program on a machine, with what a test wants to know of it. */
import { readFileSync } from "node:fs";
import { type Boot, type BootOptions, bootProgram, programImage, requireProgram } from "../../src/boot/boot";
import { parseCpu } from "../../src/machine/cpu/model";
import type { MachineEvent } from "../../src/machine/events";
import type { Machine } from "../../src/machine/machine";
import { PT_LOAD } from "../../src/symbols/elf";
import type { Symbols } from "../../src/symbols/symbols";
import { targetOf } from "../../src/target/launch";
import type { Xen } from "../../src/xen/hypervisor";

export const PAGE_OFFSET = 0xffff880000000000n;
export const KIB = 2 ** 10;
export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const TIB = 2 ** 40;

export type Table = bigint[];

export interface GuestOptions extends BootOptions {
  cpu?: string;
  tlb?: "max" | "off" | number;
}

/** A booted (not yet run) program. */
export class Guest {
  readonly machine: Machine;
  readonly boot: Boot;
  readonly symbols: Symbols;
  /** The hypervisor, where the program is a domain. */
  readonly xen: Xen | undefined;
  readonly events: MachineEvent[] = [];

  constructor(name: string, settings: Record<string, string> = {}, options: GuestOptions = {}) {
    const program = requireProgram(name);
    const given = new Map(Object.entries(settings));
    const path = new URL(`../../guests/${programImage(program, given)}`, import.meta.url);
    const cpu = parseCpu(options.cpu ?? "max");
    this.boot = bootProgram(program, given, readFileSync(path), {
      maxPhysicalBits: cpu.maxPhysicalBits,
      vendor: cpu.vendor,
      nx: cpu.features.nx,
      ...options,
    });
    const { machine, symbols, xen } = targetOf(this.boot, cpu, options.tlb ?? "max", name);
    this.machine = machine;
    this.symbols = symbols;
    this.xen = xen;
    this.listen(() => false);
  }

  /** Collects events, and stops after those that `stopAt` chooses. */
  private listen(stopAt: (event: MachineEvent) => boolean): void {
    this.machine.onEvent = (event) => {
      this.events.push(event);
      return stopAt(event);
    };
  }

  /** Runs to the end or a limit; the status of the guest's exit, or the kind of event that ended it, or "limit". */
  run(most = 50_000_000): number | string {
    const result = this.machine.run(most);
    if (result.reason !== "ended") return result.reason;
    return result.event.event === "exit" ? result.event.status : result.event.event;
  }

  /** Runs until an event is chosen. */
  runUntil(stopAt: (event: MachineEvent) => boolean, most = 50_000_000): MachineEvent {
    this.listen(stopAt);
    const result = this.machine.run(most);
    this.listen(() => false);
    if (result.reason !== "event" && result.reason !== "ended")
      throw new Error(`the run ended: ${result.reason}`);
    return result.event;
  }

  /** Runs to the first instruction of a function, at its linked address. */
  runTo(symbol: string): void {
    this.machine.setBreakpoints([this.linear(symbol)]);
    const result = this.machine.run(50_000_000, false);
    this.machine.setBreakpoints([]);
    if (result.reason !== "breakpoint") throw new Error(`${symbol} was not reached: ${result.reason}`);
  }

  /** Calls a function of the guest where it stands, with up to two arguments; gives RAX and comes back. */
  call(symbol: string, ...args: bigint[]): bigint {
    const { machine } = this;
    const { cpu } = machine;
    const saved = Array.from({ length: 16 }, (_, i) => cpu.getRegister(i));
    const [rip, rflags] = [cpu.rip, cpu.rflags];
    const sp = saved[4]! - 256n - ((saved[4]! - 256n) & 15n) - 8n;
    machine.memory.write64(this.physicalOf(sp), rip);
    cpu.setRegister(4, sp);
    [7, 6].forEach((register, i) => {
      cpu.setRegister(register, args[i] ?? 0n);
    });
    cpu.rip = this.linear(symbol);
    machine.setBreakpoints([rip]);
    const result = machine.run(50_000_000, false);
    machine.setBreakpoints([]);
    if (result.reason !== "breakpoint") throw new Error(`${symbol} did not return: ${result.reason}`);
    const value = cpu.getRegister(0);
    saved.forEach((register, i) => {
      cpu.setRegister(i, register);
    });
    cpu.rflags = rflags;
    return value;
  }

  count(kind: MachineEvent["event"]): number {
    return this.events.filter((event) => event.event === kind).length;
  }

  get serial(): string {
    return this.events.map((event) => (event.event === "serial" ? `${event.text}\n` : "")).join("");
  }

  /** Linear address of a symbol. */
  linear(symbol: string): bigint {
    const address = this.symbols.addressOf(symbol);
    if (address === undefined) throw new Error(`there is no symbol ${symbol}`);
    return address;
  }

  /** Where a symbol, or an address beside one, really is: all segments lie as far from where they are linked. */
  physicalOf(place: string | bigint): number {
    const { segments } = this.boot.image;
    const { virtualAddress, physicalAddress } = segments.find(({ type }) => type === PT_LOAD)!;
    const address = typeof place === "string" ? this.linear(place) : place;
    const physical = Number(address - virtualAddress + physicalAddress) + this.boot.loadDelta;
    if (this.xen === undefined) return physical;
    return this.xen.domain.frames.mfnOf(Math.floor(physical / 4096)) * 4096 + (physical % 4096);
  }

  /** The 512 entries of a table. */
  table(place: string | number): Table {
    const physical = typeof place === "string" ? this.physicalOf(place) : place;
    return Array.from({ length: 512 }, (_, i) => this.machine.memory.read64(physical + 8 * i));
  }

  word(symbol: string): number {
    return this.machine.memory.read32(this.physicalOf(symbol));
  }
}

/** The entries that are not zero, by index. */
export function entriesOf(table: Table): Record<number, bigint> {
  return Object.fromEntries([...table.entries()].filter(([, entry]) => entry !== 0n));
}

/** Entries without their A and D flags, as software wrote them where it left those clear. */
export const ignoringUse = (entry: bigint): bigint => entry & ~0x60n;
