/** Who made entries differ: what is written between two moments is recorded while the run between them is made again. */
import type { History, Part, Work } from "../../machine/checkpoints/history";
import { comparePositions, type Position } from "../../machine/checkpoints/position";
import type { EventKind } from "../../machine/events";
import { entryAddressOf, type PathChange, type TreeStep } from "../../paging/compare";
import { entrySize } from "../../paging/layout";
import type { PagingState } from "../../paging/state";
import type { Debuggee } from "../debuggee";
import type { DeedKind } from "../protocol/compare";
import { listenTo, mayHaveEvent } from "../time/search";

export interface RecordedDeed {
  readonly how: DeedKind;
  /** Instructions retired before it. */
  readonly instruction: number;
  readonly rip: bigint;
}

/** A place whose change may be what made an entry differ: an entry's physical address, or the root. */
interface Suspect {
  readonly place: number | "root";
  readonly how: DeedKind;
}

const ROOT_EVENTS: ReadonlySet<EventKind> = new Set<EventKind>(["cr3-load", "paging-mode", "base-pointer"]);

/**
 * What made an entry differ, the likeliest first: a write of the entry; where its table is another one than before,
 * also what linked that, up to the root. An entry that is gone with its table was not written at all.
 */
export function suspectsOf(
  state: PagingState,
  change: Pick<PathChange, "step" | "index" | "kind">,
): Suspect[] {
  const suspects: Suspect[] = [];
  let { step, index } = change;
  let isGone = change.kind === "cleared";
  for (let how: DeedKind = "write"; ; how = "link") {
    const isSame = step.before === step.after;
    if (step.after !== undefined && (isSame || !isGone)) {
      const place = entryAddressOf(state, step.after, step.level, index);
      suspects.push(place === undefined ? { place: "root", how: "root" } : { place, how });
    }
    if (isSame) return suspects;
    if (step.above === undefined) return [...suspects, { place: "root", how: "root" }];
    isGone = step.after === undefined;
    ({ step, index } = step.above);
  }
}

/** The deeds between two moments, by the place that they changed. */
export class Deeds {
  private readonly found = new Map<number | "root", Omit<RecordedDeed, "how"> & { readonly user: boolean }>();

  constructor(
    private readonly state: PagingState,
    /** Places to watch, without the root. */
    private readonly places: ReadonlySet<number>,
  ) {}

  /** The places that tell who made some entries differ. */
  static of(state: PagingState, changes: Iterable<PathChange>): Deeds {
    const places = new Set<number>();
    for (const change of changes) {
      for (const { place } of suspectsOf(state, change)) if (place !== "root") places.add(place);
    }
    return new Deeds(state, places);
  }

  /** What made an entry differ; undefined where nothing that was recorded did. */
  who(change: Pick<PathChange, "step" | "index" | "kind">): RecordedDeed | undefined {
    for (const { place, how } of suspectsOf(this.state, change)) {
      const deed = this.found.get(place);
      if (deed !== undefined) return { ...deed, how: deed.user ? "user" : how };
    }
    return undefined;
  }

  /** What loaded the root. */
  get root(): RecordedDeed | undefined {
    const deed = this.found.get("root");
    return deed && { ...deed, how: deed.user ? "user" : "root" };
  }

  /**
   * Makes the run between two moments again, from the last part to the first, without the parts that tell nothing new.
   * The caller takes the machine's recorder off afterwards, also where this is given up on the way.
   */
  *record(debuggee: Debuggee, history: History, first: Position, second: Position): Work<void> {
    const { machine } = debuggee.target;
    const { cpu } = machine;
    let inPart = new Map<number | "root", Omit<RecordedDeed, "how"> & { readonly user: boolean }>();
    const note = (place: number | "root", user = false) => {
      const here = { instruction: cpu.now(), diversions: cpu.diversions, pending: false };
      if (comparePositions(here, first) < 0) return;
      const { instruction, rip } = user ? { instruction: machine.instructions, rip: cpu.rip } : cpu.here();
      inPart.set(place, { instruction, rip, user });
    };
    const settle = () => {
      for (const [place, deed] of inPart) if (!this.found.has(place)) this.found.set(place, deed);
      inPart = new Map();
    };
    listenTo(debuggee, ROOT_EVENTS, [], () => {
      note("root");
      return false;
    });
    machine.dataBreakpoints.recorder = ({ breakpoint }) => note(breakpoint.address);
    const mayHit = (part: Part): boolean => {
      settle();
      if (comparePositions(part.to, first) <= 0) return false;
      const length = entrySize(this.state.levels);
      const left = [...this.places].filter(
        (place) => !this.found.has(place) && part.mayHaveWritten(place, length),
      );
      machine.setDataBreakpoints(left.map((address) => ({ address, length })));
      const wantsRoot =
        !this.found.has("root") && [...ROOT_EVENTS].some((kind) => mayHaveEvent(debuggee, kind, part));
      return left.length > 0 || wantsRoot;
    };
    yield* history.lastBefore<never>(second, {
      mayHit,
      hit: () => undefined,
      edited: (make) => {
        const words = () => [...this.places].map((place) => machine.memory.read32(place));
        const [old, root] = [words(), machine.pagingState.root];
        make();
        const now = words();
        [...this.places].forEach((place, i) => {
          if (old[i] !== now[i]) note(place, true);
        });
        if (root !== machine.pagingState.root) note("root", true);
        return undefined;
      },
    });
    settle();
  }
}

/** The indexes that lead to an entry, from the root down. */
export function pathOf(step: TreeStep, index: number): number[] {
  return step.above === undefined ? [index] : [...pathOf(step.above.step, step.above.index), index];
}
