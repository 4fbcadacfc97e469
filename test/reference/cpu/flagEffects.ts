/** What instructions of sequences read and write of the status flags (SDM vol. 1, appendix A). */
export const CF = 0x1;
export const PF = 0x4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const OF = 0x800;
const ALL = CF | PF | AF | ZF | SF | OF;

/** Flags that are written with a defined value; what is missing here writes none. */
export const WRITTEN: Readonly<Record<string, number>> = {
  ADD: ALL,
  ADC: ALL,
  SUB: ALL,
  SBB: ALL,
  CMP: ALL,
  NEG: ALL,
  XADD: ALL,
  CMPXCHG: ALL,
  POPCNT: ALL,
  AND: ALL & ~AF,
  OR: ALL & ~AF,
  XOR: ALL & ~AF,
  TEST: ALL & ~AF,
  INC: ALL & ~CF,
  DEC: ALL & ~CF,
  MUL: CF | OF,
  IMUL: CF | OF,
  BT: CF,
  BTS: CF,
  BTR: CF,
  BTC: CF,
  TZCNT: CF | ZF,
  LZCNT: CF | ZF,
  ANDN: CF | OF | ZF | SF,
  BLSR: CF | OF | ZF | SF,
  BLSMSK: CF | OF | ZF | SF,
  BLSI: CF | OF | ZF | SF,
  BZHI: CF | OF | ZF | SF,
  BEXTR: CF | OF | ZF,
  ADCX: CF,
  ADOX: OF,
  CMC: CF,
  CLC: CF,
  STC: CF,
  SAHF: CF | PF | AF | ZF | SF,
};

/** Flags written by shifts and rotates by a count that is not 0. OF only counts for a count of 1. */
export const SHIFT_WRITTEN = ALL & ~AF;
export const ROTATE_WRITTEN = CF | OF;

/** By the low four bits of the opcode, two by two: O, B, E, BE, S, P, L, LE. */
const CONDITION_READS = [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, SF | OF | ZF];

const READ: Readonly<Record<string, number>> = {
  ADC: CF,
  SBB: CF,
  RCL: CF,
  RCR: CF,
  CMC: CF,
  ADCX: CF,
  ADOX: OF,
  LAHF: CF | PF | AF | ZF | SF,
};

/** The flags that an instruction reads. */
export function flagsRead(family: string, mnemonic: string, opcode: number): number {
  const conditional = family === "condition" || (family === "jump" && mnemonic !== "JMP");
  if (conditional) return CONDITION_READS[(opcode & 15) >> 1];
  return READ[mnemonic] ?? 0;
}
