/**
 * The run loop: blocks, one after another, until a limit, a stop or the end.
 *
 * Invariants: between blocks RIP is exact and `index` is 0; while a block runs, RIP already holds the address behind
 * the block (which is where it leads unless its last instruction branches) and `index` tells which instruction runs;
 * a fault leaves the state as it was before its instruction.
 */
import { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } from "iced-x86";
import { MODE_16, MODE_64, MODE_BITS } from "./attributes";
import { NO_BLOCK, putRip } from "./block";
import { HOT, URGENT } from "./codeCache";
import type { Cpu } from "./cpu";
import { deliver, TripleFault } from "./delivery";
import { CpuFault, DB, Halted, NO_ERROR, PAGE_FAULT, Unimplemented, vectorName } from "./fault";
import { takeInterrupt, waitHalted } from "./interrupt";
import { R_FLAGS, R_RIP, TF } from "./registers";

/** "ended": the machine cannot go on (halt, triple fault, unimplemented instruction). */
export type RunEnd = "limit" | "stopped" | "breakpoint" | "ended";

/**
 * Runs until `limit` instructions have been retired in all.
 * @param passBreakpoint whether a breakpoint on the first instruction is passed
 */
export function execute(c: Cpu, limit: number, passBreakpoint: boolean): RunEnd {
  let pass = passBreakpoint;
  for (;;) {
    try {
      if (c.pending !== undefined) {
        const { pending } = c;
        c.pending = undefined;
        if (c.hypervisor === undefined) deliver(c, pending);
        else c.hypervisor.deliver(pending);
        pass = false;
        if (c.stopRequested) return stopped(c);
      }
      const end = runBlocks(c, limit, pass);
      if (end !== undefined) return end;
    } catch (thrown) {
      const end = settle(c, thrown);
      if (end !== undefined) return end;
    }
    pass = false;
    if (c.stopRequested) return stopped(c);
  }
}

function stopped(c: Cpu): RunEnd {
  c.stopRequested = false;
  c.leave = false;
  return "stopped";
}

/** Undefined where an interrupt waits for its delivery. */
function runBlocks(c: Cpu, limit: number, passBreakpoint: boolean): RunEnd | undefined {
  const { r, code } = c;
  let pass = passBreakpoint;
  while (c.retired < limit) {
    if (c.retired >= c.deadline && takeInterrupt(c)) return undefined;
    if (c.halted) {
      waitHalted(c, limit);
      continue;
    }
    const block = code.find();
    if (block.milestone !== undefined && tellMilestone(c, block.milestone)) return stopped(c);
    if (block.breakpoint && !pass) return "breakpoint";
    pass = false;
    const { ops } = block;
    const trapping = (r[R_FLAGS] & TF) !== 0;
    c.budget = Math.min(limit, c.deadline) - c.retired;
    const count = trapping ? 1 : Math.min(ops.length, c.budget);
    const inRegion = block.target >= 0 && count === ops.length && !trapping;
    if (!inRegion || !code.runRegion(block, c.retired + c.budget)) {
      code.current = block;
      block.runs++;
      if (block.runs === HOT || block.runs === URGENT) code.becameHot(block);
      r[R_RIP] = block.nextLow;
      r[R_RIP + 1] = block.nextHigh;
      let i = 0;
      do {
        c.index = i;
        ops[i](c);
        i++;
      } while (i < count && !c.leave);
      if (i < ops.length) putRip(r, code.current, i);
      c.retired += i;
      c.index = 0;
      if (trapping) singleStepTrap(c);
    }
    if (c.leave) {
      c.leave = false;
      if (c.stopRequested) return stopped(c);
    }
  }
  return "limit";
}

/** Tells of a milestone once, however often the run is resumed there. @returns whether the sink asked to stop */
function tellMilestone(c: Cpu, text: string): boolean {
  if (c.milestoneToldAt === c.retired) return false;
  c.milestoneToldAt = c.retired;
  c.code.current = NO_BLOCK;
  c.emit({ event: "milestone", ...c.here(), text });
  c.leave = false;
  return c.stopRequested;
}

/** #DB after an instruction that began with TF set (SDM vol. 3B, 18.3.1.4). */
function singleStepTrap(c: Cpu): void {
  c.dr[6] |= 1n << 14n;
  const fault = c.raise(DB, NO_ERROR, "single step (RFLAGS.TF)");
  fault.trap = true;
  c.code.current = NO_BLOCK;
  throw fault;
}

/** Ends the running instruction after a throw. Undefined where the run goes on. */
function settle(c: Cpu, thrown: unknown): RunEnd | undefined {
  const known =
    thrown instanceof CpuFault ||
    thrown instanceof Unimplemented ||
    thrown instanceof Halted ||
    thrown instanceof TripleFault;
  c.leave = false;
  if (!known) {
    rewind(c, false);
    throw thrown;
  }
  if (thrown instanceof TripleFault) {
    c.emit({ event: "triple-fault", ...c.here(), reasons: thrown.reasons });
    return "ended";
  }
  if (thrown instanceof CpuFault) return announce(c, thrown);
  if (thrown instanceof Halted) {
    c.emit({ event: "halt", ...c.here(), reason: thrown.reason });
  } else {
    c.emit({ event: "unimplemented", ...c.here(), ...describeInstruction(c), reason: thrown.reason });
  }
  rewind(c, false);
  return "ended";
}

/** Leaves the running block: RIP on the instruction, or behind it where it is complete. */
function rewind(c: Cpu, complete: boolean): void {
  if (c.code.current === NO_BLOCK) return;
  const index = c.index + (complete ? 1 : 0);
  putRip(c.r, c.code.current, index);
  c.retired += index;
  c.index = 0;
  c.code.current = NO_BLOCK;
}

/** The event of an exception, then its delivery unless the sink wants to stop before it. */
function announce(c: Cpu, fault: CpuFault): RunEnd | undefined {
  const here = c.here();
  if (fault.software) fault.length = c.code.currentLength();
  rewind(c, fault.trap);
  if (c.hypervisor?.intercept(fault)) return c.stopRequested ? stopped(c) : undefined;
  const { vector, error } = fault;
  if (vector === PAGE_FAULT && !fault.software) {
    const repeats = c.countRepeats(here.instruction, error);
    if (c.wants("page-fault")) {
      const reason = c.surroundings.explains("page-fault") ? fault.describe() : "";
      c.emit({ event: "page-fault", ...here, address: c.cr2, error, reason, repeats });
    }
  } else if (c.wants("exception")) {
    const name = fault.software ? `INT 0x${vector.toString(16)}` : vectorName(vector);
    const withError = error === NO_ERROR ? {} : { error };
    c.emit({ event: "exception", ...here, vector, name, ...withError, reason: fault.describe() });
  }
  c.pending = fault.copy();
  if (c.stopRequested) return stopped(c);
  return undefined;
}

/** The bytes and text of the instruction that runs. */
function describeInstruction(c: Cpu): { bytes: string; text: string } {
  const rip = c.code.currentRip();
  const low = Number(BigInt.asIntN(32, rip));
  const high = Number(BigInt.asIntN(32, rip >> 32n));
  const bytes = readInstructionBytes(c, low, high);
  const bits = c.mode & MODE_BITS;
  const decoder = new Decoder(bits === MODE_64 ? 64 : bits === MODE_16 ? 16 : 32, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  const formatter = new Formatter(FormatterSyntax.Intel);
  try {
    decoder.ip = rip;
    decoder.decodeOut(instruction);
    const used = bytes.subarray(0, Math.max(1, instruction.length));
    return {
      bytes: [...used].map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
      text: formatter.format(instruction),
    };
  } finally {
    formatter.free();
    instruction.free();
    decoder.free();
  }
}

/** Up to 15 bytes at a linear address, fewer where the next page cannot be fetched. */
function readInstructionBytes(c: Cpu, low: number, high: number): Uint8Array {
  const inPage = Math.min(15, 4096 - (low & 0xfff));
  const first = c.memory.readBytes(c.mmu.translateFetch(low, high), inPage);
  if (inPage === 15) return first;
  try {
    const rest = c.memory.readBytes(c.mmu.translateFetch((low + inPage) | 0, high), 15 - inPage);
    return Uint8Array.of(...first, ...rest);
  } catch (thrown) {
    if (!(thrown instanceof CpuFault)) throw thrown;
    return first;
  }
}
