/** JMP Jcc CALL RET LOOP JRCXZ, near (SDM vol. 2). RIP already holds the next instruction: not taken costs nothing. */
import { type Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import type { Cpu } from "../cpu";
import { Halted } from "../fault";
import { CONDITIONS, zero } from "../flags";
import { isDeaf } from "../interrupt";
import {
  isMemory,
  type Op,
  operandSize,
  type Reader,
  reader,
  reader64,
  type Site,
  type Size,
} from "../operands";
import { R_HIGH, R_RIP, RCX, RSP } from "../registers";
import { JCC_MNEMONICS } from "./conditions";
import { endingFamily } from "./family";
import { farCall, farJump } from "./far";
import { jumpTo } from "./jump";
import { popValue, pushValue } from "./stack";

function isFar(instruction: Instruction): boolean {
  return (
    instruction.isJmpFar ||
    instruction.isJmpFarIndirect ||
    instruction.isCallFar ||
    instruction.isCallFarIndirect
  );
}

/** The target of a direct branch, truncated to the operand size. */
function target(site: Site): { low: number; high: number } {
  const value = site.instruction.nearBranchTarget;
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) };
}

function operandBytes(site: Site): Size {
  if (site.bitness === 64) return 8;
  return site.instruction.op0Kind === OpKind.NearBranch16 ? 2 : 4;
}

function jump(site: Site): Op {
  const { instruction } = site;
  if (isFar(instruction)) return farJump(site);
  if (instruction.op0Kind === OpKind.Register || isMemory(instruction, 0)) return jumpIndirect(site);
  const { low, high } = target(site);
  if (low === site.low && high === site.high) {
    return (c) => {
      if (isDeaf(c))
        throw new Halted("an instruction that jumps to itself, and nothing that could interrupt it");
      jumpTo(c, low, high);
    };
  }
  return checkedJump(site, low, high);
}

/** A direct jump; the limit of CS matters only where segments are not flat. */
function checkedJump(site: Site, low: number, high: number): Op {
  if (site.bitness !== 64 && !site.flat) return (c) => jumpTo(c, low, 0);
  return (c) => {
    c.r[R_RIP] = low;
    c.r[R_RIP + 1] = high;
  };
}

function jumpIndirect(site: Site): Op {
  const read = targetReader(site);
  return (c) => {
    const low = read(c);
    jumpTo(c, low, c.r[R_HIGH]);
  };
}

/** Reads an indirect target: low half returned, high half in R_HIGH. */
function targetReader(site: Site): Reader {
  if (site.bitness === 64) return reader64(site, 0);
  const size = indirectSize(site);
  const read = reader(site, 0, size);
  const mask = size === 2 ? 0xffff : -1;
  return (c) => {
    const low = read(c) & mask;
    c.r[R_HIGH] = 0;
    return low;
  };
}

function indirectSize(site: Site): Size {
  const { instruction } = site;
  if (isMemory(instruction, 0)) return operandSize(instruction, 0);
  const register = instruction.op0Register;
  return register >= Register.AX && register <= Register.DI ? 2 : 4;
}

function conditionalJump(condition: number): (site: Site) => Op {
  return (site) => {
    const test = CONDITIONS[condition];
    const { low, high } = target(site);
    const take = checkedJump(site, low, high);
    return (c) => {
      if (test(c.r)) take(c);
    };
  };
}

/** The register that LOOP and JRCXZ count in has the address size. */
function counterSize(site: Site): Size {
  const name = site.instruction.mnemonic;
  if (name === Mnemonic.Jcxz) return 2;
  if (name === Mnemonic.Jecxz) return 4;
  if (name === Mnemonic.Jrcxz) return 8;
  return addressSizeOfLoop(site);
}

function addressSizeOfLoop(site: Site): Size {
  const code = site.instruction.opCode;
  try {
    const size = code.addressSize;
    return size === 16 ? 2 : size === 32 ? 4 : 8;
  } finally {
    code.free();
  }
}

/** LOOP, LOOPE, LOOPNE. */
function loop(condition: ((c: Cpu) => boolean) | undefined): (site: Site) => Op {
  return (site) => {
    const size = counterSize(site);
    const { low, high } = target(site);
    const take = checkedJump(site, low, high);
    return (c) => {
      const notZero = decrementCounter(c, size);
      if (notZero && (condition === undefined || condition(c))) take(c);
    };
  };
}

function decrementCounter(c: Cpu, size: Size): boolean {
  const { r } = c;
  if (size === 2) {
    c.r16[4 * RCX] -= 1;
    return c.r16[4 * RCX] !== 0;
  }
  const low = r[2 * RCX];
  r[2 * RCX] = low - 1;
  if (size === 4) {
    r[2 * RCX + 1] = 0;
    return r[2 * RCX] !== 0;
  }
  if (low === 0) r[2 * RCX + 1] -= 1;
  return (r[2 * RCX] | r[2 * RCX + 1]) !== 0;
}

function jumpCounterZero(site: Site): Op {
  const size = counterSize(site);
  const { low, high } = target(site);
  const take = checkedJump(site, low, high);
  return (c) => {
    const { r } = c;
    const counter = size === 2 ? c.r16[4 * RCX] : size === 4 ? r[2 * RCX] : r[2 * RCX] | r[2 * RCX + 1];
    if (counter === 0) take(c);
  };
}

function call(site: Site): Op {
  const { instruction } = site;
  if (isFar(instruction)) return farCall(site);
  const { nextLow, nextHigh } = site;
  const direct = instruction.op0Kind !== OpKind.Register && !isMemory(instruction, 0);
  if (direct) {
    const { low, high } = target(site);
    const push = pushValue(site, operandBytes(site));
    const take = checkedJump(site, low, high);
    return (c) => {
      push(c, nextLow, nextHigh);
      take(c);
    };
  }
  const size = site.bitness === 64 ? 8 : indirectSize(site);
  const push = pushValue(site, size);
  const read = targetReader(site);
  return (c) => {
    const { r } = c;
    const low = read(c);
    const high = r[R_HIGH];
    const [spLow, spHigh] = [r[2 * RSP], r[2 * RSP + 1]];
    push(c, nextLow, nextHigh);
    try {
      jumpTo(c, low, high);
    } catch (thrown) {
      // Real CPUs have written the return address by then.
      r[2 * RSP] = spLow;
      r[2 * RSP + 1] = spHigh;
      throw thrown;
    }
  };
}

function ret(site: Site): Op {
  const { instruction } = site;
  const size = returnSize(instruction, site);
  const pop = popValue(site, size);
  const release = instruction.opCount === 1 ? Number(instruction.immediate(0) & 0xffffn) : 0;
  return (c) => {
    const { r } = c;
    const [spLow, spHigh] = [r[2 * RSP], r[2 * RSP + 1]];
    const low = pop(c);
    try {
      jumpTo(c, size === 2 ? low & 0xffff : low, r[R_HIGH]);
    } catch (thrown) {
      r[2 * RSP] = spLow;
      r[2 * RSP + 1] = spHigh;
      throw thrown;
    }
    if (release !== 0) releaseStack(c, site.stackSize, release);
  };
}

function returnSize(instruction: Instruction, site: Site): Size {
  if (site.bitness === 64) return 8;
  const code = instruction.opCode;
  try {
    return code.operandSize === 16 ? 2 : 4;
  } finally {
    code.free();
  }
}

/** Adds to the stack pointer as wide as the stack is. */
export function releaseStack(c: Cpu, stackSize: Size, bytes: number): void {
  const { r } = c;
  if (stackSize === 2) {
    c.r16[4 * RSP] += bytes;
    return;
  }
  const low = (r[2 * RSP] + bytes) | 0;
  const carry = low >>> 0 < r[2 * RSP] >>> 0 ? 1 : 0;
  r[2 * RSP] = low;
  if (stackSize === 8) r[2 * RSP + 1] += carry;
}

export const BRANCH = new Map([
  ...endingFamily(
    [Mnemonic.Jmp, jump],
    [Mnemonic.Call, call],
    [Mnemonic.Ret, ret],
    [Mnemonic.Loop, loop(undefined)],
    [Mnemonic.Loope, loop((c) => zero(c.r))],
    [Mnemonic.Loopne, loop((c) => !zero(c.r))],
    [Mnemonic.Jcxz, jumpCounterZero],
    [Mnemonic.Jecxz, jumpCounterZero],
    [Mnemonic.Jrcxz, jumpCounterZero],
  ),
  ...endingFamily(
    ...JCC_MNEMONICS.map((mnemonic, condition): [Mnemonic, (site: Site) => Op] => [
      mnemonic,
      conditionalJump(condition),
    ]),
  ),
]);
