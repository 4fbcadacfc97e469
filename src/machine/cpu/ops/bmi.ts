/** BMI1, BMI2, ADX, MOVBE and CRC32: optional by CPU model (SDM vol. 2). */
import { Mnemonic } from "iced-x86";
import { carry, overflow, setFlags } from "../flags";
import {
  isRegister,
  type Op,
  operandSize,
  reader,
  reader64,
  registerNumber,
  type Site,
  writer,
  writer64,
} from "../operands";
import { CF, OF, R_HIGH, RDX, SF, STATUS_FLAGS, ZF } from "../registers";
import { swapBytes } from "./bits";
import { family, sizeOf, withFeature } from "./family";
import { mulHigh32, multiply64 } from "./multiply";
import { shiftArithmetic64, shiftLeft64, shiftRight64 } from "./shift";

/** Flags of ANDN, BEXTR, BLSx and BZHI: SF and ZF from the result, CF given, OF 0; AF and PF are undefined, here 0. */
function resultFlags(r: Int32Array, low: number, high: number, signWord: number, cf: boolean): void {
  const flags = (signWord < 0 ? SF : 0) | ((low | high) === 0 ? ZF : 0) | (cf ? CF : 0);
  setFlags(r, STATUS_FLAGS, flags);
}

/** An operation on one or two 64-bit values; the 32-bit form is the same on zero-extended ones. */
type Compute = (
  r: Int32Array,
  aLow: number,
  aHigh: number,
  bLow: number,
  bHigh: number,
  wide: boolean,
) => number;

/** dest = f(operand `x`, operand `y`), 32 or 64 bits; `compute` sets flags and leaves the high half in R_HIGH. */
function two(x: number, y: number, compute: Compute): (site: Site) => Op {
  return (site) => {
    if (sizeOf(site) === 8) {
      const a = reader64(site, x);
      const b = reader64(site, y);
      const write = writer64(site, 0);
      return (c) => {
        const { r } = c;
        const aLow = a(c);
        const aHigh = r[R_HIGH];
        const bLow = b(c);
        const low = compute(r, aLow, aHigh, bLow, r[R_HIGH], true);
        write(c, low, r[R_HIGH]);
      };
    }
    const a = reader(site, x, 4);
    const b = reader(site, y, 4);
    const write = writer(site, 0, 4);
    return (c) => write(c, compute(c.r, a(c), 0, b(c), 0, false));
  };
}

const andNot: Compute = (r, aLow, aHigh, bLow, bHigh, wide) => {
  const low = ~aLow & bLow;
  const high = ~aHigh & bHigh;
  resultFlags(r, low, wide ? high : 0, wide ? high : low, false);
  r[R_HIGH] = high;
  return low;
};

/** Keeps the lowest `count` bits (0..64) of a pair. */
function keepLow(r: Int32Array, low: number, high: number, count: number): number {
  r[R_HIGH] = count >= 64 ? high : count <= 32 ? 0 : high & ((1 << (count - 32)) - 1);
  return count >= 32 ? low : low & ((1 << count) - 1);
}

const extract: Compute = (r, low, high, control, _bHigh, wide) => {
  const start = control & 0xff;
  const length = (control >>> 8) & 0xff;
  let result = 0;
  if (start < 64) result = shiftRight64(r, low, high, start);
  else r[R_HIGH] = 0;
  result = keepLow(r, result, r[R_HIGH], length);
  setFlags(r, STATUS_FLAGS, (result | r[R_HIGH]) === 0 ? ZF : 0);
  if (!wide) r[R_HIGH] = 0;
  return result;
};

const zeroHigh: Compute = (r, low, high, index, _bHigh, wide) => {
  const n = index & 0xff;
  const bits = wide ? 64 : 32;
  const result = keepLow(r, low, high, Math.min(n, bits));
  const resultHigh = wide ? r[R_HIGH] : 0;
  resultFlags(r, result, resultHigh, wide ? resultHigh : result, n > bits - 1);
  r[R_HIGH] = resultHigh;
  return result;
};

/** BLSI, BLSMSK, BLSR: op(source, source - 1) or op(source, -source). */
function lowestBit(
  combine: (value: number, other: number) => number,
  negative: boolean,
  carryIf: (isZero: boolean) => boolean,
): (site: Site) => Op {
  return two(1, 1, (r, low, high, _bLow, _bHigh, wide) => {
    const otherLow = negative ? -low | 0 : (low - 1) | 0;
    const otherHigh = negative ? (~high + (low === 0 ? 1 : 0)) | 0 : (high - (low === 0 ? 1 : 0)) | 0;
    const result = combine(low, otherLow);
    const resultHigh = wide ? combine(high, otherHigh) : 0;
    resultFlags(r, result, resultHigh, wide ? resultHigh : result, carryIf((low | (wide ? high : 0)) === 0));
    r[R_HIGH] = resultHigh;
    return result;
  });
}

/** PDEP: the low bits of the source to the places of the mask's bits. */
const deposit: Compute = (r, low, high, maskLow, maskHigh) => {
  let [sourceLow, sourceHigh] = [low, high];
  const result = [0, 0];
  for (let i = 0; i < 64; i++) {
    const word = i < 32 ? maskLow : maskHigh;
    if (((word >>> (i & 31)) & 1) === 0) continue;
    if ((sourceLow & 1) !== 0) result[i >> 5] |= 1 << (i & 31);
    sourceLow = (sourceLow >>> 1) | (sourceHigh << 31);
    sourceHigh >>>= 1;
  }
  r[R_HIGH] = result[1];
  return result[0];
};

/** PEXT: the source's bits under the mask, together at the low end. */
const gather: Compute = (r, low, high, maskLow, maskHigh) => {
  const result = [0, 0];
  let to = 0;
  for (let i = 0; i < 64; i++) {
    const word = i < 32 ? maskLow : maskHigh;
    if (((word >>> (i & 31)) & 1) === 0) continue;
    const source = i < 32 ? low : high;
    if (((source >>> (i & 31)) & 1) !== 0) result[to >> 5] |= 1 << (to & 31);
    to++;
  }
  r[R_HIGH] = result[1];
  return result[0];
};

/** SHLX, SHRX, SARX: no flags. */
function shiftNoFlags(
  narrow: (value: number, count: number) => number,
  wide64: (r: Int32Array, low: number, high: number, count: number) => number,
): (site: Site) => Op {
  return two(1, 2, (r, low, high, count, _bHigh, wide) => {
    if (wide) return wide64(r, low, high, count & 63);
    return narrow(low, count & 31);
  });
}

const rotateNoFlags = two(1, 2, (r, low, high, count, _bHigh, wide) => {
  if (!wide) {
    const n = count & 31;
    return n === 0 ? low : (low >>> n) | (low << (32 - n));
  }
  const n = count & 63;
  if (n === 0) {
    r[R_HIGH] = high;
    return low;
  }
  const lower = shiftRight64(r, low, high, n);
  const lowerHigh = r[R_HIGH];
  const result = lower | shiftLeft64(r, low, high, 64 - n);
  r[R_HIGH] |= lowerHigh;
  return result;
});

/** MULX: RDX times operand 2, high half to operand 0, low half to operand 1, no flags. */
function multiplyNoFlags(site: Site): Op {
  const high = 2 * registerNumber(site.instruction.op0Register);
  const low = 2 * registerNumber(site.instruction.op1Register);
  if (sizeOf(site) === 8) {
    const read = reader64(site, 2);
    return (c) => {
      const { r } = c;
      const bLow = read(c);
      const p = multiply64(r[2 * RDX], r[2 * RDX + 1], bLow, r[R_HIGH]);
      r[low] = p[0];
      r[low + 1] = p[1];
      r[high] = p[2];
      r[high + 1] = p[3];
    };
  }
  const read = reader(site, 2, 4);
  return (c) => {
    const { r } = c;
    const [a, b] = [r[2 * RDX], read(c)];
    r[low] = Math.imul(a, b);
    r[low + 1] = 0;
    r[high] = mulHigh32(a, b);
    r[high + 1] = 0;
  };
}

/** ADCX and ADOX: an addition through one flag that leaves the others alone. */
function addThrough(flag: typeof CF | typeof OF): (site: Site) => Op {
  const carryIn = flag === CF ? carry : overflow;
  return two(0, 1, (r, aLow, aHigh, bLow, bHigh, wide) => {
    const sum = (aLow >>> 0) + (bLow >>> 0) + (carryIn(r) ? 1 : 0);
    let out = sum > 0xffffffff ? 1 : 0;
    const low = sum | 0;
    let high = 0;
    if (wide) {
      const upper = (aHigh >>> 0) + (bHigh >>> 0) + out;
      out = upper > 0xffffffff ? 1 : 0;
      high = upper | 0;
    }
    setFlags(r, flag, out !== 0 ? flag : 0);
    r[R_HIGH] = high;
    return low;
  });
}

/** MOVBE: a move that reverses the bytes. */
function moveBigEndian(site: Site): Op {
  const size = isRegister(site.instruction, 0)
    ? operandSize(site.instruction, 0)
    : operandSize(site.instruction, 1);
  if (size === 8) {
    const read = reader64(site, 1);
    const write = writer64(site, 0);
    return (c) => {
      const low = read(c);
      write(c, swapBytes(c.r[R_HIGH], 4), swapBytes(low, 4));
    };
  }
  const read = reader(site, 1, size);
  const write = writer(site, 0, size);
  return (c) => write(c, swapBytes(read(c), size));
}

/** CRC-32C, reflected. */
const CRC32C = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ ((value & 1) !== 0 ? 0x82f63b78 : 0);
  return value;
});

function crc(value: number, data: number, bytes: number): number {
  let result = value;
  for (let i = 0; i < bytes; i++) result = (result >>> 8) ^ CRC32C[(result ^ (data >>> (8 * i))) & 0xff];
  return result;
}

/** CRC32 (SSE4.2): accumulates operand 1 into operand 0. */
function accumulateCrc(site: Site): Op {
  const size = operandSize(site.instruction, 1);
  const d = 2 * registerNumber(site.instruction.op0Register);
  if (size === 8) {
    const read = reader64(site, 1);
    return (c) => {
      const low = read(c);
      c.r[d] = crc(crc(c.r[d], low, 4), c.r[R_HIGH], 4);
      c.r[d + 1] = 0;
    };
  }
  const read = reader(site, 1, size);
  return (c) => {
    c.r[d] = crc(c.r[d], read(c), size);
    c.r[d + 1] = 0;
  };
}

function gated(feature: Parameters<typeof withFeature>[0], ...rows: [Mnemonic, (site: Site) => Op][]) {
  return rows.map(([mnemonic, build]): [Mnemonic, (site: Site) => Op] => [
    mnemonic,
    withFeature(feature, build),
  ]);
}

export const BMI = new Map(
  family(
    ...gated(
      "bmi1",
      [Mnemonic.Andn, two(1, 2, andNot)],
      [Mnemonic.Bextr, two(1, 2, extract)],
      [
        Mnemonic.Blsi,
        lowestBit(
          (a, b) => a & b,
          true,
          (isZero) => !isZero,
        ),
      ],
      [
        Mnemonic.Blsmsk,
        lowestBit(
          (a, b) => a ^ b,
          false,
          (isZero) => isZero,
        ),
      ],
      [
        Mnemonic.Blsr,
        lowestBit(
          (a, b) => a & b,
          false,
          (isZero) => isZero,
        ),
      ],
    ),
    ...gated(
      "bmi2",
      [Mnemonic.Bzhi, two(1, 2, zeroHigh)],
      [Mnemonic.Mulx, multiplyNoFlags],
      [Mnemonic.Pdep, two(1, 2, deposit)],
      [Mnemonic.Pext, two(1, 2, gather)],
      [Mnemonic.Rorx, rotateNoFlags],
      [Mnemonic.Shlx, shiftNoFlags((value, n) => value << n, shiftLeft64)],
      [Mnemonic.Shrx, shiftNoFlags((value, n) => (value >>> n) | 0, shiftRight64)],
      [Mnemonic.Sarx, shiftNoFlags((value, n) => value >> n, shiftArithmetic64)],
    ),
    ...gated("adx", [Mnemonic.Adcx, addThrough(CF)], [Mnemonic.Adox, addThrough(OF)]),
    ...gated("movbe", [Mnemonic.Movbe, moveBigEndian]),
    ...gated("sse42", [Mnemonic.Crc32, accumulateCrc]),
  ),
);
