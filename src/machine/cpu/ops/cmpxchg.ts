/** CMPXCHG CMPXCHG8B CMPXCHG16B (SDM vol. 2). Memory is written in any case, if only with what was there. */
import { Mnemonic } from "iced-x86";
import { KIND_SUB32, KIND_SUB64, setFlags } from "../flags";
import {
  advance,
  isRegister,
  linearAddress,
  modify,
  modify64,
  type Op,
  reader,
  registerNumber,
  type Site,
  signExtend,
  writer,
} from "../operands";
import { R_EA_HIGH, R_HIGH, R_KIND, R_OP1, R_OP2, R_RES, RAX, RBX, RCX, RDX, ZF } from "../registers";
import { family, sizeOf, withFeature } from "./family";

/** Flags of accumulator - value. */
function compare(r: Int32Array, accumulator: number, value: number, size: 1 | 2 | 4): void {
  r[R_OP1] = accumulator;
  r[R_OP2] = value;
  r[R_RES] = signExtend(accumulator - value, size);
  r[R_KIND] = KIND_SUB32;
}

function exchange(site: Site): Op {
  const size = sizeOf(site);
  if (size === 8) return exchange64(site);
  const source = reader(site, 1, size);
  if (isRegister(site.instruction, 0)) {
    const read = reader(site, 0, size);
    const write = writer(site, 0, size);
    return (c) => {
      const old = read(c);
      const accumulator = signExtend(c.r[2 * RAX], size);
      compare(c.r, accumulator, old, size);
      if (accumulator === old) write(c, source(c));
      else setAccumulator(c, old, size);
    };
  }
  return modify(site, size, (c, old) => {
    const accumulator = signExtend(c.r[2 * RAX], size);
    compare(c.r, accumulator, old, size);
    if (accumulator === old) return source(c);
    setAccumulator(c, old, size);
    return old;
  });
}

function setAccumulator(
  c: { r: Int32Array; r8: Uint8Array; r16: Int16Array },
  value: number,
  size: 1 | 2 | 4,
): void {
  if (size === 1) c.r8[0] = value;
  else if (size === 2) c.r16[0] = value;
  else {
    c.r[2 * RAX] = value;
    c.r[2 * RAX + 1] = 0;
  }
}

function compare64(r: Int32Array, low: number, high: number): boolean {
  const [aLow, aHigh] = [r[2 * RAX], r[2 * RAX + 1]];
  r[R_OP1] = aLow;
  r[R_OP1 + 1] = aHigh;
  r[R_OP2] = low;
  r[R_OP2 + 1] = high;
  r[R_RES] = aLow - low;
  r[R_RES + 1] = aHigh - high - (aLow >>> 0 < low >>> 0 ? 1 : 0);
  r[R_KIND] = KIND_SUB64;
  return aLow === low && aHigh === high;
}

function exchange64(site: Site): Op {
  const s = 2 * registerNumber(site.instruction.op1Register);
  return modify64(site, (c, low, high) => {
    const { r } = c;
    if (compare64(r, low, high)) {
      r[R_HIGH] = r[s + 1];
      return r[s];
    }
    r[2 * RAX] = low;
    r[2 * RAX + 1] = high;
    r[R_HIGH] = high;
    return low;
  });
}

/** CMPXCHG8B: EDX:EAX against memory, ECX:EBX into it. */
function exchange8Bytes(site: Site): Op {
  return modify64(site, (c, low, high) => {
    const { r } = c;
    const equal = low === r[2 * RAX] && high === r[2 * RDX];
    setFlags(r, ZF, equal ? ZF : 0);
    if (equal) {
      r[R_HIGH] = r[2 * RCX];
      return r[2 * RBX];
    }
    r[2 * RAX] = low;
    r[2 * RAX + 1] = 0;
    r[2 * RDX] = high;
    r[2 * RDX + 1] = 0;
    r[R_HIGH] = high;
    return low;
  });
}

/** CMPXCHG16B: RDX:RAX against memory, RCX:RBX into it; the operand must be aligned. */
function exchange16Bytes(site: Site): Op {
  const address = linearAddress(site, true);
  return (c) => {
    const { r, mmu } = c;
    const at = address(c);
    const atHigh = r[R_EA_HIGH];
    if ((at & 15) !== 0) throw c.gp("the operand of CMPXCHG16B is not aligned to 16 bytes");
    const upper = advance(r, at, 8);
    mmu.probeWrite(at, atHigh, 8);
    const low0 = mmu.load64(at, atHigh);
    const low1 = r[R_HIGH];
    const high0 = mmu.load64(upper, atHigh);
    const high1 = r[R_HIGH];
    const equal =
      low0 === r[2 * RAX] && low1 === r[2 * RAX + 1] && high0 === r[2 * RDX] && high1 === r[2 * RDX + 1];
    if (equal) {
      mmu.store64(at, atHigh, r[2 * RBX], r[2 * RBX + 1]);
      mmu.store64(upper, atHigh, r[2 * RCX], r[2 * RCX + 1]);
    } else {
      r[2 * RAX] = low0;
      r[2 * RAX + 1] = low1;
      r[2 * RDX] = high0;
      r[2 * RDX + 1] = high1;
    }
    setFlags(r, ZF, equal ? ZF : 0);
  };
}

export const CMPXCHG = new Map(
  family(
    [Mnemonic.Cmpxchg, exchange],
    [Mnemonic.Cmpxchg8b, withFeature("cx8", exchange8Bytes)],
    [Mnemonic.Cmpxchg16b, withFeature("cx16", exchange16Bytes)],
  ),
);
