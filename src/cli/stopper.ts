/** Tells when a run has come to where `--until` wants it. */

import { UsageError } from "../boot/boot";
import type { EventKind, MachineEvent } from "../machine/events";
import type { Machine } from "../machine/machine";
import type { Symbols } from "../symbols/symbols";
import { readLinear } from "../target/linear";
import { tryParseAddress } from "../target/values";
import type { Until } from "./until";

const RSP = 4;

export class Stopper {
  /** Whether the run stopped because of `--until`. */
  asked = false;
  /** Where the machine has to stop for it. */
  breakpoints: readonly bigint[];
  private seen = 0;
  /** RSP at the entry of the function of `return:`, once that was called. */
  private called: bigint | undefined;

  /** @throws UsageError where a symbol is not known */
  constructor(
    private readonly until: Until | undefined,
    private readonly machine: Machine,
    symbols: Symbols | undefined,
  ) {
    this.breakpoints = until === undefined || until.kind === "event" ? [] : entriesOf(until.place, symbols);
  }

  /** The kind of event that is waited for. */
  get event(): EventKind | undefined {
    return this.until?.kind === "event" ? this.until.event : undefined;
  }

  /** Whether the run is to stop after this event. */
  stopsAt(event: MachineEvent): boolean {
    const { until } = this;
    if (until?.kind !== "event" || until.event !== event.event) return false;
    this.seen++;
    this.asked = this.seen === until.count;
    return this.asked;
  }

  /** Whether the breakpoint at which the machine stands is where the run is to stop. */
  atBreakpoint(): boolean {
    const { cpu } = this.machine;
    if (!this.breakpoints.includes(cpu.rip)) return false;
    if (this.called !== undefined) this.asked = cpu.getRegister(RSP) > this.called;
    else if (this.until?.kind === "return") this.enter();
    else this.asked = true;
    return this.asked;
  }

  /** At the first instruction of a function: its return address is on top of the stack. */
  private enter(): void {
    const { machine } = this;
    const rsp = machine.cpu.getRegister(RSP);
    const back = readLinear(machine, rsp, machine.cpu.code64 ? 8 : 4);
    if (back === undefined) return;
    this.called = rsp;
    this.breakpoints = [back];
  }
}

/** Where a function is entered: as linked, and identity-mapped at its physical place for code that runs early. */
function entriesOf(place: string, symbols: Symbols | undefined): bigint[] {
  const address = resolvePlace(place, symbols);
  if (address === undefined) throw new UsageError(unknownSymbol(place, symbols));
  const physical = symbols?.physicalOf(address);
  return physical === undefined || BigInt(physical) === address ? [address] : [address, BigInt(physical)];
}

/** A symbol, a symbol with an offset (`name+0x10`), or an address. */
export function resolvePlace(place: string, symbols: Symbols | undefined): bigint | undefined {
  const address = symbols?.addressOf(place) ?? tryParseAddress(place);
  if (address !== undefined) return address;
  const sum = /^(.+)\+(0x[0-9a-f]+|\d+)$/i.exec(place);
  const base = sum === null ? undefined : symbols?.addressOf(sum[1]);
  return sum === null || base === undefined ? undefined : BigInt.asUintN(64, base + BigInt(sum[2]));
}

export function unknownSymbol(name: string, symbols: Symbols | undefined): string {
  return symbols === undefined
    ? `"${name}" cannot be found: the image has no symbols, so give an address`
    : `the image has no symbol "${name}"`;
}
