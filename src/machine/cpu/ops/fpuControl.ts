/**
 * FNINIT FNSTCW FNSTSW: what kernels ask for to find out whether there is an x87 FPU (SDM vol. 2). No instruction here
 * computes with it, so that no exception is ever pending and the status word is 0.
 */
import { Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu";
import { NM, NO_ERROR } from "../fault";
import { type Op, type Site, writer } from "../operands";
import { CR0_EM, CR0_TS } from "../registers";
import { family } from "./family";

/** The control word after FNINIT: all exceptions masked, 64 bits of precision, to the nearest. */
const CONTROL_INITIAL = 0x37f;

function requireFpu(c: Cpu, what: string): void {
  if ((c.cr0 & (CR0_EM | CR0_TS)) !== 0) throw c.raise(NM, NO_ERROR, `${what} with CR0.EM or CR0.TS set`);
}

function initialise(): Op {
  return (c) => {
    requireFpu(c, "FNINIT");
    c.fpuControl = CONTROL_INITIAL;
  };
}

function storeWord(name: string, value: (c: Cpu) => number): (site: Site) => Op {
  return (site) => {
    const write = writer(site, 0, 2);
    return (c) => {
      requireFpu(c, name);
      write(c, value(c));
    };
  };
}

export const FPU_CONTROL = new Map(
  family(
    [Mnemonic.Fninit, initialise],
    [Mnemonic.Fnstcw, storeWord("FNSTCW", (c) => c.fpuControl)],
    [Mnemonic.Fnstsw, storeWord("FNSTSW", () => 0)],
  ),
);
