/** The fast translator does what the closures do: on random programs, at every point where somebody looks. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine";
import { CODE, DATA, longMode } from "../support/longMode";
import { DATA_BYTES, DATA_POINTER, FUNCTION_OFFSET, randomProgram } from "../support/randomCode";

const ROUNDS = 120;

function start(program: Uint8Array, compiling: boolean): Machine {
  const machine = longMode(program, {
    registers: { rsi: DATA_POINTER, r14: BigInt(CODE + FUNCTION_OFFSET), rax: 0x1234567890abcdefn },
  });
  machine.want([]);
  machine.cpu.code.compiling = compiling;
  return machine;
}

function state(machine: Machine): unknown {
  const { cpu, memory } = machine;
  return {
    instructions: machine.instructions,
    rip: cpu.rip,
    rflags: cpu.rflags,
    registers: Array.from({ length: 16 }, (_, i) => cpu.getRegister(i)),
    data: Buffer.from(memory.readBytes(DATA, DATA_BYTES)).toString("base64"),
  };
}

describe("the fast translator", () => {
  it("comes to the same states as the closures, on random programs in random slices", () => {
    let regions = 0;
    let copies = 0;
    fc.assert(
      fc.property(
        randomProgram(ROUNDS),
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 12 }),
        (program, slices) => {
          const [fast, plain] = [start(program, true), start(program, false)];
          for (let i = 0; fast.ended === undefined; i++) {
            const slice = slices[i % slices.length]!;
            fast.run(slice);
            plain.run(slice);
            expect(state(fast)).toEqual(state(plain));
          }
          expect(fast.ended?.event).toBe("halt");
          regions += fast.cpu.code.regionCount;
          copies += fast.cpu.code.copyCount;
        },
      ),
      { numRuns: 400, seed: 7 },
    );
    expect(regions).toBeGreaterThan(300);
    expect(copies).toBeGreaterThan(300);
  });

  it("counts instructions exactly where a run ends within a loop that it compiled", () => {
    // dec rax; jnz -5; hlt
    const program = Uint8Array.from([0x48, 0xff, 0xc8, 0x75, 0xfb, 0xf4]);
    for (const slice of [1, 2, 3, 7, 1000, 1001]) {
      const machine = longMode(program, { registers: { rax: 5000n } });
      for (let at = 0; machine.ended === undefined && at < 10_000; at += slice) {
        machine.run(slice);
        expect(machine.instructions).toBe(Math.min(at + slice, 10_000));
      }
    }
  });

  it("forgets a region when one of its instructions is overwritten, from within the region", () => {
    // 0: mov byte [rip+1], cl (the immediate of the next); mov eax, imm; add edx, eax; inc ecx; cmp ecx, 200; jne 0; hlt
    const program = Uint8Array.from([
      ...[0x88, 0x0d, 0x01, 0, 0, 0],
      ...[0xb8, 0, 0, 0, 0],
      ...[0x01, 0xc2, 0xff, 0xc1],
      ...[0x81, 0xf9, 200, 0, 0, 0],
      ...[0x75, 0xe7, 0xf4],
    ]);
    const machine = longMode(program, {});
    while (machine.ended === undefined) machine.run(100_000);
    expect(machine.cpu.getRegister(2)).toBe(BigInt((199 * 200) / 2));
  });

  it("stops at a breakpoint that is set in the middle of a region", () => {
    // nop; inc rdx; dec rax; jnz -9; hlt
    const program = Uint8Array.from([0x90, 0x48, 0xff, 0xc2, 0x48, 0xff, 0xc8, 0x75, 0xf7, 0xf4]);
    const machine = longMode(program, { registers: { rax: 5000n } });
    machine.run(4000);
    expect(machine.cpu.code.regionCount).toBeGreaterThan(0);
    machine.setBreakpoints([BigInt(CODE + 4)]);
    expect(machine.run(100).reason).toBe("breakpoint");
    expect(machine.cpu.rip).toBe(BigInt(CODE + 4));
    const before = machine.instructions;
    expect(machine.run(100).reason).toBe("breakpoint");
    expect(machine.instructions).toBe(before + 4);
  });
});
