/** Two moments of the page tables compared: what differs, and who did it. Bounded, whatever the tables hold. */
import type { History, Work } from "../../machine/checkpoints/history";
import type { Position } from "../../machine/checkpoints/position";
import { compareTrees, copyTree, type PathChange, sameContents, type TreeImage } from "../../paging/compare";
import type { PagingState } from "../../paging/state";
import type { Debuggee } from "../debuggee";
import { COMPARED_KINDS, type ComparedKind } from "../protocol/compare";
import { Deeds } from "./deeds";

/** Tables that are copied of a moment at most: 64 MiB. */
const MOST_TABLES = 16_384;
/** Pairs of tables that are compared at most: tables may refer to each other in more ways than there are tables. */
const MOST_PAIRS = 65_536;
/** Changes that are kept at most; further ones are counted. */
const MOST_LISTED = 100_000;

/** A moment of a comparison. */
export interface ComparedMoment {
  readonly instruction: number;
  readonly rip: bigint;
  readonly state: PagingState;
}

/** What became of the root. */
export interface RootChange {
  readonly kind: ComparedKind;
}

export interface Comparison {
  readonly first: ComparedMoment;
  readonly second: ComparedMoment;
  readonly root: RootChange | undefined;
  readonly changes: readonly PathChange[];
  readonly counts: Readonly<Record<ComparedKind, number>>;
  readonly accessedOnly: number;
  readonly deeds: Deeds;
  readonly remarks: readonly string[];
}

interface Copied {
  readonly position: Position;
  readonly rip: bigint;
  readonly image: TreeImage;
}

/**
 * Compares two moments; the machine then stands somewhere in the history.
 * @param first, second instructions retired, or the moment itself; `first` is not the later one
 */
export function* compareMoments(
  debuggee: Debuggee,
  history: History,
  first: Position | number,
  second: Position | number,
): Work<Comparison> {
  const before = yield* copyAt(debuggee, history, first);
  const after = yield* copyAt(debuggee, history, second);
  const found = yield* differences(before.image, after.image);
  const deeds = Deeds.of(after.image.state, found.changes);
  if (found.changes.length > 0 || found.root !== undefined) {
    yield* deeds.record(debuggee, history, before.position, after.position);
  }
  const moment = ({ position, rip, image }: Copied): ComparedMoment => ({
    instruction: position.instruction,
    rip,
    state: image.state,
  });
  return { first: moment(before), second: moment(after), deeds, ...found };
}

function* copyAt(debuggee: Debuggee, history: History, moment: Position | number): Work<Copied> {
  yield* history.travel(moment);
  const { target } = debuggee;
  const copy = copyTree(target.pagingState, target.memory, MOST_TABLES);
  for (;;) {
    const step = copy.next();
    if (step.done === true) {
      return { position: history.position, rip: target.machine.cpu.rip, image: step.value };
    }
    yield { done: step.value, total: MOST_TABLES };
  }
}

function* differences(before: TreeImage, after: TreeImage) {
  const changes: PathChange[] = [];
  const counts: Record<ComparedKind, number> = { added: 0, changed: 0, cleared: 0, moved: 0 };
  const root = rootChange(before, after);
  if (root !== undefined) counts[root.kind]++;
  let [accessedOnly, pairs, gaveUp] = [0, 0, false];
  for (const found of compareTrees(before, after)) {
    if (found.kind === "accessed") accessedOnly++;
    else if (found.kind === "table") {
      if (++pairs > MOST_PAIRS) {
        gaveUp = true;
        break;
      }
      yield { done: pairs, total: Math.max(before.tables.size, after.tables.size) };
    } else {
      counts[found.kind]++;
      if (changes.length < MOST_LISTED) changes.push(found);
    }
  }
  const remarks: string[] = [];
  const all = COMPARED_KINDS.reduce((sum, kind) => sum + counts[kind], root === undefined ? 0 : -1);
  if (!before.complete || !after.complete) {
    remarks.push(`Only ${MOST_TABLES.toLocaleString("en")} table pages of each moment were compared.`);
  }
  if (gaveUp) remarks.push(`The comparison ended after ${MOST_PAIRS.toLocaleString("en")} pairs of tables.`);
  if (all > changes.length) {
    remarks.push(`The first ${MOST_LISTED.toLocaleString("en")} entries that differ are listed.`);
  }
  return { root, changes, counts, accessedOnly, remarks };
}

function rootChange(before: TreeImage, after: TreeImage): RootChange | undefined {
  const [old, now] = [before.state, after.state];
  if (old.levels === now.levels && (old.levels === 0 || old.root === now.root)) return undefined;
  if (old.levels === 0) return { kind: "added" };
  if (now.levels === 0) return { kind: "cleared" };
  const moved = old.levels === now.levels && sameContents(before, after, old.levels, old.root, now.root);
  return { kind: moved ? "moved" : "changed" };
}
