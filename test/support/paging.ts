/** Paging states and a memory of tables for tests. */
import type { PagingLevels, PagingState } from "../../src/paging/state";

/** A paging state with everything that the architecture has switched on, but for the keys. */
export function pagingState(levels: PagingLevels, change: Partial<PagingState> = {}): PagingState {
  return {
    levels,
    root: 0x1000,
    pdpte: new Int32Array(8),
    maxPhysicalBits: 40,
    pse: true,
    pse36: true,
    pages1G: true,
    nxe: true,
    wp: true,
    smep: false,
    smap: false,
    pke: false,
    pks: false,
    pkru: 0,
    pkrs: 0,
    ...change,
  };
}

/** Physical memory that holds what was written and is zero elsewhere. */
export class TestMemory {
  readonly words = new Map<number, number>();

  read32(address: number): number {
    return this.words.get(address) ?? 0;
  }

  orEntry(address: number, bits: number): void {
    this.words.set(address, this.read32(address) | bits);
  }

  write64(address: number, value: bigint): void {
    this.words.set(address, Number(BigInt.asIntN(32, value)));
    this.words.set(address + 4, Number(BigInt.asIntN(32, value >> 32n)));
  }

  write32(address: number, value: bigint): void {
    this.words.set(address, Number(BigInt.asIntN(32, value)));
  }

  read64(address: number): bigint {
    return (BigInt(this.read32(address + 4) >>> 0) << 32n) | BigInt(this.read32(address) >>> 0);
  }
}

/** The int32 halves of a 64-bit address. */
export function halves(address: bigint): [number, number] {
  return [Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n))];
}
