import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine";
import { CODE, DATA, haltedIn, hexBytes, longMode, PD, runToEnd, STACK0 } from "../support/longMode";

const register = (machine: Machine, index: number) => Number(machine.cpu.getRegister(index));

/** Fills memory, copies it, sums it, through a call: loops, REP, stack and flags. */
const PROGRAM = [
  "48 bf 00 00 30 00 00 00 00 00", // mov rdi, DATA
  "b9 00 01 00 00", // mov ecx, 256
  "b8 44 33 22 11", // mov eax, 0x11223344
  "f3 ab", // rep stosd
  "48 be 00 00 30 00 00 00 00 00", // mov rsi, DATA
  "b9 00 04 00 00", // mov ecx, 1024
  "f3 a4", // rep movsb
  "31 d2", // xor edx, edx
  "b9 10 00 00 00", // mov ecx, 16
  "01 c2", // 1: add edx, eax
  "d1 c0", // rol eax, 1
  "e2 fa", // loop 1b
  "f4", // hlt
].join(" ");

function state(machine: Machine): unknown {
  return {
    registers: Array.from({ length: 16 }, (_, i) => machine.cpu.getRegister(i)),
    rip: machine.cpu.rip,
    rflags: machine.cpu.rflags,
    instructions: machine.instructions,
    memory: Buffer.from(machine.memory.readBytes(DATA, 0x1000)).toString("hex"),
  };
}

describe("the run loop", () => {
  it("comes to the same state however the run is cut into slices", () => {
    const whole = longMode(PROGRAM);
    runToEnd(whole);
    const total = whole.instructions;
    // 3 moves, 256 iterations, 2 moves, 1,024 iterations, 2 moves, 16 loops of 3.
    expect(total).toBe(3 + 256 + 2 + 1024 + 2 + 48);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 40 }), (slices) => {
        const cut = longMode(PROGRAM);
        for (let i = 0; cut.instructions < total; i++) {
          const before = cut.instructions;
          const slice = slices[i % slices.length]!;
          cut.run(slice);
          expect(cut.instructions).toBe(Math.min(before + slice, total));
        }
        cut.run(1);
        expect(state(cut)).toEqual(state(whole));
      }),
      { numRuns: 30, seed: 1 },
    );
  });

  it("counts iterations of REP, and stops between them with the registers advanced", () => {
    const machine = longMode("f3 aa f4", { registers: { rdi: BigInt(DATA), rcx: 100n, rax: 7n } });
    machine.run(40);
    expect([register(machine, 1), register(machine, 7) - DATA]).toEqual([60, 40]);
    expect(machine.cpu.rip).toBe(BigInt(CODE));
    machine.run(1000);
    expect(register(machine, 1)).toBe(0);
    expect(machine.instructions).toBe(100);
  });

  it("leaves a faulting REP restartable: whole iterations done, RIP on the instruction", () => {
    const machine = longMode("f3 a4 f4", {
      registers: { rsi: BigInt(DATA), rdi: BigInt(0x600000 - 10), rcx: 100n },
    });
    machine.memory.write64(PD + 8 * 3, 0n);
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(14);
    expect([register(machine, 1), register(machine, 7), register(machine, 6)]).toEqual([
      90,
      0x600000,
      DATA + 10,
    ]);
    const sp = register(machine, 4);
    expect(machine.memory.read64(sp + 8)).toBe(BigInt(CODE));
    expect(machine.instructions).toBe(10);
  });

  it("stops at a breakpoint before the instruction, and passes it when told to", () => {
    const machine = longMode("90 90 90 f4");
    machine.setBreakpoints([BigInt(CODE + 2)]);
    expect(machine.run(100)).toEqual({ reason: "breakpoint" });
    expect(machine.cpu.rip).toBe(BigInt(CODE + 2));
    expect(machine.instructions).toBe(2);
    expect(machine.run(100, false)).toEqual({ reason: "breakpoint" });
    expect(machine.run(100)).toMatchObject({ reason: "ended", event: { event: "halt" } });
  });

  it("sees code that changes itself, even the instruction behind the one that writes", () => {
    // mov byte [rip+1], 0x43 changes the inc eax (ff c0) behind it to inc ebx (ff c3).
    const machine = longMode("c6 05 01 00 00 00 c3 ff c0 f4");
    runToEnd(machine);
    expect([register(machine, 0), register(machine, 3)]).toEqual([0, 1]);
  });

  it("sees changed code on a second pass, after it ran from the cache", () => {
    const machine = longMode("ff c0 ff c9 75 fa f4", { registers: { rcx: 5n } });
    machine.run(9);
    expect(register(machine, 0)).toBe(3);
    machine.memory.writeBytes(DATA, hexBytes("90"));
    // Written by the guest itself: mov [rsi], dl in another place.
    const writer = longMode("ff c0 88 16 ff c9 75 f8 f4", {
      registers: { rcx: 2n, rsi: BigInt(CODE + 1), rdx: 0xc3n },
    });
    runToEnd(writer);
    expect([register(writer, 0), register(writer, 3)]).toEqual([1, 1]);
  });

  it("runs an instruction that crosses a page, and notices when its second page changes", () => {
    const machine = longMode("f4");
    // mov ebx, imm32 with two bytes on each side of the boundary.
    machine.memory.writeBytes(0x101000 - 3, hexBytes("bb 44 33 22 11 f4"));
    machine.cpu.rip = BigInt(0x101000 - 3);
    machine.run(1);
    expect(register(machine, 3)).toBe(0x11223344);
    machine.cpu.rip = BigInt(0x101000 - 3);
    machine.memory.write8(0x101000, 0x55);
    machine.cpu.code.invalidate(0x101000, 1);
    machine.run(1);
    expect(register(machine, 3)).toBe(0x11553344);
  });

  it("stops for ever at HLT, and at a jump to itself, with the reason", () => {
    for (const [code, reason] of [
      ["f4", /HLT with interrupts disabled/],
      ["eb fe", /jumps to itself/],
    ] as const) {
      const machine = longMode(code);
      const result = machine.run(100);
      expect(result).toMatchObject({ reason: "ended", event: { event: "halt" } });
      if (result.reason === "ended" && result.event.event === "halt")
        expect(result.event.reason).toMatch(reason);
    }
  });

  it("stops at an instruction that it lacks, with bytes, text and RIP, and changes nothing", () => {
    const machine = longMode("90 0f 58 c1", { registers: { rax: 1n, rsp: BigInt(STACK0) } });
    expect(machine.run(100)).toMatchObject({
      reason: "ended",
      event: {
        event: "unimplemented",
        bytes: "0f 58 c1",
        text: "addps xmm0,xmm1",
        rip: BigInt(CODE + 1),
        instruction: 1,
      },
    });
  });
});
