/** A bundled boot program on a machine, with what a test wants to know of it. */
import { readFileSync } from "node:fs";
import { type Boot, type BootOptions, bootProgram, programImage, requireProgram } from "../../src/boot/boot";
import { parseCpu } from "../../src/machine/cpu/model";
import type { MachineEvent } from "../../src/machine/events";
import { Machine } from "../../src/machine/machine";
import { PT_LOAD } from "../../src/symbols/elf";
import { Symbols } from "../../src/symbols/symbols";

export interface MachineOptions extends BootOptions {
  cpu?: string;
  tlb?: "max" | "off" | number;
}

/** A booted (not yet run) program. */
export class BootedProgram {
  readonly machine: Machine;
  readonly boot: Boot;
  readonly symbols: Symbols;
  readonly events: MachineEvent[] = [];

  constructor(name: string, settings: Record<string, string> = {}, options: MachineOptions = {}) {
    const program = requireProgram(name);
    const given = new Map(Object.entries(settings));
    const path = new URL(`../../guests/${programImage(program, given)}`, import.meta.url);
    const cpu = parseCpu(options.cpu ?? "max");
    this.boot = bootProgram(program, given, readFileSync(path), {
      maxPhysicalBits: cpu.maxPhysicalBits,
      vendor: cpu.vendor,
      ...options,
    });
    this.symbols = Symbols.fromElf(this.boot.image, { loadDelta: this.boot.loadDelta });
    this.machine = new Machine({
      ram: this.boot.ram,
      cpu,
      ...(options.tlb === undefined ? {} : { tlb: options.tlb }),
    });
    this.machine.nameOfPhysical = (physical) => this.symbols.nameOfPhysical(physical)?.name;
    this.boot.apply(this.machine.memory);
    this.machine.start(this.boot.start);
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
    return Number(address - virtualAddress + physicalAddress) + this.boot.loadDelta;
  }

  word(symbol: string): number {
    return this.machine.memory.read32(this.physicalOf(symbol));
  }
}
