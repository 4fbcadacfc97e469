/** Linear memory as the tables have it, looked at from outside: nothing is set, cached or faulted. */
import { isCanonical } from "../paging/canonical";
import type { PagingState, TableMemory } from "../paging/state";
import { FAULT_NOT_PRESENT, FAULT_RESERVED, Walk, walkLinear } from "../paging/walk";

/** What a look needs of a machine. */
export interface Observed {
  readonly pagingState: PagingState;
  readonly memory: TableMemory & { read64(address: number): bigint };
}

/**
 * Walks an address (64 bit) into `walk`. Whether it is translated, whatever the rights say: false for addresses that
 * the mode does not have.
 */
export function translates({ pagingState, memory }: Observed, address: bigint, walk: Walk): boolean {
  const low = Number(BigInt.asIntN(32, address));
  const high = Number(BigInt.asIntN(32, address >> 32n));
  if (pagingState.levels >= 4 ? !isCanonical(low, high, pagingState.levels) : high !== 0) return false;
  const fault = walkLinear(pagingState, memory, low, high, 0, walk);
  return fault !== FAULT_NOT_PRESENT && fault !== FAULT_RESERVED;
}

/** The physical address of a linear one; undefined where the tables have none. */
export function physicalOf(machine: Observed, address: bigint): number | undefined {
  const walk = new Walk();
  if (!translates(machine, address, walk)) return undefined;
  return walk.frame + Number(address & ((1n << BigInt(walk.pageShift)) - 1n));
}

/** An aligned little-endian value of 4 or 8 bytes; undefined where it is not mapped. */
export function readLinear(machine: Observed, address: bigint, size: 4 | 8): bigint | undefined {
  const physical = physicalOf(machine, address);
  if (physical === undefined) return undefined;
  return size === 8 ? machine.memory.read64(physical) : BigInt(machine.memory.read32(physical) >>> 0);
}
