/** Hardware interrupts: when they are taken, what holds them off, how HLT waits, and that slices change nothing. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine";
import { CODE, DATA, HANDLERS, haltedIn, hexBytes, longMode, runToEnd, writeGate } from "../support/longMode";
import { countingHandler, dword, out, PICS, timer } from "../support/timerInterrupts";

/** The timer's clock; a billion instructions are a second. */
const TICK_HZ = 1_193_182;

const count = (machine: Machine) => machine.memory.read64(DATA);

describe("An interrupt of the timer", () => {
  it("comes at the first instruction at which its tick has passed, with RIP on the next instruction", () => {
    const prefix = `${PICS}${timer(2)}fb `;
    const nops = 2000;
    const machine = longMode(prefix + "90 ".repeat(nops));
    // The count is loaded by the last OUT, before which `loaded` instructions were done.
    const loaded = 2 * 6 + 2 * 3 - 1;
    const due = Math.ceil(((Math.floor((loaded * TICK_HZ) / 1e9) + 2) * 1e9) / TICK_HZ);
    machine.run(due);
    expect(machine.cpu.getRegister(4)).toBe(0x1f000n);
    const expected = CODE + prefix.trim().split(" ").length + (due - loaded - 2);
    expect(machine.cpu.rip).toBe(BigInt(expected));
    machine.run(1);
    expect(haltedIn(machine)).toBe(0x20);
    expect(machine.memory.read64(Number(machine.cpu.getRegister(4)))).toBe(BigInt(expected));
  });

  it("is taken when RFLAGS.IF is set, again and again, and each returns to where it came", () => {
    // sti; mov ecx,N; loop $; cli; hlt
    const machine = longMode(`${PICS}${timer(12)}fb b9 ${dword(200_000)} e2 fe fa f4`);
    countingHandler(machine, 0x20);
    runToEnd(machine, 1_000_000);
    expect(haltedIn(machine)).toBeLessThan(0);
    // 12 ticks are 10057 instructions.
    const expected = Math.floor((machine.instructions * TICK_HZ) / 1e9 / 12);
    expect(Math.abs(Number(count(machine)) - expected)).toBeLessThanOrEqual(1);
  });

  it("is not taken while RFLAGS.IF is clear, nor masked; a masked request comes when it is unmasked", () => {
    const spin = `b9 ${dword(50_000)} e2 fe `;
    const closed = longMode(`${PICS}${timer(12)}${spin}f4`);
    countingHandler(closed, 0x20);
    runToEnd(closed, 100_000);
    expect(count(closed)).toBe(0n);
    const masked = longMode(`${PICS}${out(0x21, 0xff)}${timer(12)}fb ${spin}${out(0x21, 0xfe)}90 fa f4`);
    countingHandler(masked, 0x20);
    runToEnd(masked, 100_000);
    expect(count(masked)).toBe(1n);
  });
});

describe("Interrupts are held off for one instruction", () => {
  /** Runs until a request is there, then `code`, whose first instruction sets IF; returns where the interrupt came. */
  function returnAddress(code: string): bigint {
    const prefix = `${PICS}${timer(2)}b9 ${dword(5000)} e2 fe `;
    const machine = longMode(`${prefix}${code}90 90 90 fa f4`);
    runToEnd(machine, 20_000);
    expect(haltedIn(machine)).toBe(0x20);
    const start = CODE + prefix.trim().split(" ").length;
    return machine.memory.read64(Number(machine.cpu.getRegister(4))) - BigInt(start);
  }

  it("behind STI, if it set IF (SDM vol. 2, STI)", () => {
    expect(returnAddress("fb ")).toBe(2n);
  });

  it("behind POPF not (vol. 2, POPF)", () => {
    // push 202h; popf
    expect(returnAddress("68 02 02 00 00 9d ")).toBe(6n);
  });

  it("behind a load of SS (vol. 3A, 6.8.3)", () => {
    // mov eax,ss; sti; mov ss,eax; nop
    expect(returnAddress("8c d0 fb 8e d0 ")).toBe(6n);
  });

  it("so that STI and HLT together miss nothing: the interrupt ends HLT", () => {
    expect(returnAddress("fb f4 ")).toBe(2n);
  });
});

describe("HLT with interrupts on", () => {
  it("waits for the next interrupt; the time that passes counts as instructions", () => {
    // sti; hlt; hlt; hlt; cli; hlt
    const machine = longMode(`${PICS}${timer(1193)}fb f4 f4 f4 fa f4`);
    countingHandler(machine, 0x20);
    runToEnd(machine, 10_000_000);
    expect(count(machine)).toBe(3n);
    // Three periods of 1193 ticks, a millisecond each, are three million instructions.
    expect(machine.instructions).toBeGreaterThan(2_999_000);
    expect(machine.instructions).toBeLessThan(3_001_000);
  });

  it("ends the run in words where no interrupt can come, with all masked or the timer used up", () => {
    for (const code of [
      `${PICS}${out(0x21, 0xff)}fb f4`,
      // Mode 0 counts once: the second HLT is for ever.
      `${PICS}${timer(100, 0)}fb f4 f4`,
    ]) {
      const machine = longMode(code);
      countingHandler(machine, 0x20);
      const end = machine.run(10_000_000);
      expect(end.reason).toBe("ended");
      if (end.reason === "ended") {
        expect(end.event).toMatchObject({
          event: "halt",
          reason: "HLT, and no device of this machine is going to raise an interrupt",
        });
      }
    }
  });

  it("ends the run where the last request is held back by one whose end was not told", () => {
    // The handler starts the timer once more, and returns without an end of interrupt.
    const prefix = `${PICS}${timer(100, 0)}fb f4 f4 `;
    const machine = longMode(`${prefix}90 90`);
    machine.memory.writeBytes(0x250000, hexBytes(`${timer(100, 0)}48 cf`));
    writeGate(machine, 0x20, 0x250000);
    expect(machine.run(10_000_000)).toMatchObject({
      reason: "ended",
      event: {
        event: "halt",
        rip: BigInt(CODE + prefix.trim().split(" ").length),
        reason: "HLT, and no device of this machine is going to raise an interrupt",
      },
    });
    // Two times 100 ticks.
    expect(Math.abs(machine.instructions - 2 * 83_810)).toBeLessThan(2000);
  });

  it("an interrupt without a gate is a fault at the instruction it came before", () => {
    const prefix = `${PICS}${timer(100)}fb f4 `;
    const machine = longMode(`${prefix}90 90`);
    writeGate(machine, 0x20, HANDLERS, { present: false });
    const events = runToEnd(machine, 1_000_000);
    const rip = BigInt(CODE + prefix.trim().split(" ").length);
    expect(events.find(({ event }) => event === "exception")).toMatchObject({
      vector: 11,
      error: 0x103,
      rip,
    });
    expect(haltedIn(machine)).toBe(11);
    expect(machine.memory.read64(Number(machine.cpu.getRegister(4)) + 8)).toBe(rip);
  });

  it("a jump to itself is interrupted too, and is for ever only where nothing comes", () => {
    const machine = longMode(`${PICS}${timer(100)}fb eb fe`);
    runToEnd(machine, 1_000_000);
    expect(haltedIn(machine)).toBe(0x20);
    const deaf = longMode(`${PICS}${out(0x21, 0xff)}fb eb fe`);
    expect(deaf.run(1000).reason).toBe("ended");
  });
});

describe("The local APIC's own interrupts", () => {
  const APIC = 0x40000000 - 0x1000;
  /** Puts the APIC where the identity map of the tests reaches, and gives it values. */
  function withApic(writes: readonly [offset: number, value: number][], code: string): Machine {
    const base = `b9 1b 00 00 00 b8 ${dword(APIC | 0x900)} 31 d2 0f 30 `;
    const stores = writes
      .map(([offset, value]) => `c7 04 25 ${dword(APIC + offset)} ${dword(value)} `)
      .join("");
    return longMode(`${PICS}${out(0x21, 0xff)}${base}${stores}${code}`, {
      ram: [{ start: 0, end: 0x3f000000 }],
    });
  }

  it("the timer's come periodically, and the next one only behind an EOI", () => {
    const handler = `50 48 ff 04 25 ${dword(DATA)} `;
    for (const [eoi, expected] of [
      [`c7 04 25 ${dword(APIC + 0xb0)} 00 00 00 00 `, 9],
      ["", 1],
    ] as const) {
      const machine = withApic(
        [
          [0x320, 0x20040],
          [0x3e0, 0xb],
          [0x380, 1000],
        ],
        `fb b9 ${dword(9500 - 60)} e2 fe fa f4`,
      );
      const code = `${handler}${eoi}58 48 cf`;
      machine.memory.writeBytes(
        HANDLERS + 16 * 0x40,
        Uint8Array.of(
          0xe9,
          ...[0, 8, 16, 24].map((s) => ((0x250000 - HANDLERS - 16 * 0x40 - 5) >> s) & 0xff),
        ),
      );
      machine.memory.writeBytes(
        0x250000,
        Uint8Array.from(code.split(" ").map((text) => Number.parseInt(text, 16))),
      );
      runToEnd(machine, 100_000);
      expect(Number(count(machine))).toBe(expected);
    }
  });

  it("the task priority holds back vectors of its class and below, until CR8 lets them in", () => {
    // The ICR sends vector 51H to the CPU itself; nop; mov cr8,rax with 4; nop
    const send: [number, number] = [0x300, 0x44051];
    const held = withApic([[0x80, 0x50], send], "fb 90 90 90 fa f4");
    runToEnd(held, 1000);
    expect(haltedIn(held)).toBeLessThan(0);
    const passed = withApic([[0x80, 0x50], send], "fb 90 b8 04 00 00 00 44 0f 22 c0 90 fa f4");
    runToEnd(passed, 1000);
    expect(haltedIn(passed)).toBe(0x51);
  });
});

describe("How a run is cut into slices", () => {
  it("makes no difference to what interrupts do", () => {
    // A loop that computes, waits and switches interrupts: sti; mov ecx,300; loop $; hlt; cli; rep stosb; jmp back
    const program =
      `${PICS}${timer(7)}fb b9 2c 01 00 00 e2 fe f4 fa bf ${dword(DATA + 64)} b9 40 00 00 00 f3 aa ` +
      "eb e8";
    const make = () => {
      const machine = longMode(program);
      countingHandler(machine, 0x20);
      return machine;
    };
    const TOTAL = 60_000;
    const summary = (machine: Machine) => ({
      registers: Array.from({ length: 16 }, (_, i) => machine.cpu.getRegister(i)),
      rip: machine.cpu.rip,
      flags: machine.cpu.rflags,
      instructions: machine.instructions,
      interrupts: count(machine),
    });
    const whole = make();
    whole.run(TOTAL);
    const expected = summary(whole);
    expect(expected.interrupts).toBeGreaterThan(5n);
    const closures = make();
    closures.cpu.code.compiling = false;
    closures.run(TOTAL);
    expect(summary(closures)).toEqual(expected);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 40 }), (slices) => {
        const machine = make();
        for (const slice of slices) machine.run(Math.min(slice, TOTAL - machine.instructions));
        machine.run(TOTAL - machine.instructions);
        expect(summary(machine)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });
});
