/** SHL SHR SAR ROL ROR RCL RCR SHLD SHRD (SDM vol. 2). A masked count of 0 changes nothing, not even flags. */
import { Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu";
import { carry, setFlags, setMixed32, setMixed64 } from "../flags";
import {
  immediateOf,
  isRegister,
  modify,
  modify64,
  type Op,
  type Reader,
  reader,
  reader64,
  type Site,
  type Size,
  signExtend,
} from "../operands";
import { CF, OF, R_HIGH, RCX } from "../registers";
import { family, sizeOf } from "./family";

/** The count is 1..31, already masked; value and result are sign-extended. */
type Kernel = (r: Int32Array, value: number, count: number, size: Size) => number;
/** The count is 1..63; the high half of the result goes to `r[R_HIGH]`. */
type Kernel64 = (r: Int32Array, low: number, high: number, count: number) => number;

function unsigned(value: number, size: Size): number {
  return size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value >>> 0;
}

/** Bit `n` of a 64-bit value. */
function bit64(low: number, high: number, n: number): number {
  return n < 32 ? (low >>> n) & 1 : (high >>> (n - 32)) & 1;
}

/** Logical shift left of a pair by 0..63. */
export function shiftLeft64(r: Int32Array, low: number, high: number, count: number): number {
  if (count === 0) {
    r[R_HIGH] = high;
    return low;
  }
  if (count >= 32) {
    r[R_HIGH] = low << (count - 32);
    return 0;
  }
  r[R_HIGH] = (high << count) | (low >>> (32 - count));
  return low << count;
}

/** Logical shift right of a pair by 0..63. */
export function shiftRight64(r: Int32Array, low: number, high: number, count: number): number {
  if (count === 0) {
    r[R_HIGH] = high;
    return low;
  }
  if (count >= 32) {
    r[R_HIGH] = 0;
    return (high >>> (count - 32)) | 0;
  }
  r[R_HIGH] = high >>> count;
  return (low >>> count) | (high << (32 - count));
}

/** Arithmetic shift right of a pair by 0..63. */
export function shiftArithmetic64(r: Int32Array, low: number, high: number, count: number): number {
  if (count === 0) {
    r[R_HIGH] = high;
    return low;
  }
  if (count >= 32) {
    r[R_HIGH] = high >> 31;
    return high >> (count - 32);
  }
  r[R_HIGH] = high >> count;
  return (low >>> count) | (high << (32 - count));
}

const shl: Kernel = (r, value, count, size) => {
  const result = signExtend(value << count, size);
  const bits = size * 8;
  const cf = count <= bits ? (value >>> (bits - count)) & 1 : 0;
  setMixed32(r, result, cf | (result < 0 !== (cf === 1) ? OF : 0));
  return result;
};

const shr: Kernel = (r, value, count, size) => {
  const from = unsigned(value, size);
  const result = signExtend(from >>> count, size);
  setMixed32(r, result, ((from >>> (count - 1)) & 1) | (value < 0 ? OF : 0));
  return result;
};

const sar: Kernel = (r, value, count) => {
  const result = value >> count;
  setMixed32(r, result, (value >> (count - 1)) & 1);
  return result;
};

const shl64: Kernel64 = (r, low, high, count) => {
  const cf = bit64(low, high, 64 - count);
  const result = shiftLeft64(r, low, high, count);
  setMixed64(r, result, r[R_HIGH], cf | (r[R_HIGH] < 0 !== (cf === 1) ? OF : 0));
  return result;
};

const shr64: Kernel64 = (r, low, high, count) => {
  const result = shiftRight64(r, low, high, count);
  setMixed64(r, result, r[R_HIGH], bit64(low, high, count - 1) | (high < 0 ? OF : 0));
  return result;
};

const sar64: Kernel64 = (r, low, high, count) => {
  const result = shiftArithmetic64(r, low, high, count);
  setMixed64(r, result, r[R_HIGH], bit64(low, high, count - 1));
  return result;
};

// Rotates change CF and OF only.

function rotateFlags(r: Int32Array, cf: number, overflow: boolean): void {
  setFlags(r, CF | OF, (cf !== 0 ? CF : 0) | (overflow ? OF : 0));
}

const rol: Kernel = (r, value, count, size) => {
  const bits = size * 8;
  const n = count % bits;
  const from = unsigned(value, size);
  const result = n === 0 ? value : signExtend((from << n) | (from >>> (bits - n)), size);
  rotateFlags(r, result & 1, result < 0 !== ((result & 1) === 1));
  return result;
};

const ror: Kernel = (r, value, count, size) => {
  const bits = size * 8;
  const n = count % bits;
  const from = unsigned(value, size);
  const result = n === 0 ? value : signExtend((from >>> n) | (from << (bits - n)), size);
  const next = (result >>> (bits - 2)) & 1;
  rotateFlags(r, result < 0 ? 1 : 0, result < 0 !== (next === 1));
  return result;
};

const rol64: Kernel64 = (r, low, high, count) => {
  const upper = shiftLeft64(r, low, high, count);
  const upperHigh = r[R_HIGH];
  const result = upper | shiftRight64(r, low, high, 64 - count);
  r[R_HIGH] |= upperHigh;
  rotateFlags(r, result & 1, r[R_HIGH] < 0 !== ((result & 1) === 1));
  return result;
};

const ror64: Kernel64 = (r, low, high, count) => {
  const lower = shiftRight64(r, low, high, count);
  const lowerHigh = r[R_HIGH];
  const result = lower | shiftLeft64(r, low, high, 64 - count);
  r[R_HIGH] |= lowerHigh;
  const top = r[R_HIGH];
  rotateFlags(r, top < 0 ? 1 : 0, top < 0 !== top << 1 < 0);
  return result;
};

/** One bit at a time: counts are small, and these are rare. */
const rcl: Kernel = (r, value, count, size) => {
  const bits = size * 8;
  let result = unsigned(value, size);
  let cf = carry(r) ? 1 : 0;
  for (let n = count % (bits + 1 === 33 ? 32 : bits + 1); n > 0; n--) {
    const out = (result >>> (bits - 1)) & 1;
    result = unsigned((result << 1) | cf, size);
    cf = out;
  }
  const extended = signExtend(result, size);
  rotateFlags(r, cf, extended < 0 !== (cf === 1));
  return extended;
};

const rcr: Kernel = (r, value, count, size) => {
  const bits = size * 8;
  let result = unsigned(value, size);
  let cf = carry(r) ? 1 : 0;
  const overflow = value < 0 !== (cf === 1);
  for (let n = count % (bits + 1 === 33 ? 32 : bits + 1); n > 0; n--) {
    const out = result & 1;
    result = unsigned((result >>> 1) | (cf << (bits - 1)), size);
    cf = out;
  }
  rotateFlags(r, cf, overflow);
  return signExtend(result, size);
};

const rcl64: Kernel64 = (r, low, high, count) => {
  let cf = carry(r) ? 1 : 0;
  let [a, b] = [low, high];
  for (let n = count; n > 0; n--) {
    const out = b < 0 ? 1 : 0;
    b = (b << 1) | (a >>> 31);
    a = (a << 1) | cf;
    cf = out;
  }
  rotateFlags(r, cf, b < 0 !== (cf === 1));
  r[R_HIGH] = b;
  return a;
};

const rcr64: Kernel64 = (r, low, high, count) => {
  let cf = carry(r) ? 1 : 0;
  const overflow = high < 0 !== (cf === 1);
  let [a, b] = [low, high];
  for (let n = count; n > 0; n--) {
    const out = a & 1;
    a = (a >>> 1) | (b << 31);
    b = (b >>> 1) | (cf << 31);
    cf = out;
  }
  rotateFlags(r, cf, overflow);
  r[R_HIGH] = b | 0;
  return a;
};

/** The count operand: an immediate, or CL. */
function countOf(site: Site, n: number, mask: number): { constant: number } | { read: Reader } {
  if (!isRegister(site.instruction, n)) return { constant: immediateOf(site.instruction, n).low & mask };
  return { read: (c) => c.r[2 * RCX] & mask };
}

/** A masked count of 0 still reads and writes memory operands, as the CPU does, but changes no flag. */
function shift(kernel: Kernel, kernel64: Kernel64): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    const count = countOf(site, 1, size === 8 ? 63 : 31);
    if (size === 8) {
      const apply = (c: Cpu, low: number, high: number, n: number) => {
        if (n !== 0) return kernel64(c.r, low, high, n);
        c.r[R_HIGH] = high;
        return low;
      };
      if ("constant" in count) {
        const n = count.constant;
        return modify64(site, n === 0 ? (c, l, h) => apply(c, l, h, 0) : (c, l, h) => kernel64(c.r, l, h, n));
      }
      const { read } = count;
      return modify64(site, (c, low, high) => apply(c, low, high, read(c)));
    }
    if ("constant" in count) {
      const n = count.constant;
      return modify(site, size, n === 0 ? (_c, value) => value : (c, value) => kernel(c.r, value, n, size));
    }
    const { read } = count;
    return modify(site, size, (c, value) => {
      const n = read(c);
      return n === 0 ? value : kernel(c.r, value, n, size);
    });
  };
}

/** SHLD (left) and SHRD: bits of operand 1 come in at the end that operand 0 leaves free. */
function double(left: boolean): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    const count = countOf(site, 2, size === 8 ? 63 : 31);
    const read = "constant" in count ? () => count.constant : count.read;
    if (size === 8) return double64(site, left, read);
    const source = reader(site, 1, size);
    return modify(site, size, (c, value) => {
      const n = read(c);
      if (n === 0) return value;
      return size === 2 ? double16(c.r, value, source(c), n, left) : double32(c.r, value, source(c), n, left);
    });
  };
}

function double32(r: Int32Array, value: number, source: number, n: number, left: boolean): number {
  const result = left ? (value << n) | (source >>> (32 - n)) : (value >>> n) | (source << (32 - n));
  const cf = left ? (value >>> (32 - n)) & 1 : (value >>> (n - 1)) & 1;
  setMixed32(r, result, cf | ((value ^ result) < 0 ? OF : 0));
  return result;
}

/** Counts above 16 are undefined for 16-bit operands; what comes in then is operand 0 again, as on real CPUs. */
function double16(r: Int32Array, value: number, source: number, n: number, left: boolean): number {
  const [a, b] = [value & 0xffff, source & 0xffff];
  let wide: number;
  let cf: number;
  if (left) {
    const chain = ((a << 16) | b) >>> 0;
    wide = n <= 16 ? (chain << n) >>> 16 : ((b << (n - 16)) | (a >>> (32 - n))) & 0xffff;
    cf = n <= 16 ? (a >>> (16 - n)) & 1 : (b >>> (32 - n)) & 1;
  } else {
    const chain = ((b << 16) | a) >>> 0;
    wide = n <= 16 ? (chain >>> n) & 0xffff : ((b >>> (n - 16)) | (a << (32 - n))) & 0xffff;
    cf = n <= 16 ? (a >>> (n - 1)) & 1 : (b >>> (n - 17)) & 1;
  }
  const result = (wide << 16) >> 16;
  setMixed32(r, result, cf | ((value ^ result) < 0 ? OF : 0));
  return result;
}

function double64(site: Site, left: boolean, read: Reader): Op {
  const source = reader64(site, 1);
  return modify64(site, (c, low, high) => {
    const { r } = c;
    const n = read(c);
    if (n === 0) {
      r[R_HIGH] = high;
      return low;
    }
    const sourceLow = source(c);
    const sourceHigh = r[R_HIGH];
    const kept = left ? shiftLeft64(r, low, high, n) : shiftRight64(r, low, high, n);
    const keptHigh = r[R_HIGH];
    const coming = left
      ? shiftRight64(r, sourceLow, sourceHigh, 64 - n)
      : shiftLeft64(r, sourceLow, sourceHigh, 64 - n);
    const result = kept | coming;
    const resultHigh = keptHigh | r[R_HIGH];
    const cf = bit64(low, high, left ? 64 - n : n - 1);
    setMixed64(r, result, resultHigh, cf | ((high ^ resultHigh) < 0 ? OF : 0));
    r[R_HIGH] = resultHigh;
    return result;
  });
}

export const SHIFT = new Map(
  family(
    [Mnemonic.Shl, shift(shl, shl64)],
    [Mnemonic.Sal, shift(shl, shl64)],
    [Mnemonic.Shr, shift(shr, shr64)],
    [Mnemonic.Sar, shift(sar, sar64)],
    [Mnemonic.Rol, shift(rol, rol64)],
    [Mnemonic.Ror, shift(ror, ror64)],
    [Mnemonic.Rcl, shift(rcl, rcl64)],
    [Mnemonic.Rcr, shift(rcr, rcr64)],
    [Mnemonic.Shld, double(true)],
    [Mnemonic.Shrd, double(false)],
  ),
);
