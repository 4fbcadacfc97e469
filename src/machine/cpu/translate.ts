/**
 * The simple translator: a closure for each instruction. Replaceable as a whole: `translateBlock` is all that the
 * code cache knows of it.
 */
import { Code, Decoder, DecoderError, DecoderOptions, Instruction } from "iced-x86";
import { PAGE_SIZE } from "../memory";
import { MODE_16, MODE_64, MODE_BITS, MODE_NOT_FLAT, MODE_STACK16 } from "./attributes";
import type { Block } from "./block";
import type { Cpu } from "./cpu";
import { Unimplemented } from "./fault";
import type { Op, Site, Size } from "./operands";
import { builderOf } from "./ops/table";

const MAX_INSTRUCTIONS = 32;
/** Bytes read for a block at most, and the longest instruction. */
const WINDOW = 256;
const LONGEST = 15;

/** Decodes and translates from a linear address, whose physical address is given. Faults as a fetch. */
export function translateBlock(c: Cpu, low: number, high: number, physical: number): Block {
  const inPage = PAGE_SIZE - (physical % PAGE_SIZE);
  const window = c.memory.readBytes(physical, Math.min(inPage, WINDOW));
  const block = decodeRun(c, low, high, physical, window, -1);
  if (block !== undefined) return block;
  // The first instruction reaches into the next page.
  const next = ((low | 0xfff) + 1) | 0;
  const secondPage = c.mmu.translateFetch(next, next === 0 ? (high + 1) | 0 : high);
  const bytes = new Uint8Array(inPage + LONGEST);
  bytes.set(window);
  bytes.set(c.memory.readBytes(secondPage, LONGEST), inPage);
  return decodeRun(c, low, high, physical, bytes, secondPage)!;
}

/** Undefined where the first instruction does not end within the bytes. */
function decodeRun(
  c: Cpu,
  low: number,
  high: number,
  physical: number,
  bytes: Uint8Array,
  secondPage: number,
): Block | undefined {
  const { mode } = c;
  const bits = mode & MODE_BITS;
  const bitness = bits === MODE_64 ? 64 : bits === MODE_16 ? 16 : 32;
  const stackSize: Size = bitness === 64 ? 8 : (mode & MODE_STACK16) !== 0 ? 2 : 4;
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  const ops: Op[] = [];
  const offsets = [0];
  const limit = secondPage < 0 ? MAX_INSTRUCTIONS : 1;
  let nextLow = low;
  let nextHigh = high;
  try {
    decoder.ip = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    while (ops.length < limit) {
      const at = offsets[ops.length];
      if (ops.length > 0 && c.code.hasBreakpoint(nextLow, nextHigh)) break;
      decoder.decodeOut(instruction);
      if (instruction.code === Code.INVALID && decoder.lastError === DecoderError.NoMoreBytes) {
        if (ops.length > 0) break;
        return undefined;
      }
      if (instruction.code === Code.INVALID && tooLong(bitness, bytes.subarray(at, at + LONGEST))) {
        ops.push(refuseLength);
        offsets.push(at + LONGEST);
        break;
      }
      const [thisLow, thisHigh] = [nextLow, nextHigh];
      nextLow = (low + at + instruction.length) | 0;
      nextHigh = nextLow >>> 0 < low >>> 0 && bitness === 64 ? (high + 1) | 0 : high;
      const { build, ends, endsFor } = builderOf(instruction);
      ops.push(
        build({
          instruction,
          bitness,
          flat: (mode & MODE_NOT_FLAT) === 0,
          stackSize,
          low: thisLow,
          high: thisHigh,
          nextLow,
          nextHigh,
          features: c.model.features,
          vendor: c.model.vendor,
        } satisfies Site),
      );
      offsets.push(at + instruction.length);
      if (ends || endsFor?.(instruction)) break;
    }
  } catch (error) {
    if (!(error instanceof Unimplemented)) throw error;
    ops.push(() => {
      throw error;
    });
    offsets.push(offsets[ops.length - 1] + instruction.length);
  } finally {
    instruction.free();
    decoder.free();
  }
  const length = offsets[ops.length];
  return {
    low,
    high,
    physical,
    length,
    mode,
    ops,
    offsets,
    nextLow,
    nextHigh,
    secondPage,
    breakpoint: c.code.hasBreakpoint(low, high),
    epoch: -1,
    runs: 0,
    compiled: undefined,
  };
}

/** Whether the first 15 bytes are the beginning of an instruction, but no whole one: #GP (SDM vol. 2, 2.3.11). */
function tooLong(bitness: number, bytes: Uint8Array): boolean {
  if (bytes.length < LONGEST) return false;
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  try {
    return instruction.code === Code.INVALID && decoder.lastError === DecoderError.NoMoreBytes;
  } finally {
    instruction.free();
    decoder.free();
  }
}

function refuseLength(c: Cpu): void {
  throw c.gp("the instruction is longer than 15 bytes");
}
