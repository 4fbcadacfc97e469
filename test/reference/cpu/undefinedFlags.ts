/**
 * The flags that the manual leaves undefined (Intel SDM vol. 2, "Flags Affected" of each instruction). What the
 * recording processor made of them is in the recording, but is not compared.
 */
import { type Case, RCX } from "./builder";
import { AF, CF, OF, PF, SF, ZF } from "./flagEffects";

/** What is undefined whatever the operands. */
export const ALWAYS: Readonly<Record<string, number>> = {
  AND: AF,
  OR: AF,
  XOR: AF,
  TEST: AF,
  MUL: SF | ZF | AF | PF,
  IMUL: SF | ZF | AF | PF,
  DIV: CF | OF | SF | ZF | AF | PF,
  IDIV: CF | OF | SF | ZF | AF | PF,
  BT: OF | SF | AF | PF,
  BTS: OF | SF | AF | PF,
  BTR: OF | SF | AF | PF,
  BTC: OF | SF | AF | PF,
  BSF: CF | OF | SF | AF | PF,
  BSR: CF | OF | SF | AF | PF,
  TZCNT: OF | SF | AF | PF,
  LZCNT: OF | SF | AF | PF,
  ANDN: AF | PF,
  BEXTR: SF | AF | PF,
  BLSR: AF | PF,
  BLSMSK: AF | PF,
  BLSI: AF | PF,
  BZHI: AF | PF,
  DAA: OF,
  DAS: OF,
  AAA: OF | SF | ZF | PF,
  AAS: OF | SF | ZF | PF,
  AAM: OF | AF | CF,
  AAD: OF | AF | CF,
};

const ROTATES = new Set(["ROL", "ROR", "RCL", "RCR"]);
const SHIFTS = new Set(["SHL", "SAL", "SHR", "SAR"]);
const DOUBLE_SHIFTS = new Set(["SHLD", "SHRD"]);

/** The count of a shift or rotate after masking (SDM vol. 2, SAL/SAR/SHL/SHR: 5 bits, 6 with 64-bit operands). */
function countOf(one: Case): number {
  const { form, code, registers, size } = one;
  let count = 1;
  if (form.operands.includes("Ib")) count = code[code.length - 1];
  else if ((form.opcode & 0xfe) === 0xd2 || form.map === 1) count = Number(registers[RCX] & 0xffn);
  return count & (size === 64 ? 63 : 31);
}

/** The undefined flags after a case that completed. */
export function undefinedFlags(one: Case): number {
  if (one.undefinedFlags !== undefined) return one.undefinedFlags;
  const { mnemonic } = one.form;
  const always = ALWAYS[mnemonic];
  if (always !== undefined) return always;
  const rotate = ROTATES.has(mnemonic);
  if (!rotate && !SHIFTS.has(mnemonic) && !DOUBLE_SHIFTS.has(mnemonic)) return 0;
  const count = countOf(one);
  if (count === 0) return 0;
  let mask = count === 1 ? 0 : OF;
  if (rotate) return mask;
  mask |= AF;
  if (DOUBLE_SHIFTS.has(mnemonic)) return mask;
  if (mnemonic !== "SAR" && count >= one.size) mask |= CF;
  return mask;
}
