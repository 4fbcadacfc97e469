/**
 * Checkpoints of one run, in their order, and the frames that differ between neighbours.
 *
 * Memory holds the frames of one moment: that of the base checkpoint, but for what was written since (`live`).
 * Invariants: between two checkpoints up to the base, `changes` has the contents at the earlier one; between two from
 * the base on, those at the later one; `live` has those at the base.
 */
import type { Machine, MachineState } from "../machine";
import { PAGE_SIZE } from "../memory";
import { EntryRecord } from "./entryRecord";
import { FrameChanges } from "./frameChanges";
import { comparePositions, type Position } from "./position";

export interface Checkpoint {
  readonly position: Position;
  /** How many of the user's changes had been made. */
  readonly edits: number;
  readonly state: MachineState;
  /** Bytes of the state. */
  readonly bytes: number;
  /** Frames that differ between this checkpoint and the next. */
  changes: FrameChanges;
  /** Entries of tables that software changed between this checkpoint and the next, or some more. */
  readonly entries: EntryRecord;
  /** Something happened behind it that will be gone back to. */
  marked: boolean;
}

/** A state without its TLB, and an entry of the TLB (shared by the checkpoints that have it), about. */
const STATE_BYTES = 16_384;
const TLB_ENTRY_BYTES = 24;

export class Chain {
  private readonly checkpoints: Checkpoint[] = [];
  private base = -1;
  private live = new FrameChanges();

  constructor(private readonly machine: Machine) {}

  get all(): readonly Checkpoint[] {
    return this.checkpoints;
  }

  /** The index of the checkpoint that memory is based on. */
  get baseIndex(): number {
    return this.base;
  }

  /** The one behind the base, if any. */
  get next(): Checkpoint | undefined {
    return this.checkpoints[this.base + 1];
  }

  /** Frames written since the base. */
  get written(): number {
    return this.live.size;
  }

  /** Bytes that all of it costs. */
  get bytes(): number {
    return this.checkpoints.reduce(
      (sum, { bytes, changes, entries }) => sum + bytes + changes.bytes + entries.bytes,
      this.live.bytes,
    );
  }

  /** Takes a checkpoint of the present moment, which lies between the base and the next one. */
  take(position: Position, edits: number): void {
    const state = this.machine.save();
    const { entries, structures } = state.mmu.tlb;
    const bytes = STATE_BYTES + TLB_ENTRY_BYTES * (entries.length + structures.length);
    const before = this.checkpoints[this.base];
    // What is kept for the next one holds for the new one too: it has all frames that may differ.
    const changes = before?.changes ?? new FrameChanges();
    if (before !== undefined) before.changes = this.live;
    const recorded = new EntryRecord();
    // Those of a part that is made again may lie on either side.
    if (before !== undefined && this.next !== undefined) recorded.addAll(before.entries);
    this.checkpoints.splice(this.base + 1, 0, {
      position,
      edits,
      state,
      bytes,
      changes,
      entries: recorded,
      marked: false,
    });
    this.rebase(this.base + 1);
  }

  /** The run has come to the next checkpoint again. */
  arriveAtNext(): void {
    this.checkpoints[this.base].changes = this.live;
    this.rebase(this.base + 1);
  }

  /** Goes to a checkpoint. */
  moveTo(index: number): void {
    const { cpu } = this.machine;
    this.live.putBack(cpu);
    const between = this.checkpoints.slice(Math.min(this.base, index), Math.max(this.base, index));
    if (index < this.base) between.reverse();
    FrameChanges.exchange(
      cpu,
      between.map(({ changes }) => changes),
    );
    this.machine.restore(this.checkpoints[index].state);
    this.rebase(index);
  }

  /** Marks the base. */
  mark(): void {
    this.checkpoints[this.base].marked = true;
  }

  /** The index of the last checkpoint that is not later than a moment; -1 where there is none. */
  lastUpTo(position: Position): number {
    return this.lastWhere((checkpoint) => comparePositions(checkpoint.position, position) <= 0);
  }

  /** The index of the last checkpoint at which no more instructions were retired; -1 where there is none. */
  lastUpToInstruction(instruction: number): number {
    return this.lastWhere((checkpoint) => checkpoint.position.instruction <= instruction);
  }

  /** Forgets what lies behind the base. */
  cutFuture(): void {
    this.checkpoints.length = this.base + 1;
    this.checkpoints[this.base].changes = new FrameChanges();
  }

  /** Forgets the last checkpoint, which lies behind the base. */
  dropLast(): void {
    this.checkpoints.pop();
    this.checkpoints[this.checkpoints.length - 1].changes = new FrameChanges();
  }

  /** Forgets the first checkpoint, which lies before the base: the run cannot be followed back to it any more. */
  dropFirst(): void {
    this.checkpoints.shift();
    this.base--;
  }

  /** Forgets a checkpoint that is neither the first, nor the base, nor the last. */
  remove(index: number): void {
    const before = this.checkpoints[index - 1];
    const { changes, entries } = this.checkpoints[index];
    before.entries.addAll(entries);
    if (index < this.base) before.changes.addMissing(changes);
    else {
      changes.addMissing(before.changes);
      before.changes = changes;
    }
    this.checkpoints.splice(index, 1);
    if (index < this.base) this.base--;
  }

  /** Software has changed an entry of a table, between the base and the next checkpoint. */
  noteEntry(entry: number): void {
    this.checkpoints[this.base].entries.note(entry);
  }

  /**
   * Whether bytes may have been written between a checkpoint and the next one, or the end of the run. They lie in one
   * frame.
   * @param isWhole whether the present moment is the end of that part of the run, where it is based on the checkpoint
   */
  mayHaveWritten(index: number, address: number, length: number, isWhole: boolean): boolean {
    const frame = address - (address % PAGE_SIZE);
    if (!this.frameMayHaveChanged(index, frame, isWhole)) return false;
    const { machine } = this;
    const { state, entries } = this.checkpoints[index];
    // Of a table all changes by software are recorded, but for those that a hypervisor makes for its guest.
    const isTable = machine.memory.tableFrames.includes(frame, state.tableFrames);
    return !isTable || machine.cpu.hypervisor !== undefined || entries.has(address, length);
  }

  private frameMayHaveChanged(index: number, frame: number, isWhole: boolean): boolean {
    if (index + 1 < this.checkpoints.length) return this.checkpoints[index].changes.has(frame);
    return index !== this.base || !isWhole || this.live.has(frame);
  }

  /** Ends the telling of first writes. */
  end(): void {
    this.machine.memory.beginEpoch(undefined);
  }

  private lastWhere(holds: (checkpoint: Checkpoint) => boolean): number {
    let index = this.checkpoints.length - 1;
    while (index >= 0 && !holds(this.checkpoints[index])) index--;
    return index;
  }

  private rebase(index: number): void {
    const { cpu, memory } = this.machine;
    const live = new FrameChanges();
    this.base = index;
    this.live = live;
    memory.beginEpoch((frame) => live.keep(cpu, frame));
    cpu.mmu.flushWriteCache();
  }
}
