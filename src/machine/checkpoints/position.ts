/** Moments of a run. */
import type { Machine } from "../machine";

/**
 * A moment between two instructions. The instruction count alone does not name one: an exception is raised and
 * delivered without any instruction being retired.
 */
export interface Position {
  /** Instructions retired. */
  readonly instruction: number;
  /** Times that the CPU left the path of its instructions (see `Cpu.diversions`). */
  readonly diversions: number;
  /** An exception waits for its delivery. */
  readonly pending: boolean;
}

/** The moment at which a machine stands. */
export function positionOf({ cpu }: Machine): Position {
  return {
    instruction: cpu.retired,
    diversions: cpu.diversions,
    pending: cpu.pending !== undefined,
  };
}

/**
 * Below 0 where `a` is earlier than `b`, 0 where they are the same moment. Diversions come first: a software interrupt
 * that could not be delivered is one instruction less.
 */
export function comparePositions(a: Position, b: Position): number {
  if (a.diversions !== b.diversions) return a.diversions - b.diversions;
  if (a.pending !== b.pending) return a.pending ? -1 : 1;
  return a.instruction - b.instruction;
}
