/**
 * Data breakpoints: on a variable, a linear or physical address, a page-table entry. What the machine watches is
 * physical; linear addresses are looked up again whenever the debuggee stops, since tables change.
 */
import type { DataBreakpoint, DataChange } from "../../machine/dataBreakpoints";
import type { Target } from "../../target/target";
import { toHex } from "../protocol/values";
import type { Breakpoint, Breakpoints, BreakpointWish } from "./breakpoints";
import { HitCondition } from "./hitCondition";

/** What is watched, as a data ID carries it. */
export interface Watched {
  readonly space: "linear" | "physical";
  readonly address: bigint;
  /** Bytes. */
  readonly length: number;
}

/** The breakpoints that a change is about. */
export interface DataHit {
  readonly ids: readonly number[];
  readonly labels: readonly string[];
}

/** Bytes of one data breakpoint at most. */
export const LONGEST_WATCH = 4096;

interface Armed extends Watched {
  readonly breakpoint: Breakpoint;
  readonly wish: BreakpointWish;
  readonly hitCondition: HitCondition | undefined;
  /** Set by the views, and not by the editor's list of breakpoints. */
  readonly label?: string;
  hits: number;
  resolved: readonly DataBreakpoint[];
}

/** "linear:0xffffffff81002000:8" */
export function dataIdOf({ space, address, length }: Watched): string {
  return `${space}:${toHex(address)}:${length}`;
}

/** @returns undefined where the text is no data ID of ours */
export function parseDataId(text: string): Watched | undefined {
  const match = /^(linear|physical):(0x[0-9a-f]{1,16}):(\d{1,4})$/.exec(text);
  if (match === null) return undefined;
  const length = Number(match[3]);
  if (length < 1 || length > LONGEST_WATCH) return undefined;
  return { space: match[1] as Watched["space"], address: BigInt(match[2]), length };
}

export class DataBreakpoints {
  /** The editor's, and those of the views by their data ID. */
  private editor: Armed[] = [];
  private readonly views = new Map<string, Armed>();

  constructor(
    private readonly target: () => Target,
    private readonly breakpoints: Breakpoints,
  ) {}

  /** Sets the editor's data breakpoints in place of those before. */
  set(
    wanted: readonly { dataId: string; accessType?: string | undefined; wish: BreakpointWish }[],
  ): Breakpoint[] {
    const armed = wanted.map(({ dataId, accessType, wish }) => this.arm(dataId, accessType, wish));
    this.editor = armed.flatMap((one) => ("address" in one ? [one] : []));
    this.resolve();
    return armed.map((one) => ("address" in one ? one.breakpoint : one));
  }

  /** Watches for a view. */
  watch(watched: Watched, label: string): void {
    const armed = this.arm(dataIdOf(watched), "write", {});
    if ("address" in armed) this.views.set(dataIdOf(watched), { ...armed, label });
    this.resolve();
  }

  unwatch(watched: Watched): void {
    this.views.delete(dataIdOf(watched));
    this.resolve();
  }

  /** What the views watch. */
  watches(): { watched: Watched; label: string }[] {
    return [...this.views.values()].map((armed) => ({ watched: armed, label: armed.label ?? "" }));
  }

  /** Looks up what linear addresses lead to now, and tells the machine. */
  resolve(): void {
    const all = [...this.editor, ...this.views.values()];
    for (const armed of all) armed.resolved = this.physical(armed);
    this.target().machine.setDataBreakpoints(this.ranges);
  }

  /** The breakpoints that a change is to stop for. Counts the hit. */
  stopsAt(change: DataChange): DataHit | undefined {
    return this.hitsOf(change, (armed) => this.breakpoints.stops(armed));
  }

  /** The same for searches: nothing is counted. */
  wouldStop(change: DataChange): DataHit | undefined {
    return this.hitsOf(change, (armed) => this.breakpoints.matches(armed));
  }

  /** The physical ranges that are watched now. */
  get ranges(): DataBreakpoint[] {
    return [...this.editor, ...this.views.values()].flatMap(({ resolved }) => resolved);
  }

  private hitsOf(change: DataChange, stops: (armed: Armed) => boolean): DataHit | undefined {
    const hit = [...this.editor, ...this.views.values()]
      .filter(({ resolved }) => resolved.some((range) => overlaps(range, change.breakpoint)))
      .filter(stops);
    if (hit.length === 0) return undefined;
    return {
      ids: hit.map(({ breakpoint }) => breakpoint.id),
      labels: hit.map((armed) => armed.label ?? dataIdOf(armed)),
    };
  }

  private arm(dataId: string, accessType: string | undefined, wish: BreakpointWish): Armed | Breakpoint {
    const id = this.breakpoints.newId();
    const watched = parseDataId(dataId);
    const problem =
      watched === undefined
        ? `"${dataId}" names no data to watch`
        : accessType !== undefined && accessType !== "write"
          ? "only changes can be watched, not reads"
          : this.breakpoints.problemOf(wish);
    if (watched === undefined || problem !== undefined) {
      return { id, addresses: [], verified: false, message: problem ?? "" };
    }
    const hitCondition = wish.hitCondition === undefined ? undefined : HitCondition.parse(wish.hitCondition);
    const breakpoint = { id, addresses: [], verified: true };
    return { ...watched, breakpoint, wish, hitCondition, hits: 0, resolved: [] };
  }

  /** The physical ranges of what is watched, page by page; an address of the image where nothing maps it yet. */
  private physical({ space, address, length }: Watched): DataBreakpoint[] {
    if (space === "physical") return [{ address: Number(address), length }];
    const ranges: DataBreakpoint[] = [];
    for (let done = 0; done < length; ) {
      const linear = BigInt.asUintN(64, address + BigInt(done));
      const count = Math.min(length - done, 4096 - Number(linear & 0xfffn));
      const physical = this.target().physicalOf(linear) ?? this.target().symbols.physicalOf(linear);
      if (physical !== undefined) ranges.push({ address: physical, length: count });
      done += count;
    }
    return ranges;
  }
}

function overlaps(a: DataBreakpoint, b: DataBreakpoint): boolean {
  return a.address < b.address + b.length && b.address < a.address + a.length;
}
