/** 32-bit protected mode: segments, gates, stacks and ports (SDM vol. 3A, chapters 3, 5 to 7). */
import { describe, expect, it } from "vitest";
import { parseCpu } from "../../src/machine/cpu/model";
import type { MachineEvent } from "../../src/machine/events";
import { Machine } from "../../src/machine/machine";
import { hexBytes } from "../support/longMode";

const GDT = 0x5000;
const IDT = 0x6000;
const TSS = 0x7000;
const CODE = 0x100000;
const HANDLERS = 0x200000;
const DATA = 0x300000;
const STACK0 = 0x20000;

const KERNEL_CS = 0x08;
const KERNEL_DS = 0x10;
const USER_CS = 0x1b;
const USER_DS = 0x23;
/** Data of 4 KiB at DATA; expand-down data with valid offsets above 0xffff; read-only data. */
const SMALL = 0x28;
const DOWN = 0x30;
const READ_ONLY = 0x38;

const GDT_ENTRIES = [
  0n,
  0x00cf9b000000ffffn,
  0x00cf93000000ffffn,
  0x00cffb000000ffffn,
  0x00cff3000000ffffn,
  0x0040933000000fffn,
  0x00c097000000000fn,
  0x00cf91000000ffffn,
];

interface Options {
  cpl?: 0 | 3;
  registers?: Record<string, bigint>;
  ds?: number;
  rflags?: number;
}

function protectedMode(code: string, options: Options = {}): { machine: Machine; events: MachineEvent[] } {
  const machine = new Machine({ ram: [{ start: 0, end: 0x1000000 }], cpu: parseCpu("max") });
  const { memory } = machine;
  GDT_ENTRIES.forEach((entry, i) => {
    memory.write64(GDT + 8 * i, entry);
  });
  for (let vector = 0; vector < 256; vector++) writeGate(machine, vector, 0x8e, vector === 0x80 ? 3 : 0);
  memory.fill(HANDLERS, 256 * 16, 0xf4);
  memory.write32(TSS + 4, STACK0);
  memory.write32(TSS + 8, KERNEL_DS);
  memory.write16(TSS + 0x66, 0x68);
  memory.writeBytes(CODE, hexBytes(code));
  const user = options.cpl === 3;
  const flat = (selector: number, attributes: number) => ({
    selector,
    base: 0n,
    limit: 0xffffffff,
    attributes,
  });
  const data = user ? flat(USER_DS, 0xc0f3) : flat(KERNEL_DS, 0xc093);
  machine.start({
    rip: BigInt(CODE),
    rflags: options.rflags ?? 2,
    registers: { rsp: BigInt(STACK0 - 0x1000), ...options.registers },
    cr0: 0x11,
    cr3: 0n,
    cr4: 0,
    efer: 0,
    segments: {
      es: data,
      cs: user ? flat(USER_CS, 0xc0fb) : flat(KERNEL_CS, 0xc09b),
      ss: data,
      ds: data,
      fs: data,
      gs: data,
    },
    tr: { selector: 0x40, base: BigInt(TSS), limit: 0x67, attributes: 0x8b },
    gdtr: { base: BigInt(GDT), limit: 8 * GDT_ENTRIES.length - 1 },
    idtr: { base: BigInt(IDT), limit: 0x7ff },
  });
  const events: MachineEvent[] = [];
  machine.onEvent = (event) => {
    events.push(event);
    return false;
  };
  machine.run(200);
  return { machine, events };
}

function writeGate(machine: Machine, vector: number, type: number, dpl: number): void {
  const offset = HANDLERS + 16 * vector;
  machine.memory.write32(IDT + 8 * vector, (KERNEL_CS << 16) | (offset & 0xffff));
  machine.memory.write32(IDT + 8 * vector + 4, (offset & 0xffff0000) | (type << 8) | (dpl << 13));
}

const vectorOf = (machine: Machine) => (Number(machine.cpu.rip) - HANDLERS) >> 4;
const frame = (machine: Machine, words: number) =>
  Array.from(
    { length: words },
    (_, i) => machine.memory.read32(Number(machine.cpu.getRegister(4)) + 4 * i) >>> 0,
  );
const reasonOf = (events: MachineEvent[]) =>
  (events.find(({ event }) => event === "exception") as { reason: string } | undefined)?.reason;

/** mov eax, SELECTOR; mov ds, eax; then `code`. */
const withDs = (selector: number, code: string) =>
  `b8 ${selector.toString(16).padStart(2, "0")} 00 00 00 8e d8 ${code}`;

describe("segment limits and types (5.3, 5.5)", () => {
  it.each([
    ["the last byte within the limit is fine", SMALL, "a1 fc 0f 00 00", undefined],
    [
      "an access that ends beyond the limit is #GP(0)",
      SMALL,
      "a1 fd 0f 00 00",
      /offset 0xffd is beyond the limit of DS/,
    ],
    ["expand-down: an offset up to the limit is #GP(0)", DOWN, "a1 fc ff 00 00", /beyond the limit of DS/],
    ["expand-down: an offset above the limit is fine", DOWN, "a1 00 00 01 00", undefined],
    ["a write to read-only data is #GP(0)", READ_ONLY, "a3 00 00 00 00", /DS does not allow writing/],
    ["an access through a null selector is #GP(0)", 0, "a1 00 00 00 00", /DS holds a null selector/],
  ])("%s", (_name, selector, code, reason) => {
    const { machine, events } = protectedMode(withDs(selector, `${code} f4`));
    if (reason === undefined) expect(events.map(({ event }) => event)).toEqual(["halt"]);
    else {
      expect(vectorOf(machine)).toBe(13);
      expect(frame(machine, 1)).toEqual([0]);
      expect(reasonOf(events)).toMatch(reason);
    }
  });

  it("adds the base of a segment", () => {
    const { machine } = protectedMode(withDs(SMALL, "c7 05 10 00 00 00 78 56 34 12 f4"));
    expect(machine.memory.read32(DATA + 0x10)).toBe(0x12345678);
  });
});

describe("gates of 32 bits (6.11, 6.12)", () => {
  it("pushes EFLAGS, CS and EIP on the same stack without a change of privilege", () => {
    const { machine } = protectedMode("0f 0b");
    expect(vectorOf(machine)).toBe(6);
    expect(frame(machine, 3)).toEqual([CODE, KERNEL_CS, 0x10002]);
    expect(machine.cpu.getRegister(4)).toBe(BigInt(STACK0 - 0x1000 - 12));
  });

  it("switches to SS0:ESP0 from CPL 3, and pushes the old stack", () => {
    const { machine } = protectedMode("0f 0b", { cpl: 3 });
    expect(vectorOf(machine)).toBe(6);
    expect(machine.cpu.cpl).toBe(0);
    expect(machine.cpu.getRegister(4)).toBe(BigInt(STACK0 - 20));
    expect(frame(machine, 5)).toEqual([CODE, USER_CS, 0x10002, STACK0 - 0x1000, USER_DS]);
  });

  it("INT n needs a gate of sufficient DPL", () => {
    expect(vectorOf(protectedMode("cd 80", { cpl: 3 }).machine)).toBe(0x80);
    const { machine } = protectedMode("cd 81", { cpl: 3 });
    expect(vectorOf(machine)).toBe(13);
    expect(frame(machine, 2)).toEqual([0x81 * 8 + 2, CODE]);
  });

  it("a task gate stops the machine, in words", () => {
    // Makes vector 6 a task gate, then uses it: mov byte [IDT+53], 0x85; ud2
    const { events } = protectedMode("c6 05 35 60 00 00 85 0f 0b");
    expect(events.at(-1)).toMatchObject({ event: "unimplemented", reason: "task gates are not supported" });
  });

  it("IRETD comes back to CPL 3 with its stack and flags", () => {
    // mov word [DATA], a jump to itself; push USER_DS, 0x9000, flags, USER_CS, DATA; iretd
    const code = "66 c7 05 00 00 30 00 eb fe 6a 23 68 00 90 00 00 68 02 32 00 00 6a 1b 68 00 00 30 00 cf";
    const { machine } = protectedMode(code);
    expect(machine.cpu.cpl).toBe(3);
    expect(machine.cpu.selectors[1]).toBe(USER_CS);
    expect(machine.cpu.getRegister(4)).toBe(0x9000n);
    expect(machine.cpu.rflags & 0x3200).toBe(0x3200);
    // DS was of ring 0, and is null now.
    expect(machine.cpu.selectors[3]).toBe(0);
  });
});

describe("far transfers of the same privilege (5.8)", () => {
  it("CALL far pushes CS and EIP, RETF takes them back", () => {
    // call 8:CODE+8; hlt; retf at CODE+8
    const { machine } = protectedMode("9a 08 00 10 00 08 00 f4 cb");
    expect(machine.cpu.rip).toBe(BigInt(CODE + 7));
    expect(machine.cpu.getRegister(4)).toBe(BigInt(STACK0 - 0x1000));
  });

  it("JMP far to data is #GP with the selector", () => {
    const { machine } = protectedMode("ea 00 00 00 00 10 00");
    expect(vectorOf(machine)).toBe(13);
    expect(frame(machine, 1)).toEqual([KERNEL_DS]);
  });
});

describe("ports and flags by IOPL (vol. 1, 19.5; vol. 2, POPF)", () => {
  it("IOPL 3 lets user mode use ports and IF", () => {
    const { machine } = protectedMode("e6 80 fb 0f 0b", { cpl: 3, rflags: 0x3002 });
    expect(vectorOf(machine)).toBe(6);
    expect(frame(machine, 3)[2]! & 0x200).toBe(0x200);
  });

  it("the permission bitmap of the TSS decides below that", () => {
    const run = (bits: number) => {
      const { machine } = protectedMode("f4");
      machine.memory.write16(TSS + 0x66, 0x40);
      machine.memory.write32(TSS + 0x40 + (0x80 >> 3), bits);
      const user = protectedModeAgain(machine);
      user.run(100);
      return vectorOf(user);
    };
    expect(run(0)).toBe(6);
    expect(run(1)).toBe(13);
  });

  it("POPF at CPL 3 leaves IF and IOPL as they were, without a fault", () => {
    // push 0x3202; popf; ud2
    const { machine } = protectedMode("68 02 32 00 00 9d 0f 0b", { cpl: 3 });
    expect(vectorOf(machine)).toBe(6);
    expect(frame(machine, 3)[2]! & 0x3200).toBe(0);
  });

  /** A machine with the same memory that runs `out 0x80, al; ud2` at CPL 3. */
  function protectedModeAgain(from: Machine): Machine {
    const machine = new Machine({ ram: [{ start: 0, end: 0x1000000 }], cpu: parseCpu("max") });
    for (const place of [GDT, IDT, TSS, HANDLERS])
      machine.memory.writeBytes(place, from.memory.readBytes(place, 0x1000));
    machine.memory.writeBytes(CODE, hexBytes("e6 80 0f 0b"));
    const flat = (selector: number, attributes: number) => ({
      selector,
      base: 0n,
      limit: 0xffffffff,
      attributes,
    });
    const data = flat(USER_DS, 0xc0f3);
    machine.start({
      rip: BigInt(CODE),
      registers: { rsp: 0x9000n },
      cr0: 0x11,
      cr3: 0n,
      cr4: 0,
      efer: 0,
      segments: { es: data, cs: flat(USER_CS, 0xc0fb), ss: data, ds: data, fs: data, gs: data },
      tr: { selector: 0x40, base: BigInt(TSS), limit: 0x67, attributes: 0x8b },
      gdtr: { base: BigInt(GDT), limit: 8 * GDT_ENTRIES.length - 1 },
      idtr: { base: BigInt(IDT), limit: 0x7ff },
    });
    return machine;
  }
});

describe("what a program may see of segments (vol. 2, LAR, LSL, VERR, VERW)", () => {
  it("tells attributes and limits in ZF and a register, and never faults for a selector", () => {
    // lsl ecx, eax; lar edx, eax; verw ax; setz bl
    const code = (selector: number) =>
      `b8 ${selector.toString(16).padStart(2, "0")} 00 00 00 0f 03 c8 0f 02 d0 0f 00 e8 0f 94 c3 f4`;
    const small = protectedMode(code(SMALL)).machine.cpu;
    expect([small.getRegister(1), small.getRegister(2), small.getRegister(3)]).toEqual([
      0xfffn,
      0x409300n,
      1n,
    ]);
    const readOnly = protectedMode(code(READ_ONLY)).machine.cpu;
    expect([readOnly.getRegister(1), readOnly.getRegister(3)]).toEqual([0xffffffffn, 0n]);
    const beyond = protectedMode(code(0x78)).machine.cpu;
    expect([beyond.getRegister(1), beyond.getRegister(2), beyond.getRegister(3)]).toEqual([0n, 0n, 0n]);
  });
});
