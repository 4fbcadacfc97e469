/** Instructions that have code of their own in regions: their closures do not run, but where an access is not plain. */
import { describe, expect, it } from "vitest";
import type { Block } from "../../src/machine/cpu/block";
import type { Machine } from "../../src/machine/machine";
import { DATA, longMode } from "../support/longMode";
import { DATA_BYTES, DATA_POINTER } from "../support/randomCode";

/** Runs of the loop, and instructions after which it is surely a region. */
const ROUNDS = 1200;
const WARM = 6000;
/** Displacements from RSI: within a page, and across its border. */
const WITHIN = 0x10;
const ACROSS = 0x3f;

/** On registers: RAX, RCX and RDX. */
const REGISTERS: Record<string, readonly number[]> = {
  "adc rax, rcx": [0x48, 0x11, 0xc8],
  "adc cl, al": [0x10, 0xc1],
  "sbb eax, eax": [0x19, 0xc0],
  "sbb rcx, 0": [0x48, 0x83, 0xd9, 0x00],
  "imul rax, rcx": [0x48, 0x0f, 0xaf, 0xc1],
  "imul eax, ecx": [0x0f, 0xaf, 0xc1],
  "imul rax, rcx, -3": [0x48, 0x6b, 0xc1, 0xfd],
  "mul rcx": [0x48, 0xf7, 0xe1],
  "imul rcx": [0x48, 0xf7, 0xe9],
  "mul ecx": [0xf7, 0xe1],
  "bt rax, rcx": [0x48, 0x0f, 0xa3, 0xc8],
  "bts eax, 7": [0x0f, 0xba, 0xe8, 0x07],
  "btr rax, 40": [0x48, 0x0f, 0xba, 0xf0, 0x28],
  "btc rcx, rax": [0x48, 0x0f, 0xbb, 0xc1],
  "rol eax, 10": [0xc1, 0xc0, 0x0a],
  "ror rax, 11": [0x48, 0xc1, 0xc8, 0x0b],
  "rol rax, cl": [0x48, 0xd3, 0xc0],
  "ror edx, cl": [0xd3, 0xca],
  "shl rax, cl": [0x48, 0xd3, 0xe0],
  "shr edx, cl": [0xd3, 0xea],
  "sar rdx, cl": [0x48, 0xd3, 0xfa],
  "bswap rax": [0x48, 0x0f, 0xc8],
  "bswap edx": [0x0f, 0xca],
  "bsf rax, rcx": [0x48, 0x0f, 0xbc, 0xc1],
  "bsr edx, ecx": [0x0f, 0xbd, 0xd1],
  "tzcnt rax, rcx": [0xf3, 0x48, 0x0f, 0xbc, 0xc1],
  "xchg rcx, rax": [0x48, 0x91],
  "xchg al, ah": [0x86, 0xe0],
  "xadd rcx, rax": [0x48, 0x0f, 0xc1, 0xc1],
  pause: [0xf3, 0x90],
  lfence: [0x0f, 0xae, 0xe8],
  mfence: [0x0f, 0xae, 0xf0],
  sfence: [0x0f, 0xae, 0xf8],
};

/** On memory at RSI and a displacement of 8 bits, which comes behind what is listed and before an immediate. */
const MEMORY: Record<string, readonly [bytes: readonly number[], immediate?: number]> = {
  "adc rax, m": [[0x48, 0x13, 0x46]],
  "adc m32, 1": [[0x83, 0x56], 0x01],
  "sbb m64, rcx": [[0x48, 0x19, 0x4e]],
  "lock sbb m16, ax": [[0xf0, 0x66, 0x19, 0x46]],
  "imul rax, m": [[0x48, 0x0f, 0xaf, 0x46]],
  "imul rdx, m, 99": [[0x48, 0x6b, 0x56], 99],
  "mul m64": [[0x48, 0xf7, 0x66]],
  "imul m32": [[0xf7, 0x6e]],
  "bt m64, 24": [[0x48, 0x0f, 0xba, 0x66], 24],
  "lock btr m64, 24": [[0xf0, 0x48, 0x0f, 0xba, 0x76], 24],
  "bts m32, 31": [[0x0f, 0xba, 0x6e], 31],
  "bts m64, r15": [[0x4c, 0x0f, 0xab, 0x7e]],
  "btc m32, r15d": [[0x44, 0x0f, 0xbb, 0x7e]],
  "rol m64, 9": [[0x48, 0xc1, 0x46], 9],
  "shr m32, cl": [[0xd3, 0x6e]],
  "bsf rax, m64": [[0x48, 0x0f, 0xbc, 0x46]],
  "setb m8": [[0x0f, 0x92, 0x46]],
  "xchg m64, rax": [[0x48, 0x87, 0x46]],
  "xadd m64, rax": [[0x48, 0x0f, 0xc1, 0x46]],
  "lock xadd m32, ecx": [[0xf0, 0x0f, 0xc1, 0x4e]],
  "cmpxchg m64, rcx": [[0x48, 0x0f, 0xb1, 0x4e]],
  "lock cmpxchg m32, edx": [[0xf0, 0x0f, 0xb1, 0x56]],
};

/** The instruction's place in the loop. */
const PLACE = 2;

/** A loop that reads registers, does the instruction, adds up its registers and flags, and gives them other values. */
function program(instruction: readonly number[]): Uint8Array {
  const body = [
    // lea rdi, [rax+rcx]; lea rbp, [rdx+rsi]
    ...[0x48, 0x8d, 0x3c, 0x08, 0x48, 0x8d, 0x2c, 0x32],
    ...instruction,
    // lea rbx, [rbx+rax*2]; lea r8, [r8+rcx*2]; lea r9, [r9+rdx*2]; pushfq; pop r10; lea r11, [r11+r10*2]
    ...[0x48, 0x8d, 0x1c, 0x43, 0x4d, 0x8d, 0x04, 0x48, 0x4d, 0x8d, 0x0c, 0x51],
    ...[0x9c, 0x41, 0x5a, 0x4f, 0x8d, 0x1c, 0x53],
    // lea rax, [rax+rdx*4+1]; lea rcx, [rcx+rcx*4+7]; lea rdx, [rcx+rdx*8]
    ...[0x48, 0x8d, 0x44, 0x90, 0x01, 0x48, 0x8d, 0x4c, 0x89, 0x07, 0x48, 0x8d, 0x14, 0xd1],
    // add [rsi+0x10], rdx; add [rsi+0x40], rax; cmp rcx, rdx; dec r15, which leaves CF
    ...[0x48, 0x01, 0x56, WITHIN, 0x48, 0x01, 0x46, 0x40, 0x48, 0x39, 0xd1, 0x49, 0xff, 0xcf],
  ];
  // jnz to the begin; hlt
  return Uint8Array.from([...body, 0x75, 0x100 - body.length - 2, 0xf4]);
}

function start(instruction: readonly number[], compiling: boolean): Machine {
  const machine = longMode(program(instruction), {
    registers: {
      rax: 0x1234567890abcdefn,
      rcx: 3n,
      rdx: 0x8000000000000001n,
      rsi: DATA_POINTER,
      r15: BigInt(ROUNDS),
    },
  });
  machine.want([]);
  machine.cpu.code.compiling = compiling;
  return machine;
}

function end(machine: Machine): unknown {
  while (machine.ended === undefined) machine.run(100_000);
  const { cpu, memory } = machine;
  return {
    event: machine.ended.event,
    instructions: machine.instructions,
    rflags: cpu.rflags,
    registers: Array.from({ length: 16 }, (_, i) => cpu.getRegister(i)),
    data: Buffer.from(memory.readBytes(DATA, DATA_BYTES)).toString("base64"),
  };
}

/** Runs an instruction in a region; returns how often its closure ran there. Compares the end with that of closures. */
function closuresOf(instruction: readonly number[]): number {
  const machine = start(instruction, true);
  machine.run(WARM);
  const { code } = machine.cpu;
  expect(code.regionCount).toBe(1);
  const ops = code.current.ops as Block["ops"][number][];
  const closure = ops[PLACE]!;
  let runs = 0;
  ops[PLACE] = (cpu) => {
    runs++;
    closure(cpu);
  };
  expect(end(machine)).toEqual(end(start(instruction, false)));
  return runs;
}

describe("an instruction with code of its own", () => {
  it.each(Object.entries(REGISTERS))("does without its closure: %s", (_, instruction) => {
    expect(closuresOf(instruction)).toBe(0);
  });

  it.each(Object.entries(MEMORY))(
    "does without its closure within a page, but not across pages: %s",
    (name, [bytes, immediate]) => {
      const tail = immediate === undefined ? [] : [immediate];
      expect(closuresOf([...bytes, WITHIN, ...tail])).toBe(0);
      const across = closuresOf([...bytes, ACROSS, ...tail]);
      if (name.includes("m8")) expect(across).toBe(0);
      else expect(across).toBeGreaterThan(0);
    },
  );
});
