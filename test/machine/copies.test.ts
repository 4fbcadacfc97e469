/** Regions with copies of functions in other pages: the copies end with what they are copies of. */
import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine";
import { CODE, longMode, P, PT, RW, US } from "../support/longMode";

const PAGE = 0x1000;
const FUNCTION = CODE + PAGE;
/** `inc rdx; ret`, and `dec rbx; ret`. */
const COUNTS = [0x48, 0xff, 0xc2, 0xc3];
const COUNTS_DOWN = [0x48, 0xff, 0xcb, 0xc3];
const RBX = 3;
const RDX = 2;

const relative = (distance: number) => [0, 8, 16, 24].map((bits) => (distance >> bits) & 0xff);

/** call FUNCTION; dec rax; jnz to the call; hlt */
const LOOP = [0xe8, ...relative(PAGE - 5), 0x48, 0xff, 0xc8, 0x75, 0xf6, 0xf4];
/** Of one round: call, inc, ret, dec, jnz. */
const ROUND = 5;
/** More than it takes until the loop is compiled. */
const WARM_UP = 400;

function program(called: readonly number[], loop: readonly number[] = LOOP): Uint8Array {
  const bytes = new Uint8Array(PAGE + called.length);
  bytes.set(loop);
  bytes.set(called, PAGE);
  return bytes;
}

/** After WARM_UP rounds of 5000: the loop is a region with a copy of the function. */
function hot(loop?: readonly number[]): Machine {
  const machine = longMode(program(COUNTS, loop), { registers: { rax: 5000n } });
  machine.run(WARM_UP * ROUND);
  expect(machine.cpu.getRegister(RDX)).toBe(BigInt(WARM_UP));
  expect(machine.cpu.code.copyCount).toBeGreaterThan(0);
  return machine;
}

function finish(machine: Machine): void {
  while (machine.ended === undefined) machine.run(100_000);
}

describe("a copy of a function in another page", () => {
  it("counts instructions exactly, wherever a run ends", () => {
    for (const slice of [1, 2, 3, 4, 7, 1001]) {
      const machine = hot();
      for (let at = WARM_UP * ROUND; machine.ended === undefined && at < 2000 * ROUND; at += slice) {
        expect(machine.instructions).toBe(at);
        const [rounds, rest] = [Math.floor(at / ROUND), at % ROUND];
        expect(machine.cpu.getRegister(RDX)).toBe(BigInt(rounds + (rest >= 2 ? 1 : 0)));
        machine.run(slice);
      }
    }
  });

  it("is forgotten when the function is overwritten by the debugger", () => {
    const machine = hot();
    machine.writePhysical(FUNCTION, Uint8Array.from(COUNTS_DOWN));
    finish(machine);
    expect(machine.cpu.getRegister(RDX)).toBe(BigInt(WARM_UP));
    expect(machine.cpu.getRegister(RBX)).toBe(BigInt.asUintN(64, BigInt(WARM_UP - 5000)));
  });

  it("is forgotten when the loop itself overwrites the function", () => {
    // mov byte [FUNCTION + 2], cl is 6 bytes + call: the ModRM byte of INC is written again, later as that of INC RBX.
    const store = [0x88, 0x0d, ...relative(PAGE + 2 - 6)];
    const call = [0xe8, ...relative(PAGE - 11)];
    // cmp eax, 2500; mov r8d, C3H; cmove ecx, r8d
    const choose = [0x3d, ...relative(2500), 0x41, 0xb8, 0xc3, 0, 0, 0, 0x41, 0x0f, 0x44, 0xc8];
    const body = [...store, ...call, ...choose, 0x48, 0xff, 0xc8];
    const machine = longMode(program(COUNTS, [...body, 0x75, -(body.length + 2) & 0xff, 0xf4]), {
      registers: { rax: 5000n, rcx: 0xc2n },
    });
    finish(machine);
    // The round in which RAX is 2500 is the last with the old function.
    expect(machine.cpu.getRegister(RDX)).toBe(2501n);
    expect(machine.cpu.getRegister(RBX)).toBe(2499n);
  });

  it("does not run when the function's page has become another one", () => {
    const machine = hot();
    const other = 0x150000;
    machine.memory.writeBytes(other, Uint8Array.from(COUNTS_DOWN));
    machine.writePhysical(PT + 8 * (FUNCTION / PAGE), Uint8Array.from(entry(other)));
    // As after INVLPG.
    machine.cpu.mmu.flushAddress(0, FUNCTION, 0, true);
    finish(machine);
    expect(machine.cpu.getRegister(RDX)).toBe(BigInt(WARM_UP));
    expect(machine.cpu.getRegister(RBX)).toBe(BigInt.asUintN(64, BigInt(WARM_UP - 5000)));
  });

  it("does not run when the function's page is gone: the fetch faults", () => {
    const machine = hot();
    machine.writePhysical(PT + 8 * (FUNCTION / PAGE), new Uint8Array(8));
    machine.cpu.mmu.flushAddress(0, FUNCTION, 0, true);
    finish(machine);
    expect(machine.cpu.cr2).toBe(BigInt(FUNCTION));
    expect(machine.cpu.getRegister(RDX)).toBe(BigInt(WARM_UP));
  });

  it("stops at a breakpoint in the function", () => {
    const machine = hot();
    machine.setBreakpoints([BigInt(FUNCTION + 3)]);
    expect(machine.run(100).reason).toBe("breakpoint");
    expect(machine.cpu.rip).toBe(BigInt(FUNCTION + 3));
    expect(machine.cpu.getRegister(RDX)).toBe(BigInt(WARM_UP + 1));
    machine.setBreakpoints([]);
    finish(machine);
    expect(machine.cpu.getRegister(RDX)).toBe(5000n);
  });

  it("returns to where the stack says, not to where it was called from", () => {
    // The function: add qword [rsp], 3 (over DEC RAX the first time only, so that the loop ends); ret
    const skipping = [0x48, 0x83, 0x04, 0x24, 0x03, 0x48, 0xff, 0xc2, 0xc3];
    // call; dec rax (skipped); dec rcx; jnz; hlt
    const loop = [0xe8, ...relative(PAGE - 5), 0x48, 0xff, 0xc8, 0x48, 0xff, 0xc9, 0x75, 0xf3, 0xf4];
    const machine = longMode(program(skipping, loop), { registers: { rax: 7n, rcx: 3000n } });
    finish(machine);
    expect(machine.cpu.code.copyCount).toBeGreaterThan(0);
    expect(machine.cpu.getRegister(RDX)).toBe(3000n);
    expect(machine.cpu.getRegister(0)).toBe(7n);
  });
});

function entry(frame: number): number[] {
  const value = BigInt(frame) | P | RW | US;
  return Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}
