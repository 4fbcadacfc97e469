/** Going backwards through loops that are compiled, and through interrupts of timers. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finish, History } from "../../../src/machine/checkpoints/history";
import { type Position, positionOf } from "../../../src/machine/checkpoints/position";
import type { Machine } from "../../../src/machine/machine";
import { CODE, hexBytes, longMode, PT } from "../../support/longMode";
import { digest } from "../../support/machineDigest";
import { DATA_POINTER, FUNCTION_OFFSET, randomProgram } from "../../support/randomCode";
import { countingHandler, dword, PICS, timer } from "../../support/timerInterrupts";

const END_OF_MEMORY = 0x400000;
const ROUNDS = 360;
const LENGTH = 60_000;
/** Where the local APIC is in linear memory. */
const APIC = 0x1f0000;
const APIC_VECTOR = 0x30;

const apicWrite = (offset: number, value: number) => `c7 04 25 ${dword(APIC + offset)} ${dword(value)} `;
/** The APIC on, its timer periodic with the time-stamp counter's clock. */
const apicTimer = (count: number) =>
  apicWrite(0xf0, 0x1ff) +
  apicWrite(0x320, 0x20000 | APIC_VECTOR) +
  apicWrite(0x3e0, 0xb) +
  apicWrite(0x380, count);

/** A prefix, then a program that begins anew when an interrupt has ended its HLT. */
function machineWith(prefix: string, program: Uint8Array, compiling: boolean): Machine {
  const start = prefix === "" ? [] : [...hexBytes(prefix.trim())];
  const back = dword(-(program.length + 5) >>> 0);
  const machine = longMode(Uint8Array.from([...start, ...program, 0xe9, ...hexBytes(back)]), {
    registers: {
      rsi: DATA_POINTER,
      r14: BigInt(CODE + start.length + FUNCTION_OFFSET),
      rax: 0x1234567890abcdefn,
    },
  });
  machine.memory.write64(PT + 8 * (APIC / 4096), 0xfee00003n);
  countingHandler(machine, 0x20);
  countingHandler(machine, APIC_VECTOR, apicWrite(0xb0, 0).trim());
  machine.cpu.code.compiling = compiling;
  return machine;
}

type Move = { go: "to" | "back" | "run"; n: number };
const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.oneof(
    fc.record({ go: fc.constant("to" as const), n: fc.integer({ min: 0, max: LENGTH }) }),
    fc.record({ go: fc.constant("back" as const), n: fc.integer({ min: 1, max: 3000 }) }),
    fc.record({ go: fc.constant("run" as const), n: fc.integer({ min: 1, max: 20_000 }) }),
  ),
  { minLength: 3, maxLength: 9 },
);

/** The first moment at an instruction: a run may stop before it, at a moment that the history knows. */
function runTo(history: History, machine: Machine, instruction: number): void {
  while (machine.instructions < instruction && machine.ended === undefined)
    history.run(instruction - machine.instructions);
}

/** What there is to see where the moves lead is what closures come to, straight from the start. */
function check(prefix: string, program: Uint8Array, path: readonly Move[]): Machine {
  const machine = machineWith(prefix, program, true);
  const history = new History(machine, 1 << 24, 5000);
  runTo(history, machine, LENGTH);
  const visited: [number, string][] = [[machine.instructions, digest(machine, END_OF_MEMORY)]];
  for (const { go, n } of path) {
    if (go === "run") runTo(history, machine, machine.instructions + n);
    else {
      const to = go === "to" ? n : Math.max(0, machine.instructions - n);
      finish(history.travel(Math.min(to, history.end.instruction)));
    }
    visited.push([machine.instructions, digest(machine, END_OF_MEMORY)]);
  }
  expect(history.divergences).toBe(0);
  const straight = machineWith(prefix, program, false);
  for (const [instruction, seen] of visited.sort(([a], [b]) => a - b)) {
    straight.run(instruction - straight.instructions);
    expect(digest(straight, END_OF_MEMORY), `at instruction ${instruction}`).toBe(seen);
  }
  return machine;
}

describe("the state at an instruction is the same however it was reached", () => {
  it("in loops that were compiled", () => {
    let regions = 0;
    fc.assert(
      fc.property(randomProgram(ROUNDS), moves, (program, path) => {
        regions += check("", program, path).cpu.code.regionCount;
      }),
      { numRuns: 40 },
    );
    expect(regions).toBeGreaterThan(20);
  });

  it("with interrupts of the timer, and waits for them", () => {
    let regions = 0;
    fc.assert(
      fc.property(randomProgram(ROUNDS), moves, fc.integer({ min: 2, max: 30 }), (program, path, count) => {
        regions += check(`${PICS}${timer(count)}fb `, program, path).cpu.code.regionCount;
      }),
      { numRuns: 40 },
    );
    expect(regions).toBeGreaterThan(20);
  });

  it("with interrupts of the local APIC's timer as well", () => {
    const periods = fc.integer({ min: 300, max: 20_000 });
    fc.assert(
      fc.property(randomProgram(ROUNDS), moves, periods, (program, path, count) => {
        check(`${PICS}${timer(12)}${apicTimer(count)}fb `, program, path);
      }),
      { numRuns: 40 },
    );
  });
});

describe("a wait for an interrupt", () => {
  const waiting = () => machineWith(`${PICS}${timer(12)}fb `, Uint8Array.of(0xf4), true);

  it("can be gone back into", () => {
    const machine = waiting();
    const history = new History(machine, 1 << 24);
    history.run(100_000);
    const taken = machine.cpu.diversions;
    expect(taken).toBeGreaterThan(5);
    finish(history.travel(55_555));
    expect(machine.instructions).toBe(55_555);
    expect(machine.cpu.halted).toBe(true);
    finish(history.travel(55_554));
    expect(machine.cpu.halted).toBe(true);
    finish(history.travelToEnd());
    expect(machine.cpu.diversions).toBe(taken);
    expect(history.divergences).toBe(0);
  });

  it("ends in a moment of its own, between the last tick and the handler", () => {
    const machine = waiting();
    const history = new History(machine, 1 << 24);
    const moments: { position: Position; seen: string }[] = [];
    while (machine.cpu.diversions < 3) {
      const { cpu } = machine;
      if (!cpu.halted || cpu.pending !== undefined)
        moments.push({ position: positionOf(machine), seen: digest(machine, END_OF_MEMORY) });
      if (cpu.pending !== undefined) machine.run(0);
      else machine.run(1, true, { atDiversion: true });
    }
    expect(moments.filter(({ position }) => position.pending).length).toBe(2);
    for (const { position, seen } of moments.reverse()) {
      finish(history.travel(position));
      expect(digest(machine, END_OF_MEMORY)).toBe(seen);
    }
    expect(history.divergences).toBe(0);
  });
});
