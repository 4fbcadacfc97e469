/** Frames that differ between two moments, with what they hold at one of them. */
import type { Cpu } from "../cpu/cpu";
import { FRAME_CODE, type FrameContents, PAGE_SIZE } from "../memory";

/** What an entry costs beyond the bytes of the frame. */
const ENTRY_BYTES = 64;

export class FrameChanges {
  /** Bytes that this costs. */
  bytes = 0;
  private readonly contents = new Map<number, FrameContents>();

  /** Frames that differ. */
  get size(): number {
    return this.contents.size;
  }

  /** Whether a frame may differ. */
  has(frame: number): boolean {
    return this.contents.has(frame);
  }

  /** Keeps what a frame holds now. */
  keep(cpu: Cpu, frame: number): void {
    this.set(frame, cpu.memory.contentsOf(frame));
  }

  /**
   * Puts the contents that each of some changes keeps into memory, one after another, and keeps in each what they
   * replace. A frame that many of them have is read and written once. What was translated of the frames is forgotten.
   */
  static exchange(cpu: Cpu, steps: readonly FrameChanges[]): void {
    const { memory } = cpu;
    /** Of each frame what memory comes to hold, and who keeps what memory has held. */
    const ends = new Map<number, { contents: FrameContents; readonly keeper: FrameChanges }>();
    for (const step of steps) {
      for (const [frame, contents] of step.contents) {
        const end = ends.get(frame);
        if (end === undefined) ends.set(frame, { contents, keeper: step });
        else {
          step.set(frame, end.contents);
          end.contents = contents;
        }
      }
    }
    for (const [frame, { contents, keeper }] of ends) {
      if ((memory.flagsOf(frame) & FRAME_CODE) !== 0) cpu.codeWritten(frame, PAGE_SIZE);
      keeper.set(frame, memory.swapContents(frame, contents));
    }
  }

  /** Puts the kept contents into memory for good. */
  putBack(cpu: Cpu): void {
    const { memory } = cpu;
    for (const [frame, contents] of this.contents) {
      if ((memory.flagsOf(frame) & FRAME_CODE) !== 0) cpu.codeWritten(frame, PAGE_SIZE);
      memory.replaceContents(frame, contents);
    }
  }

  /** Adds what another has of frames that this one does not have. */
  addMissing(other: FrameChanges): void {
    for (const [frame, contents] of other.contents) if (!this.contents.has(frame)) this.set(frame, contents);
  }

  private set(frame: number, contents: FrameContents): void {
    const before = this.contents.get(frame);
    this.bytes += costOf(contents) - (before === undefined ? 0 : costOf(before));
    this.contents.set(frame, contents);
  }
}

function costOf(contents: FrameContents): number {
  return ENTRY_BYTES + (typeof contents === "number" ? 0 : contents.length);
}
