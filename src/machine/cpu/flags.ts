/**
 * The status flags, computed when somebody asks (SDM vol. 1, 3.4.3.1).
 *
 * `R_KIND` says how. Values of 8 and 16 bits are kept sign-extended to 32: sign, zero, signed and unsigned order,
 * carries out of bit 3 and the low byte are the same as those of the narrow value, so there is one kind per
 * operation and only 64-bit values need their own.
 */
import { AF, CF, OF, PF, R_FLAGS, R_KIND, R_OP1, R_OP2, R_RES, SF, STATUS_FLAGS, ZF } from "./registers";

/** All flags are in `R_FLAGS`. */
export const KIND_EXPLICIT = 0;
/** AND, OR, XOR, TEST: CF = OF = AF = 0. Kinds are even for up to 32 bits, odd for 64. */
export const KIND_LOGIC32 = 2;
export const KIND_LOGIC64 = 3;
/** result = operand 1 + operand 2. */
export const KIND_ADD32 = 4;
export const KIND_ADD64 = 5;
/** result = operand 1 - operand 2. */
export const KIND_SUB32 = 6;
export const KIND_SUB64 = 7;
/** SF, ZF and PF from the result; CF, OF and AF are in `R_FLAGS`. */
export const KIND_MIXED32 = 8;
export const KIND_MIXED64 = 9;

/** A bit that tells nothing of a result but that it is not 0: for flags of which ZF is 0 whatever the result. */
export const NOT_ZERO = 0x100;

/** PF of every byte: set where the number of ones is even. */
const PARITY = Uint8Array.from({ length: 256 }, (_, byte) => {
  let ones = 0;
  for (let bits = byte; bits !== 0; bits >>= 1) ones += bits & 1;
  return ones % 2 === 0 ? 1 : 0;
});

export function carry(r: Int32Array): boolean {
  switch (r[R_KIND]) {
    case KIND_LOGIC32:
    case KIND_LOGIC64:
      return false;
    case KIND_ADD32:
      return r[R_RES] >>> 0 < r[R_OP1] >>> 0;
    case KIND_ADD64:
      return below64(r[R_RES], r[R_RES + 1], r[R_OP1], r[R_OP1 + 1]);
    case KIND_SUB32:
      return r[R_OP1] >>> 0 < r[R_OP2] >>> 0;
    case KIND_SUB64:
      return below64(r[R_OP1], r[R_OP1 + 1], r[R_OP2], r[R_OP2 + 1]);
    default:
      return (r[R_FLAGS] & CF) !== 0;
  }
}

export function zero(r: Int32Array): boolean {
  const kind = r[R_KIND];
  if (kind === KIND_EXPLICIT) return (r[R_FLAGS] & ZF) !== 0;
  return (kind & 1) === 0 ? r[R_RES] === 0 : (r[R_RES] | r[R_RES + 1]) === 0;
}

export function sign(r: Int32Array): boolean {
  const kind = r[R_KIND];
  if (kind === KIND_EXPLICIT) return (r[R_FLAGS] & SF) !== 0;
  return r[R_RES + (kind & 1)] < 0;
}

export function parity(r: Int32Array): boolean {
  if (r[R_KIND] === KIND_EXPLICIT) return (r[R_FLAGS] & PF) !== 0;
  return PARITY[r[R_RES] & 0xff] !== 0;
}

export function overflow(r: Int32Array): boolean {
  switch (r[R_KIND]) {
    case KIND_LOGIC32:
    case KIND_LOGIC64:
      return false;
    case KIND_ADD32:
      return ((r[R_OP1] ^ r[R_RES]) & (r[R_OP2] ^ r[R_RES])) < 0;
    case KIND_ADD64:
      return ((r[R_OP1 + 1] ^ r[R_RES + 1]) & (r[R_OP2 + 1] ^ r[R_RES + 1])) < 0;
    case KIND_SUB32:
      return ((r[R_OP1] ^ r[R_OP2]) & (r[R_OP1] ^ r[R_RES])) < 0;
    case KIND_SUB64:
      return ((r[R_OP1 + 1] ^ r[R_OP2 + 1]) & (r[R_OP1 + 1] ^ r[R_RES + 1])) < 0;
    default:
      return (r[R_FLAGS] & OF) !== 0;
  }
}

export function adjust(r: Int32Array): boolean {
  switch (r[R_KIND]) {
    case KIND_LOGIC32:
    case KIND_LOGIC64:
      return false;
    case KIND_ADD32:
    case KIND_ADD64:
    case KIND_SUB32:
    case KIND_SUB64:
      return ((r[R_OP1] ^ r[R_OP2] ^ r[R_RES]) & AF) !== 0;
    default:
      return (r[R_FLAGS] & AF) !== 0;
  }
}

/** The six status flags as RFLAGS has them. */
export function statusFlags(r: Int32Array): number {
  return (
    (carry(r) ? CF : 0) |
    (parity(r) ? PF : 0) |
    (adjust(r) ? AF : 0) |
    (zero(r) ? ZF : 0) |
    (sign(r) ? SF : 0) |
    (overflow(r) ? OF : 0)
  );
}

/** Makes all flags explicit and returns the low 32 bits of RFLAGS. */
export function materialize(r: Int32Array): number {
  if (r[R_KIND] !== KIND_EXPLICIT) {
    r[R_FLAGS] = (r[R_FLAGS] & ~STATUS_FLAGS) | statusFlags(r);
    r[R_KIND] = KIND_EXPLICIT;
  }
  return r[R_FLAGS];
}

/** Sets the status flags named by `mask` to those in `flags` and keeps the others. */
export function setFlags(r: Int32Array, mask: number, flags: number): void {
  r[R_FLAGS] = (materialize(r) & ~mask) | (flags & mask);
}

/** Flags of a result of up to 32 bits (sign-extended) with CF, OF and AF given. */
export function setMixed32(r: Int32Array, result: number, cfOfAf: number): void {
  r[R_FLAGS] = (r[R_FLAGS] & ~(CF | OF | AF)) | cfOfAf;
  r[R_RES] = result;
  r[R_KIND] = KIND_MIXED32;
}

/** Flags of a 64-bit result with CF, OF and AF given. */
export function setMixed64(r: Int32Array, low: number, high: number, cfOfAf: number): void {
  r[R_FLAGS] = (r[R_FLAGS] & ~(CF | OF | AF)) | cfOfAf;
  r[R_RES] = low;
  r[R_RES + 1] = high;
  r[R_KIND] = KIND_MIXED64;
}

export function setLogic32(r: Int32Array, result: number): void {
  r[R_RES] = result;
  r[R_KIND] = KIND_LOGIC32;
}

/** Whether a < b, unsigned 64-bit. */
export function below64(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh === bHigh ? aLow >>> 0 < bLow >>> 0 : aHigh >>> 0 < bHigh >>> 0;
}

function less64(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh === bHigh ? aLow >>> 0 < bLow >>> 0 : aHigh < bHigh;
}

export type Condition = (r: Int32Array) => boolean;

const carryOrZero: Condition = (r) => {
  if (r[R_KIND] === KIND_SUB32) return r[R_OP1] >>> 0 <= r[R_OP2] >>> 0;
  return carry(r) || zero(r);
};

const less: Condition = (r) => {
  const kind = r[R_KIND];
  if (kind === KIND_SUB32) return r[R_OP1] < r[R_OP2];
  if (kind === KIND_SUB64) return less64(r[R_OP1], r[R_OP1 + 1], r[R_OP2], r[R_OP2 + 1]);
  return sign(r) !== overflow(r);
};

const lessOrEqual: Condition = (r) => zero(r) || less(r);

const not =
  (condition: Condition): Condition =>
  (r) =>
    !condition(r);

/** The conditions by their encoding (SDM vol. 2, appendix B, "tttn"): O NO B NB Z NZ BE NBE S NS P NP L NL LE NLE. */
export const CONDITIONS: readonly Condition[] = [
  overflow,
  (r) => !overflow(r),
  carry,
  (r) => !carry(r),
  zero,
  (r) => !zero(r),
  carryOrZero,
  not(carryOrZero),
  sign,
  (r) => !sign(r),
  parity,
  (r) => !parity(r),
  less,
  (r) => !less(r),
  lessOrEqual,
  (r) => !lessOrEqual(r),
];
