/** CLC STC CMC CLD STD CLI STI CLAC STAC LAHF SAHF, and what does nothing here: NOP PAUSE and the fences. */
import { Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu";
import { NM, NO_ERROR } from "../fault";
import { carry, materialize, setFlags } from "../flags";
import { inhibitInterrupts, recheck } from "../interrupt";
import type { Op, Site } from "../operands";
import {
  AC,
  AF,
  CF,
  CR0_MP,
  CR0_TS,
  DF,
  FLAGS_FIXED,
  IF,
  IOPL,
  IOPL_SHIFT,
  PF,
  R_FLAGS,
  SF,
  ZF,
} from "../registers";
import { endingFamily, family, withFeature } from "./family";

const LAHF_FLAGS = SF | ZF | AF | PF | CF;

function requireIopl(c: Cpu, what: string): void {
  if (c.cpl > (materialize(c.r) & IOPL) >> IOPL_SHIFT) throw c.gp(`${what} at CPL ${c.cpl} above IOPL`);
}

function accessFlag(value: number): () => Op {
  return () => (c) => {
    if (c.cpl !== 0) throw c.ud(`CLAC or STAC at CPL ${c.cpl}`);
    c.r[R_FLAGS] = (c.r[R_FLAGS] & ~AC) | value;
    c.updateAccess();
  };
}

function nothing(): Op {
  return () => {};
}

function loadAh(): Op {
  return (c) => {
    c.r8[1] = (materialize(c.r) & LAHF_FLAGS) | FLAGS_FIXED;
  };
}

function storeAh(): Op {
  return (c) => setFlags(c.r, LAHF_FLAGS, c.r8[1]);
}

/** STI: interrupts come behind the next instruction at the earliest, if they were off (SDM vol. 2, STI). */
function setInterrupts(): Op {
  return (c) => {
    requireIopl(c, "STI");
    if ((c.r[R_FLAGS] & IF) !== 0) return;
    c.r[R_FLAGS] |= IF;
    inhibitInterrupts(c);
    recheck(c);
  };
}

/** LAHF and SAHF are a feature of their own in 64-bit mode only. */
function in64WithFeature(build: () => Op): (site: Site) => Op {
  const gated = withFeature("lahf_lm", build);
  return (site) => (site.bitness === 64 ? gated(site) : build());
}

/** WAIT: there are no x87 exceptions to wait for. */
function waitForFpu(): Op {
  return (c) => {
    if ((c.cr0 & (CR0_TS | CR0_MP)) === (CR0_TS | CR0_MP))
      throw c.raise(NM, NO_ERROR, "WAIT with CR0.TS and CR0.MP set");
  };
}

/** SALC (D6): AL = all ones with CF, else 0. Undocumented, and in every CPU. */
function setAlOnCarry(): Op {
  return (c) => {
    c.r8[0] = carry(c.r) ? 0xff : 0;
  };
}

export const FLAG_OPS = new Map([
  ...family(
    [Mnemonic.Clc, () => (c) => setFlags(c.r, CF, 0)],
    [Mnemonic.Stc, () => (c) => setFlags(c.r, CF, CF)],
    [Mnemonic.Cmc, () => (c) => setFlags(c.r, CF, carry(c.r) ? 0 : CF)],
    [
      Mnemonic.Cld,
      () => (c) => {
        c.r[R_FLAGS] &= ~DF;
      },
    ],
    [
      Mnemonic.Std,
      () => (c) => {
        c.r[R_FLAGS] |= DF;
      },
    ],
    [
      Mnemonic.Cli,
      () => (c) => {
        requireIopl(c, "CLI");
        c.r[R_FLAGS] &= ~IF;
      },
    ],
    [Mnemonic.Lahf, in64WithFeature(loadAh)],
    [Mnemonic.Sahf, in64WithFeature(storeAh)],
    [Mnemonic.Nop, nothing],
    [Mnemonic.Pause, nothing],
    [Mnemonic.Lfence, nothing],
    [Mnemonic.Sfence, nothing],
    [Mnemonic.Mfence, nothing],
    [Mnemonic.Endbr64, nothing],
    [Mnemonic.Endbr32, nothing],
    [Mnemonic.Reservednop, nothing],
    [Mnemonic.Cldemote, nothing],
    [Mnemonic.Wait, waitForFpu],
    [Mnemonic.Salc, setAlOnCarry],
    [Mnemonic.Prefetchw, nothing],
    [Mnemonic.Prefetchnta, nothing],
    [Mnemonic.Prefetcht0, nothing],
    [Mnemonic.Prefetcht1, nothing],
    [Mnemonic.Prefetcht2, nothing],
  ),
  ...endingFamily(
    [Mnemonic.Sti, setInterrupts],
    [Mnemonic.Clac, withFeature("smap", accessFlag(0))],
    [Mnemonic.Stac, withFeature("smap", accessFlag(AC))],
  ),
]);
