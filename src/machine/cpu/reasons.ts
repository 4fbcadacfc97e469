/** What a page fault and the use of a stale translation say for themselves. */
import { accessName, explainFault, hex16 } from "../../paging/explain";
import { join64 } from "../../paging/halves";
import { FAULT_NONE, type FaultCause, walkLinear } from "../../paging/walk";
import type { Cpu } from "./cpu";

/** Why an access faulted, by a walk of the tables as they are now. */
export function explainPageFault(
  c: Cpu,
  low: number,
  high: number,
  access: number,
  cause: FaultCause,
): string {
  const { paging, mmu, memory } = c;
  const found = walkLinear(paging, memory, low, high, access, mmu.check);
  if (found === cause) return explainFault(paging, mmu.check, low, high, access, namesOf(c));
  const now = found === FAULT_NONE ? "allow it" : "forbid it for another reason";
  const address = hex16(join64(low, high));
  return `${accessName(access)} ${address}: a cached translation forbids it, though the tables now ${now}`;
}

/** The two translations of a stale use, and how they differ; `mmu.check` holds the walk of the tables. */
export function describeStaleUse(
  c: Cpu,
  low: number,
  high: number,
  access: number,
  cached: number,
): { address: bigint; cached: number; tables?: number; reason: string } {
  const { check } = c.mmu;
  const address = join64(low, high);
  const held = `the TLB still gives 0x${cached.toString(16)}`;
  if (check.fault !== FAULT_NONE) {
    const reason = `${explainFault(c.paging, check, low, high, access, namesOf(c))}; ${held}`;
    return { address, cached, reason };
  }
  const tables = check.frame + (low & ((1 << check.pageShift) - 1) & ~0xfff);
  const how = tables === cached ? " with other rights or another page size" : "";
  const given = `the tables give 0x${tables.toString(16)}${how}`;
  return { address, cached, tables, reason: `${accessName(access)} ${hex16(address)}: ${given}; ${held}` };
}

function namesOf(c: Cpu): (physical: number) => string | undefined {
  return (physical) => c.surroundings.nameOf(physical);
}
