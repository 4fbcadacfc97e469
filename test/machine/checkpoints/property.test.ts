import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finish, History } from "../../../src/machine/checkpoints/history";
import { type Position, positionOf } from "../../../src/machine/checkpoints/position";
import { digest } from "../../support/machineDigest";
import { END_OF_MEMORY, machineWith, program } from "../../support/randomProgram";

const LENGTH = 1500;

/** What was seen at each moment of a run in steps of one instruction. */
function seenFromStart(code: Uint8Array, tlb: "max" | number, at: ReadonlySet<number>): Map<number, string> {
  const machine = machineWith(code, tlb);
  const seen = new Map<number, string>();
  const note = () => {
    const { instruction } = positionOf(machine);
    if (!seen.has(instruction) && at.has(instruction)) seen.set(instruction, digest(machine, END_OF_MEMORY));
  };
  note();
  for (let n = 1; n <= LENGTH && machine.ended === undefined; n++) {
    machine.run(1);
    note();
  }
  return seen;
}

const walk = fc.array(
  fc.oneof(
    fc.record({ go: fc.constant("to" as const), n: fc.integer({ min: 0, max: LENGTH }) }),
    fc.record({ go: fc.constant("back" as const), n: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ go: fc.constant("run" as const), n: fc.integer({ min: 1, max: 400 }) }),
  ),
  { minLength: 4, maxLength: 14 },
);

function check(
  code: Uint8Array,
  moves: readonly { go: "to" | "back" | "run"; n: number }[],
  tlb: "max" | number,
) {
  const machine = machineWith(code, tlb);
  const history = new History(machine, 1 << 24);
  history.run(LENGTH);
  if (machine.ended !== undefined) return;
  const visited: [number, string][] = [];
  for (const { go, n } of moves) {
    if (go === "run") history.run(n);
    else {
      const to = go === "to" ? n : Math.max(0, machine.instructions - n);
      finish(history.travel(Math.min(to, history.end.instruction)));
    }
    visited.push([machine.instructions, digest(machine, END_OF_MEMORY)]);
  }
  expect(history.divergences).toBe(0);
  const far = visited.filter(([instruction]) => instruction <= LENGTH);
  const seen = seenFromStart(code, tlb, new Set(far.map(([instruction]) => instruction)));
  for (const [instruction, text] of far)
    expect(text, `at instruction ${instruction}`).toBe(seen.get(instruction));
}

describe("the state at an instruction is the same however it was reached", () => {
  it("for random programs and walks", () => {
    fc.assert(
      fc.property(program, walk, (code, moves) => check(code, moves, "max")),
      { numRuns: 60 },
    );
  });

  it("with a TLB of eight entries, which forgets", () => {
    fc.assert(
      fc.property(program, walk, (code, moves) => check(code, moves, 8)),
      { numRuns: 40 },
    );
  });

  it("for moments between the same two instructions", () => {
    fc.assert(
      fc.property(program, fc.integer({ min: 1, max: 400 }), (code, n) => {
        const machine = machineWith(code);
        const history = new History(machine, 1 << 24);
        const moments: { position: Position; seen: string }[] = [];
        while (machine.instructions < n && machine.ended === undefined) {
          moments.push({ position: history.position, seen: digest(machine, END_OF_MEMORY) });
          if (history.position.pending) machine.run(0);
          else machine.run(1, true, { atDiversion: true });
        }
        if (machine.ended !== undefined) return;
        for (const { position, seen } of moments.slice(-12).reverse()) {
          finish(history.travel(position));
          expect(digest(machine, END_OF_MEMORY)).toBe(seen);
        }
        expect(history.divergences).toBe(0);
      }),
      { numRuns: 30 },
    );
  });
});
