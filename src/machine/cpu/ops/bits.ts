/** BT BTS BTR BTC BSF BSR TZCNT LZCNT POPCNT BSWAP SETcc (SDM vol. 2). */
import { Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu";
import { CONDITIONS, setFlags } from "../flags";
import {
  immediateOf,
  isMemory,
  isRegister,
  linearAddress,
  modify,
  modify64,
  type Op,
  reader,
  reader64,
  registerNumber,
  type Site,
  type Size,
  writer,
  writer64,
} from "../operands";
import { CF, R_EA_HIGH, R_HIGH, STATUS_FLAGS, ZF } from "../registers";
import { SET_MNEMONICS } from "./conditions";
import { family, sizeOf } from "./family";

/** What becomes of a bit: its word and the mask of the bit in, the new word out. */
type BitChange = (word: number, mask: number) => number;

const keep: BitChange = (word) => word;
const set: BitChange = (word, mask) => word | mask;
const reset: BitChange = (word, mask) => word & ~mask;
const complement: BitChange = (word, mask) => word ^ mask;

function setCarry(c: Cpu, word: number, mask: number): void {
  setFlags(c.r, CF, (word & mask) !== 0 ? CF : 0);
}

function bitTest(change: BitChange, writes: boolean): (site: Site) => Op {
  return (site) => {
    const { instruction } = site;
    if (isMemory(instruction, 0) && isRegister(instruction, 1)) return bitString(site, change, writes);
    const size = sizeOf(site);
    const bits = size * 8;
    if (size === 8) return bitTest64(site, change, writes);
    const index = isRegister(instruction, 1)
      ? reader(site, 1, size)
      : constant(immediateOf(instruction, 1).low);
    const apply = (c: Cpu, value: number) => {
      const mask = 1 << (index(c) & (bits - 1));
      const result = change(value, mask);
      setCarry(c, value, mask);
      return result;
    };
    if (writes) return modify(site, size, apply);
    const read = reader(site, 0, size);
    return (c) => {
      apply(c, read(c));
    };
  };
}

function constant(value: number): (c: Cpu) => number {
  return () => value;
}

function bitTest64(site: Site, change: BitChange, writes: boolean): Op {
  const { instruction } = site;
  const s = isRegister(instruction, 1) ? 2 * registerNumber(instruction.op1Register) : -1;
  const fixed = s < 0 ? immediateOf(instruction, 1).low : 0;
  const apply = (c: Cpu, low: number, high: number) => {
    const index = (s < 0 ? fixed : c.r[s]) & 63;
    const mask = 1 << (index & 31);
    const upper = index >= 32;
    setCarry(c, upper ? high : low, mask);
    c.r[R_HIGH] = upper ? change(high, mask) : high;
    return upper ? low : change(low, mask);
  };
  if (writes) return modify64(site, apply);
  const read = reader64(site, 0);
  return (c) => {
    const low = read(c);
    apply(c, low, c.r[R_HIGH]);
  };
}

/** With a register index memory is a string of bits: the index, signed, selects the operand-sized word too. */
function bitString(site: Site, change: BitChange, writes: boolean): Op {
  const { instruction } = site;
  const size = sizeOf(site);
  const address = linearAddress(site, writes);
  const index = registerNumber(instruction.op1Register);
  const bits = size * 8;
  return (c) => {
    const { r, mmu } = c;
    const n = size === 2 ? c.r16[4 * index] : r[2 * index];
    // Byte offset of the word that holds the bit. 64-bit indexes reach beyond an int32 of bits.
    const offset = size === 8 ? Math.floor(signed64(r, index) / 64) * 8 : (n >> (size === 2 ? 4 : 5)) * size;
    let low = address(c);
    low = addOffset(r, low, offset, site.bitness === 64);
    const high = r[R_EA_HIGH];
    const bit = n & (bits - 1);
    if (size === 2) {
      if (writes) mmu.probeWrite(low, high, 2);
      const word = mmu.load16(low, high);
      if (writes) mmu.store16(low, high, change(word, 1 << bit));
      setCarry(c, word, 1 << bit);
      return;
    }
    if (writes) mmu.probeWrite(low, high, size);
    const value = size === 8 ? mmu.load64(low, high) : mmu.load32(low, high);
    const valueHigh = r[R_HIGH];
    const mask = 1 << (bit & 31);
    const upper = bit >= 32;
    if (writes && size === 4) mmu.store32(low, high, change(value, mask));
    if (writes && size === 8) {
      mmu.store64(
        low,
        high,
        upper ? value : change(value, mask),
        upper ? change(valueHigh, mask) : valueHigh,
      );
    }
    setCarry(c, upper ? valueHigh : value, mask);
  };
}

/** A register as a number; the low bits may be lost, the bits that select the word are not. */
function signed64(r: Int32Array, index: number): number {
  return r[2 * index + 1] * 0x100000000 + ((r[2 * index] & ~63) >>> 0);
}

function addOffset(r: Int32Array, low: number, offset: number, wide: boolean): number {
  if (!wide) return (low + offset) | 0;
  const high = Math.floor(offset / 0x100000000);
  const next = (low + offset) | 0;
  const carry = (low >>> 0) + ((offset | 0) >>> 0) > 0xffffffff ? 1 : 0;
  r[R_EA_HIGH] = (r[R_EA_HIGH] + high + carry) | 0;
  return next;
}

/** Index of the lowest set bit of a word that is not 0. */
function lowest(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** BSF and BSR: with a source of 0 ZF is set and the destination stays as it was. */
function bitScan(forward: boolean): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    if (size === 8) return bitScan64(site, forward);
    const read = reader(site, 1, size);
    const write = writer(site, 0, size);
    return (c) => {
      const value = size === 2 ? read(c) & 0xffff : read(c);
      scanFlags(c, value === 0);
      if (value !== 0) write(c, forward ? lowest(value) : 31 - Math.clz32(value));
    };
  };
}

function scanFlags(c: Cpu, isZero: boolean): void {
  setFlags(c.r, ZF, isZero ? ZF : 0);
}

function bitScan64(site: Site, forward: boolean): Op {
  const read = reader64(site, 1);
  const write = writer64(site, 0);
  return (c) => {
    const low = read(c);
    const high = c.r[R_HIGH];
    scanFlags(c, (low | high) === 0);
    if ((low | high) === 0) return;
    if (forward) write(c, low !== 0 ? lowest(low) : 32 + lowest(high), 0);
    else write(c, high !== 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(low), 0);
  };
}

/** TZCNT (forward) and LZCNT; without the CPU feature the encoding means BSF or BSR. */
function countZeros(forward: boolean): (site: Site) => Op {
  return (site) => {
    const has = forward ? site.features.bmi1 : site.features.abm;
    if (!has) return bitScan(forward)(site);
    const size = sizeOf(site);
    const bits = size * 8;
    if (size === 8) {
      const read = reader64(site, 1);
      const write = writer64(site, 0);
      return (c) => {
        const low = read(c);
        const high = c.r[R_HIGH];
        const count = forward ? trailing64(low, high) : leading64(low, high);
        write(c, count, 0);
        countFlags(c, count, bits);
      };
    }
    const read = reader(site, 1, size);
    const write = writer(site, 0, size);
    return (c) => {
      const value = size === 2 ? read(c) & 0xffff : read(c);
      const count = forward ? (value === 0 ? bits : lowest(value)) : Math.clz32(value) - (32 - bits);
      write(c, count);
      countFlags(c, count, bits);
    };
  };
}

function trailing64(low: number, high: number): number {
  if (low !== 0) return lowest(low);
  return high !== 0 ? 32 + lowest(high) : 64;
}

function leading64(low: number, high: number): number {
  return high !== 0 ? Math.clz32(high) : 32 + Math.clz32(low);
}

function countFlags(c: Cpu, count: number, bits: number): void {
  setFlags(c.r, CF | ZF, (count === bits ? CF : 0) | (count === 0 ? ZF : 0));
}

function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

function populationCount(site: Site): Op {
  if (!site.features.popcnt) {
    return (c) => {
      throw c.ud("this CPU has no popcnt");
    };
  }
  const size = sizeOf(site);
  if (size === 8) {
    const read = reader64(site, 1);
    const write = writer64(site, 0);
    return (c) => {
      const low = read(c);
      const count = ones(low) + ones(c.r[R_HIGH]);
      write(c, count, 0);
      setFlags(c.r, STATUS_FLAGS, count === 0 ? ZF : 0);
    };
  }
  const read = reader(site, 1, size);
  const write = writer(site, 0, size);
  return (c) => {
    const count = ones(size === 2 ? read(c) & 0xffff : read(c));
    write(c, count);
    setFlags(c.r, STATUS_FLAGS, count === 0 ? ZF : 0);
  };
}

function swap32(value: number): number {
  return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}

/** The bytes of a value of 2, 4 or 8 bytes in reverse order; 64-bit: halves given and returned through R_HIGH. */
export function swapBytes(value: number, size: Size): number {
  return size === 2 ? ((swap32(value) >>> 16) << 16) >> 16 : swap32(value);
}

/** BSWAP. With a 16-bit register the result is undefined; real CPUs give 0. */
function byteSwap(site: Site): Op {
  const size = sizeOf(site);
  const d = 2 * registerNumber(site.instruction.op0Register);
  if (size === 8) {
    return (c) => {
      const low = c.r[d];
      c.r[d] = swap32(c.r[d + 1]);
      c.r[d + 1] = swap32(low);
    };
  }
  if (size === 2) {
    return (c) => {
      c.r16[2 * d] = 0;
    };
  }
  return (c) => {
    c.r[d] = swap32(c.r[d]);
    c.r[d + 1] = 0;
  };
}

/** SETcc by the encoding of its condition. */
function setByte(condition: number): (site: Site) => Op {
  return (site) => {
    const test = CONDITIONS[condition];
    const write = writer(site, 0, 1);
    return (c) => write(c, test(c.r) ? 1 : 0);
  };
}

export const BITS = new Map(
  family(
    [Mnemonic.Bt, bitTest(keep, false)],
    [Mnemonic.Bts, bitTest(set, true)],
    [Mnemonic.Btr, bitTest(reset, true)],
    [Mnemonic.Btc, bitTest(complement, true)],
    [Mnemonic.Bsf, bitScan(true)],
    [Mnemonic.Bsr, bitScan(false)],
    [Mnemonic.Tzcnt, countZeros(true)],
    [Mnemonic.Lzcnt, countZeros(false)],
    [Mnemonic.Popcnt, populationCount],
    [Mnemonic.Bswap, byteSwap],
    ...SET_MNEMONICS.map((mnemonic, condition): [Mnemonic, (site: Site) => Op] => [
      mnemonic,
      setByte(condition),
    ]),
  ),
);
