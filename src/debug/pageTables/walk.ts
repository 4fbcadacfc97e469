/** A page walk as an answer: each step in words. */
import { describeEntry } from "../../paging/entry";
import { explainWalk, type WalkStep } from "../../paging/explain";
import { ACCESS_FETCH, ACCESS_USER, ACCESS_WRITE } from "../../paging/state";
import type { Target } from "../../target/target";
import { hex64 } from "../../target/values";
import { toHex } from "../protocol/values";
import type { Access, WalkAnswer } from "../protocol/walk";
import { placeText } from "./names";

const ACCESS_BITS: Readonly<Record<Access, number>> = {
  read: 0,
  write: ACCESS_WRITE,
  fetch: ACCESS_FETCH,
  "user read": ACCESS_USER,
  "user write": ACCESS_USER | ACCESS_WRITE,
  "user fetch": ACCESS_USER | ACCESS_FETCH,
};

/** Walks an address as the tables are now; nothing is marked accessed. */
export function walkAnswer(target: Target, address: bigint, access: Access): WalkAnswer {
  const { pagingState, memory } = target;
  if (pagingState.levels === 0) {
    const physical = BigInt.asUintN(32, address);
    return {
      steps: [],
      outcome: `Paging is off: ${hex64(address)} is the physical address`,
      physical: toHex(physical),
    };
  }
  const { steps, outcome, physical } = explainWalk(
    pagingState,
    memory,
    address,
    ACCESS_BITS[access],
    (place) => target.places.physical(place),
  );
  return {
    steps: steps.map((step) => ({
      text: stepText(target, step),
      entry: toHex(step.entry),
      rights: rightsText(step),
    })),
    outcome,
    ...(physical === undefined ? {} : { physical: toHex(physical) }),
  };
}

function stepText(target: Target, { name, index, table, value, decoded }: WalkStep): string {
  const entry = describeEntry(decoded, (physical) => placeText(target, physical));
  return `${name} ${index} of ${placeText(target, table)}: ${hex64(value)}, ${entry}`;
}

/** "supervisor, read and write, execute" */
function rightsText({ writable, user, executable }: WalkStep): string {
  return [
    user ? "user" : "supervisor",
    writable ? "read and write" : "read only",
    executable ? "execute" : "no execute",
  ].join(", ");
}
