/**
 * Translated blocks: found by linear address as long as nothing changed what the address means, else by physical
 * address.
 *
 * Invariants: every frame that holds bytes of a cached block has FRAME_CODE; a block in `byAddress` answers only in
 * its own mode and in the present epoch; the epoch changes with every flush, mode change and change of privilege.
 */
import { join64 } from "../../paging/halves";
import { FRAME_CODE, PAGE_SIZE } from "../memory";
import { MODE_64, MODE_BITS } from "./attributes";
import { type Block, NO_BLOCK, putRip } from "./block";
import { Driver } from "./compile/driver";
import { Epochs } from "./compile/epochs";
import { instructionOf, type Region, writeRegion } from "./compile/region";
import type { Cpu } from "./cpu";
import { R_EPOCH, R_RIP } from "./registers";
import { translateBlock } from "./translate";

const SLOTS = 4096;
const GRANULE = 64;
/** Regions at once; when there are more, all are forgotten. */
const REGIONS = 4096;
/** Runs after which a block is worth being in a region that another one begins. */
const WARM = 4;
/** Runs of a block after which it is worth being compiled; what runs less often is cheaper as closures. */
export const HOT = 50;
/** Hot blocks that are compiled together, and the runs after which one of them waits for no others. */
const BATCH = 8;
export const URGENT = 300;
/** Instructions that a driver is given at once, so that their number is an int32. */
const MOST = 2 ** 30;

/** The blocks that begin in a frame, and those of the frame before that reach into it. */
interface CodePage {
  readonly blocks: Map<number, Block>;
  readonly reachingIn: Set<Block>;
  /** Granules with bytes of instructions. */
  readonly granules: Uint8Array;
}

export class CodeCache {
  /** The block that runs, or ran last. */
  current: Block = NO_BLOCK;
  /** Whether hot blocks are compiled at all; without it every instruction is a closure. */
  compiling = true;
  private readonly byAddress: Block[] = new Array<Block>(SLOTS).fill(NO_BLOCK);
  private readonly pages = new Map<number, CodePage>();
  /** Linear pages in which blocks were found in the present epoch. */
  private readonly fetched = new Set<number>();
  private driver: Driver | undefined;
  private readonly epochs: Epochs;
  private readonly regions: (Region | undefined)[] = [];
  private readonly freeSlots: number[] = [];
  /** Hot blocks that are not compiled yet. */
  private waiting: Block[] = [];
  /** While a region runs: instructions retired when none is left to it. */
  private end = 0;
  private breakpoints: ReadonlySet<bigint> = new Set();
  private milestones: ReadonlyMap<bigint, string> = new Map();

  constructor(private readonly cpu: Cpu) {
    this.epochs = new Epochs(cpu.memory);
  }

  /** RIP of the running instruction. */
  currentRip(): bigint {
    const { current, cpu } = this;
    if (current === NO_BLOCK) return cpu.rip;
    return BigInt.asUintN(64, join64(current.low, current.high) + BigInt(current.offsets[cpu.index]));
  }

  /** Bytes of the running instruction. */
  currentLength(): number {
    const { offsets } = this.current;
    return offsets[this.cpu.index + 1] - offsets[this.cpu.index];
  }

  /**
   * What tells whether a block that was found may run without another look: it changes when what linear addresses lead
   * to may have changed, and is another one in user mode. Never less than 0.
   */
  get epoch(): number {
    return this.cpu.r[R_EPOCH];
  }

  /** What linear addresses lead to may have changed. */
  newEpoch(): void {
    const { r } = this.cpu;
    r[R_EPOCH] = (r[R_EPOCH] + 2) & 0x7fffffff;
    if (this.fetched.size > 0) this.fetched.clear();
    if (r[R_EPOCH] < 2) this.forgetAddresses();
  }

  /** Code is fetched with other rights from now on. */
  setUser(user: boolean): void {
    const { r } = this.cpu;
    r[R_EPOCH] = (r[R_EPOCH] & ~1) | (user ? 1 : 0);
  }

  /** Blocks that were found through a translation have to be found again: it left the TLB, or may be stale. */
  translationDoubtful(page4K: number, pageShift: number): void {
    if (pageShift === 12 && !this.fetched.has(page4K)) return;
    this.newEpoch();
    this.cpu.leave = true;
  }

  /** Epochs begin anew: nothing may be left of the old ones. */
  private forgetAddresses(): void {
    this.byAddress.fill(NO_BLOCK);
    for (const page of this.pages.values()) {
      for (const block of page.blocks.values()) {
        this.epochs.set(block, -1);
        this.driver?.withdraw(block.low, block.high);
      }
    }
  }

  setBreakpoints(addresses: Iterable<bigint>): void {
    const wanted = new Set([...addresses].map((address) => BigInt.asUintN(64, address)));
    const changed = [...wanted, ...this.breakpoints].filter(
      (address) => wanted.has(address) !== this.breakpoints.has(address),
    );
    this.breakpoints = wanted;
    if (changed.length > 0) this.dropAround(changed);
  }

  /** What begins at linear addresses, in words. */
  setMilestones(milestones: ReadonlyMap<bigint, string>): void {
    const before = this.milestones;
    this.milestones = milestones;
    this.dropAround([...before.keys(), ...milestones.keys()]);
  }

  /** Regions that there are. */
  get regionCount(): number {
    return this.regions.reduce((count, region) => count + (region === undefined ? 0 : 1), 0);
  }

  /** Copies of blocks that regions hold. */
  get copyCount(): number {
    return this.regions.reduce(
      (count, region) => count + (region?.blocks.length ?? 0) - (region?.own ?? 0),
      0,
    );
  }

  /** Whether a block has to begin at an address: somebody wants to know of the run coming there. */
  mustBegin(low: number, high: number): boolean {
    return this.hasBreakpoint(low, high) || this.milestoneAt(low, high) !== undefined;
  }

  /** What begins at an address. */
  milestoneAt(low: number, high: number): string | undefined {
    return this.milestones.size === 0 ? undefined : this.milestones.get(join64(low, high));
  }

  /** Forgets the blocks with an instruction byte at one of these linear addresses. */
  private dropAround(addresses: readonly bigint[]): void {
    for (const page of [...this.pages.values()]) {
      for (const block of [...page.blocks.values()]) {
        const start = join64(block.low, block.high);
        const end = start + BigInt(block.length);
        if (addresses.some((address) => address >= start && address < end)) this.drop(block);
      }
    }
  }

  hasBreakpoint(low: number, high: number): boolean {
    return this.breakpoints.size > 0 && this.breakpoints.has(join64(low, high));
  }

  /** The block at the present RIP. Faults as a fetch. */
  find(): Block {
    const { r, mode } = this.cpu;
    const low = r[R_RIP];
    const high = r[R_RIP + 1];
    const block = this.byAddress[slotOf(low)];
    if (block.low === low && block.high === high && block.epoch === this.epoch && block.mode === mode)
      return block;
    return this.findSlowly(low, high);
  }

  /** The block at a linear address, if it was found in the present epoch and is still at hand. */
  private found(address: bigint): Block | undefined {
    const low = Number(BigInt.asIntN(32, address));
    const high = Number(BigInt.asIntN(32, address >> 32n));
    const block = this.byAddress[slotOf(low)];
    const { mode } = this.cpu;
    const isThis = block.low === low && block.high === high && block.mode === mode;
    return isThis && block.epoch === this.epoch ? block : undefined;
  }

  /** A block has become hot: it is compiled with others that have or, once its runs are urgent, now. */
  becameHot(block: Block): void {
    if (!this.compiling || !this.mayCompile(block)) return;
    if (!this.waiting.includes(block)) this.waiting.push(block);
    if (this.waiting.length < BATCH && block.runs < URGENT) return;
    const { waiting } = this;
    this.waiting = [];
    this.compile(waiting);
  }

  /** Makes regions of blocks, each with what it leads to. */
  compile(seeds: readonly Block[]): void {
    this.driver ??= new Driver(this.cpu.memory, (site, left) => this.step(site, left), REGIONS);
    const bodies = new Map<number, Uint8Array>();
    for (const seed of seeds) this.write(seed, bodies);
    // One that was written for want of another slot may have taken all others with it.
    for (const slot of bodies.keys()) if (this.regions[slot] === undefined) bodies.delete(slot);
    if (bodies.size > 0) this.driver.add(bodies);
  }

  /** Writes the region of a hot block with what it leads to; its function is not at hand yet. */
  private write(seed: Block, bodies: Map<number, Uint8Array>): void {
    const page = this.pages.get(Math.floor(seed.physical / PAGE_SIZE));
    const isThere = page?.blocks.get(seed.physical % PAGE_SIZE) === seed;
    if (!isThere || seed.region !== undefined || !this.mayCompile(seed)) return;
    const slot = this.freeSlot();
    const written = writeRegion(this.cpu, slot, seed, {
      find: (address) => {
        const other = page.blocks.get(Number(address & 0xfffn));
        if (other === undefined || join64(other.low, other.high) !== address) return undefined;
        // The frame may be mapped elsewhere too, and a jump lead there.
        if (other.low >>> 12 !== seed.low >>> 12 || other.high !== seed.high) return undefined;
        return other.runs >= WARM && other.region === undefined && this.mayCompile(other) ? other : undefined;
      },
      findCopy: (address) => {
        const other = this.found(address);
        return other !== undefined && other.runs >= WARM && this.mayCompile(other) ? other : undefined;
      },
      epochOffset: (other) => this.epochs.offsetOf(other),
    });
    if (written === undefined) {
      this.freeSlots.push(slot);
      return;
    }
    this.regions[slot] = written.region;
    bodies.set(slot, written.body);
  }

  /**
   * Runs the region that a block begins, and those that follow, until instructions run short or something has to be
   * looked at. `retired` and RIP are right then.
   * @param block with a region, and no more instructions than are left
   * @param limit instructions retired at most
   * @returns false where nothing was done, since the region leaves the block's only instruction to the run loop
   */
  runRegion(block: Block, limit: number): boolean {
    const { cpu } = this;
    const start = cpu.retired;
    const most = Math.min(limit - start, MOST);
    this.end = start + most;
    const { low, high, epoch } = block;
    this.driver!.publish(low, high, epoch, block.target);
    this.current = NO_BLOCK;
    const left = this.driver!.run(block.target, most);
    cpu.retired = this.end - (left < 0 ? ~left : left);
    cpu.index = 0;
    this.current = NO_BLOCK;
    return cpu.retired !== start;
  }

  /** For a region: runs an instruction's closure. Returns 0, or what the region has to return. */
  private step(site: number, left: number): number {
    const { cpu } = this;
    const { slot, block: number, index } = instructionOf(site);
    const block = this.regions[slot]!.blocks[number];
    const count = block.ops.length;
    this.current = block;
    cpu.index = index;
    cpu.retired = this.end - left - count;
    const { r } = cpu;
    r[R_RIP] = block.nextLow;
    r[R_RIP + 1] = block.nextHigh;
    block.ops[index](cpu);
    if (!cpu.leave) return 0;
    if (index < count - 1) putRip(r, block, index + 1);
    return ~(left + count - 1 - index);
  }

  private mayCompile(block: Block): boolean {
    return (
      (block.mode & MODE_BITS) === MODE_64 &&
      block.secondPage < 0 &&
      !block.breakpoint &&
      block.milestone === undefined
    );
  }

  private freeSlot(): number {
    const free = this.freeSlots.pop();
    if (free !== undefined) return free;
    if (this.regions.length < REGIONS) return this.regions.push(undefined) - 1;
    for (const region of this.regions) if (region !== undefined) this.dropRegion(region);
    return this.freeSlots.pop()!;
  }

  /** Its blocks go on as closures. */
  private dropRegion(region: Region): void {
    const { slot, blocks, own } = region;
    for (const copied of blocks.slice(own)) copied.copiedIn?.delete(region);
    for (const block of blocks.slice(0, own)) {
      block.region = undefined;
      block.target = -1;
      block.runs = 0;
      this.driver!.withdraw(block.low, block.high);
    }
    this.driver!.table.set(slot, null);
    this.regions[slot] = undefined;
    this.freeSlots.push(slot);
    if (blocks.includes(this.current)) this.cpu.leave = true;
  }

  /** Bytes of a frame with FRAME_CODE are about to change. */
  invalidate(address: number, size: number): void {
    for (let at = address; at < address + size; at = (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE) {
      const end = Math.min(address + size, (Math.floor(at / PAGE_SIZE) + 1) * PAGE_SIZE);
      this.invalidateInPage(at, end - at);
    }
  }

  private invalidateInPage(address: number, size: number): void {
    const frame = Math.floor(address / PAGE_SIZE);
    const page = this.pages.get(frame);
    if (page === undefined) return;
    const first = address % PAGE_SIZE;
    const last = first + size - 1;
    let code = 0;
    for (let granule = first >> 6; granule <= last >> 6; granule++) code |= page.granules[granule];
    if (code === 0) return;
    for (const block of [...page.blocks.values(), ...page.reachingIn]) {
      if (overlaps(block, address, size)) this.drop(block);
    }
  }

  private findSlowly(low: number, high: number): Block {
    const { cpu } = this;
    // A fault of the fetch belongs to no block: RIP is already exact.
    this.current = NO_BLOCK;
    const physical = cpu.mmu.translateFetch(low, high);
    this.fetched.add((high >>> 0) * 0x100000 + (low >>> 12));
    let block = this.pages.get(Math.floor(physical / PAGE_SIZE))?.blocks.get(physical % PAGE_SIZE);
    if (block !== undefined && !this.stillRight(block, low, high)) {
      this.drop(block);
      block = undefined;
    }
    if (block === undefined) {
      block = translateBlock(cpu, low, high, physical);
      this.add(block);
    }
    if (block.secondPage >= 0) this.fetched.add((high >>> 0) * 0x100000 + (low >>> 12) + 1);
    this.epochs.set(block, this.epoch);
    this.byAddress[slotOf(low)] = block;
    return block;
  }

  private stillRight(block: Block, low: number, high: number): boolean {
    if (block.low !== low || block.high !== high || block.mode !== this.cpu.mode) return false;
    if (block.secondPage < 0) return true;
    const next = ((low | 0xfff) + 1) | 0;
    return this.cpu.mmu.translateFetch(next, next === 0 ? (high + 1) | 0 : high) === block.secondPage;
  }

  private add(block: Block): void {
    const page = this.pageOf(block.physical);
    page.blocks.set(block.physical % PAGE_SIZE, block);
    const first = block.physical % PAGE_SIZE;
    const last = Math.min(first + block.length, PAGE_SIZE) - 1;
    for (let granule = first >> 6; granule <= last >> 6; granule++) page.granules[granule] = 1;
    if (block.secondPage < 0) return;
    const second = this.pageOf(block.secondPage);
    second.reachingIn.add(block);
    second.granules[0] = 1;
  }

  private pageOf(address: number): CodePage {
    const frame = Math.floor(address / PAGE_SIZE);
    let page = this.pages.get(frame);
    if (page === undefined) {
      page = { blocks: new Map(), reachingIn: new Set(), granules: new Uint8Array(PAGE_SIZE / GRANULE) };
      this.pages.set(frame, page);
      this.cpu.memory.setFlag(address, FRAME_CODE);
      this.cpu.mmu.flushWriteCache();
    }
    return page;
  }

  private drop(block: Block): void {
    this.pages.get(Math.floor(block.physical / PAGE_SIZE))?.blocks.delete(block.physical % PAGE_SIZE);
    if (block.secondPage >= 0)
      this.pages.get(Math.floor(block.secondPage / PAGE_SIZE))?.reachingIn.delete(block);
    if (block === this.current) this.cpu.leave = true;
    if (block.region !== undefined) this.dropRegion(block.region);
    for (const region of [...(block.copiedIn ?? [])]) this.dropRegion(region);
    this.epochs.forget(block);
  }
}

function slotOf(low: number): number {
  return (low ^ (low >>> 12)) & (SLOTS - 1);
}

function overlaps(block: Block, address: number, size: number): boolean {
  const inFirst = Math.min(block.length, PAGE_SIZE - (block.physical % PAGE_SIZE));
  if (address < block.physical + inFirst && block.physical < address + size) return true;
  const inSecond = block.length - inFirst;
  return block.secondPage >= 0 && address < block.secondPage + inSecond && block.secondPage < address + size;
}
