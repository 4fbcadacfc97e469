/** What a page fault came to map: the new translations around its address. */
import { decodeEntry } from "../paging/entry";
import { join64 } from "../paging/halves";
import { levelShift } from "../paging/layout";
import { Walk } from "../paging/walk";
import { type Observed, translates } from "../target/linear";

/** Translations that continue each other linearly and physically, with one page size and equal rights. */
export interface MappedRun {
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
  readonly physical: number;
  /** "4K", "2M", "4M" or "1G". */
  readonly pageSize: string;
  /** As in table rows, but for A and D. */
  readonly flags: readonly string[];
  readonly pages: number;
}

export interface Mapped {
  readonly address: bigint;
  /** undefined where still nothing is mapped at the address. */
  readonly run: MappedRun | undefined;
}

/** A half-open range of linear addresses. */
export interface Gap {
  readonly start: bigint;
  readonly end: bigint;
}

/** How far around an address a gap is looked for in each direction: missing entries, and bytes. */
const MOST_ENTRIES = 512;
const WIDEST_GAP = 4n << 30n;
/** Pages of a run that are looked at in each direction. */
const MOST_PAGES = 8192;

/** The range around a faulting address that is not translated; its page, where it is (a fault of rights). */
export function gapAround(machine: Observed, address: bigint): Gap {
  const walk = new Walk();
  const around = spanAt(machine, address, walk);
  if (around.mapped) return around;
  let { start, end } = around;
  for (let left = MOST_ENTRIES; left > 0 && address - start < WIDEST_GAP; left--) {
    const below = spanAt(machine, start - 1n, walk);
    if (below.mapped || below.start >= start) break;
    start = below.start;
  }
  for (let left = MOST_ENTRIES; left > 0 && end - address < WIDEST_GAP; left--) {
    const above = spanAt(machine, end, walk);
    if (above.mapped || above.end <= end) break;
    end = above.end;
  }
  return { start, end };
}

/** The page, or the range of the entry that is missing, at an address. */
function spanAt(machine: Observed, address: bigint, walk: Walk): Gap & { mapped: boolean } {
  if (address < 0n || address >> 64n !== 0n) return { start: address, end: address, mapped: false };
  const mapped = translates(machine, address, walk);
  if (!mapped && walk.stepCount === 0) return { start: address, end: address, mapped };
  const { levels } = machine.pagingState;
  const shift = mapped ? walk.pageShift : levelShift(levels, walk.levels[walk.stepCount - 1]);
  const start = (address >> BigInt(shift)) << BigInt(shift);
  return { start, end: start + (1n << BigInt(shift)), mapped };
}

/** What is mapped now at an address, as far as it lies in what was a gap. */
export function mappedIn(machine: Observed, address: bigint, gap: Gap): Mapped {
  const walk = new Walk();
  if (machine.pagingState.levels === 0 || !translates(machine, address, walk))
    return { address, run: undefined };
  const page = new Page(walk);
  const size = 1n << BigInt(walk.pageShift);
  const first = (address / size) * size;
  const step = Number(size);
  const continues = (at: bigint, physical: number) =>
    at >= gap.start && at < gap.end && translates(machine, at, walk) && page.continuesAt(walk, physical);
  let below = 0;
  while (below < MOST_PAGES && continues(first - size * BigInt(below + 1), page.frame - step * (below + 1)))
    below++;
  let above = 1;
  while (above < MOST_PAGES && continues(first + size * BigInt(above), page.frame + step * above)) above++;
  const decoded = decodeEntry(page.value, page.level, machine.pagingState);
  const run: MappedRun = {
    start: first - size * BigInt(below),
    end: first + size * BigInt(above),
    physical: page.frame - step * below,
    pageSize: decoded.pageSize ?? "4K",
    flags: decoded.flags.filter((flag) => flag !== "A" && flag !== "D"),
    pages: below + above,
  };
  return { address, run };
}

/** A, D and the address: what may differ within a run. */
const LOW_FLAGS = 0xf9f;

/** The page that a walk ended at. */
class Page {
  readonly frame: number;
  readonly level: number;
  readonly value: bigint;
  private readonly pageShift: number;
  private readonly low: number;
  private readonly high: number;

  constructor(walk: Walk) {
    const last = walk.stepCount - 1;
    this.frame = walk.frame;
    this.pageShift = walk.pageShift;
    this.level = walk.levels[last];
    this.low = walk.entryLow[last];
    this.high = walk.entryHigh[last];
    this.value = join64(this.low, this.high);
  }

  continuesAt(walk: Walk, physical: number): boolean {
    const last = walk.stepCount - 1;
    return (
      walk.pageShift === this.pageShift &&
      walk.frame === physical &&
      ((walk.entryLow[last] ^ this.low) & LOW_FLAGS) === 0 &&
      (walk.entryHigh[last] ^ this.high) >>> 20 === 0
    );
  }
}
