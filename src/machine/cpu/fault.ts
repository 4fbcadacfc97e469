/** How an instruction ends early: an exception of the guest, or the end of what this machine can do. */

/** Vectors (SDM vol. 3A, table 6-1). */
export const DE = 0;
export const DB = 1;
export const BP = 3;
export const OF_VECTOR = 4;
export const BR = 5;
export const UD = 6;
export const NM = 7;
export const DOUBLE_FAULT = 8;
export const TS = 10;
export const NP = 11;
export const SS_FAULT = 12;
export const GP = 13;
export const PAGE_FAULT = 14;

const NAMES: Readonly<Record<number, string>> = {
  0: "#DE",
  1: "#DB",
  2: "NMI",
  3: "#BP",
  4: "#OF",
  5: "#BR",
  6: "#UD",
  7: "#NM",
  8: "#DF",
  10: "#TS",
  11: "#NP",
  12: "#SS",
  13: "#GP",
  14: "#PF",
  16: "#MF",
  17: "#AC",
  18: "#MC",
  19: "#XM",
  21: "#CP",
};

/** "#GP" or "vector 33". */
export function vectorName(vector: number): string {
  return NAMES[vector] ?? `vector ${vector}`;
}

/** No error code. */
export const NO_ERROR = -1;

/**
 * An exception on its way to delivery. Thrown, not an Error: the stack is the guest's, and one object serves all.
 */
export class CpuFault {
  vector = 0;
  /** The error code, or NO_ERROR. */
  error = NO_ERROR;
  /** Why, in words, or a function that finds out when somebody wants to know. */
  reason: string | (() => string) = "";
  /** INT n, INT3, INTO: the gate's DPL is checked and RIP points behind the instruction. */
  software = false;
  /** RIP points behind the instruction (traps and software interrupts). */
  trap = false;
  /** Bytes of the instruction, for software interrupts: a fault while delivering them is one of the instruction. */
  length = 0;

  set(vector: number, error: number, reason: string | (() => string)): this {
    this.vector = vector;
    this.error = error;
    this.reason = reason;
    this.software = false;
    this.trap = false;
    this.length = 0;
    return this;
  }

  /** One that stays as it is when the next fault is raised. */
  copy(): CpuFault {
    const copy = new CpuFault().set(this.vector, this.error, this.reason);
    copy.software = this.software;
    copy.trap = this.trap;
    copy.length = this.length;
    return copy;
  }

  describe(): string {
    return typeof this.reason === "string" ? this.reason : this.reason();
  }
}

/** This machine does not implement an instruction or a use of it. Ends the run; never a guess. */
export class Unimplemented {
  constructor(readonly reason: string) {}
}

/** Nothing can ever make the guest go on from here. */
export class Halted {
  constructor(readonly reason: string) {}
}
