/** The boot program early-fault on a machine. */
import { Guest, type GuestOptions, PAGE_OFFSET } from "./bootProgram";

export * from "./bootProgram";

export class EarlyFault extends Guest {
  constructor(settings: Record<string, string> = {}, options: GuestOptions = {}) {
    super("early-fault", settings, options);
  }

  /** Reads a word of physical memory as the guest does, through the direct map; undefined where it cannot. */
  probe(physical: number): bigint | undefined {
    const place = this.linear("early_stack_top") - 4096n;
    const ok = this.call("probe_kernel_address", PAGE_OFFSET + BigInt(physical), place);
    return BigInt.asUintN(32, ok) === 0n ? undefined : this.machine.memory.read64(this.physicalOf(place));
  }

  /** Page `n` of the pool: its physical address. */
  pool(n: number): number {
    return this.physicalOf("early_dynamic_pgts") + n * 4096;
  }
}
