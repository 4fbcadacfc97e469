/**
 * The simple translator: a closure for each instruction. Replaceable as a whole: `translateBlock` is all that the
 * code cache knows of it.
 */
import { Code, Decoder, DecoderError, DecoderOptions, Instruction } from "iced-x86";
import { join64 } from "../../paging/halves";
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
/** What is being translated; builders take what they need from it. */
const instruction = new Instruction();

/** Decodes and translates from a linear address, whose physical address is given. Faults as a fetch. */
export function translateBlock(c: Cpu, low: number, high: number, physical: number): Block {
  const inPage = PAGE_SIZE - (physical % PAGE_SIZE);
  const window = c.memory.bytesInPage(physical, Math.min(inPage, WINDOW));
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
  const ops: Op[] = [];
  const offsets = [0];
  const limit = secondPage < 0 ? MAX_INSTRUCTIONS : 1;
  let nextLow = low;
  let nextHigh = high;
  let ended = true;
  try {
    decoder.ip = join64(low, high);
    while (ops.length < limit) {
      const at = offsets[ops.length];
      ended = false;
      if (ops.length > 0 && c.code.mustBegin(nextLow, nextHigh)) break;
      decoder.decodeOut(instruction);
      if (instruction.code === Code.INVALID && decoder.lastError === DecoderError.NoMoreBytes) {
        if (ops.length > 0) break;
        return undefined;
      }
      if (instruction.code === Code.INVALID && tooLong(bitness, bytes.subarray(at))) {
        ops.push(refuseLength);
        offsets.push(at + LONGEST);
        ended = true;
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
      ended = ends === true || endsFor?.(instruction) === true;
      if (ended) break;
    }
  } catch (error) {
    if (!(error instanceof Unimplemented)) throw error;
    ops.push(() => {
      throw error;
    });
    offsets.push(offsets[ops.length - 1] + instruction.length);
    ended = true;
  } finally {
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
    milestone: c.code.milestoneAt(low, high),
    epoch: -1,
    epochCell: -1,
    ends: ended,
    runs: 0,
    region: undefined,
    target: -1,
    copiedIn: undefined,
  };
}

const REX = 0x40;
const LEGACY_PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/**
 * Whether bytes that are no instruction would be one but for its length: #GP instead of #UD (SDM vol. 2, 2.3.11). Only
 * prefixes can make an instruction too long, so it is one if what follows some of them is.
 */
function tooLong(bitness: number, bytes: Uint8Array): boolean {
  const isPrefix = (byte: number) => LEGACY_PREFIXES.has(byte) || (bitness === 64 && (byte & 0xf0) === REX);
  for (let skipped = 1; skipped < LONGEST && isPrefix(bytes[skipped - 1]); skipped++) {
    const decoder = new Decoder(bitness, bytes.subarray(skipped), DecoderOptions.None);
    const candidate = decoder.decode();
    const length = candidate.code === Code.INVALID ? 0 : candidate.length;
    candidate.free();
    decoder.free();
    if (length > 0) return skipped + length > LONGEST;
  }
  return bytes.length >= LONGEST && bytes.subarray(0, LONGEST).every(isPrefix);
}

function refuseLength(c: Cpu): void {
  throw c.gp("the instruction is longer than 15 bytes");
}
