import { describe, expect, it } from "vitest";
import { finish, History, HistoryError } from "../../../src/machine/checkpoints/history";
import { positionOf } from "../../../src/machine/checkpoints/position";
import { Guest, MIB } from "../../support/bootProgram";
import { CODE, DATA, hexBytes, longMode, PT } from "../../support/longMode";
import { digest } from "../../support/machineDigest";
import { dword } from "../../support/timerInterrupts";

/** 1: inc rax; mov [DATA], rax; jmp 1b */
const COUNTER = "48 ff c0 48 89 04 25 00 00 30 00 eb f3";

function counting(memory?: number) {
  const machine = longMode(COUNTER, memory === undefined ? {} : { ram: [{ start: 0, end: memory }] });
  return { machine, history: new History(machine, 16 * MIB) };
}

describe("the history of a run", () => {
  it("ends where the run has come to, and refuses moments that it does not know", () => {
    const { history } = counting();
    history.run(1000);
    expect(history.end.instruction).toBe(1000);
    expect(history.lookingBack).toBe(false);
    expect(() => finish(history.travel(1001))).toThrow(HistoryError);
    finish(history.travel(10));
    expect(history.lookingBack).toBe(true);
    expect(history.end.instruction).toBe(1000);
    finish(history.travelToEnd());
    expect(history.lookingBack).toBe(false);
  });

  it("takes checkpoints as the run goes, more of them near its end, in a bounded number", () => {
    const machine = longMode(COUNTER);
    const history = new History(machine, 16 * MIB, 1000);
    while (machine.instructions < 300_000) history.run(10_000);
    const places = history.checkpoints.map(({ instruction }) => instruction);
    expect(places.length).toBeLessThanOrEqual(96);
    expect(places[0]).toBe(0);
    const gaps = places.slice(1).map((place, i) => place - places[i]);
    expect(Math.max(...gaps.slice(0, 10))).toBeGreaterThan(2 * gaps.at(-2)!);
    finish(history.travel(123_456));
    expect(machine.cpu.getRegister(0)).toBe(41_152n);
    expect(history.divergences).toBe(0);
  });

  it("keeps the checkpoint before what was marked, however long the run becomes, but not more of them than it can", () => {
    // More than one spacing, since frames that were written put the next checkpoint off.
    const NEAR = 4000;
    const nearest = (marks: readonly number[]) => {
      const machine = longMode(COUNTER);
      const history = new History(machine, 16 * MIB, 1000);
      for (const mark of marks) {
        while (machine.instructions < mark) history.run(Math.min(1000, mark - machine.instructions));
        history.mark();
      }
      while (machine.instructions < 1_000_000) history.run(10_000);
      expect(history.checkpoints.length).toBeLessThanOrEqual(96);
      const places = history.checkpoints.map(({ instruction }) => instruction);
      return marks.map((mark) => mark - places.findLast((place) => place <= mark)!);
    };
    for (const way of nearest([1500, 25_500, 123_456])) expect(way).toBeLessThanOrEqual(NEAR);
    const many = nearest(Array.from({ length: 300 }, (_, i) => (i + 1) * 2000));
    expect(Math.max(...many.slice(0, 20))).toBeLessThanOrEqual(NEAR);
    expect(Math.max(...many)).toBeGreaterThan(2 * NEAR);
  });

  it("keeps to its budget by forgetting checkpoints, and at last the beginning", () => {
    const guest = new Guest("early-fault", {}, { memory: 256 * MIB });
    const budget = 150_000;
    const history = new History(guest.machine, budget);
    while (guest.machine.ended === undefined) {
      history.run(500_000);
      // What was written since the last checkpoint comes on top.
      expect(history.bytes).toBeLessThan(budget + 2 * MIB);
    }
    finish(history.travel(history.start.instruction));
    expect(history.position).toEqual(history.start);
    if (history.start.instruction > 0) expect(() => finish(history.travel(0))).toThrow(/history begins at/);
    expect(history.divergences).toBe(0);
  });

  it("gives frames back that only the undone part of a run had written", () => {
    // 1: mov [rdi], rax; add rdi, 4096; jmp 1b
    const machine = longMode("48 89 07 48 81 c7 00 10 00 00 eb f4", {
      registers: { rax: 1n, rdi: 0x1000000n },
    });
    const history = new History(machine, 64 * MIB);
    const before = machine.memory.residentBytes;
    history.run(3000);
    expect(machine.memory.residentBytes).toBe(before + 1000 * 4096);
    finish(history.travel(0));
    expect(machine.memory.residentBytes).toBeLessThanOrEqual(before + 4096);
    finish(history.travel(3000));
    expect(machine.memory.read64(0x1000000 + 999 * 4096)).toBe(1n);
  });

  it("forgets translations of code that was different then", () => {
    // 1: mov bl, 1; inc byte [CODE + 1]; jmp 1b
    const machine = longMode("b3 01 fe 04 25 01 00 10 00 eb f5");
    const history = new History(machine, 16 * MIB);
    history.run(300);
    finish(history.travel(1));
    expect(machine.cpu.getRegister(3) & 0xffn).toBe(1n);
    finish(history.travel(31));
    expect(machine.cpu.getRegister(3) & 0xffn).toBe(11n);
  });
});

describe("the user's changes", () => {
  it("are part of the history, and are made again at their moments", () => {
    const { machine, history } = counting();
    history.run(300);
    history.edit(() => machine.cpu.setRegister(0, 1_000_000n));
    history.edit(() => machine.writePhysical(DATA + 8, Uint8Array.of(7)));
    history.run(300);
    expect(machine.cpu.getRegister(0)).toBe(1_000_100n);
    const seen = digest(machine, 0x400000);
    finish(history.travel(150));
    expect(machine.cpu.getRegister(0)).toBe(50n);
    expect(machine.memory.read8(DATA + 8)).toBe(0);
    history.run(450);
    while (machine.instructions < 600) history.run(600 - machine.instructions);
    expect(digest(machine, 0x400000)).toBe(seen);
    finish(history.travel(300));
    expect(machine.cpu.getRegister(0)).toBe(1_000_000n);
    expect(history.divergences).toBe(0);
  });

  it("begin another future where they are made in the past", () => {
    const { machine, history } = counting();
    history.run(900);
    history.edit(() => machine.cpu.setRegister(1, 5n));
    history.run(100);
    finish(history.travel(600));
    history.edit(() => machine.cpu.setRegister(0, 0n));
    expect(history.end.instruction).toBe(600);
    expect(history.edited.map(({ instruction }) => instruction)).toEqual([600]);
    history.run(400);
    expect(machine.cpu.getRegister(1)).toBe(0n);
    finish(history.travel(597));
    expect(machine.cpu.getRegister(0)).toBe(199n);
  });

  it("can be made while an exception waits for its delivery", () => {
    // mov rax, [0x40000000 + ...]: not mapped; the handler is a HLT.
    const machine = longMode("48 8b 04 25 00 00 00 50 90");
    const history = new History(machine, 16 * MIB);
    machine.onEvent = (event) => event.event === "page-fault";
    history.run(10);
    expect(positionOf(machine)).toEqual({ instruction: 0, diversions: 1, pending: true });
    const waiting = history.position;
    history.edit(() => machine.cpu.setRegister(2, 9n));
    history.run(10);
    expect(machine.ended?.event).toBe("halt");
    finish(history.travel(history.start));
    expect(machine.cpu.getRegister(2)).toBe(0n);
    finish(history.travel(waiting));
    expect(machine.cpu.getRegister(2)).toBe(9n);
    expect(machine.cpu.pending?.vector).toBe(14);
  });
});

describe("the search backwards", () => {
  const changeOf = (address: number) => ({ address, length: 8 });

  it("finds the last change of data, and passes over what cannot have it", () => {
    // 1: mov [DATA], rax once; then count for ever.
    const machine = longMode("48 89 04 25 00 00 30 00 48 ff c0 eb fb", { registers: { rax: 77n } });
    const history = new History(machine, 16 * MIB, 1000);
    while (machine.instructions < 20_000) history.run(5000);
    const { end } = history;
    machine.setDataBreakpoints([changeOf(DATA)]);
    let replayed = 0;
    const found = finish(
      history.lastBefore(end, {
        mayHit: (part) => {
          const may = part.mayHaveWritten(DATA, 8);
          if (may) replayed++;
          return may;
        },
        hit: (result) => (result.reason === "data" ? result.change : undefined),
      }),
    );
    machine.setDataBreakpoints([]);
    expect(found?.position.instruction).toBe(1);
    expect([...found!.hit.new]).toEqual([77, 0, 0, 0, 0, 0, 0, 0]);
    expect(replayed).toBeLessThanOrEqual(2);
  });

  it("finds the last change of an entry of a table that is written all the time", () => {
    // A number that looks random is written to one of eight entries, and once in a while to a ninth as well.
    const [often, seldom] = [PT + 0xc00, PT + 0xd00];
    const machine = longMode(
      `48 69 d2 0d 66 19 00 48 81 c2 5f f3 6e 3c 48 89 d1 48 c1 e9 14 81 e1 ff 0f 00 00 75 08
       48 89 14 25 ${dword(seldom)} 89 d1 c1 e9 1c 83 e1 07 48 89 14 cd ${dword(often)} eb c9`.replace(
        /\s+/g,
        " ",
      ),
      { registers: { rdx: 7n } },
    );
    const history = new History(machine, 16 * MIB, 1000);
    while (machine.instructions < 150_000) history.run(5000);
    const { end } = history;
    const search = (entry: number, look: boolean) => {
      finish(history.travel(end));
      let parts = 0;
      machine.setDataBreakpoints([changeOf(entry)]);
      const found = finish(
        history.lastBefore(end, {
          mayHit: (part) => {
            const may = !look || part.mayHaveWritten(entry, 8);
            if (may) parts++;
            return may;
          },
          hit: (result) => (result.reason === "data" ? result.change.new.join() : undefined),
        }),
      );
      machine.setDataBreakpoints([]);
      return { found, parts };
    };
    for (const entry of [often, often + 8, often + 56, seldom]) {
      const [looked, whole] = [search(entry, true), search(entry, false)];
      expect(whole.found).toBeDefined();
      expect(looked.found).toEqual(whole.found);
      expect(looked.parts).toBeLessThanOrEqual(2);
    }
    const never = search(PT + 0xe00, true);
    expect(never.found).toBeUndefined();
    // When the run began, nobody knew yet that it is a table.
    expect(never.parts).toBeLessThanOrEqual(1);
  });

  it("finds the last arrival at an address before the present one", () => {
    const { machine, history } = counting();
    history.run(3000);
    machine.setBreakpoints([BigInt(CODE)]);
    const hit = (result: { reason: string }) => (result.reason === "breakpoint" ? true : undefined);
    const found = finish(history.lastBefore(positionOf(machine), { hit }));
    expect(found?.position.instruction).toBe(2997);
    finish(history.travel(found!.position));
    const earlier = finish(history.lastBefore(found!.position, { hit }));
    expect(earlier?.position.instruction).toBe(2994);
    finish(history.travel(3));
    expect(finish(history.lastBefore(positionOf(machine), { hit }))?.position.instruction).toBe(0);
    finish(history.travel(0));
    expect(finish(history.lastBefore(positionOf(machine), { hit }))).toBeUndefined();
  });

  it("hears of the user's changes too", () => {
    const { machine, history } = counting();
    history.run(300);
    history.edit(() => machine.writePhysical(DATA + 64, hexBytes("01 02")));
    history.run(300);
    const found = finish(
      history.lastBefore<string>(history.end, {
        hit: () => undefined,
        edited: (make) => {
          make();
          return "user";
        },
      }),
    );
    expect(found).toEqual({ position: { instruction: 300, diversions: 0, pending: false }, hit: "user" });
  });

  it("lists the moments before one", () => {
    const { machine, history } = counting();
    history.run(30);
    const moments = finish(history.momentsBefore(history.position, 3, () => machine.cpu.getRegister(0)));
    expect(moments.map(({ position, seen }) => [position.instruction, seen])).toEqual([
      [27, 9n],
      [28, 10n],
      [29, 10n],
    ]);
    expect(history.position.instruction).toBe(30);
  });
});
