/** Whether a linear address is one that the running instruction uses as its stack: #SS instead of #GP (SDM 6.15). */
import { Decoder, DecoderOptions, Instruction, OpKind, Register } from "iced-x86";
import { join64 } from "../../paging/halves";
import { PAGE_SIZE } from "../memory";
import { type Block, NO_BLOCK } from "./block";
import type { Cpu } from "./cpu";
import { RBP, RSP } from "./registers";

const STACK_BASES = new Set([Register.RSP, Register.RBP, Register.ESP, Register.EBP]);

/** Decodes the running instruction again: only for faults, so its cost does not matter. */
export function stackReference(c: Cpu, low: number, high: number): boolean {
  const block = c.code.current;
  if (block === NO_BLOCK) return implicitStack(c, low, high);
  const decoder = new Decoder(64, instructionBytes(c, block), DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.decodeOut(instruction);
    if (instruction.isStackInstruction && implicitStack(c, low, high)) return true;
    for (let n = 0; n < instruction.opCount; n++) {
      if (instruction.opKind(n) === OpKind.Memory) return throughStack(instruction);
    }
    return false;
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** In 64-bit mode the base register decides; ES, CS, SS and DS overrides mean nothing (SDM vol. 1, 3.7.4). */
function throughStack(instruction: Instruction): boolean {
  const segment = instruction.memorySegment;
  return segment !== Register.FS && segment !== Register.GS && STACK_BASES.has(instruction.memoryBase);
}

/** The bytes of the running instruction, which may reach into the next page. */
function instructionBytes(c: Cpu, block: Block): Uint8Array {
  const from = block.physical + block.offsets[c.index];
  const length = block.offsets[c.index + 1] - block.offsets[c.index];
  const inPage = Math.min(length, PAGE_SIZE - (from % PAGE_SIZE));
  const first = c.memory.readBytes(from, inPage);
  return inPage === length
    ? first
    : Uint8Array.of(...first, ...c.memory.readBytes(block.secondPage, length - inPage));
}

/** Whether an address lies near the stack or frame pointer: where PUSH, POP, CALL, RET, ENTER and LEAVE access. */
function implicitStack(c: Cpu, low: number, high: number): boolean {
  const address = join64(low, high);
  return [RSP, RBP].some((register) => {
    const distance = BigInt.asIntN(64, address - c.getRegister(register));
    return distance > -64n && distance < 64n;
  });
}
