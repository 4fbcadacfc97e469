/**
 * A record of what can make cached translations stale: changes of present entries in tables that walks have read, and
 * loads of other roots. The latest are kept, in a ring of fixed size.
 *
 * Invariant: the changes are in the order in which they happened. A machine that was put back to an earlier moment
 * makes them again: those from there on are forgotten when the first of them comes, or when somebody asks.
 */
import type { PagingState, TableMemory } from "../paging/state";

/** Changes that are kept. */
export const KEPT_CHANGES = 1 << 16;
const SLOT_MASK = KEPT_CHANGES - 1;
/** In place of an entry's address: a load of CR3. */
const ROOT = -1;

/** A change of an entry: by an instruction, or by the debugger before the instruction at which it stood. */
export interface EntryWrite {
  readonly kind: "write" | "edit";
  /** Instructions retired before the one that wrote. */
  readonly instruction: number;
  readonly rip: bigint;
  /** Physical address of the entry. */
  readonly entry: number;
  readonly old: bigint;
  readonly new: bigint;
}

/** A load of another root. */
export interface RootLoad {
  readonly kind: "root";
  readonly instruction: number;
  readonly rip: bigint;
  /** Physical addresses. */
  readonly from: number;
  readonly to: number;
}

export type TableChange = EntryWrite | RootLoad;

export class TableChanges {
  private readonly entries = new Float64Array(KEPT_CHANGES);
  private readonly instructions = new Float64Array(KEPT_CHANGES);
  private readonly rips = new BigUint64Array(KEPT_CHANGES);
  private readonly byUser = new Uint8Array(KEPT_CHANGES);
  /** Old low, old high, new low, new high. */
  private readonly values = new Int32Array(4 * KEPT_CHANGES);
  /** Changes so far: the number of the next one. */
  private count = 0;
  /** By entry: the numbers of its changes, ascending; up to `indexed`, and of forgotten ones too. */
  private readonly byEntry = new Map<number, number[]>();
  private indexed = 0;
  private indexedFrom = 0;

  /** The number of the change that would come next. */
  get end(): number {
    return this.count;
  }

  private get first(): number {
    return Math.max(0, this.count - KEPT_CHANGES);
  }

  /** A present entry got another value. Halves are int32. */
  wrote(
    at: { instruction: number; rip: bigint },
    entry: number,
    oldLow: number,
    oldHigh: number,
    newLow: number,
    newHigh: number,
    byUser = false,
  ): void {
    if (this.count > 0 && this.instructions[(this.count - 1) & SLOT_MASK] > at.instruction)
      this.forgetFrom(at.instruction);
    const slot = this.count++ & SLOT_MASK;
    this.entries[slot] = entry;
    this.instructions[slot] = at.instruction;
    this.rips[slot] = at.rip;
    this.byUser[slot] = Number(byUser);
    this.values[4 * slot] = oldLow;
    this.values[4 * slot + 1] = oldHigh;
    this.values[4 * slot + 2] = newLow;
    this.values[4 * slot + 3] = newHigh;
  }

  /** CR3 leads to another root table. Physical addresses. */
  loaded(at: { instruction: number; rip: bigint }, from: number, to: number): void {
    this.wrote(at, ROOT, from | 0, highOf(from), to | 0, highOf(to));
  }

  /** Forgets what an instruction and those behind it did: the machine stands before it. */
  forgetFrom(instruction: number): void {
    const { first } = this;
    while (this.count > first && this.instructions[(this.count - 1) & SLOT_MASK] >= instruction) this.count--;
    if (this.indexed > this.count) this.clearIndex();
  }

  /** A change by its number. */
  at(number: number): TableChange {
    const slot = number & SLOT_MASK;
    const place = { instruction: this.instructions[slot], rip: this.rips[slot] };
    const { values } = this;
    const [old, now] = [join(values, 4 * slot), join(values, 4 * slot + 2)];
    return this.entries[slot] === ROOT
      ? { kind: "root", ...place, from: Number(old), to: Number(now) }
      : {
          kind: this.byUser[slot] === 0 ? "write" : "edit",
          ...place,
          entry: this.entries[slot],
          old,
          new: now,
        };
  }

  /**
   * The latest change before one, of some entries or of the root.
   * @param entries physical addresses
   * @param before the number of a change
   * @returns its number, -1 where there is none or it is no longer kept
   */
  latest(entries: readonly number[], before: number): number {
    this.index();
    let found = -1;
    for (const entry of [ROOT, ...entries]) {
      const numbers = this.byEntry.get(entry);
      if (numbers === undefined) continue;
      const at = lowerBound(numbers, before) - 1;
      if (at >= 0 && numbers[at] > found) found = numbers[at];
    }
    return found >= this.first ? found : -1;
  }

  /**
   * The tables as they were before a change happened; accessed and dirty flags, and entries that were not present,
   * may be as they are now. The PDPTE registers of PAE paging are those of now.
   * @param number of the change; `end` for now
   */
  before(
    number: number,
    state: PagingState,
    memory: TableMemory,
  ): { state: PagingState; memory: TableMemory } {
    const size = state.levels === 2 ? 4 : 8;
    const load = this.firstFrom(ROOT, number);
    const root = load < 0 ? state.root : Number(join(this.values, 4 * (load & SLOT_MASK)));
    const read32 = (address: number) => {
      const entry = address - (address % size);
      const write = this.firstFrom(entry, number);
      return write < 0
        ? memory.read32(address)
        : this.values[4 * (write & SLOT_MASK) + (address === entry ? 0 : 1)];
    };
    return { state: root === state.root ? state : { ...state, root }, memory: { read32 } };
  }

  private firstFrom(entry: number, number: number): number {
    this.index();
    const numbers = this.byEntry.get(entry);
    if (numbers === undefined) return -1;
    const at = lowerBound(numbers, Math.max(number, this.first));
    return at < numbers.length ? numbers[at] : -1;
  }

  /** Brings the index up to date. Of entries that the ring has lost it holds no more than of those that it holds. */
  private index(): void {
    if (this.indexed - this.indexedFrom > 2 * KEPT_CHANGES) this.clearIndex();
    for (let number = Math.max(this.indexed, this.first); number < this.count; number++) {
      const entry = this.entries[number & SLOT_MASK];
      const numbers = this.byEntry.get(entry);
      if (numbers === undefined) this.byEntry.set(entry, [number]);
      else numbers.push(number);
    }
    this.indexed = this.count;
  }

  private clearIndex(): void {
    this.byEntry.clear();
    this.indexed = this.first;
    this.indexedFrom = this.first;
  }
}

function highOf(address: number): number {
  return Math.floor(address / 0x100000000);
}

function join(values: Int32Array, at: number): bigint {
  return (BigInt(values[at + 1] >>> 0) << 32n) | BigInt(values[at] >>> 0);
}

/** The first index whose number is at least `wanted`. */
function lowerBound(numbers: readonly number[], wanted: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
