/**
 * The history of a run: checkpoints taken as it goes, and exact travel to any moment by replay from the one before it.
 *
 * What happens from a moment on depends on the machine's state alone, so that a moment that was travelled to is the
 * moment that was: registers, memory, TLB, devices. The user's changes are the only input from outside; they are part
 * of the history, and made again at their moments. A change in the past begins another future: what was known of the
 * old one is forgotten.
 *
 * Long work is a generator that yields between two instructions, where looking at the machine is safe, but it stands
 * somewhere on the way.
 */
import type { Machine, RunResult } from "../machine";
import { Chain } from "./chain";
import { comparePositions, type Position, positionOf } from "./position";
import { thin } from "./thin";

/** How far long work has come: instructions done, and in all, as far as is known. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

export type Work<Result> = Generator<Progress, Result, void>;

/** A change of the user's: to memory or registers. */
interface Edit {
  readonly position: Position;
  readonly make: () => void;
}

/** What a search is for (see `lastBefore`). */
export interface Probe<Hit> {
  /** Whether a stop of the machine is a hit. The machine stands where it stopped. */
  hit(result: RunResult): Hit | undefined;
  /** Makes a change of the user's again; whether that is a hit. */
  edited?(make: () => void): Hit | undefined;
  /** Whether there can be a hit in a part of the run at all; parts without are not replayed. */
  mayHit?(part: Part): boolean;
}

/** A part of a run: behind one moment, up to another. */
export interface Part {
  readonly from: Position;
  readonly to: Position;
  /** Whether bytes may have been written. They lie in one frame. @param address physical */
  mayHaveWritten(address: number, length: number): boolean;
}

export interface Found<Hit> {
  /** Where the machine stops on it. */
  readonly position: Position;
  readonly hit: Hit;
}

/** The past before the first checkpoint that is left, or a future that nobody knows. */
export class HistoryError extends Error {
  override name = "HistoryError";
}

/** A replay of as many instructions is not noticed. */
const SPACING = 2_000_000;
/** A frame that has to be copied costs about as much as this many instructions; at most a tenth goes into copies. */
const SPACING_PER_FRAME = 1000;
/** This part of the spacing before a moment that was travelled to a checkpoint is taken: the next step back is near. */
const NEAR = 1 / 10;
const FIRST_SLICE = 1_000_000;

export class History {
  /** Instructions between two yields of a replay, at most: for whoever keeps time. */
  slice = FIRST_SLICE;
  /** Instructions between two checkpoints at the end of a run, at least: as many as are replayed without notice. */
  spacing: number;
  /** Moments at which a run that was made again was not where it had been: none, unless the machine is wrong. */
  divergences = 0;
  private readonly chain: Chain;
  private latest: Position;
  private edits: Edit[] = [];
  /** How many of `edits` have been made at the present moment. */
  private made = 0;

  /**
   * Begins with the present moment of a machine.
   * @param budget bytes that checkpoints may cost
   * @param spacing instructions between two checkpoints at the end of a run, at least
   */
  constructor(
    private readonly machine: Machine,
    private readonly budget: number,
    spacing = SPACING,
  ) {
    this.spacing = spacing;
    machine.beExact(true);
    this.chain = new Chain(machine);
    this.latest = positionOf(machine);
    this.chain.take(this.latest, 0);
    machine.onEntryChanged = (entry) => this.chain.noteEntry(entry);
  }

  /** The present moment. */
  get position(): Position {
    return positionOf(this.machine);
  }

  /** The first moment that can be travelled to. */
  get start(): Position {
    return this.chain.all[0].position;
  }

  /** The last moment that is known. */
  get end(): Position {
    const here = this.position;
    return comparePositions(here, this.latest) > 0 ? here : this.latest;
  }

  /** Whether the present moment is not the last one that is known. */
  get lookingBack(): boolean {
    return comparePositions(this.position, this.latest) < 0;
  }

  /** Whether what happens now happened before, in the run that is known. Also while the machine runs. */
  get isKnown(): boolean {
    const { cpu } = this.machine;
    const now = { instruction: cpu.now(), diversions: cpu.diversions, pending: false };
    return comparePositions(now, this.latest) < 0;
  }

  /** Bytes that the checkpoints cost. */
  get bytes(): number {
    return this.chain.bytes;
  }

  /** The moments of the checkpoints. */
  get checkpoints(): readonly Position[] {
    return this.chain.all.map(({ position }) => position);
  }

  /** The moments of the user's changes. */
  get edited(): readonly Position[] {
    return this.edits.map(({ position }) => position);
  }

  /**
   * Runs the machine on (see `Machine.run`), perhaps less far than was asked for: checkpoints are taken, and the
   * user's changes are made again where the run is a known one.
   * @param toReturn stops after the first IRET too
   * @throws MemoryExhaustedError
   */
  run(instructions: number, passBreakpoint = true, toReturn = false): RunResult {
    const { machine } = this;
    const most = Math.min(instructions, this.untilNextCheckpoint());
    const station = this.nextStation();
    const room =
      station === undefined ? Number.POSITIVE_INFINITY : station.instruction - machine.instructions;
    const result =
      instructions > 0 && room <= 1
        ? this.oneMoment(passBreakpoint, toReturn)
        : machine.run(Math.min(most, room - 1), passBreakpoint, { atReturn: toReturn });
    this.arrive();
    if (result.reason === "limit" && this.isDue()) this.take();
    return result;
  }

  /** Delivers the exception that is pending, or makes one instruction or diversion. */
  private oneMoment(passBreakpoint: boolean, toReturn = false): RunResult {
    if (this.position.pending) return this.machine.run(0, passBreakpoint);
    return this.machine.run(1, passBreakpoint, { atReturn: toReturn, atDiversion: true });
  }

  /**
   * Makes a change of the user's, now. What is known of the future is of another run, and forgotten.
   * @param make changes the machine; it will be called again when the run is made again. What it throws, it throws
   *   before it has changed anything
   */
  edit(make: () => void): void {
    make();
    this.cutFuture();
    this.edits.push({ position: this.position, make });
    this.made++;
  }

  /**
   * What happens now will be gone back to: the checkpoint before it stays while others are thinned out, so that the way
   * from there is short however long the run becomes. Also while the machine runs.
   */
  mark(): void {
    this.chain.mark();
  }

  /** What is known of the future is forgotten: the present moment is the last one. */
  forgetFuture(): void {
    this.cutFuture();
  }

  /**
   * Goes to a moment, or to where a run of a number of instructions from the start comes to.
   * @throws HistoryError where it is before `start` or behind `end`
   */
  *travel(to: Position | number): Work<void> {
    const known = this.end;
    const target = typeof to === "number" ? { instruction: to, diversions: 0, pending: false } : to;
    const isBehind = typeof to === "number" ? to > known.instruction : comparePositions(target, known) > 0;
    if (isBehind) {
      throw new HistoryError(`the run is known up to instruction ${known.instruction} only`);
    }
    this.approach(to);
    yield* this.replay(target, typeof to === "number");
  }

  /** The last known moment. */
  *travelToEnd(): Work<void> {
    yield* this.travel(this.end);
  }

  /**
   * The moments before one, from the first at which `count` less instructions had been retired on, and what is to be
   * seen in each. Ends at that moment.
   */
  *momentsBefore<Seen>(
    position: Position,
    count: number,
    look: () => Seen,
  ): Work<{ position: Position; seen: Seen }[]> {
    const first = Math.max(this.start.instruction, position.instruction - count);
    yield* this.travel(first);
    const moments: { position: Position; seen: Seen }[] = [];
    for (let made = 0; comparePositions(this.position, position) < 0; made++) {
      moments.push({ position: this.position, seen: look() });
      this.quietly(() => this.oneMoment(true));
      this.arrive();
      if (made % 1000 === 999) yield { done: made, total: count };
    }
    return moments;
  }

  /**
   * The last moment before another at which a probe has a hit; the machine then stands somewhere before. Every part
   * of the history is replayed once at most. Events are heard meanwhile: the prober sets who hears them.
   */
  *lastBefore<Hit>(before: Position, probe: Probe<Hit>): Work<Found<Hit> | undefined> {
    const total = before.instruction - this.start.instruction;
    let end = before;
    for (;;) {
      const index = this.chain.lastUpTo(end);
      // A checkpoint at the very end of a part begins another part.
      const from =
        index > 0 && comparePositions(this.chain.all[index].position, end) === 0 ? index - 1 : index;
      if (from < 0) return undefined;
      const checkpoint = this.chain.all[from];
      const isWhole = comparePositions(this.position, end) >= 0;
      const part: Part = {
        from: checkpoint.position,
        to: end,
        mayHaveWritten: (address, length) => this.chain.mayHaveWritten(from, address, length, isWhole),
      };
      if (probe.mayHit?.(part) ?? true) {
        let found: Found<Hit> | undefined;
        const told = (hit: Hit | undefined) => {
          const { position } = this;
          if (hit !== undefined && comparePositions(position, before) < 0) found = { position, hit };
        };
        this.moveTo(from, probe, told);
        const done = before.instruction - end.instruction;
        for (const progress of this.drive(end, { probe, told })) yield { done: done + progress.done, total };
        if (found !== undefined) return found;
      }
      if (from === 0) return undefined;
      end = checkpoint.position;
    }
  }

  /** Ends the history: the run costs nothing more. */
  dispose(): void {
    this.chain.end();
    this.machine.onEntryChanged = undefined;
    this.machine.beExact(false);
  }

  // --- below ---

  /** Goes to the best moment to replay from. */
  private approach(to: Position | number): void {
    const { chain } = this;
    const here = this.position;
    const index =
      typeof to === "number"
        ? Math.max(chain.lastUpToInstruction(to - 1), to >= this.start.instruction ? 0 : -1)
        : chain.lastUpTo(to);
    if (index < 0) {
      throw new HistoryError(
        `the history begins at instruction ${this.start.instruction}: what was before had to be forgotten for want of memory`,
      );
    }
    const isOnTheWay = typeof to === "number" ? here.instruction < to : comparePositions(here, to) <= 0;
    if (isOnTheWay && chain.baseIndex >= index) return;
    this.moveTo(index);
  }

  private moveTo<Hit>(index: number, probe?: Probe<Hit>, told?: (hit: Hit | undefined) => void): void {
    this.latest = this.end;
    this.chain.moveTo(index);
    this.made = this.chain.all[index].edits;
    this.arrive(probe, told);
  }

  /** Replays to a moment, and leaves a checkpoint near it. */
  private *replay(target: Position, first: boolean): Work<void> {
    const margin = Math.floor(this.spacing * NEAR);
    const near = target.instruction - margin;
    const sinceBase = () =>
      this.machine.instructions - this.chain.all[this.chain.baseIndex].position.instruction;
    if (near > this.machine.instructions) {
      yield* this.drive({ instruction: near, diversions: 0, pending: false }, { first: true });
      if (!this.position.pending && sinceBase() >= margin) this.take();
    }
    yield* this.drive(target, { first });
  }

  /** Replays from the present moment to a later one, without anybody hearing of it but a probe. */
  private *drive<Hit>(
    target: Position,
    {
      first = false,
      probe,
      told,
    }: { first?: boolean; probe?: Probe<Hit>; told?: (hit: Hit | undefined) => void },
  ): Work<void> {
    const { machine } = this;
    const start = machine.instructions;
    const total = target.instruction - start;
    const arrive = () => this.arrive(probe, told);
    // A breakpoint on the first instruction is one that the run comes to.
    for (let pass = probe === undefined; ; ) {
      const here = this.position;
      if (first ? isAt(here, target.instruction) : comparePositions(here, target) >= 0) break;
      if (machine.ended !== undefined) break;
      const station = this.nextStation();
      const goal = Math.min(target.instruction, station?.instruction ?? Number.POSITIVE_INFINITY);
      const result = this.quietly(() => {
        const room = goal - here.instruction;
        return room > 1 ? machine.run(Math.min(room - 1, this.slice), pass) : this.oneMoment(pass);
      }, probe === undefined);
      if (result.reason !== "limit") {
        told?.(probe?.hit(result));
        pass = true;
      } else pass = probe === undefined || machine.cpu.isRepeating;
      arrive();
      yield { done: machine.instructions - start, total };
    }
    if (!first && comparePositions(this.position, target) !== 0) this.divergences++;
  }

  private quietly<T>(run: () => T, muted = true): T {
    this.machine.mute(muted);
    try {
      return run();
    } finally {
      this.machine.mute(false);
    }
  }

  /** The next moment at which the known run has something for the machine. */
  private nextStation(): Position | undefined {
    const checkpoint = this.chain.next?.position;
    const edit = this.edits[this.made]?.position;
    if (checkpoint === undefined || edit === undefined) return checkpoint ?? edit;
    return comparePositions(checkpoint, edit) <= 0 ? checkpoint : edit;
  }

  /** The machine has come to a moment: what belongs to it is done. */
  private arrive<Hit>(probe?: Probe<Hit>, told?: (hit: Hit | undefined) => void): void {
    for (;;) {
      const here = this.position;
      const station = this.nextStation();
      if (station === undefined || comparePositions(here, station) < 0) return;
      if (comparePositions(here, station) > 0) {
        this.divergences++;
        this.cutFuture();
        return;
      }
      const { next } = this.chain;
      if (next !== undefined && next.edits === this.made && comparePositions(next.position, here) === 0) {
        this.chain.arriveAtNext();
        continue;
      }
      const edit = this.edits[this.made];
      this.made++;
      this.quietly(() => {
        if (probe?.edited === undefined) edit.make();
        else told?.(probe.edited(edit.make));
      });
    }
  }

  private cutFuture(): void {
    this.chain.cutFuture();
    this.edits.length = this.made;
    this.latest = this.position;
  }

  /** Instructions until a checkpoint is to be taken; in a known run nobody takes one. */
  private untilNextCheckpoint(): number {
    if (this.lookingBack) return Number.POSITIVE_INFINITY;
    return Math.max(Math.ceil(this.spacing / 200), this.due() - this.machine.instructions);
  }

  private due(): number {
    const { position } = this.chain.all[this.chain.baseIndex];
    return position.instruction + Math.max(this.spacing, this.chain.written * SPACING_PER_FRAME);
  }

  private isDue(): boolean {
    if (this.lookingBack || this.chain.next !== undefined || this.machine.ended !== undefined) return false;
    return !this.position.pending && this.machine.instructions >= this.due();
  }

  private take(): void {
    this.chain.take(this.position, this.made);
    thin(this.chain, this.budget);
  }
}

/** What a run of as many instructions comes to: an exception behind the last one is delivered. */
function isAt(here: Position, instruction: number): boolean {
  return here.instruction >= instruction && !here.pending;
}

/** Does work to its end at once. */
export function finish<Result>(work: Work<Result>): Result {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}
