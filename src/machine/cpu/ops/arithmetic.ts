/** ADD ADC SUB SBB CMP AND OR XOR TEST NOT NEG INC DEC XADD (SDM vol. 2). */
import { Mnemonic, OpKind } from "iced-x86";
import type { Cpu } from "../cpu";
import {
  carry,
  KIND_ADD32,
  KIND_ADD64,
  KIND_LOGIC32,
  KIND_LOGIC64,
  KIND_SUB32,
  KIND_SUB64,
  setMixed32,
  setMixed64,
} from "../flags";
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
  signExtend,
  writer,
} from "../operands";
import { AF, CF, OF, R_EA_HIGH, R_HIGH, R_KIND, R_OP1, R_OP2, R_RES } from "../registers";
import { family, sizeOf } from "./family";

/** Sign-extended operands of `size` bytes in, sign-extended result out, flags set. */
type Kernel = (r: Int32Array, a: number, b: number, size: Size) => number;
/** The low half of the result is returned, the high one left in `r[R_HIGH]`. */
type Kernel64 = (r: Int32Array, aLow: number, aHigh: number, bLow: number, bHigh: number) => number;

const add: Kernel = (r, a, b, size) => {
  const result = size === 4 ? (a + b) | 0 : signExtend(a + b, size);
  r[R_OP1] = a;
  r[R_OP2] = b;
  r[R_RES] = result;
  r[R_KIND] = KIND_ADD32;
  return result;
};

const sub: Kernel = (r, a, b, size) => {
  const result = size === 4 ? (a - b) | 0 : signExtend(a - b, size);
  r[R_OP1] = a;
  r[R_OP2] = b;
  r[R_RES] = result;
  r[R_KIND] = KIND_SUB32;
  return result;
};

const adc: Kernel = (r, a, b, size) => {
  const carryIn = carry(r) ? 1 : 0;
  const result = signExtend(a + b + carryIn, size);
  // The carry out of the top bit of the (sign-extended) operands.
  const out = ((a & b) | ((a | b) & ~result)) < 0 ? CF : 0;
  setMixed32(r, result, out | overflowBit((a ^ result) & (b ^ result)) | ((a ^ b ^ result) & AF));
  return result;
};

const sbb: Kernel = (r, a, b, size) => {
  const borrowIn = carry(r) ? 1 : 0;
  const result = signExtend(a - b - borrowIn, size);
  const out = ((~a & b) | ((~a | b) & result)) < 0 ? CF : 0;
  setMixed32(r, result, out | overflowBit((a ^ b) & (a ^ result)) | ((a ^ b ^ result) & AF));
  return result;
};

function overflowBit(word: number): number {
  return word < 0 ? OF : 0;
}

function logic(compute: (a: number, b: number) => number): Kernel {
  return (r, a, b) => {
    const result = compute(a, b);
    r[R_RES] = result;
    r[R_KIND] = KIND_LOGIC32;
    return result;
  };
}

const and: Kernel = (r, a, b) => {
  const result = a & b;
  r[R_RES] = result;
  r[R_KIND] = KIND_LOGIC32;
  return result;
};
const or = logic((a, b) => a | b);
const xor = logic((a, b) => a ^ b);

function keep64(r: Int32Array, kind: number, aLow: number, aHigh: number, bLow: number, bHigh: number): void {
  r[R_OP1] = aLow;
  r[R_OP1 + 1] = aHigh;
  r[R_OP2] = bLow;
  r[R_OP2 + 1] = bHigh;
  r[R_KIND] = kind;
}

function result64(r: Int32Array, low: number, high: number): number {
  r[R_RES] = low;
  r[R_RES + 1] = high;
  r[R_HIGH] = high;
  return low;
}

const add64: Kernel64 = (r, aLow, aHigh, bLow, bHigh) => {
  const low = (aLow + bLow) | 0;
  keep64(r, KIND_ADD64, aLow, aHigh, bLow, bHigh);
  return result64(r, low, (aHigh + bHigh + (low >>> 0 < aLow >>> 0 ? 1 : 0)) | 0);
};

const sub64: Kernel64 = (r, aLow, aHigh, bLow, bHigh) => {
  keep64(r, KIND_SUB64, aLow, aHigh, bLow, bHigh);
  return result64(r, (aLow - bLow) | 0, (aHigh - bHigh - (aLow >>> 0 < bLow >>> 0 ? 1 : 0)) | 0);
};

const adc64: Kernel64 = (r, aLow, aHigh, bLow, bHigh) => {
  const sum = (aLow >>> 0) + (bLow >>> 0) + (carry(r) ? 1 : 0);
  const low = sum | 0;
  const high = (aHigh + bHigh + (sum > 0xffffffff ? 1 : 0)) | 0;
  const out = ((aHigh & bHigh) | ((aHigh | bHigh) & ~high)) < 0 ? CF : 0;
  const overflow = overflowBit((aHigh ^ high) & (bHigh ^ high));
  setMixed64(r, low, high, out | overflow | ((aLow ^ bLow ^ low) & AF));
  r[R_HIGH] = high;
  return low;
};

const sbb64: Kernel64 = (r, aLow, aHigh, bLow, bHigh) => {
  const difference = (aLow >>> 0) - (bLow >>> 0) - (carry(r) ? 1 : 0);
  const low = difference | 0;
  const high = (aHigh - bHigh - (difference < 0 ? 1 : 0)) | 0;
  const out = ((~aHigh & bHigh) | ((~aHigh | bHigh) & high)) < 0 ? CF : 0;
  const overflow = overflowBit((aHigh ^ bHigh) & (aHigh ^ high));
  setMixed64(r, low, high, out | overflow | ((aLow ^ bLow ^ low) & AF));
  r[R_HIGH] = high;
  return low;
};

function logic64(compute: (a: number, b: number) => number): Kernel64 {
  return (r, aLow, aHigh, bLow, bHigh) => {
    r[R_KIND] = KIND_LOGIC64;
    return result64(r, compute(aLow, bLow), compute(aHigh, bHigh));
  };
}

const and64: Kernel64 = logic64((a, b) => a & b);
const or64 = logic64((a, b) => a | b);
const xor64 = logic64((a, b) => a ^ b);

/** A two-operand operation whose result goes back to operand 0 (or nowhere: CMP, TEST). */
function binary(kernel: Kernel, kernel64: Kernel64, writes: boolean): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    if (size === 8) return binary64(site, kernel64, writes);
    if (isRegister(site.instruction, 0) && size === 4) return binaryRegister32(site, kernel, writes);
    const right = reader(site, 1, size);
    if (writes) return modify(site, size, (c, value) => kernel(c.r, value, right(c), size));
    const left = reader(site, 0, size);
    return (c) => {
      kernel(c.r, left(c), right(c), size);
    };
  };
}

function binaryRegister32(site: Site, kernel: Kernel, writes: boolean): Op {
  const { instruction } = site;
  const d = 2 * registerNumber(instruction.op0Register);
  if (instruction.op1Kind === OpKind.Register) {
    const s = 2 * registerNumber(instruction.op1Register);
    if (!writes) {
      return (c) => {
        const { r } = c;
        kernel(r, r[d], r[s], 4);
      };
    }
    return (c) => {
      const { r } = c;
      r[d] = kernel(r, r[d], r[s], 4);
      r[d + 1] = 0;
    };
  }
  if (!isMemory(instruction, 1)) {
    const { low } = immediateOf(instruction, 1);
    if (!writes) {
      return (c) => {
        const { r } = c;
        kernel(r, r[d], low, 4);
      };
    }
    return (c) => {
      const { r } = c;
      r[d] = kernel(r, r[d], low, 4);
      r[d + 1] = 0;
    };
  }
  const address = linearAddress(site);
  return (c) => {
    const { r } = c;
    const at = address(c);
    const value = kernel(r, r[d], c.mmu.load32(at, r[R_EA_HIGH]), 4);
    if (!writes) return;
    r[d] = value;
    r[d + 1] = 0;
  };
}

function binary64(site: Site, kernel: Kernel64, writes: boolean): Op {
  const { instruction } = site;
  if (isRegister(instruction, 0)) {
    const d = 2 * registerNumber(instruction.op0Register);
    if (isRegister(instruction, 1)) {
      const s = 2 * registerNumber(instruction.op1Register);
      return (c) => {
        const { r } = c;
        const low = kernel(r, r[d], r[d + 1], r[s], r[s + 1]);
        if (!writes) return;
        r[d] = low;
        r[d + 1] = r[R_HIGH];
      };
    }
    if (!isMemory(instruction, 1)) {
      const { low: bLow, high: bHigh } = immediateOf(instruction, 1);
      return (c) => {
        const { r } = c;
        const low = kernel(r, r[d], r[d + 1], bLow, bHigh);
        if (!writes) return;
        r[d] = low;
        r[d + 1] = r[R_HIGH];
      };
    }
    const address = linearAddress(site);
    return (c) => {
      const { r } = c;
      const at = address(c);
      const bLow = c.mmu.load64(at, r[R_EA_HIGH]);
      const low = kernel(r, r[d], r[d + 1], bLow, r[R_HIGH]);
      if (!writes) return;
      r[d] = low;
      r[d + 1] = r[R_HIGH];
    };
  }
  const right = reader64(site, 1);
  if (writes) {
    return modify64(site, (c, aLow, aHigh) => {
      const bLow = right(c);
      return kernel(c.r, aLow, aHigh, bLow, c.r[R_HIGH]);
    });
  }
  const address = linearAddress(site);
  return (c) => {
    const { r } = c;
    const at = address(c);
    const aLow = c.mmu.load64(at, r[R_EA_HIGH]);
    const aHigh = r[R_HIGH];
    const bLow = right(c);
    kernel(r, aLow, aHigh, bLow, r[R_HIGH]);
  };
}

/** A one-operand operation on operand 0. */
function unary(
  compute: (c: Cpu, value: number, size: Size) => number,
  compute64: (c: Cpu, low: number, high: number) => number,
): (site: Site) => Op {
  return (site) => {
    const size = sizeOf(site);
    return size === 8 ? modify64(site, compute64) : modify(site, size, (c, value) => compute(c, value, size));
  };
}

const not = unary(
  (_c, value) => ~value,
  (c, low, high) => {
    c.r[R_HIGH] = ~high;
    return ~low;
  },
);

const negate = unary(
  (c, value, size) => sub(c.r, 0, value, size),
  (c, low, high) => sub64(c.r, 0, 0, low, high),
);

/** INC and DEC leave CF as it was. */
function step(by: 1 | -1): (site: Site) => Op {
  return unary(
    (c, value, size) => {
      const cf = carry(c.r) ? CF : 0;
      const result = signExtend(value + by, size);
      const overflow = by === 1 ? ~value & result : value & ~result;
      setMixed32(c.r, result, cf | overflowBit(overflow) | adjusted(by, value));
      return result;
    },
    (c, low, high) => {
      const cf = carry(c.r) ? CF : 0;
      const resultLow = (low + by) | 0;
      const carryHigh = by === 1 ? (resultLow === 0 ? 1 : 0) : low === 0 ? -1 : 0;
      const resultHigh = (high + carryHigh) | 0;
      const overflow = by === 1 ? ~high & resultHigh : high & ~resultHigh;
      setMixed64(c.r, resultLow, resultHigh, cf | overflowBit(overflow) | adjusted(by, low));
      c.r[R_HIGH] = resultHigh;
      return resultLow;
    },
  );
}

/** AF of INC where the low nibble was 15, of DEC where it was 0. */
function adjusted(by: 1 | -1, value: number): number {
  return (by === 1 ? (value & 0xf) === 0xf : (value & 0xf) === 0) ? AF : 0;
}

/** XADD: the sum to operand 0, what was there to the register. */
function exchangeAdd(site: Site): Op {
  const size = sizeOf(site);
  if (size === 8) return exchangeAdd64(site);
  const read = reader(site, 1, size);
  const write = writer(site, 1, size);
  return modify(site, size, (c, old) => {
    const sum = add(c.r, old, read(c), size);
    write(c, old);
    return sum;
  });
}

function exchangeAdd64(site: Site): Op {
  const s = 2 * registerNumber(site.instruction.op1Register);
  return modify64(site, (c, low, high) => {
    const { r } = c;
    const sum = add64(r, low, high, r[s], r[s + 1]);
    r[s] = low;
    r[s + 1] = high;
    return sum;
  });
}

export const ARITHMETIC = new Map(
  family(
    [Mnemonic.Add, binary(add, add64, true)],
    [Mnemonic.Sub, binary(sub, sub64, true)],
    [Mnemonic.Adc, binary(adc, adc64, true)],
    [Mnemonic.Sbb, binary(sbb, sbb64, true)],
    [Mnemonic.Cmp, binary(sub, sub64, false)],
    [Mnemonic.And, binary(and, and64, true)],
    [Mnemonic.Or, binary(or, or64, true)],
    [Mnemonic.Xor, binary(xor, xor64, true)],
    [Mnemonic.Test, binary(and, and64, false)],
    [Mnemonic.Not, not],
    [Mnemonic.Neg, negate],
    [Mnemonic.Inc, step(1)],
    [Mnemonic.Dec, step(-1)],
    [Mnemonic.Xadd, exchangeAdd],
  ),
);
