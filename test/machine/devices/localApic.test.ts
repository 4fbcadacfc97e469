import { describe, expect, it } from "vitest";
import { GP, Unimplemented } from "../../../src/machine/cpu/fault";
import { LocalApic } from "../../../src/machine/devices/localApic";
import { haltedIn, longMode, P, PD, PS, RW, runToEnd } from "../../support/longMode";

const ID = 0x20;
const TPR = 0x80;
const PPR = 0xa0;
const LDR = 0xd0;
const DFR = 0xe0;
const SVR = 0xf0;
const ESR = 0x280;
const ICR = 0x300;
const ICR_HIGH = 0x310;
const LVT_TIMER = 0x320;
const LVT_LINT0 = 0x350;
const LVT_ERROR = 0x370;
const INITIAL = 0x380;
const CURRENT = 0x390;
const DIVIDE = 0x3e0;

function apic({ enabled = true } = {}) {
  const clock = { time: 0, now: () => clock.time };
  const priority = { tpr: 0 };
  const device = new LocalApic(clock, priority);
  const read = (offset: number) => device.read(offset, 4) >>> 0;
  const write = (offset: number, value: number) => device.write(offset, 4, value);
  const pending = () => {
    const vectors: number[] = [];
    for (let vector = 0; vector < 256; vector++) {
      if (((read(0x200 + 16 * (vector >> 5)) >>> (vector & 31)) & 1) !== 0) vectors.push(vector);
    }
    return vectors;
  };
  const errors = () => {
    write(ESR, 0);
    return read(ESR);
  };
  if (enabled) write(SVR, 0x1ff);
  return { device, clock, priority, read, write, pending, errors };
}

describe("The local APIC's registers (SDM vol. 3A, 10.4)", () => {
  it("have their values after power-up (10.4.7.1)", () => {
    const { read } = apic({ enabled: false });
    expect([read(ID), read(0x30), read(TPR), read(LDR), read(DFR), read(SVR)]).toEqual([
      0, 0x50014, 0, 0, 0xffffffff, 0xff,
    ]);
    for (let entry = LVT_TIMER; entry <= LVT_ERROR; entry += 16) expect(read(entry)).toBe(0x10000);
    for (let offset = 0x100; offset < 0x280; offset += 16) expect(read(offset)).toBe(0);
    expect([read(ICR), read(ICR_HIGH), read(INITIAL), read(CURRENT), read(DIVIDE)]).toEqual([0, 0, 0, 0, 0]);
  });

  it("keep the bits that software writes, and no others", () => {
    const { read, write } = apic();
    const written: [number, number][] = [
      [ID, 0xff000000],
      [TPR, 0xff],
      [LDR, 0xff000000],
      [DFR, 0xffffffff],
      [SVR, 0x1ff],
      [ICR_HIGH, 0xff000000],
      [LVT_TIMER, 0x300ff],
      [0x330, 0x107ff],
      [0x340, 0x107ff],
      [LVT_LINT0, 0x1a7ff],
      [0x360, 0x1a7ff],
      [LVT_ERROR, 0x100ff],
      [DIVIDE, 0xb],
      [0x30, 0x50014],
      [0x100, 0],
      [0x200, 0],
    ];
    for (const [offset, kept] of written) {
      write(offset, 0xffffffff);
      expect([offset, read(offset)]).toEqual([offset, kept]);
    }
    write(DFR, 0);
    expect(read(DFR)).toBe(0x0fffffff);
  });

  it("take 32-bit accesses at multiples of 16 bytes only (10.4.1)", () => {
    const { device } = apic();
    for (const [offset, size] of [
      [ID, 1],
      [ID, 2],
      [ID + 4, 4],
      [ID + 2, 4],
    ] as const) {
      expect(() => device.read(offset, size)).toThrow(Unimplemented);
      expect(() => device.write(offset, size, 0)).toThrow(Unimplemented);
    }
  });

  it("that are reserved tell of an illegal register address, from the next write to ESR on (10.5.3)", () => {
    const { read, write, errors } = apic();
    expect(read(0x40)).toBe(0);
    expect(read(ESR)).toBe(0);
    expect(errors()).toBe(0x80);
    expect(errors()).toBe(0);
    write(0x3f0, 1);
    expect(errors()).toBe(0x80);
  });

  it("mask the LVT while the APIC is disabled by software (10.4.7.2)", () => {
    const { read, write } = apic();
    write(LVT_LINT0, 0x700);
    write(SVR, 0xff);
    expect(read(LVT_LINT0)).toBe(0x10700);
    write(LVT_LINT0, 0x700);
    expect(read(LVT_LINT0)).toBe(0x10700);
    write(SVR, 0x1ff);
    write(LVT_LINT0, 0x700);
    expect(read(LVT_LINT0)).toBe(0x700);
  });

  it("share the task priority with CR8, and show it as the processor's (10.8.3.1, 10.8.6)", () => {
    const { read, write, priority } = apic();
    write(TPR, 0x35);
    expect([priority.tpr, read(PPR)]).toEqual([0x35, 0x35]);
    priority.tpr = 0x70;
    expect(read(TPR)).toBe(0x70);
  });
});

describe("Interprocessor interrupts (10.6)", () => {
  it("to this CPU become pending, however it is addressed", () => {
    const { write, pending } = apic();
    write(ICR, 0x40000 | 0x41);
    expect(pending()).toEqual([0x41]);
    write(ICR, 0x80000 | 0x42);
    write(ICR_HIGH, 0);
    write(ICR, 0x43);
    write(ICR_HIGH, 0xff000000);
    write(ICR, 0x44);
    write(LDR, 0x04000000);
    write(ICR_HIGH, 0x06000000);
    write(ICR, 0x800 | 0x45);
    write(DFR, 0);
    write(LDR, 0x21000000);
    write(ICR_HIGH, 0x23000000);
    write(ICR, 0x900 | 0x46);
    expect(pending()).toEqual([0x41, 0x42, 0x43, 0x44, 0x45, 0x46]);
  });

  it("to others are lost: there are none. Nothing stays to be sent", () => {
    const { read, write, pending, errors } = apic();
    write(ICR, 0xc4500);
    write(ICR, 0xc4608);
    write(ICR, 0xc0041);
    write(ICR_HIGH, 0x01000000);
    write(ICR, 0x42);
    write(ICR, 0x400);
    write(LDR, 0x04000000);
    write(ICR_HIGH, 0x02000000);
    write(ICR, 0x843);
    write(DFR, 0);
    write(LDR, 0x11000000);
    write(ICR_HIGH, 0x21000000);
    write(ICR, 0x844);
    expect(pending()).toEqual([]);
    expect(read(ICR)).toBe(0x844);
    expect(errors()).toBe(0);
  });

  it("with a reserved vector are errors of who sends and who receives", () => {
    const { write, pending, errors } = apic();
    write(ICR, 0x40000 | 0x0f);
    expect(pending()).toEqual([]);
    expect(errors()).toBe(0x20);
  });

  it("do not come to an APIC that is disabled by software", () => {
    const { write, pending } = apic({ enabled: false });
    write(ICR, 0x40000 | 0x41);
    expect(pending()).toEqual([]);
  });

  it("that this CPU would feel at once stop the machine with a sentence", () => {
    const { write } = apic();
    for (const mode of [0x200, 0x400, 0x500]) expect(() => write(ICR, 0x44000 | mode)).toThrow(Unimplemented);
    // INIT level de-assert, and a start-up to a CPU that runs, mean nothing.
    expect(() => write(ICR, 0x88500)).not.toThrow();
    expect(() => write(ICR, 0x44600)).not.toThrow();
  });
});

describe("Acceptance by the CPU (10.8)", () => {
  const send = (vector: number) => 0x44000 | vector;
  const inService = (read: (offset: number) => number, vector: number) =>
    ((read(0x100 + 16 * (vector >> 5)) >>> (vector & 31)) & 1) !== 0;

  it("takes the highest vector, and afterwards those of higher classes only, until the EOI", () => {
    const { device, read, write, pending } = apic();
    for (const vector of [0x31, 0x42, 0x45]) write(ICR, send(vector));
    expect([device.requested(), device.acknowledge()]).toEqual([true, 0x45]);
    expect([inService(read, 0x45), read(PPR), pending()]).toEqual([true, 0x40, [0x31, 0x42]]);
    expect(device.requested()).toBe(false);
    write(ICR, send(0x51));
    expect([device.requested(), device.acknowledge(), read(PPR)]).toEqual([true, 0x51, 0x50]);
    write(0xb0, 0);
    expect([inService(read, 0x51), inService(read, 0x45), device.requested()]).toEqual([false, true, false]);
    write(0xb0, 0);
    expect([device.requested(), device.acknowledge()]).toEqual([true, 0x42]);
  });

  it("holds back the task priority's class and below", () => {
    const { device, priority, write, read } = apic();
    write(ICR, send(0x5f));
    for (const [tpr, requested, ppr] of [
      [0x5a, false, 0x5a],
      [0x4f, true, 0x4f],
    ] as const) {
      priority.tpr = tpr;
      expect([device.requested(), read(PPR)]).toEqual([requested, ppr]);
    }
  });

  it("lets the PICs through as firmware leaves it: LINT0 as ExtINT, unmasked", () => {
    const { device, read, write } = apic({ enabled: false });
    expect(device.passesPics).toBe(false);
    device.setUpVirtualWire();
    expect([read(SVR), read(LVT_LINT0), read(0x360)]).toEqual([0x1ff, 0x8700, 0x8400]);
    expect(device.passesPics).toBe(true);
    for (const value of [0x18700, 0x00030]) {
      write(LVT_LINT0, value);
      expect(device.passesPics).toBe(false);
    }
  });

  it("says when the timer's next interrupt comes, and never while it is masked or has expired", () => {
    const { device, clock, write } = apic();
    clock.time = 100;
    write(DIVIDE, 0);
    write(INITIAL, 50);
    expect(device.nextExpiry()).toBe(Number.POSITIVE_INFINITY);
    write(LVT_TIMER, 0x40);
    expect(device.nextExpiry()).toBe(200);
    clock.time = 200;
    expect([device.requested(), device.nextExpiry()]).toEqual([true, Number.POSITIVE_INFINITY]);
    device.acknowledge();
    write(0xb0, 0);
    write(LVT_TIMER, 0x20040);
    write(INITIAL, 50);
    clock.time = 350;
    expect([device.requested(), device.nextExpiry()]).toEqual([true, 400]);
  });
});

describe("The timer (10.5.4)", () => {
  it("counts down once, by the divider, and becomes pending once", () => {
    const { clock, read, write, pending } = apic();
    write(LVT_TIMER, 0x50);
    write(DIVIDE, 0);
    write(INITIAL, 100);
    clock.time += 50;
    expect([read(INITIAL), read(CURRENT), pending()]).toEqual([100, 75, []]);
    clock.time += 150;
    expect([read(CURRENT), pending()]).toEqual([0, [0x50]]);
    clock.time += 1000;
    expect([read(CURRENT), pending()]).toEqual([0, [0x50]]);
  });

  it("begins anew in periodic mode", () => {
    const { clock, read, write, pending } = apic();
    write(DIVIDE, 0xb);
    write(LVT_TIMER, 0x20050);
    write(INITIAL, 100);
    clock.time += 30;
    expect([read(CURRENT), pending()]).toEqual([70, []]);
    clock.time += 220;
    expect([read(CURRENT), pending()]).toEqual([50, [0x50]]);
  });

  it("divides by 1, 2, 4 and so on to 128", () => {
    const { clock, read, write } = apic();
    const divisors = [0, 1, 2, 3, 8, 9, 10, 11].map((code) => {
      write(DIVIDE, code);
      write(INITIAL, 1000);
      clock.time += 1280;
      return 1280 / (1000 - read(CURRENT));
    });
    expect(divisors).toEqual([2, 4, 8, 16, 32, 64, 128, 1280 / 1000]);
  });

  it("is stopped by a count of 0, and silent while masked", () => {
    const { clock, read, write, pending } = apic();
    write(LVT_TIMER, 0x10050);
    write(INITIAL, 10);
    clock.time += 100;
    expect(pending()).toEqual([]);
    write(LVT_TIMER, 0x50);
    expect(pending()).toEqual([]);
    write(INITIAL, 1000);
    write(INITIAL, 0);
    clock.time += 10000;
    expect([read(CURRENT), pending()]).toEqual([0, []]);
  });

  it("goes on from where it is when the divider changes", () => {
    const { clock, read, write } = apic();
    write(DIVIDE, 0xb);
    write(INITIAL, 1000);
    clock.time += 400;
    write(DIVIDE, 0);
    expect(read(CURRENT)).toBe(600);
    clock.time += 200;
    expect(read(CURRENT)).toBe(500);
  });
});

describe("The local APIC in a machine", () => {
  const BASE = 0xfee00000;
  /** A machine with physical 0xfee00000 mapped at linear 0x400000, which is in RSI. */
  function machine(code: string, cpu = "max") {
    const made = longMode(code, { cpu, registers: { rsi: 0x400000n, rcx: 0x1bn } });
    made.memory.write64(PD + 16, BigInt(BASE) | P | RW | PS);
    return made;
  }
  const rax = (made: ReturnType<typeof machine>) => made.cpu.getRegister(0);

  it("is where IA32_APIC_BASE says after reset", () => {
    // mov eax, [rsi+30h]; hlt
    const made = machine("8b 46 30 f4");
    runToEnd(made);
    expect(rax(made)).toBe(0x50014n);
  });

  it("is nowhere on a CPU without it, and where it is disabled (10.4.3)", () => {
    const without = machine("8b 46 30 f4", "max,-apic");
    runToEnd(without);
    expect(rax(without)).toBe(0xffffffffn);
    // mov eax, 0xfee00100; xor edx, edx; wrmsr; mov eax, [rsi+30h]; hlt
    const disabled = machine("b8 00 01 e0 fe 31 d2 0f 30 8b 46 30 f4");
    runToEnd(disabled);
    expect(rax(disabled)).toBe(0xffffffffn);
  });

  it("begins as after power-up when it is enabled again, and CPUID shows neither bit while it is not", () => {
    // mov dword [rsi+0xf0], 0x1ff; wrmsr off; mov eax, 1; cpuid; mov edi, edx; wrmsr on; mov eax, [rsi+0xf0]; hlt
    const off = "b9 1b 00 00 00 b8 00 01 e0 fe 31 d2 0f 30";
    const on = "b9 1b 00 00 00 b8 00 09 e0 fe 31 d2 0f 30";
    const made = machine(
      `c7 86 f0 00 00 00 ff 01 00 00 ${off} b8 01 00 00 00 0f a2 89 d7 ${on} 8b 86 f0 00 00 00 f4`,
    );
    runToEnd(made);
    expect(rax(made)).toBe(0xffn);
    expect(made.cpu.getRegister(7) & 0x200n).toBe(0n);
  });

  it("goes to where IA32_APIC_BASE is moved, also in front of RAM (10.4.5)", () => {
    // mov eax, 0x500900; xor edx, edx; wrmsr; mov eax, [0x500030]; mov dword [0x500080], 5; hlt
    const code = "b8 00 09 50 00 31 d2 0f 30 8b 04 25 30 00 50 00 c7 04 25 80 00 50 00 05 00 00 00 f4";
    const moved = longMode(code, { registers: { rcx: 0x1bn } });
    moved.memory.writeBytes(0x500080, Uint8Array.of(77));
    runToEnd(moved);
    expect([rax(moved), moved.cpu.tpr]).toEqual([0x50014n, 5]);
    moved.cpu.surroundings.apicBaseWritten(0xfee00900n);
    expect(moved.memory.read8(0x500080)).toBe(77);
  });

  it("leaves RAM that was asked for at its usual place alone, until the guest enables it anew", () => {
    // mov [rsi], rax; mov rbx, [rsi]; wrmsr of the same value; mov rdi, [rsi]; hlt
    const again = "b8 00 09 e0 fe 31 d2 0f 30";
    const ram = [{ start: 0, end: 2 ** 32 }];
    const made = longMode(`48 89 06 48 8b 1e ${again} 48 8b 3e f4`, {
      ram,
      registers: { rsi: 0x400000n, rcx: 0x1bn, rax: 0x1122334455667788n },
    });
    made.memory.write64(PD + 16, BigInt(BASE) | P | RW | PS);
    runToEnd(made);
    expect([made.cpu.getRegister(3), made.cpu.getRegister(7)]).toEqual([
      0x1122334455667788n,
      0x1122334455667788n,
    ]);
    // wrmsr off, wrmsr on; mov eax, [rsi+30h]; hlt
    const enabled = longMode(`b8 00 01 e0 fe 31 d2 0f 30 ${again} 8b 46 30 f4`, {
      ram,
      registers: { rsi: 0x400000n, rcx: 0x1bn },
    });
    enabled.memory.write64(PD + 16, BigInt(BASE) | P | RW | PS);
    runToEnd(enabled);
    expect(rax(enabled)).toBe(0x50014n);
  });

  it("has no x2APIC mode: the bit that enables it is reserved (10.12.1)", () => {
    // mov eax, 0xfee00d00; xor edx, edx; wrmsr
    const made = machine("b8 00 0d e0 fe 31 d2 0f 30 f4");
    runToEnd(made);
    expect(haltedIn(made)).toBe(GP);
  });

  it("has CR8 as the upper half of its task priority (10.8.6)", () => {
    // mov eax, 5; mov cr8, rax; mov ebx, [rsi+80h]; mov dword [rsi+80h], 0x9c; mov rax, cr8; hlt
    const made = machine(
      "b8 05 00 00 00 44 0f 22 c0 8b 9e 80 00 00 00 c7 86 80 00 00 00 9c 00 00 00 44 0f 20 c0 f4",
    );
    runToEnd(made);
    expect([made.cpu.getRegister(3), rax(made)]).toEqual([0x50n, 9n]);
  });

  it("stops the machine with a sentence at an access that the SDM forbids", () => {
    // mov rax, [rsi+30h]
    const made = machine("48 8b 46 30 f4");
    expect(runToEnd(made).at(-1)).toMatchObject({
      event: "unimplemented",
      reason: expect.stringMatching(/^the local APIC's registers are for 32-bit accesses .* at offset 0x34$/),
    });
    expect(made.instructions).toBe(0);
  });
});
