import { describe, expect, it } from "vitest";
import { vectorName } from "../../src/machine/cpu/fault";
import type { Machine } from "../../src/machine/machine";
import {
  CODE,
  DATA,
  GDT,
  HANDLERS,
  haltedIn,
  IDT,
  KERNEL_CS,
  KERNEL_DS,
  longMode,
  mapForUser,
  P,
  PT,
  RW,
  runToEnd,
  STACK_IST,
  STACK0,
  STACK3,
  TSS,
  USER_CS,
  USER_DS,
  writeGate,
} from "../support/longMode";

/** The frame that delivery pushed, from the stack pointer up. */
function frame(machine: Machine, words: number): bigint[] {
  const sp = Number(machine.cpu.getRegister(4));
  return Array.from({ length: words }, (_, i) => machine.memory.read64(sp + 8 * i));
}

const UD2 = "0f 0b";

describe("exception delivery in 64-bit mode (SDM vol. 3A, 6.14)", () => {
  it("pushes SS, RSP, RFLAGS with RF, CS and RIP of the faulting instruction, on a 16-byte aligned stack", () => {
    const machine = longMode(`90 ${UD2}`, { registers: { rsp: BigInt(STACK0 - 0x1003) } });
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(6);
    const [rip, cs, rflags, rsp, ss] = frame(machine, 5);
    expect([rip, cs, ss]).toEqual([BigInt(CODE + 1), BigInt(KERNEL_CS), BigInt(KERNEL_DS)]);
    expect(rsp).toBe(BigInt(STACK0 - 0x1003));
    expect(rflags).toBe(0x10002n);
    expect(machine.cpu.getRegister(4) % 16n).toBe(8n);
  });

  it("gives a page fault its error code and CR2, and leaves the instruction without effect", () => {
    // add dword [rax], ebx
    const machine = longMode("01 18", { registers: { rax: 0x40000123n, rbx: 5n } });
    const events = runToEnd(machine);
    expect(haltedIn(machine)).toBe(14);
    expect(machine.cpu.cr2).toBe(0x40000123n);
    const [error, rip] = frame(machine, 2);
    expect([error, rip]).toEqual([2n, BigInt(CODE)]);
    expect(events[0]).toMatchObject({ event: "page-fault", address: 0x40000123n, error: 2, instruction: 0 });
  });

  it("reports the lowest byte that faults of an access that crosses pages (SDM 6.15, CR2)", () => {
    const machine = longMode("48 89 18", { registers: { rax: BigInt(0x100000 - 4), rbx: -1n } });
    machine.memory.write64(PT + 8 * 0x100, 0n);
    machine.memory.write64(PT + 8 * 0x101, BigInt(CODE) | P | RW);
    machine.cpu.rip = 0x101000n;
    runToEnd(machine);
    expect(machine.cpu.cr2).toBe(0x100000n);
    expect(machine.memory.read32(0x100000 - 4)).toBe(0);
  });

  it("switches to RSP0 of the TSS when it comes from CPL 3, with SS null", () => {
    const machine = longMode(UD2, { cpl: 3 });
    mapForUser(machine);
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(6);
    expect(machine.cpu.cpl).toBe(0);
    expect(machine.cpu.selectors[2]).toBe(0);
    expect(machine.cpu.getRegister(4)).toBe(BigInt(STACK0 - 40));
    expect(frame(machine, 5)).toEqual([
      BigInt(CODE),
      BigInt(USER_CS),
      0x10002n,
      BigInt(STACK3),
      BigInt(USER_DS),
    ]);
  });

  it("uses the IST stack that the gate names, also without a change of privilege", () => {
    const machine = longMode(UD2);
    writeGate(machine, 6, HANDLERS + 16 * 6, { ist: 1 });
    runToEnd(machine);
    expect(machine.cpu.getRegister(4)).toBe(BigInt(STACK_IST - 40));
  });

  it("clears IF through an interrupt gate and keeps it through a trap gate", () => {
    for (const [type, expected] of [
      [0xe, 0],
      [0xf, 0x200],
    ]) {
      const machine = longMode(UD2, { rflags: 0x202 });
      writeGate(machine, 6, HANDLERS + 16 * 6, { type: type! });
      runToEnd(machine);
      expect(machine.cpu.rflags & 0x200).toBe(expected);
    }
  });

  it("lets INT n through a gate of sufficient DPL only, and points RIP behind it", () => {
    const allowed = longMode("cd 80", { cpl: 3 });
    mapForUser(allowed);
    runToEnd(allowed);
    expect(haltedIn(allowed)).toBe(0x80);
    expect(frame(allowed, 1)).toEqual([BigInt(CODE + 2)]);
    const refused = longMode("cd 81", { cpl: 3 });
    mapForUser(refused);
    runToEnd(refused);
    expect(haltedIn(refused)).toBe(13);
    expect(frame(refused, 2)).toEqual([BigInt(0x81 * 8 + 2), BigInt(CODE)]);
  });

  it("raises #NP with the IDT bit for a gate that is not present", () => {
    const machine = longMode("cd 81");
    writeGate(machine, 0x81, 0, { present: false });
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(11);
    expect(frame(machine, 1)).toEqual([BigInt(0x81 * 8 + 2)]);
  });

  it("stops before delivery when the sink asks, and delivers when the run goes on", () => {
    const machine = longMode(UD2);
    machine.onEvent = (event) => event.event === "exception";
    const stop = machine.run(100);
    expect(stop).toMatchObject({ reason: "event", event: { event: "exception", vector: 6, name: "#UD" } });
    expect(machine.cpu.rip).toBe(BigInt(CODE));
    machine.run(100);
    expect(haltedIn(machine)).toBe(6);
  });

  it("single-steps with TF: #DB after each instruction, DR6.BS set (SDM vol. 3B, 18.3.1.4)", () => {
    const machine = longMode("90 90", { rflags: 0x102 });
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(1);
    expect(frame(machine, 1)).toEqual([BigInt(CODE + 1)]);
    expect(machine.cpu.dr[6] & (1n << 14n)).not.toBe(0n);
  });
});

describe("double and triple faults (SDM vol. 3A, 6.15, interrupt 8)", () => {
  it("makes #DF of a page fault met while delivering a page fault", () => {
    const machine = longMode("8b 00", { registers: { rax: 0x40000000n } });
    writeGate(machine, 14, 0x40000000n, { selector: 0x50 });
    const events = runToEnd(machine);
    expect(haltedIn(machine)).toBe(8);
    expect(frame(machine, 2)).toEqual([0n, BigInt(CODE)]);
    expect(
      events.map((event) => (event.event === "exception" ? vectorName(event.vector) : event.event)),
    ).toEqual(["page-fault", "#GP", "#DF", "halt"]);
  });

  it("takes a benign first exception and a second one serially, without #DF", () => {
    const machine = longMode(UD2);
    writeGate(machine, 6, 0, { present: false });
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(11);
  });

  it("shuts down with the reasons of all three faults when #DF cannot be delivered", () => {
    const machine = longMode("8b 00", { registers: { rax: 0x40000000n } });
    machine.memory.fill(IDT, 0x1000, 0);
    const events = runToEnd(machine);
    const last = events.at(-1)!;
    expect(last.event).toBe("triple-fault");
    if (last.event !== "triple-fault") return;
    expect(last.reasons).toHaveLength(3);
    expect(last.reasons[0]).toMatch(/^#PF with error code 0x0: read from 0x0000000040000000/);
    expect(last.reasons[1]).toMatch(/^#GP.*IDT entry of vector 14.*while delivering #PF$/);
    expect(last.reasons[2]).toMatch(/^#GP.*IDT entry of vector 8.*while delivering #DF$/);
    expect(machine.run(1)).toMatchObject({ reason: "ended" });
  });
});

describe("IRETQ (SDM vol. 2, IRET)", () => {
  const IRETQ = "48 cf";

  it("returns to CPL 3 with stack, flags and null data segments of too high privilege", () => {
    const machine = longMode(IRETQ);
    mapForUser(machine);
    pushFrame(machine, [BigInt(DATA), BigInt(USER_CS), 0x3202n, BigInt(STACK3), BigInt(USER_DS)]);
    machine.memory.write8(DATA, 0x90);
    machine.run(1);
    expect(machine.cpu.cpl).toBe(3);
    expect(machine.cpu.rip).toBe(BigInt(DATA));
    expect(machine.cpu.getRegister(4)).toBe(BigInt(STACK3));
    expect(machine.cpu.rflags).toBe(0x3202);
    expect(machine.cpu.selectors[3]).toBe(0);
  });

  it("raises #GP with the selector for a return to a more privileged level", () => {
    const machine = longMode(IRETQ, { cpl: 3, registers: { rsp: BigInt(STACK3 - 40) } });
    mapForUser(machine);
    [BigInt(DATA), BigInt(KERNEL_CS), 2n, BigInt(STACK3), BigInt(USER_DS)].forEach((value, i) => {
      machine.memory.write64(STACK3 - 40 + 8 * i, value);
    });
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(13);
    expect(frame(machine, 2)).toEqual([BigInt(KERNEL_CS), BigInt(CODE)]);
  });

  it("raises #GP for a return address that is not canonical, with the state as before", () => {
    const machine = longMode(IRETQ);
    pushFrame(machine, [0x800000000000n, BigInt(KERNEL_CS), 2n, BigInt(STACK0), BigInt(KERNEL_DS)]);
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(13);
    expect(frame(machine, 2)).toEqual([0n, BigInt(CODE)]);
  });

  it("raises #GP with NT set in IA-32e mode", () => {
    const machine = longMode(IRETQ, { rflags: 0x4002 });
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(13);
  });
});

describe("segment loads (SDM vol. 3A, 5.6)", () => {
  it("marks the descriptor as accessed, by an access of the CPU itself", () => {
    const machine = longMode("8e d8", { registers: { rax: BigInt(KERNEL_DS) } });
    machine.memory.write64(GDT + KERNEL_DS, 0x00cf92000000ffffn);
    machine.run(1);
    expect(machine.memory.read8(GDT + KERNEL_DS + 5)).toBe(0x93);
  });

  it("raises #GP for a selector beyond the table, #NP for an absent segment", () => {
    const beyond = longMode("8e d8", { registers: { rax: 0x100n } });
    runToEnd(beyond);
    expect([haltedIn(beyond), frame(beyond, 1)[0]]).toEqual([13, 0x100n]);
    const absent = longMode("8e d8", { registers: { rax: BigInt(KERNEL_DS) } });
    absent.memory.write64(GDT + KERNEL_DS, 0x00cf13000000ffffn);
    runToEnd(absent);
    expect([haltedIn(absent), frame(absent, 1)[0]]).toEqual([11, BigInt(KERNEL_DS)]);
  });

  it("makes the TSS busy with LTR, and refuses a busy one", () => {
    const machine = longMode("0f 00 d8 0f 00 d8", { registers: { rax: 0x38n } });
    machine.run(1);
    expect(machine.memory.read8(GDT + 0x38 + 5)).toBe(0x8b);
    runToEnd(machine);
    expect([haltedIn(machine), frame(machine, 1)[0]]).toEqual([13, 0x38n]);
    expect(machine.cpu.segmentBase(7)).toBe(BigInt(TSS));
  });
});

function pushFrame(machine: Machine, words: bigint[]): void {
  const sp = STACK0 - 0x1000 - 8 * words.length;
  machine.cpu.setRegister(4, BigInt(sp));
  words.forEach((word, i) => {
    machine.memory.write64(sp + 8 * i, word);
  });
}
