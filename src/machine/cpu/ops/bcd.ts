/** DAA DAS AAA AAS AAM AAD: outside of 64-bit mode only, where the decoder already refuses them (SDM vol. 2). */
import { Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu";
import { DE, NO_ERROR } from "../fault";
import { materialize, setFlags, setLogic32 } from "../flags";
import { immediateOf, type Op, type Site } from "../operands";
import { AF, CF } from "../registers";
import { family } from "./family";

/** SF, ZF and PF from AL, CF and AF given; OF is undefined, here 0. */
function decimalFlags(c: Cpu, cf: boolean, af: boolean): void {
  setLogic32(c.r, (c.r8[0] << 24) >> 24);
  setFlags(c.r, CF | AF, (cf ? CF : 0) | (af ? AF : 0));
}

/** DAA (sign 1) and DAS (sign -1). */
function adjustPacked(sign: 1 | -1): () => Op {
  return () => (c) => {
    const flags = materialize(c.r);
    const al = c.r8[0];
    const oldCarry = (flags & CF) !== 0;
    let cf = false;
    let af = false;
    if ((al & 0xf) > 9 || (flags & AF) !== 0) {
      af = true;
      const next = al + sign * 6;
      cf = oldCarry || next > 0xff || next < 0;
      c.r8[0] = next;
    }
    if (al > 0x99 || oldCarry) {
      c.r8[0] += sign * 0x60;
      cf = true;
    } else if (sign === 1) cf = false;
    decimalFlags(c, cf, af);
  };
}

/** AAA (sign 1) and AAS (sign -1). Flags but CF and AF are undefined: real CPUs take them from the new AL. */
function adjustUnpacked(sign: 1 | -1): () => Op {
  return () => (c) => {
    const flags = materialize(c.r);
    const adjust = (c.r8[0] & 0xf) > 9 || (flags & AF) !== 0;
    if (adjust) {
      if (sign === 1) c.r16[0] += 0x106;
      else {
        c.r16[0] -= 6;
        c.r8[1] -= 1;
      }
    }
    c.r8[0] &= 0xf;
    decimalFlags(c, adjust, adjust);
  };
}

function multiplyAdjust(site: Site): Op {
  const base = immediateOf(site.instruction, 0).low & 0xff;
  return (c) => {
    if (base === 0) throw c.raise(DE, NO_ERROR, "AAM with base 0");
    const al = c.r8[0];
    c.r8[1] = Math.floor(al / base);
    c.r8[0] = al % base;
    decimalFlags(c, false, false);
  };
}

function divideAdjust(site: Site): Op {
  const base = immediateOf(site.instruction, 0).low & 0xff;
  return (c) => {
    c.r16[0] = (c.r8[0] + c.r8[1] * base) & 0xff;
    decimalFlags(c, false, false);
  };
}

export const BCD = new Map(
  family(
    [Mnemonic.Daa, adjustPacked(1)],
    [Mnemonic.Das, adjustPacked(-1)],
    [Mnemonic.Aaa, adjustUnpacked(1)],
    [Mnemonic.Aas, adjustUnpacked(-1)],
    [Mnemonic.Aam, multiplyAdjust],
    [Mnemonic.Aad, divideAdjust],
  ),
);
