/** IN and OUT, and who may use a port (SDM vol. 1, 19.5). Both end their block: devices see the exact time. */
import { Mnemonic, Register } from "iced-x86";
import { TR } from "../attributes";
import type { Cpu } from "../cpu";
import { isRegister, type Op, registerSize, type Site } from "../operands";
import { IOPL, IOPL_SHIFT, R_FLAGS, RAX, RDX } from "../registers";
import { loadSystem } from "../segments";
import { family } from "./family";

/** Offset in the TSS of the 16-bit offset of the I/O permission bitmap. */
const BITMAP_OFFSET = 0x66;

/** @throws #GP where neither IOPL nor the bitmap of the TSS allows the ports. */
export function portAllowed(c: Cpu, port: number, size: number): void {
  if (c.cpl <= (c.r[R_FLAGS] & IOPL) >> IOPL_SHIFT) return;
  const base = c.segmentBase(TR);
  if (c.limits[TR] > BITMAP_OFFSET) {
    const offset = (loadSystem(c, base + BigInt(BITMAP_OFFSET - 2)) >>> 16) + (port >> 3);
    if (offset + 1 <= c.limits[TR]) {
      const bits = (loadSystem(c, base + BigInt(offset)) >>> (port & 7)) & ((1 << size) - 1);
      if (bits === 0) return;
    }
  }
  throw c.gp(`port 0x${port.toString(16)} at CPL ${c.cpl} above IOPL`);
}

/** The port: an immediate byte, or DX. */
function portReader(site: Site, n: number): (c: Cpu) => number {
  if (isRegister(site.instruction, n)) return (c) => c.r[2 * RDX] & 0xffff;
  const port = Number(site.instruction.immediate(n) & 0xffn);
  return () => port;
}

function input(site: Site): Op {
  const size = registerSize(site.instruction.op0Register) as 1 | 2 | 4;
  const port = portReader(site, 1);
  return (c) => {
    const number = port(c);
    portAllowed(c, number, size);
    const value = c.io.in(number, size);
    if (size === 1) c.r8[0] = value;
    else if (size === 2) c.r16[0] = value;
    else {
      c.r[2 * RAX] = value;
      c.r[2 * RAX + 1] = 0;
    }
  };
}

function output(site: Site): Op {
  const register = site.instruction.op1Register;
  const size = registerSize(register) as 1 | 2 | 4;
  const mask = register === Register.AL ? 0xff : size === 2 ? 0xffff : -1;
  const port = portReader(site, 0);
  return (c) => {
    const number = port(c);
    portAllowed(c, number, size);
    c.io.out(number, size, (c.r[2 * RAX] & mask) >>> 0);
  };
}

export const IO = new Map(family([Mnemonic.In, input], [Mnemonic.Out, output]));
