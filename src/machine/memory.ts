/**
 * Physical memory: sparse, a 4 KiB frame costs something from its first write on.
 *
 * Frames live in one growing linear buffer (the arena), so that a translated access is a single typed load.
 * Invariants:
 * - arena offset 0 is the zero page: it is never written, and stands for every frame not written yet; behind it lies
 *   the page of ones, which stands for computed frames that hold nothing else;
 * - a frame whose `flags` are not 0 is never written without its owner hearing of it (see `FrameFlag`);
 * - the arena is shared memory: views of it stay valid when it grows;
 * - offsets stay below 2^31, so that they are non-negative int32 values.
 */
import { TableFrames } from "./tableFrames";
import { newMemory, WASM_PAGE, type WasmMemory } from "./wasm";

/** A half-open range of physical byte addresses, page aligned. */
export interface PhysicalRange {
  start: number;
  end: number;
}

export const PAGE_SIZE = 4096;

/** A device in physical memory. Accesses of 8 bytes come as two of 4, the lower first. */
export interface MmioDevice {
  /** @param offset bytes from the start of the device's range @returns an unsigned value of `size` bytes */
  read(offset: number, size: 1 | 2 | 4): number;
  /** @param value unsigned, of `size` bytes */
  write(offset: number, size: 1 | 2 | 4, value: number): void;
}

/** The frame holds bytes of translated instructions: a write must invalidate them. */
export const FRAME_CODE = 1;
/** A page walk has read entries from the frame: a write may make cached translations stale. */
export const FRAME_TABLE = 2;
/** The frame is not RAM: it is a device's, or nobody's. */
export const FRAME_DEVICE = 4;
/** Stores into the frame are wanted by live-table tracking. */
export const FRAME_WATCHED = 8;
/** The frame holds bytes of a data breakpoint. */
export const FRAME_DATA_BREAKPOINT = 16;

/** The frame's contents are computed when somebody asks for them first. */
const FRAME_COMPUTED = 32;

/** Where the page of ones is in the arena. */
const ONES_PAGE = PAGE_SIZE;
/** Arena offsets below this one are shared: a frame there gets its own place with its first write. */
export const SHARED_PAGES_END = 2 * PAGE_SIZE;
/**
 * Behind the shared pages: what translated code shares with the machine. The register file, the MMU's fast caches, the
 * translator's jump cache and the epochs of its blocks; the frames begin behind them.
 */
export const ARENA_REGISTERS = SHARED_PAGES_END;
export const ARENA_READ_CACHE = 0x4000;
export const ARENA_WRITE_CACHE = 0x8000;
export const ARENA_JUMP_CACHE = 0x10000;
export const ARENA_EPOCHS = 0x20000;
const ARENA_FRAMES = 0x30000;

/** The contents of a frame: 4,096 bytes, or the byte (0 or FFH) that all of it holds. */
export type FrameContents = Uint8Array | 0 | 0xff;

/** What a computed frame holds at first: nothing but zeros or ones, or what was put into the page. */
export type ComputeFrame = (address: number, page: Uint8Array) => "zeros" | "ones" | "filled";

/** More guest memory was written than this machine holds at once. */
export class MemoryExhaustedError extends Error {
  constructor(limit: number) {
    super(
      `the guest has written more than ${limit / 2 ** 20} MiB of its memory, which is all this machine can hold`,
    );
    this.name = "MemoryExhaustedError";
  }
}

const GROWTH = 8 * 2 ** 20;
const CHUNK_FRAMES = 512;
const CHUNK_BYTES = CHUNK_FRAMES * PAGE_SIZE;
/** Resident bytes at most: below 2^31 by one growth step, and a multiple of it. */
const ARENA_LIMIT = 2 ** 31 - GROWTH;

/** 512 frames: where each lies in the arena (0 = nowhere yet) and its flags. */
interface Chunk {
  readonly slots: Int32Array;
  readonly flags: Uint8Array;
  /** The epoch in which each was written last; only once there are epochs. */
  epochs: Int32Array | undefined;
}

function emptyChunk(): Chunk {
  return { slots: new Int32Array(CHUNK_FRAMES), flags: new Uint8Array(CHUNK_FRAMES), epochs: undefined };
}

/** On its way from memory to where it is kept. */
const SWAPPED = new Uint8Array(PAGE_SIZE);
const SWAPPED_WORDS = new Int32Array(SWAPPED.buffer);

/** Stands for every chunk of RAM in which nothing was written or flagged. Not to be changed. */
const UNTOUCHED = emptyChunk();

export class PhysicalMemory {
  readonly ram: readonly PhysicalRange[];
  /** View of the whole arena; replaced when the arena grows. */
  view: DataView;
  bytes: Uint8Array;
  /** Called after a frame got its place in the arena: cached offsets of the zero page may be wrong now. */
  onFrameAllocated: () => void = () => {};

  /** The frames with FRAME_TABLE. */
  readonly tableFrames = new TableFrames((address, isTable) => {
    if (isTable) this.ownChunkOf(address).flags[frameIndex(address)] |= FRAME_TABLE;
    else this.clearFlag(address, FRAME_TABLE);
  });

  /** The arena, for translated code. */
  readonly arena: WasmMemory;
  private readonly chunks = new Map<number, Chunk>();
  private lastNumber = -1;
  private lastChunk: Chunk | undefined;
  private used = ARENA_FRAMES;
  private readonly devices: (PhysicalRange & { readonly device: MmioDevice })[] = [];
  /** Places below `used` that no frame has; their bytes are anything. */
  private readonly free: number[] = [];
  /** 0 while nobody wants to hear of first writes. */
  private epoch = 0;
  private lastEpoch = 0;
  private onFirstWrite: (frame: number) => void = () => {};
  private readonly computed: (PhysicalRange & { readonly compute: ComputeFrame })[] = [];

  /**
   * @param ram the ranges that are RAM: page aligned, ascending, not overlapping, below 2^52.
   * @throws RangeError where they are not.
   */
  constructor(ram: readonly PhysicalRange[]) {
    checkRanges(ram);
    this.ram = ram;
    this.arena = newMemory(GROWTH, 2 ** 31);
    this.view = new DataView(this.arena.buffer);
    this.bytes = new Uint8Array(this.arena.buffer);
    this.bytes.fill(0xff, ONES_PAGE, SHARED_PAGES_END);
  }

  /** Words of the part of the arena that translated code shares with the machine. */
  words(offset: number, length: number): Int32Array {
    return new Int32Array(this.arena.buffer, offset, length);
  }

  /** Bytes of the arena that frames occupy. */
  get residentBytes(): number {
    return this.used - ARENA_FRAMES - this.free.length * PAGE_SIZE;
  }

  /**
   * Has the frames of a range computed, each when it is first read or written; for large tables of which little is
   * used. To be asked for before anything in the range is touched.
   * @param range page aligned, in RAM
   */
  compute(range: PhysicalRange, compute: ComputeFrame): void {
    this.computed.push({ ...range, compute });
    for (const [number, chunk] of this.chunks) {
      if (chunk === UNTOUCHED) this.chunks.delete(number);
      else this.flagComputed(number, chunk);
    }
    this.lastNumber = -1;
  }

  /**
   * Puts a device into a range, in front of RAM that may be there. Only accesses of the CPU reach it (`readDevice`,
   * `writeDevice`): to everybody else the range reads all ones, so that looking at memory changes nothing.
   * @param range page aligned
   */
  mapDevice(range: PhysicalRange, device: MmioDevice): void {
    this.devices.push({ ...range, device });
    for (let at = range.start; at < range.end; at += PAGE_SIZE) this.setFlag(at, FRAME_DEVICE);
  }

  /** Takes a device away from wherever it is; RAM behind it has its contents again. */
  unmapDevice(device: MmioDevice): void {
    const index = this.devices.findIndex((each) => each.device === device);
    if (index < 0) return;
    const [{ start, end }] = this.devices.splice(index, 1);
    for (let at = start; at < end; at += PAGE_SIZE) if (this.isRam(at)) this.clearFlag(at, FRAME_DEVICE);
  }

  /** What the CPU reads outside of RAM, in one access within a frame; all ones where nobody answers. Unsigned. */
  readDevice(address: number, size: 1 | 2 | 4): number {
    const found = this.deviceAt(address);
    return found === undefined ? 2 ** (8 * size) - 1 : found.device.read(address - found.start, size);
  }

  /** Writes as the CPU does outside of RAM, in one access within a frame; lost where nobody listens. */
  writeDevice(address: number, size: 1 | 2 | 4, value: number): void {
    const found = this.deviceAt(address);
    found?.device.write(
      address - found.start,
      size,
      size === 4 ? value >>> 0 : value & (2 ** (8 * size) - 1),
    );
  }

  /**
   * Starts an epoch: from now on the first write to each frame is told, before it happens. Whoever caches places that
   * may be written must forget them.
   * @param onFirstWrite hears the physical address of the frame; undefined ends the telling
   */
  beginEpoch(onFirstWrite: ((frame: number) => void) | undefined): void {
    this.epoch = onFirstWrite === undefined ? 0 : ++this.lastEpoch;
    this.onFirstWrite = onFirstWrite ?? (() => {});
  }

  /** Whether a frame may be written at its place without anybody hearing of it. */
  isPlainlyWritable(address: number): boolean {
    const chunk = this.chunkOf(address);
    const index = frameIndex(address);
    if (chunk.flags[index] !== 0) return false;
    return this.epoch === 0 || chunk.epochs?.[index] === this.epoch;
  }

  /** What a frame of RAM holds, also behind a device. */
  contentsOf(frame: number): FrameContents {
    const chunk = this.chunkOf(frame);
    const index = frameIndex(frame);
    const isComputed = (chunk.flags[index] & FRAME_COMPUTED) !== 0;
    const offset = isComputed ? this.computeFrame(chunk, index, frame) : chunk.slots[index];
    if (offset < SHARED_PAGES_END) return offset === ONES_PAGE ? 0xff : 0;
    if (isZero(new Int32Array(this.bytes.buffer, offset, PAGE_SIZE / 4))) return 0;
    return this.bytes.slice(offset, offset + PAGE_SIZE);
  }

  /**
   * Puts contents in the place of those that a frame of RAM has, without telling anybody. A frame of equal bytes
   * gives its place back. @throws MemoryExhaustedError
   */
  replaceContents(frame: number, contents: FrameContents): void {
    const chunk = this.ownChunkOf(frame);
    const index = frameIndex(frame);
    chunk.flags[index] &= ~FRAME_COMPUTED;
    const slot = chunk.slots[index];
    if (typeof contents === "number") {
      if (slot >= SHARED_PAGES_END) this.free.push(slot);
      chunk.slots[index] = contents === 0 ? 0 : ONES_PAGE;
      return;
    }
    this.bytes.set(contents, slot >= SHARED_PAGES_END ? slot : this.allocate(chunk, index, 0));
  }

  /**
   * The same, but gives those that the frame had: where they fit, in the array of the new ones, which is used up.
   * @throws MemoryExhaustedError
   */
  swapContents(frame: number, contents: FrameContents): FrameContents {
    const chunk = this.chunkOf(frame);
    const index = frameIndex(frame);
    const slot = chunk.slots[index];
    if (typeof contents === "number" || slot < SHARED_PAGES_END) {
      const old = this.contentsOf(frame);
      this.replaceContents(frame, contents);
      return old;
    }
    SWAPPED.set(this.bytes.subarray(slot, slot + PAGE_SIZE));
    this.bytes.set(contents, slot);
    if (isZero(SWAPPED_WORDS)) return 0;
    contents.set(SWAPPED);
    return contents;
  }

  /** Whether the byte at a physical address is RAM. */
  isRam(address: number): boolean {
    return this.ram.some((range) => address >= range.start && address < range.end);
  }

  /** The arena offset from which the frame of a physical address may be read; -1 outside of RAM. */
  readOffset(address: number): number {
    const chunk = this.chunkOf(address);
    const index = frameIndex(address);
    const flags = chunk.flags[index];
    if ((flags & (FRAME_DEVICE | FRAME_COMPUTED)) === 0) return chunk.slots[index];
    return (flags & FRAME_DEVICE) !== 0 ? -1 : this.computeFrame(chunk, index, address);
  }

  /**
   * The arena offset at which the frame of a physical address may be written; -1 outside of RAM.
   * @throws MemoryExhaustedError
   */
  writeOffset(address: number): number {
    const chunk = this.ownChunkOf(address);
    const index = frameIndex(address);
    const flags = chunk.flags[index];
    if ((flags & FRAME_DEVICE) !== 0) return -1;
    const slot =
      (flags & FRAME_COMPUTED) === 0 ? chunk.slots[index] : this.computeFrame(chunk, index, address);
    if (this.epoch !== 0 && chunk.epochs?.[index] !== this.epoch) this.tellFirstWrite(chunk, index, address);
    return slot >= SHARED_PAGES_END ? slot : this.allocate(chunk, index, slot);
  }

  private tellFirstWrite(chunk: Chunk, index: number, address: number): void {
    chunk.epochs ??= new Int32Array(CHUNK_FRAMES);
    this.onFirstWrite(address - (address % PAGE_SIZE));
    chunk.epochs[index] = this.epoch;
  }

  /** The flags of the frame of a physical address. */
  flagsOf(address: number): number {
    return this.chunkOf(address).flags[frameIndex(address)];
  }

  setFlag(address: number, flag: number): void {
    const { flags } = this.ownChunkOf(address);
    const index = frameIndex(address);
    if ((flag & ~flags[index] & FRAME_TABLE) !== 0) this.tableFrames.add(address - (address % PAGE_SIZE));
    flags[index] |= flag;
  }

  clearFlag(address: number, flag: number): void {
    this.ownChunkOf(address).flags[frameIndex(address)] &= ~flag;
  }

  /** Reads within one frame; all ones outside of RAM. Signed, like every 32-bit value here. */
  read32(address: number): number {
    if ((address & 0xfff) > PAGE_SIZE - 4) return Number(BigInt.asIntN(32, this.readBig(address, 4)));
    const offset = this.readOffset(address);
    return offset < 0 ? -1 : this.view.getInt32(offset + (address & 0xfff), true);
  }

  /** Unsigned byte. */
  read8(address: number): number {
    const offset = this.readOffset(address);
    return offset < 0 ? 0xff : this.view.getUint8(offset + (address & 0xfff));
  }

  /** Unsigned 16-bit value. */
  read16(address: number): number {
    return this.read8(address) | (this.read8(address + 1) << 8);
  }

  /** Unsigned 64-bit value. */
  read64(address: number): bigint {
    return this.readBig(address, 8);
  }

  write8(address: number, value: number): void {
    const offset = this.writeOffset(address);
    if (offset >= 0) this.view.setUint8(offset + (address & 0xfff), value);
  }

  write16(address: number, value: number): void {
    this.write8(address, value);
    this.write8(address + 1, value >>> 8);
  }

  write32(address: number, value: number): void {
    if ((address & 0xfff) > PAGE_SIZE - 4) {
      this.write16(address, value);
      this.write16(address + 2, value >>> 16);
      return;
    }
    const offset = this.writeOffset(address);
    if (offset >= 0) this.view.setInt32(offset + (address & 0xfff), value, true);
  }

  write64(address: number, value: bigint): void {
    this.write32(address, Number(BigInt.asIntN(32, value)));
    this.write32(address + 4, Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** Sets bits of a 32-bit little-endian value, as the CPU's locked update of an entry does. */
  orEntry(address: number, bits: number): void {
    this.write32(address, this.read32(address) | bits);
  }

  /** A copy of `length` bytes from a physical address. */
  readBytes(address: number, length: number): Uint8Array<ArrayBuffer> {
    const result = new Uint8Array(length);
    forEachPage(address, length, (at, done, count) => {
      const offset = this.readOffset(at);
      if (offset < 0) result.fill(0xff, done, done + count);
      else if (offset > 0) {
        const from = offset + (at & 0xfff);
        result.set(this.bytes.subarray(from, from + count), done);
      }
    });
    return result;
  }

  /** Bytes within a page, for reading at once: a view, where there is something to view. */
  bytesInPage(address: number, length: number): Uint8Array {
    const offset = this.readOffset(address);
    if (offset < 0) return this.readBytes(address, length);
    const from = offset + (address & 0xfff);
    return this.bytes.subarray(from, from + length);
  }

  /** Writes bytes; what falls outside of RAM is lost. @throws MemoryExhaustedError */
  writeBytes(address: number, bytes: Uint8Array): void {
    forEachPage(address, bytes.length, (at, done, count) => {
      const offset = this.writeOffset(at);
      if (offset >= 0) this.bytes.set(bytes.subarray(done, done + count), offset + (at & 0xfff));
    });
  }

  /** Whether the frame of an address holds nothing but a byte, and has no place of its own. */
  sharesPageOf(byte: number, address: number): boolean {
    const offset = this.readOffset(address);
    return (byte === 0 && offset === 0) || (byte === 0xff && offset === ONES_PAGE);
  }

  /** Fills bytes; what shares a page of such bytes already costs nothing. @throws MemoryExhaustedError */
  fill(address: number, length: number, byte: number): void {
    forEachPage(address, length, (at, _done, count) => {
      if (this.sharesPageOf(byte, at)) return;
      const offset = this.writeOffset(at);
      if (offset < 0) return;
      const from = offset + (at & 0xfff);
      this.bytes.fill(byte, from, from + count);
    });
  }

  private deviceAt(address: number) {
    return this.devices.find(({ start, end }) => address >= start && address < end);
  }

  private readBig(address: number, length: number): bigint {
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.read8(address + i));
    return value;
  }

  private chunkOf(address: number): Chunk {
    const number = Math.floor(address / CHUNK_BYTES);
    if (number === this.lastNumber) return this.lastChunk!;
    let chunk = this.chunks.get(number);
    if (chunk === undefined) {
      chunk = this.newChunk(number);
      this.chunks.set(number, chunk);
    }
    this.lastNumber = number;
    this.lastChunk = chunk;
    return chunk;
  }

  /** The same, to be changed. */
  private ownChunkOf(address: number): Chunk {
    const chunk = this.chunkOf(address);
    if (chunk !== UNTOUCHED) return chunk;
    const own = emptyChunk();
    this.chunks.set(this.lastNumber, own);
    this.lastChunk = own;
    return own;
  }

  private newChunk(number: number): Chunk {
    const start = number * CHUNK_BYTES;
    const end = start + CHUNK_BYTES;
    const isRam = this.ram.some((range) => start >= range.start && end <= range.end);
    if (isRam && !this.computed.some((range) => start < range.end && end > range.start)) return UNTOUCHED;
    const flags = new Uint8Array(CHUNK_FRAMES).fill(FRAME_DEVICE);
    for (const range of this.ram) {
      const from = Math.max(0, (range.start - start) / PAGE_SIZE);
      const to = Math.min(CHUNK_FRAMES, (range.end - start) / PAGE_SIZE);
      if (from < to) flags.fill(0, from, to);
    }
    const chunk = { slots: new Int32Array(CHUNK_FRAMES), flags, epochs: undefined };
    this.flagComputed(number, chunk);
    return chunk;
  }

  private flagComputed(number: number, { slots, flags }: Chunk): void {
    const start = number * CHUNK_BYTES;
    for (const range of this.computed) {
      const from = Math.max(0, Math.floor((range.start - start) / PAGE_SIZE));
      const to = Math.min(CHUNK_FRAMES, Math.ceil((range.end - start) / PAGE_SIZE));
      for (let i = from; i < to; i++) if (slots[i] === 0) flags[i] |= FRAME_COMPUTED;
    }
  }

  /** Gives a computed frame its contents. */
  private computeFrame(chunk: Chunk, index: number, address: number): number {
    chunk.flags[index] &= ~FRAME_COMPUTED;
    const start = address - (address % PAGE_SIZE);
    const range = this.computed.find((each) => start >= each.start && start < each.end);
    const page = new Uint8Array(PAGE_SIZE);
    const contents = range?.compute(start, page) ?? "zeros";
    if (contents !== "filled") {
      chunk.slots[index] = contents === "ones" ? ONES_PAGE : 0;
      return chunk.slots[index];
    }
    const offset = this.allocate(chunk, index, 0);
    this.bytes.set(page, offset);
    return offset;
  }

  private allocate(chunk: Chunk, index: number, shared: number): number {
    const offset = this.freePlace();
    if (shared === ONES_PAGE) this.bytes.fill(0xff, offset, offset + PAGE_SIZE);
    chunk.slots[index] = offset;
    this.onFrameAllocated();
    return offset;
  }

  /** A place of zeros. */
  private freePlace(): number {
    const given = this.free.pop();
    if (given !== undefined) {
      this.bytes.fill(0, given, given + PAGE_SIZE);
      return given;
    }
    if (this.used >= this.bytes.length) this.grow();
    this.used += PAGE_SIZE;
    return this.used - PAGE_SIZE;
  }

  private grow(): void {
    if (this.used >= ARENA_LIMIT) throw new MemoryExhaustedError(ARENA_LIMIT);
    this.arena.grow(GROWTH / WASM_PAGE);
    this.view = new DataView(this.arena.buffer);
    this.bytes = new Uint8Array(this.arena.buffer);
  }
}

function isZero(words: Int32Array): boolean {
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

function frameIndex(address: number): number {
  return Math.floor(address / PAGE_SIZE) % CHUNK_FRAMES;
}

function checkRanges(ram: readonly PhysicalRange[]): void {
  let last = 0;
  for (const { start, end } of ram) {
    if (start % PAGE_SIZE !== 0 || end % PAGE_SIZE !== 0)
      throw new RangeError("RAM ranges must be page aligned");
    if (start < last || end <= start || end > 2 ** 52) {
      throw new RangeError("RAM ranges must ascend without overlap below 2^52");
    }
    last = end;
  }
}

/** Calls `visit(address, bytes before it, bytes in this page)` for each page that a range touches. */
function forEachPage(
  address: number,
  length: number,
  visit: (at: number, done: number, count: number) => void,
): void {
  for (let done = 0; done < length; ) {
    const at = address + done;
    const count = Math.min(PAGE_SIZE - (at & 0xfff), length - done);
    visit(at, done, count);
    done += count;
  }
}
