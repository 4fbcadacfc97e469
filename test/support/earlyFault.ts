/** The boot program early-fault on a machine, with what a test wants to know of it. */
import { BootedProgram, type MachineOptions } from "./bootProgram";

export const PAGE_OFFSET = 0xffff880000000000n;
export const KIB = 2 ** 10;
export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const TIB = 2 ** 40;

export type Table = bigint[];

/** A booted (not yet run) early-fault. */
export class EarlyFault extends BootedProgram {
  constructor(settings: Record<string, string> = {}, options: MachineOptions = {}) {
    super("early-fault", settings, options);
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

  /** Reads a word of physical memory as the guest does, through the direct map; undefined where it cannot. */
  probe(physical: number): bigint | undefined {
    const place = this.linear("early_stack_top") - 4096n;
    const ok = this.call("probe_kernel_address", PAGE_OFFSET + BigInt(physical), place);
    return BigInt.asUintN(32, ok) === 0n ? undefined : this.machine.memory.read64(this.physicalOf(place));
  }

  /** The 512 entries of a table. */
  table(place: string | number): Table {
    const physical = typeof place === "string" ? this.physicalOf(place) : place;
    return Array.from({ length: 512 }, (_, i) => this.machine.memory.read64(physical + 8 * i));
  }

  /** Page `n` of the pool: its physical address. */
  pool(n: number): number {
    return this.physicalOf("early_dynamic_pgts") + n * 4096;
  }
}

/** The entries that are not zero, by index. */
export function entriesOf(table: Table): Record<number, bigint> {
  return Object.fromEntries([...table.entries()].filter(([, entry]) => entry !== 0n));
}

/** Entries without their A and D flags, as software wrote them where it left those clear. */
export const ignoringUse = (entry: bigint): bigint => entry & ~0x60n;
