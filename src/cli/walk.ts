/** The walk of one address at the stop, step by step. */
import type { Machine } from "../machine/machine";
import { isCanonical } from "../paging/canonical";
import { pageSizeName } from "../paging/entry";
import { type ExplainedWalk, explainWalk, type WalkStep } from "../paging/explain";
import { FAULT_NONE } from "../paging/walk";
import type { Places } from "../target/places";
import { hex, hex64 } from "../target/values";

export interface WalkReport {
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: readonly string[];
}

/** @param address linear, 64 bit */
export function walkReport(machine: Machine, address: bigint, places: Places): WalkReport {
  const { pagingState, memory } = machine;
  const high = Number(BigInt.asIntN(32, address >> 32n));
  const { levels } = pagingState;
  if (levels >= 4 ? !isCanonical(0, high, levels) : high !== 0) return unreachable(address, levels);
  const walk = explainWalk(pagingState, memory, address, 0, (physical) => places.physical(physical));
  return { json: jsonOf(walk, places), text: textOf(walk, places) };
}

function unreachable(address: bigint, levels: number): WalkReport {
  const outcome = levels >= 4 ? "the address is not canonical" : "the address has more than 32 bits";
  return {
    json: { walk: hex(address), steps: [], outcome },
    text: [`Walk of ${hex64(address)}: ${outcome}`],
  };
}

function jsonOf(walk: ExplainedWalk, places: Places): Readonly<Record<string, unknown>> {
  const { physical, pageShift } = walk;
  return {
    walk: hex(walk.address),
    steps: walk.steps.map((step) => ({
      entry: step.name,
      index: step.index,
      table: hex(step.table),
      tableSymbol: places.physical(step.table),
      address: hex(step.entry),
      value: hex(step.value),
      flags: step.decoded.flags,
      present: step.decoded.present,
    })),
    ...(physical === undefined || pageShift === undefined
      ? {}
      : { physical: hex(physical), pageSize: pageSizeName(pageShift) }),
    outcome: walk.outcome,
  };
}

function textOf(walk: ExplainedWalk, places: Places): string[] {
  return [
    `Walk of ${hex64(walk.address)}${walk.steps.length === 0 ? " with paging off" : ""}`,
    ...walk.steps.map((step) => stepText(step, places)),
    `  ${walk.fault === FAULT_NONE ? `physical ${hex(walk.physical!)}` : walk.outcome}`,
  ];
}

function stepText({ name, index, table, value, decoded }: WalkStep, places: Places): string {
  const what = decoded.present
    ? `${decoded.kind === "page" ? `${decoded.pageSize} page` : "table"} ${places.table(decoded.address)} ${decoded.flags.join(" ")}`
    : "not present";
  return `  ${name.padEnd(5)} ${String(index).padStart(3)} of ${places.table(table)}: ${hex64(value)}  ${what}`;
}
