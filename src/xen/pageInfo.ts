/** The type of each machine frame, how often it is used as that, and its pin. */

import type { Snapshotable } from "../machine/snapshot";

/** Types of frames (Xen: page type; one at a time, while the count is above 0). */
export const TYPE_L1 = 1;
export const TYPE_L2 = 2;
export const TYPE_L3 = 3;
export const TYPE_L4 = 4;
export const TYPE_SEGMENTS = 5;
export const TYPE_WRITABLE = 6;
export type FrameType = 0 | 1 | 2 | 3 | 4 | 5 | 6;

const TYPE_WORDS: readonly string[] = [
  "of no type",
  "an L1 table",
  "an L2 table",
  "an L3 table",
  "an L4 table",
  "a descriptor-table page",
  "mapped writable",
];

/** "an L1 table". */
export function typeInWords(type: FrameType): string {
  return TYPE_WORDS[type];
}

export function isTableType(type: FrameType): boolean {
  return type >= TYPE_L1 && type <= TYPE_L4;
}

const CHUNK = 512;
const TYPE_MASK = 7;
const PINNED = 8;
/** An L2 table of a PAE guest that belongs into slot 3. */
const TOP_L2 = 16;

interface Chunk extends ChunkState {
  /** A copy for whoever saves, until the chunk changes. */
  copy: ChunkState | undefined;
}

interface ChunkState {
  readonly counts: Int32Array;
  readonly flags: Uint8Array;
}

/** By number of the chunk. What did not change between two moments is shared by them. */
export type PageInfoState = ReadonlyMap<number, ChunkState>;

/** Frames that nobody has asked for yet cost nothing. */
export class PageInfo implements Snapshotable<PageInfoState> {
  private readonly chunks = new Map<number, Chunk>();

  save(): PageInfoState {
    const state = new Map<number, ChunkState>();
    for (const [number, chunk] of this.chunks) {
      chunk.copy ??= { counts: chunk.counts.slice(), flags: chunk.flags.slice() };
      state.set(number, chunk.copy);
    }
    return state;
  }

  restore(state: PageInfoState): void {
    for (const [number, chunk] of this.chunks) {
      const copy = state.get(number);
      if (copy === undefined) this.chunks.delete(number);
      else if (copy !== chunk.copy) this.chunks.set(number, chunkOf(copy));
    }
    for (const [number, copy] of state) if (!this.chunks.has(number)) this.chunks.set(number, chunkOf(copy));
  }

  typeOf(mfn: number): FrameType {
    const chunk = this.chunks.get(Math.floor(mfn / CHUNK));
    return chunk === undefined ? 0 : ((chunk.flags[mfn % CHUNK] & TYPE_MASK) as FrameType);
  }

  /** References to the frame as its type. */
  countOf(mfn: number): number {
    return this.chunks.get(Math.floor(mfn / CHUNK))?.counts[mfn % CHUNK] ?? 0;
  }

  isPinned(mfn: number): boolean {
    return ((this.chunks.get(Math.floor(mfn / CHUNK))?.flags[mfn % CHUNK] ?? 0) & PINNED) !== 0;
  }

  /** Whether an L2 table of a PAE guest holds the hypervisor's entries. */
  isTopL2(mfn: number): boolean {
    return ((this.chunks.get(Math.floor(mfn / CHUNK))?.flags[mfn % CHUNK] ?? 0) & TOP_L2) !== 0;
  }

  /** Gives a frame without references a type. */
  setType(mfn: number, type: FrameType, topL2 = false): void {
    this.chunkOf(mfn).flags[mfn % CHUNK] = type | (topL2 ? TOP_L2 : 0);
  }

  addReference(mfn: number, by: 1 | -1): number {
    const { counts } = this.chunkOf(mfn);
    counts[mfn % CHUNK] += by;
    return counts[mfn % CHUNK];
  }

  setPinned(mfn: number, pinned: boolean): void {
    const { flags } = this.chunkOf(mfn);
    if (pinned) flags[mfn % CHUNK] |= PINNED;
    else flags[mfn % CHUNK] &= ~PINNED;
  }

  /** "in use as an L1 table (count 2, pinned)". */
  describe(mfn: number): string {
    const count = this.countOf(mfn);
    if (count === 0) return "not in use";
    const type = this.typeOf(mfn);
    const how = type === TYPE_WRITABLE ? "mapped writable" : `in use as ${typeInWords(type)}`;
    return `${how} (count ${count}${this.isPinned(mfn) ? ", pinned" : ""})`;
  }

  /** The chunk of a frame, which is about to change. */
  private chunkOf(mfn: number): Chunk {
    const number = Math.floor(mfn / CHUNK);
    let chunk = this.chunks.get(number);
    if (chunk === undefined) {
      chunk = { counts: new Int32Array(CHUNK), flags: new Uint8Array(CHUNK), copy: undefined };
      this.chunks.set(number, chunk);
    }
    chunk.copy = undefined;
    return chunk;
  }
}

function chunkOf(copy: ChunkState): Chunk {
  return { counts: copy.counts.slice(), flags: copy.flags.slice(), copy };
}
