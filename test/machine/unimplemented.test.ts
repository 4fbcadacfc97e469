import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CODE, DATA, GDT, hexBytes, longMode, mapForUser, runToEnd, STACK0 } from "../support/longMode";

describe("what this machine lacks stops it, with bytes, text and place", () => {
  it.each([
    ["SSE", "0f 58 c1", "addps xmm0,xmm1", /does not implement addps/],
    ["x87", "d9 fe", "fsin", /does not implement fsin/],
    ["hardware breakpoints of the guest", "0f 23 f8", "mov dr7,rax", /DR7/],
  ])("%s", (_name, code, text, reason) => {
    const machine = longMode(`90 ${code}`, { registers: { rax: 0x401n, rbx: 7n } });
    const [event] = runToEnd(machine).slice(-1);
    expect(event).toMatchObject({
      event: "unimplemented",
      bytes: code,
      text,
      rip: BigInt(CODE + 1),
      instruction: 1,
    });
    expect((event as { reason: string }).reason).toMatch(reason);
    expect([machine.cpu.rip, machine.cpu.getRegister(3)]).toEqual([BigInt(CODE + 1), 7n]);
  });

  it("a call gate", () => {
    // lcall [rax], whose selector names a call gate
    const machine = longMode("ff 18", { registers: { rax: BigInt(DATA) } });
    machine.memory.write64(GDT + 0x10, 0x00008c0000080000n);
    machine.memory.writeBytes(DATA, hexBytes("00 00 00 00 10 00"));
    expect(runToEnd(machine).at(-1)).toMatchObject({
      event: "unimplemented",
      reason: expect.stringMatching(/call gates/),
    });
  });
});

describe("any bytes at all", () => {
  const MODES = [
    { cpl: 0, code32: false },
    { cpl: 3, code32: false },
    { cpl: 0, code32: true },
    { cpl: 3, code32: true },
  ] as const;

  it("run without an error of ours, in a bounded number of instructions, to a state that makes sense", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 48 }),
        fc.constantFrom(...MODES),
        fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { minLength: 4, maxLength: 4 }),
        (code, mode, values) => {
          const machine = longMode(code, {
            ...mode,
            registers: {
              rax: values[0]!,
              rcx: values[1]! & 0xffn,
              rdx: values[2]!,
              rsi: BigInt(DATA),
              rdi: BigInt(DATA + 0x1000),
              rbx: values[3]! & 0x3fffffn,
              rbp: BigInt(STACK0),
            },
          });
          if (mode.cpl === 3) mapForUser(machine);
          machine.run(300);
          expect(machine.instructions).toBeLessThanOrEqual(300);
          const { cpu } = machine;
          expect(cpu.rflags & 0x802a).toBe(2);
          expect([0, 1, 2, 3]).toContain(cpu.cpl);
          if (machine.ended === undefined) expect(machine.instructions).toBe(300);
        },
      ),
      { numRuns: 1500, seed: 7 },
    );
  }, 120_000);
});
