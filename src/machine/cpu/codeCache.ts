/**
 * Translated blocks: found by linear address as long as nothing changed what the address means, else by physical
 * address.
 *
 * Invariants: every frame that holds bytes of a cached block has FRAME_CODE; a block in `byAddress` answers only in
 * its own mode and in the present epoch; the epoch changes with every flush, mode change and change of privilege.
 */
import { FRAME_CODE, PAGE_SIZE } from "../memory";
import { MODE_64, MODE_BITS } from "./attributes";
import { type Block, NO_BLOCK } from "./block";
import { compileBlock } from "./compile/compile";
import type { Cpu } from "./cpu";
import { R_RIP } from "./registers";
import { translateBlock } from "./translate";

const SLOTS = 4096;
const GRANULE = 64;

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
  epoch = 0;
  /** Whether hot blocks are compiled at all; without it every instruction is a closure. */
  compiling = true;
  private readonly byAddress: Block[] = new Array<Block>(SLOTS).fill(NO_BLOCK);
  private readonly pages = new Map<number, CodePage>();
  private breakpoints: ReadonlySet<bigint> = new Set();
  private milestones: ReadonlyMap<bigint, string> = new Map();

  constructor(private readonly cpu: Cpu) {}

  /** RIP of the running instruction. */
  currentRip(): bigint {
    const { current, cpu } = this;
    if (current === NO_BLOCK) return cpu.rip;
    return BigInt.asUintN(64, linear(current.low, current.high) + BigInt(current.offsets[cpu.index]));
  }

  /** Bytes of the running instruction. */
  currentLength(): number {
    const { offsets } = this.current;
    return offsets[this.cpu.index + 1] - offsets[this.cpu.index];
  }

  /** What linear addresses lead to may have changed. */
  newEpoch(): void {
    this.epoch++;
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

  /** Whether a block has to begin at an address: somebody wants to know of the run coming there. */
  mustBegin(low: number, high: number): boolean {
    return this.hasBreakpoint(low, high) || this.milestoneAt(low, high) !== undefined;
  }

  /** What begins at an address. */
  milestoneAt(low: number, high: number): string | undefined {
    return this.milestones.size === 0 ? undefined : this.milestones.get(linear(low, high));
  }

  /** Forgets the blocks with an instruction byte at one of these linear addresses. */
  private dropAround(addresses: readonly bigint[]): void {
    for (const page of [...this.pages.values()]) {
      for (const block of [...page.blocks.values()]) {
        const start = linear(block.low, block.high);
        const end = start + BigInt(block.length);
        if (addresses.some((address) => address >= start && address < end)) this.drop(block);
      }
    }
  }

  hasBreakpoint(low: number, high: number): boolean {
    return this.breakpoints.size > 0 && this.breakpoints.has(linear(low, high));
  }

  /** The block at the present RIP. Faults as a fetch. */
  find(): Block {
    const { r, mode } = this.cpu;
    const low = r[R_RIP];
    const high = r[R_RIP + 1];
    const slot = (low ^ (low >>> 12)) & (SLOTS - 1);
    const block = this.byAddress[slot];
    if (block.low === low && block.high === high && block.epoch === this.epoch && block.mode === mode)
      return block;
    return this.findSlowly(low, high, slot);
  }

  /** Makes one function of a block that runs often. */
  compile(block: Block): void {
    if (!this.compiling || (block.mode & MODE_BITS) !== MODE_64 || block.secondPage >= 0) return;
    block.compiled = compileBlock(this.cpu, block, this.cpu.memory.readBytes(block.physical, block.length));
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

  private findSlowly(low: number, high: number, slot: number): Block {
    const { cpu } = this;
    // A fault of the fetch belongs to no block: RIP is already exact.
    this.current = NO_BLOCK;
    const physical = cpu.mmu.translateFetch(low, high);
    let block = this.pages.get(Math.floor(physical / PAGE_SIZE))?.blocks.get(physical % PAGE_SIZE);
    if (block !== undefined && !this.stillRight(block, low, high)) {
      this.drop(block);
      block = undefined;
    }
    if (block === undefined) {
      block = translateBlock(cpu, low, high, physical);
      this.add(block);
    }
    block.epoch = this.epoch;
    this.byAddress[slot] = block;
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
    block.epoch = -1;
    if (block === this.current) this.cpu.leave = true;
  }
}

function overlaps(block: Block, address: number, size: number): boolean {
  const inFirst = Math.min(block.length, PAGE_SIZE - (block.physical % PAGE_SIZE));
  if (address < block.physical + inFirst && block.physical < address + size) return true;
  const inSecond = block.length - inFirst;
  return block.secondPage >= 0 && address < block.secondPage + inSecond && block.secondPage < address + size;
}

/** A linear address from its halves. */
export function linear(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
