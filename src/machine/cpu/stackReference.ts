/** Whether a linear address is one that the running instruction uses as its stack: #SS instead of #GP (SDM 6.15). */
import { Decoder, DecoderOptions, Instruction, OpKind, Register } from "iced-x86";
import { MODE_16, MODE_64, MODE_BITS } from "./attributes";
import { NO_BLOCK } from "./block";
import type { Cpu } from "./cpu";
import { RBP, RSP } from "./registers";

/** Decodes the running instruction again: only for faults, so its cost does not matter. */
export function stackReference(c: Cpu, low: number, high: number): boolean {
  const block = c.code.current;
  if (block === NO_BLOCK || block.secondPage >= 0) return implicitStack(c, low, high);
  const from = block.offsets[c.index];
  const bytes = c.memory.readBytes(block.physical + from, block.offsets[c.index + 1] - from);
  const bits = block.mode & MODE_BITS;
  const decoder = new Decoder(bits === MODE_64 ? 64 : bits === MODE_16 ? 16 : 32, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.decodeOut(instruction);
    if (instruction.isStackInstruction && implicitStack(c, low, high)) return true;
    for (let n = 0; n < instruction.opCount; n++) {
      if (instruction.opKind(n) === OpKind.Memory) return instruction.memorySegment === Register.SS;
    }
    return false;
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** Whether an address lies near the stack or frame pointer: where PUSH, POP, CALL, RET, ENTER and LEAVE access. */
function implicitStack(c: Cpu, low: number, high: number): boolean {
  const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return [RSP, RBP].some((register) => {
    const distance = BigInt.asIntN(64, address - c.getRegister(register));
    return distance > -64n && distance < 64n;
  });
}
