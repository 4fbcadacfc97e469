/** MUL IMUL DIV IDIV and the sign extensions CBW..CQO (SDM vol. 2). */
import { Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu";
import { DE, NO_ERROR } from "../fault";
import { NOT_ZERO, setMixed32, setMixed64 } from "../flags";
import { type Op, reader, reader64, type Site, type Size, signExtend, writer, writer64 } from "../operands";
import { CF, OF, R_HIGH, RAX, RDX } from "../registers";
import { family, sizeOf } from "./family";

/** CF = OF = whether the upper half matters; SF and PF from the result, sign-extended, and ZF and AF 0: they are undefined. */
function productFlags(r: Int32Array, overflow: boolean, result: number): void {
  setMixed32(r, result | NOT_ZERO, overflow ? CF | OF : 0);
}

function productFlags64(r: Int32Array, overflow: boolean, low: number, high: number): void {
  setMixed64(r, low | NOT_ZERO, high, overflow ? CF | OF : 0);
}

/** High 32 bits of the unsigned product of two 32-bit values. */
export function mulHigh32(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000)) | 0;
}

/** The 128-bit unsigned product as four words, lowest first. */
const product = new Int32Array(4);

/** Computes `product` of two 64-bit values, unsigned. */
export function multiply64(aLow: number, aHigh: number, bLow: number, bHigh: number): Int32Array {
  product[0] = Math.imul(aLow, bLow);
  let sum = (mulHigh32(aLow, bLow) >>> 0) + (Math.imul(aLow, bHigh) >>> 0) + (Math.imul(aHigh, bLow) >>> 0);
  product[1] = sum | 0;
  sum =
    Math.floor(sum / 0x100000000) +
    (mulHigh32(aLow, bHigh) >>> 0) +
    (mulHigh32(aHigh, bLow) >>> 0) +
    (Math.imul(aHigh, bHigh) >>> 0);
  product[2] = sum | 0;
  product[3] = (Math.floor(sum / 0x100000000) + (mulHigh32(aHigh, bHigh) >>> 0)) | 0;
  return product;
}

/** Turns `product` of two values read as unsigned into that of the same values read as signed. */
function signProduct(aLow: number, aHigh: number, bLow: number, bHigh: number): void {
  if (aHigh < 0) subtractUpper(bLow, bHigh);
  if (bHigh < 0) subtractUpper(aLow, aHigh);
}

function subtractUpper(low: number, high: number): void {
  const borrow = product[2] >>> 0 < low >>> 0 ? 1 : 0;
  product[2] = (product[2] - low) | 0;
  product[3] = (product[3] - high - borrow) | 0;
}

/** The result of a one-operand multiplication, to AX, DX:AX, EDX:EAX or RDX:RAX. */
function multiplyOne(signed: boolean): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    if (size === 8) return multiplyOne64(site, signed);
    const read = reader(site, 0, size);
    if (size === 1) {
      return (c) => {
        const [a, b] = [narrow(c.r8[0], 1, signed), narrow(read(c), 1, signed)];
        const result = a * b;
        c.r16[0] = result;
        const overflow = signed ? result !== (result << 24) >> 24 : result > 0xff;
        productFlags(c.r, overflow, (result << 24) >> 24);
      };
    }
    if (size === 2) {
      return (c) => {
        const [a, b] = [narrow(c.r16[0], 2, signed), narrow(read(c), 2, signed)];
        const result = a * b;
        c.r16[0] = result;
        c.r16[4 * RDX] = Math.floor(result / 0x10000);
        const overflow = signed ? result !== (result << 16) >> 16 : result > 0xffff;
        productFlags(c.r, overflow, (result << 16) >> 16);
      };
    }
    return (c) => {
      const { r } = c;
      const [a, b] = [r[2 * RAX], read(c)];
      const low = Math.imul(a, b);
      let high = mulHigh32(a, b);
      if (signed) high = (high - (a < 0 ? b : 0) - (b < 0 ? a : 0)) | 0;
      set32(r, RAX, low);
      set32(r, RDX, high);
      productFlags(r, signed ? high !== low >> 31 : high !== 0, low);
    };
  };
}

function narrow(value: number, size: Size, signed: boolean): number {
  const extended = signExtend(value, size);
  if (signed) return extended;
  return size === 1 ? extended & 0xff : extended & 0xffff;
}

function set32(r: Int32Array, register: number, value: number): void {
  r[2 * register] = value;
  r[2 * register + 1] = 0;
}

function multiplyOne64(site: Site, signed: boolean): Op {
  const read = reader64(site, 0);
  return (c) => {
    const { r } = c;
    const bLow = read(c);
    const bHigh = r[R_HIGH];
    const [aLow, aHigh] = [r[2 * RAX], r[2 * RAX + 1]];
    const p = multiply64(aLow, aHigh, bLow, bHigh);
    if (signed) signProduct(aLow, aHigh, bLow, bHigh);
    r[2 * RAX] = p[0];
    r[2 * RAX + 1] = p[1];
    r[2 * RDX] = p[2];
    r[2 * RDX + 1] = p[3];
    const extension = signed ? p[1] >> 31 : 0;
    productFlags64(r, p[2] !== extension || p[3] !== extension, p[0], p[1]);
  };
}

/** IMUL with two or three operands: the product truncated to the destination. */
function multiplyTruncated(site: Site): Op {
  const { instruction } = site;
  if (instruction.opCount === 1) return multiplyOne(true)(site);
  const size = sizeOf(site);
  const three = instruction.opCount === 3;
  if (size === 8) return multiplyTruncated64(site, three);
  const a = reader(site, three ? 1 : 0, size);
  const b = reader(site, three ? 2 : 1, size);
  const write = writer(site, 0, size);
  return (c) => {
    const [x, y] = [a(c), b(c)];
    const low = signExtend(Math.imul(x, y), size);
    const exact = x * y;
    write(c, low);
    productFlags(c.r, exact !== low, low);
  };
}

function multiplyTruncated64(site: Site, three: boolean): Op {
  const a = reader64(site, three ? 1 : 0);
  const b = reader64(site, three ? 2 : 1);
  const write = writer64(site, 0);
  return (c) => {
    const { r } = c;
    const aLow = a(c);
    const aHigh = r[R_HIGH];
    const bLow = b(c);
    const bHigh = r[R_HIGH];
    const p = multiply64(aLow, aHigh, bLow, bHigh);
    signProduct(aLow, aHigh, bLow, bHigh);
    const [low, high] = [p[0], p[1]];
    const overflow = p[2] !== high >> 31 || p[3] !== high >> 31;
    write(c, low, high);
    productFlags64(r, overflow, low, high);
  };
}

// --- division ---

function divideError(c: Cpu, byZero: boolean) {
  return c.raise(DE, NO_ERROR, byZero ? "division by zero" : "the quotient does not fit");
}

/** DIV and IDIV of up to 32 bits: every dividend is exact in a double or a bigint. */
function divide(signed: boolean): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    if (size === 8) return divide64(site, signed);
    const read = reader(site, 0, size);
    if (size === 4) {
      return (c) => {
        const divisor = read(c);
        divide32(c, divisor, signed);
      };
    }
    return (c) => {
      const divisor = narrow(read(c), size, signed);
      if (divisor === 0) throw divideError(c, true);
      const dividend = size === 1 ? narrow(c.r16[0], 2, signed) : dividend32(c, signed);
      const quotient = Math.trunc(dividend / divisor);
      const fits = signed
        ? quotient === signExtend(quotient, size)
        : quotient <= (size === 1 ? 0xff : 0xffff);
      if (!fits) throw divideError(c, false);
      const remainder = dividend - quotient * divisor;
      if (size === 1) {
        c.r8[0] = quotient;
        c.r8[1] = remainder;
      } else {
        c.r16[0] = quotient;
        c.r16[4 * RDX] = remainder;
      }
    };
  };
}

/** DX:AX. */
function dividend32(c: Cpu, signed: boolean): number {
  const value = ((c.r16[4 * RDX] & 0xffff) << 16) | (c.r16[0] & 0xffff);
  return signed ? value : value >>> 0;
}

function divide32(c: Cpu, divisor: number, signed: boolean): void {
  const { r } = c;
  if (divisor === 0) throw divideError(c, true);
  const [low, high] = [r[2 * RAX], r[2 * RDX]];
  const small = signed ? high === low >> 31 : high === 0;
  if (small) {
    const [a, b] = signed ? [low, divisor] : [low >>> 0, divisor >>> 0];
    const quotient = Math.trunc(a / b);
    if (signed && quotient === 0x80000000) throw divideError(c, false);
    set32(r, RAX, quotient | 0);
    set32(r, RDX, (a - quotient * b) | 0);
    return;
  }
  const wide = (BigInt(high) << 32n) | BigInt(low >>> 0);
  const dividend = signed ? BigInt.asIntN(64, wide) : BigInt.asUintN(64, wide);
  const by = signed ? BigInt(divisor) : BigInt(divisor >>> 0);
  const quotient = dividend / by;
  if (quotient !== (signed ? BigInt.asIntN(32, quotient) : BigInt.asUintN(32, quotient)))
    throw divideError(c, false);
  set32(r, RAX, Number(BigInt.asIntN(32, quotient)));
  set32(r, RDX, Number(BigInt.asIntN(32, dividend - quotient * by)));
}

/** Largest high word for which low + high * 2^32 is exact in a double. */
const EXACT_HIGH = 0x1fffff;

function divide64(site: Site, signed: boolean): Op {
  const read = reader64(site, 0);
  return (c) => {
    const { r } = c;
    const divisorLow = read(c);
    const divisorHigh = r[R_HIGH];
    if ((divisorLow | divisorHigh) === 0) throw divideError(c, true);
    const upper = r[2 * RDX] | r[2 * RDX + 1];
    const [low, high] = [r[2 * RAX], r[2 * RAX + 1]];
    // Both small and not negative: doubles are exact, for signed and unsigned alike.
    if (upper === 0 && high >>> 0 <= EXACT_HIGH && divisorHigh >>> 0 <= EXACT_HIGH) {
      const dividend = high * 0x100000000 + (low >>> 0);
      const divisor = divisorHigh * 0x100000000 + (divisorLow >>> 0);
      const remainder = dividend % divisor;
      const quotient = (dividend - remainder) / divisor;
      setDouble(r, RAX, quotient);
      setDouble(r, RDX, remainder);
      return;
    }
    divideWide(c, c.returned64(divisorLow), signed);
  };
}

function setDouble(r: Int32Array, register: number, value: number): void {
  r[2 * register] = value | 0;
  r[2 * register + 1] = Math.floor(value / 0x100000000);
}

function divideWide(c: Cpu, divisor: bigint, signed: boolean): void {
  const wide = (c.getRegister(RDX) << 64n) | c.getRegister(RAX);
  const dividend = signed ? BigInt.asIntN(128, wide) : wide;
  const by = signed ? BigInt.asIntN(64, divisor) : divisor;
  const quotient = dividend / by;
  if (quotient !== (signed ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient)))
    throw divideError(c, false);
  c.setRegister(RAX, quotient);
  c.setRegister(RDX, dividend - quotient * by);
}

// --- sign extension of the accumulator ---

const EXTENSIONS: [Mnemonic, (site: Site) => Op][] = [
  [
    Mnemonic.Cbw,
    () => (c) => {
      c.r16[0] = (c.r8[0] << 24) >> 24;
    },
  ],
  [Mnemonic.Cwde, () => (c) => set32(c.r, RAX, c.r16[0])],
  [
    Mnemonic.Cdqe,
    () => (c) => {
      c.r[1] = c.r[0] >> 31;
    },
  ],
  [
    Mnemonic.Cwd,
    () => (c) => {
      c.r16[4 * RDX] = c.r16[0] >> 15;
    },
  ],
  [Mnemonic.Cdq, () => (c) => set32(c.r, RDX, c.r[0] >> 31)],
  [
    Mnemonic.Cqo,
    () => (c) => {
      c.r[2 * RDX] = c.r[1] >> 31;
      c.r[2 * RDX + 1] = c.r[1] >> 31;
    },
  ],
];

export const MULTIPLY = new Map(
  family(
    [Mnemonic.Mul, multiplyOne(false)],
    [Mnemonic.Imul, multiplyTruncated],
    [Mnemonic.Div, divide(false)],
    [Mnemonic.Idiv, divide(true)],
    ...EXTENSIONS,
  ),
);
