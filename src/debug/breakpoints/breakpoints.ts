/**
 * The user's breakpoints, as they were set, and as addresses. The machine is told of addresses only; whether an
 * arrival stops, conditions, hit counts and log messages decide.
 *
 * An address within the image is taken at its linked place and where it lies physically: until the guest has page
 * tables of its own, its code runs there.
 */
import type { Target } from "../../target/target";
import { HitCondition } from "./hitCondition";

/** What evaluates conditions and log messages at the present place. */
export interface BreakpointExpressions {
  /** Whether a condition holds. @throws an Error with a sentence where it cannot be evaluated */
  holds(condition: string): boolean;
  /** A log message with its {expressions} evaluated. */
  interpolate(message: string): string;
  /** Checks a condition's syntax. @throws an Error with a sentence */
  check(condition: string): void;
}

/** What a request asks for, apart from the place. */
export interface BreakpointWish {
  readonly condition?: string | undefined;
  readonly hitCondition?: string | undefined;
  readonly logMessage?: string | undefined;
}

export interface Breakpoint {
  readonly id: number;
  /** Linear; empty where the place has no code. */
  readonly addresses: readonly bigint[];
  readonly verified: boolean;
  /** Why it is not verified. */
  readonly message?: string;
  readonly line?: number;
}

interface Armed {
  breakpoint: Breakpoint;
  /** Finds the place in the present target. */
  readonly locate: () => Place;
  readonly wish: BreakpointWish;
  readonly hitCondition: HitCondition | undefined;
  hits: number;
}

/** Where a breakpoint is to be; or why it cannot be. */
export type Place =
  | { readonly addresses: readonly bigint[]; readonly line?: number }
  | { readonly problem: string };

export class Breakpoints {
  /** By what was set together: a source file, the functions, the instructions. */
  private readonly groups = new Map<string, readonly Armed[]>();
  private set: ReadonlySet<bigint> = new Set();
  private lastId = 0;

  constructor(
    private readonly target: () => Target,
    private readonly expressions: BreakpointExpressions,
    /** Shows the user a line of text. */
    private readonly say: (text: string) => void,
  ) {}

  /** Linear addresses at which the machine has to stop. */
  get addresses(): ReadonlySet<bigint> {
    return this.set;
  }

  /** Sets a group in place of what it was. */
  replace(group: string, wanted: readonly { locate: () => Place; wish: BreakpointWish }[]): Breakpoint[] {
    const armed = wanted.map(({ locate, wish }) => this.arm(locate, wish));
    if (armed.length === 0) this.groups.delete(group);
    else this.groups.set(group, armed);
    this.collect();
    return armed.map(({ breakpoint }) => breakpoint);
  }

  /** The target is another one: finds every place again, and counts hits from zero. @returns all breakpoints */
  retarget(): Breakpoint[] {
    const all = [...this.groups.values()].flat();
    for (const armed of all) {
      armed.breakpoint = this.breakpointAt(armed.breakpoint.id, armed.locate(), armed.wish);
      armed.hits = 0;
    }
    this.collect();
    return all.map(({ breakpoint }) => breakpoint);
  }

  /** The breakpoints at an address that are to stop now; undefined where none is. Counts the hit. */
  arrived(rip: bigint): number[] | undefined {
    const ids = [...this.groups.values()]
      .flat()
      .filter(({ breakpoint }) => this.everywhere(breakpoint).includes(rip))
      .filter((armed) => this.stops(armed))
      .map(({ breakpoint }) => breakpoint.id);
    return ids.length === 0 ? undefined : ids;
  }

  /**
   * The breakpoints at an address that would stop there; undefined where none would. For searches: nothing is counted
   * or said, and log points and hit counts do not matter.
   */
  wouldStop(rip: bigint): number[] | undefined {
    const ids = [...this.groups.values()]
      .flat()
      .filter(({ breakpoint }) => this.everywhere(breakpoint).includes(rip))
      .filter((armed) => this.matches(armed))
      .map(({ breakpoint }) => breakpoint.id);
    return ids.length === 0 ? undefined : ids;
  }

  /** Whether a hit would stop, in a search. */
  matches({ wish }: { readonly wish: BreakpointWish }): boolean {
    return !wish.logMessage && this.conditionHolds(wish.condition, () => {});
  }

  /** A number for a breakpoint that is kept elsewhere. */
  newId(): number {
    return ++this.lastId;
  }

  /** Whether a hit is to stop, by condition, count and log message. A condition that cannot be evaluated stops. */
  stops(armed: {
    readonly wish: BreakpointWish;
    readonly hitCondition: HitCondition | undefined;
    hits: number;
  }): boolean {
    const { wish, hitCondition } = armed;
    if (!this.conditionHolds(wish.condition)) return false;
    armed.hits++;
    if (hitCondition !== undefined && !hitCondition.holds(armed.hits)) return false;
    if (wish.logMessage === undefined || wish.logMessage === "") return true;
    this.say(this.expressions.interpolate(wish.logMessage));
    return false;
  }

  /** Why a wish cannot be fulfilled; undefined where it can. */
  problemOf({ condition, hitCondition }: BreakpointWish): string | undefined {
    if (hitCondition !== undefined && hitCondition !== "" && HitCondition.parse(hitCondition) === undefined) {
      return `the hit count "${hitCondition}" is none: write 5, >= 5, == 5 or % 5`;
    }
    if (condition === undefined || condition === "") return undefined;
    try {
      this.expressions.check(condition);
      return undefined;
    } catch (error) {
      return `the condition "${condition}" cannot be used: ${(error as Error).message}`;
    }
  }

  private conditionHolds(condition: string | undefined, say = this.say): boolean {
    if (condition === undefined || condition === "") return true;
    try {
      return this.expressions.holds(condition);
    } catch (error) {
      say(`The condition "${condition}" cannot be evaluated here: ${(error as Error).message}`);
      return true;
    }
  }

  private arm(locate: () => Place, wish: BreakpointWish): Armed {
    const hitCondition = wish.hitCondition === undefined ? undefined : HitCondition.parse(wish.hitCondition);
    return {
      breakpoint: this.breakpointAt(this.newId(), locate(), wish),
      locate,
      wish,
      hitCondition,
      hits: 0,
    };
  }

  private breakpointAt(id: number, place: Place, wish: BreakpointWish): Breakpoint {
    if ("problem" in place) return { id, addresses: [], verified: false, message: place.problem };
    const problem = this.problemOf(wish);
    if (problem !== undefined) return { id, addresses: [], verified: false, message: problem };
    return { id, verified: true, ...place };
  }

  private collect(): void {
    const all = [...this.groups.values()].flat();
    this.set = new Set(all.flatMap(({ breakpoint }) => this.everywhere(breakpoint)));
  }

  /** A breakpoint's addresses, as linked and identity-mapped. */
  private everywhere({ addresses }: Breakpoint): bigint[] {
    return addresses.flatMap((address) => {
      const physical = this.target().symbols.physicalOf(address);
      return physical === undefined || BigInt(physical) === address ? [address] : [address, BigInt(physical)];
    });
  }
}
