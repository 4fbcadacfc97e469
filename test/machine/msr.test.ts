/** Model-specific registers, bases, system calls, keys and INVPCID: what they check and what they do. */
import { describe, expect, it } from "vitest";
import type { Machine } from "../../src/machine/machine";
import {
  CODE,
  CR4,
  DATA,
  haltedIn,
  type LongModeOptions,
  longMode,
  mapForUser,
  P,
  PD,
  PS,
  RW,
  runToEnd,
  STACK3,
  US,
} from "../support/longMode";

const UD = 6;
const GP = 13;
const PF = 14;
const RDMSR = "0f 32";
const WRMSR = "0f 30";
const CR4_PCIDE = 1 << 17;
const CR4_FSGSBASE = 1 << 16;
const CR4_PKE = 1 << 22;
const CR4_PKS = 1 << 24;

/** Runs `code` and HLT; the vector it ended in, or "done" at its own HLT. */
function outcome(code: string, options: LongModeOptions = {}): number | string {
  const machine = longMode(`${code} f4`, options);
  runToEnd(machine, 100);
  return machine.cpu.rip === BigInt(CODE + code.split(" ").length) ? "done" : haltedIn(machine);
}

/** ECX, and EDX:EAX with ones above, which must not count. */
function msrRegisters(index: number, value: bigint): { rcx: bigint; rax: bigint; rdx: bigint } {
  const ones = 0xffffffffn << 32n;
  return { rcx: ones | BigInt(index), rax: ones | (value & 0xffffffffn), rdx: ones | (value >> 32n) };
}

const write = (index: number, value: bigint, options: LongModeOptions = {}) =>
  outcome(WRMSR, { ...options, registers: msrRegisters(index, value) });

/** WRMSR, then RDMSR of the same register; EDX:EAX. */
function written(index: number, value: bigint, options: LongModeOptions = {}): bigint {
  const machine = longMode(`${WRMSR} 31 c0 31 d2 ${RDMSR} f4`, {
    ...options,
    registers: msrRegisters(index, value),
  });
  runToEnd(machine, 100);
  expect(machine.cpu.rip).toBe(BigInt(CODE + 8));
  return (machine.cpu.getRegister(2) << 32n) | machine.cpu.getRegister(0);
}

describe("RDMSR and WRMSR (SDM vol. 2, RDMSR, WRMSR)", () => {
  it.each([0x0, 0x12345, 0xc0000105, 0x40000000])("register 0x%s does not exist: #GP(0)", (index) => {
    for (const code of [RDMSR, WRMSR]) {
      const machine = longMode(code, { registers: msrRegisters(index, 0n) });
      runToEnd(machine, 100);
      expect(haltedIn(machine)).toBe(GP);
      expect(machine.memory.read64(Number(machine.cpu.getRegister(4)))).toBe(0n);
    }
  });

  it("RDMSR clears the upper halves of RAX and RDX", () => {
    const machine = longMode(`${RDMSR} f4`, { registers: msrRegisters(0x277, -1n & 0xffffffffffffffffn) });
    runToEnd(machine, 10);
    expect([machine.cpu.getRegister(0), machine.cpu.getRegister(2)]).toEqual([0x00070406n, 0x00070406n]);
  });

  it("a CPU without msr has neither: #UD", () => {
    for (const code of [RDMSR, WRMSR]) {
      const registers = msrRegisters(0x277, 0n);
      expect(outcome(code, { registers })).toBe("done");
      expect(outcome(code, { registers, cpu: "max,-msr" })).toBe(UD);
    }
  });

  it.each([
    ["IA32_SYSENTER_ESP", 0x175],
    ["IA32_SYSENTER_EIP", 0x176],
    ["IA32_LSTAR", 0xc0000082],
    ["IA32_CSTAR", 0xc0000083],
    ["IA32_FS_BASE", 0xc0000100],
    ["IA32_GS_BASE", 0xc0000101],
    ["IA32_KERNEL_GS_BASE", 0xc0000102],
  ])("%s takes canonical addresses only", (_name, index) => {
    const cpu = "max,-la57";
    expect(write(index, 0x800000000000n, { cpu })).toBe(GP);
    expect(write(index, 0xffff7fffffffffffn, { cpu })).toBe(GP);
    for (const address of [0x7fffffffffffn, 0xffff800000000000n])
      expect(written(index, address, { cpu })).toBe(address);
  });

  it.each([
    ["IA32_FMASK above bit 31", 0xc0000084],
    ["IA32_TSC_AUX above bit 31", 0xc0000103],
    ["IA32_PKRS above bit 31", 0x6e1],
  ])("reserved bits are #GP: %s", (_name, index) => {
    expect(written(index, 0xffffffffn)).toBe(0xffffffffn);
    expect(write(index, 1n << 32n)).toBe(GP);
  });

  it("IA32_APIC_BASE has no bits above MAXPHYADDR (vol. 4, table 2-2)", () => {
    const cpu = "max,phys-bits=40";
    expect(written(0x1b, 0xfee00900n, { cpu })).toBe(0xfee00900n);
    expect(write(0x1b, 0xfee00900n | (1n << 40n), { cpu })).toBe(GP);
    expect(write(0x1b, 0xfee00901n, { cpu })).toBe(GP);
  });

  it("IA32_PAT refuses the reserved memory types (vol. 3A, 11.12.2)", () => {
    for (let entry = 0n; entry < 8n; entry++) {
      for (let type = 0n; type < 9n; type++) {
        const reserved = type === 2n || type === 3n || type > 7n;
        expect(write(0x277, type << (8n * entry))).toBe(reserved ? GP : "done");
      }
    }
    expect(written(0x277, 0x0105040600070406n)).toBe(0x0105040600070406n);
  });
});

describe("the time-stamp counter (SDM vol. 3B, 17.17)", () => {
  it("counts instructions, and goes on from what is written", () => {
    // nop; nop; rdtsc
    const plain = longMode("90 90 0f 31 f4");
    runToEnd(plain, 10);
    expect(plain.cpu.getRegister(0)).toBe(2n);
    // wrmsr; nop; rdtsc
    const set = longMode(`${WRMSR} 90 0f 31 f4`, { registers: msrRegisters(0x10, 0x100000000n) });
    runToEnd(set, 10);
    expect([set.cpu.getRegister(2), set.cpu.getRegister(0)]).toEqual([1n, 2n]);
  });

  it("CR4.TSD keeps it from user mode (vol. 3A, 2.5)", () => {
    for (const code of ["0f 31", "0f 01 f9"]) {
      for (const [cr4, cpl, expected] of [
        [CR4, 3, UD],
        [CR4 | 4, 3, GP],
        [CR4 | 4, 0, UD],
      ] as const) {
        const machine = longMode(`${code} 0f 0b`, { cpl, cr4 });
        if (cpl === 3) mapForUser(machine);
        runToEnd(machine, 10);
        expect(haltedIn(machine)).toBe(expected);
      }
    }
  });

  it("RDTSCP gives IA32_TSC_AUX in ECX", () => {
    // wrmsr; rdtscp
    const machine = longMode(`${WRMSR} 0f 01 f9 f4`, { registers: msrRegisters(0xc0000103, 0x1234n) });
    runToEnd(machine, 10);
    expect(machine.cpu.getRegister(1)).toBe(0x1234n);
  });
});

describe("segment bases (SDM vol. 2, SWAPGS, RDFSBASE, WRFSBASE)", () => {
  it("SWAPGS exchanges the base of GS with IA32_KERNEL_GS_BASE, and twice is nothing", () => {
    const machine = longMode(`${WRMSR} 0f 01 f8 65 48 8b 1c 25 00 00 00 00 0f 01 f8 f4`, {
      registers: msrRegisters(0xc0000102, BigInt(DATA)),
    });
    machine.memory.write64(DATA, 0x1122334455667788n);
    machine.run(2);
    expect(machine.cpu.segmentBase(5)).toBe(BigInt(DATA));
    machine.run(1);
    expect(machine.cpu.getRegister(3)).toBe(0x1122334455667788n);
    machine.run(1);
    expect(machine.cpu.segmentBase(5)).toBe(0n);
  });

  it("RDFSBASE and its like need CR4.FSGSBASE, and work at CPL 3", () => {
    for (const modrm of ["c0", "c8", "d0", "d8"]) {
      for (const [cr4, expected] of [
        [CR4, UD],
        [CR4 | CR4_FSGSBASE, "done"],
      ] as const) {
        expect(outcome(`f3 48 0f ae ${modrm}`, { cr4 })).toBe(expected);
        // int 0x80 tells that it came through at CPL 3.
        const user = longMode(`f3 48 0f ae ${modrm} cd 80`, { cr4, cpl: 3 });
        mapForUser(user);
        runToEnd(user, 10);
        expect(haltedIn(user)).toBe(expected === "done" ? 0x80 : UD);
      }
    }
  });

  it("WRFSBASE of a non-canonical address is #GP, of 32 bits zero-extends", () => {
    const options = { cr4: CR4 | CR4_FSGSBASE, cpu: "max,-la57", registers: { rax: 0x800012345678n } };
    expect(outcome("f3 48 0f ae d0", options)).toBe(GP);
    const machine = longMode("f3 0f ae d0 f3 48 0f ae c3 f4", options);
    runToEnd(machine, 10);
    expect([machine.cpu.segmentBase(4), machine.cpu.getRegister(3)]).toEqual([0x12345678n, 0x12345678n]);
  });
});

describe("SYSCALL and SYSRET (SDM vol. 2)", () => {
  const USER = 0x400000;

  /** User code SYSCALLs into the kernel at DATA, whose code is given. */
  function system(kernel: string, star = 0x0018000800000000n): Machine {
    const machine = longMode("0f 05", { cpl: 3, rflags: 0x246 });
    mapForUser(machine);
    machine.cpu.msrs.set(0xc0000081, star);
    machine.cpu.msrs.set(0xc0000082, BigInt(DATA));
    machine.cpu.msrs.set(0xc0000084, 0x200n);
    machine.memory.writeBytes(
      DATA,
      Uint8Array.from(kernel.split(" "), (byte) => Number.parseInt(byte, 16)),
    );
    return machine;
  }

  it("SYSCALL keeps RIP in RCX and RFLAGS in R11, masks by IA32_FMASK, and leaves RSP alone", () => {
    const machine = system("f4");
    machine.run(1);
    const { cpu } = machine;
    expect([cpu.rip, cpu.getRegister(1), cpu.getRegister(11)]).toEqual([
      BigInt(DATA),
      BigInt(CODE + 2),
      0x246n,
    ]);
    expect([cpu.rflags, cpu.cpl, cpu.getRegister(4)]).toEqual([0x46, 0, BigInt(STACK3)]);
    expect([cpu.selectors[1], cpu.selectors[2], cpu.code64]).toEqual([0x08, 0x10, true]);
  });

  it("SYSCALL clears the RPL of CS, and adds 8 to STAR[47:32] as it is for SS", () => {
    const machine = system("f4", 0x0018000b00000000n);
    machine.run(1);
    expect([machine.cpu.selectors[1], machine.cpu.selectors[2]]).toEqual([0x08, 0x13]);
  });

  it("SYSRET with REX.W goes back to 64-bit code at CPL 3, with R11 as flags", () => {
    const machine = system("48 0f 07");
    machine.run(2);
    const { cpu } = machine;
    expect([cpu.rip, cpu.rflags, cpu.cpl, cpu.code64]).toEqual([BigInt(CODE + 2), 0x246, 3, true]);
    expect([cpu.selectors[1], cpu.selectors[2]]).toEqual([0x2b, 0x23]);
  });

  it("SYSRET without REX.W goes to compatibility mode, by ECX alone", () => {
    const machine = system("0f 07");
    machine.run(1);
    machine.cpu.setRegister(1, 0xdead00000000n | BigInt(USER));
    machine.memory.write8(USER, 0x48); // dec eax here, a REX prefix in 64-bit code
    machine.memory.write8(USER + 1, 0x90);
    machine.run(2);
    const { cpu } = machine;
    expect([cpu.rip, cpu.cpl, cpu.code64]).toEqual([BigInt(USER + 1), 3, false]);
    expect([cpu.selectors[1], cpu.selectors[2]]).toEqual([0x1b, 0x23]);
  });

  it("SYSRET to a non-canonical address is #GP, still at CPL 0", () => {
    const machine = longMode("48 0f 07", { registers: { rcx: 0x800000000000n, r11: 2n } });
    runToEnd(machine, 10);
    expect(haltedIn(machine)).toBe(GP);
    expect(machine.memory.read64(Number(machine.cpu.getRegister(4)) + 16)).toBe(0x08n);
  });

  it("SYSRET at CPL 3 is #GP, both are #UD without EFER.SCE, and in compatibility mode", () => {
    const user = longMode("48 0f 07", { cpl: 3 });
    mapForUser(user);
    runToEnd(user, 10);
    expect(haltedIn(user)).toBe(GP);
    for (const code of ["0f 05", "48 0f 07"]) expect(outcome(code, { efer: 0xd00 })).toBe(UD);
    for (const code of ["0f 05", "0f 07"]) expect(outcome(code, { code32: true })).toBe(UD);
  });
});

describe("protection keys (SDM vol. 3A, 4.6.2; vol. 2, RDPKRU, WRPKRU)", () => {
  const RDPKRU = "0f 01 ee";
  const WRPKRU = "0f 01 ef";
  const cr4 = CR4 | CR4_PKE;

  it("RDPKRU and WRPKRU are #UD without CR4.PKE, and #GP with ECX (or EDX) other than 0", () => {
    expect(outcome(RDPKRU)).toBe(UD);
    expect(outcome(WRPKRU)).toBe(UD);
    expect(outcome(RDPKRU, { cr4, registers: { rcx: 1n } })).toBe(GP);
    expect(outcome(WRPKRU, { cr4, registers: { rcx: 1n } })).toBe(GP);
    expect(outcome(WRPKRU, { cr4, registers: { rdx: 1n } })).toBe(GP);
    expect(outcome(RDPKRU, { cr4, registers: { rcx: 1n << 32n, rdx: 5n } })).toBe("done");
  });

  it("PKRU closes user pages of a key at once, also to a TLB that knows them", () => {
    // mov ebx, [rdi]; wrpkru (AD of key 1); mov ebx, [rdi]
    const machine = longMode(`8b 1f ${WRPKRU} 8b 1f f4`, {
      cr4,
      registers: { rdi: BigInt(DATA), rax: 4n },
    });
    mapForUser(machine);
    machine.memory.write64(PD + 8, 0x200000n | P | RW | US | PS | (1n << 59n));
    const events = runToEnd(machine, 10);
    expect(haltedIn(machine)).toBe(PF);
    expect(events.find(({ event }) => event === "page-fault")).toMatchObject({ error: 0x21, instruction: 2 });
  });

  it("IA32_PKRS closes supervisor pages of a key with CR4.PKS", () => {
    for (const [pks, expected] of [
      [CR4 | CR4_PKS, PF],
      [CR4, "done"],
    ] as const) {
      // wrmsr (WD of key 2); mov [rdi], ebx
      const machine = longMode(`${WRMSR} 89 1f f4`, {
        cr4: pks,
        registers: { ...msrRegisters(0x6e1, 1n << 5n), rdi: 0x600000n },
      });
      machine.memory.write64(PD + 24, 0x600000n | P | RW | PS | (2n << 59n));
      runToEnd(machine, 10);
      expect(machine.cpu.rip === BigInt(CODE + 4) ? "done" : haltedIn(machine)).toBe(expected);
    }
  });
});

describe("INVPCID (SDM vol. 2)", () => {
  const INVPCID = "66 0f 38 82 07"; // invpcid rax, [rdi]
  const PAGE = 0x600000;

  /** The vector or "done" of one INVPCID with a descriptor. */
  function invpcid(type: bigint, low: bigint, address = 0n, options: LongModeOptions = {}): number | string {
    const machine = longMode(`${INVPCID} f4`, {
      ...options,
      registers: { rax: type, rdi: BigInt(DATA) },
    });
    machine.memory.write64(DATA, low);
    machine.memory.write64(DATA + 8, address);
    runToEnd(machine, 10);
    return machine.cpu.rip === BigInt(CODE + 5) ? "done" : haltedIn(machine);
  }

  it("knows types 0 to 3 only, of the whole register", () => {
    expect([0n, 1n, 2n, 3n].map((type) => invpcid(type, 0n))).toEqual(["done", "done", "done", "done"]);
    expect([4n, 0xffffffffn, 1n << 32n].map((type) => invpcid(type, 0n))).toEqual([GP, GP, GP]);
  });

  it("refuses bits 63:12 of the descriptor, whatever the type", () => {
    for (const type of [0n, 1n, 2n, 3n]) {
      expect(invpcid(type, 1n << 12n)).toBe(GP);
      expect(invpcid(type, 1n << 63n)).toBe(GP);
    }
  });

  it("refuses a PCID without CR4.PCIDE for types 0 and 1, and a non-canonical address for type 0", () => {
    for (const type of [0n, 1n]) {
      expect(invpcid(type, 5n)).toBe(GP);
      expect(invpcid(type, 5n, 0n, { cr4: CR4 | CR4_PCIDE })).toBe("done");
    }
    expect(invpcid(2n, 5n)).toBe("done");
    expect(invpcid(0n, 0n, 0x800000000000n, { cpu: "max,-la57" })).toBe(GP);
    expect(invpcid(1n, 0n, 0x800000000000n, { cpu: "max,-la57" })).toBe("done");
  });

  it("is #GP at CPL 3", () => {
    const machine = longMode(INVPCID, { cpl: 3, registers: { rdi: BigInt(DATA) } });
    mapForUser(machine);
    runToEnd(machine, 10);
    expect(haltedIn(machine)).toBe(GP);
  });

  /** Whether PAGE is walked again after the INVPCID: its entry is moved to other memory in between. */
  function forgets(type: bigint, global: boolean, low = 0n, address = BigInt(PAGE)): boolean {
    // mov ebx, [rsi]; mov [rcx], rdx; invpcid rax, [rdi]; mov ebx, [rsi]
    const flags = P | RW | PS | (global ? 0x100n : 0n);
    const machine = longMode(`8b 1e 48 89 11 ${INVPCID} 8b 1e f4`, {
      cr4: CR4 | CR4_PCIDE,
      registers: {
        rax: type,
        rcx: BigInt(PD + 24),
        rdx: 0x800000n | flags,
        rsi: BigInt(PAGE),
        rdi: BigInt(DATA),
      },
    });
    machine.memory.write64(PD + 24, BigInt(PAGE) | flags);
    machine.memory.write32(PAGE, 1);
    machine.memory.write32(0x800000, 2);
    machine.memory.write64(DATA, low);
    machine.memory.write64(DATA + 8, address);
    runToEnd(machine, 10);
    expect(machine.cpu.rip).toBe(BigInt(CODE + 12));
    return machine.cpu.getRegister(3) === 2n;
  }

  it("forgets what its type names: an address, a PCID, everything, everything but global entries", () => {
    expect([0n, 1n, 2n, 3n].map((type) => forgets(type, false))).toEqual([true, true, true, true]);
    expect([0n, 1n, 2n, 3n].map((type) => forgets(type, true))).toEqual([false, false, true, false]);
    expect([forgets(0n, false, 5n), forgets(1n, false, 5n), forgets(2n, false, 5n)]).toEqual([
      false,
      false,
      true,
    ]);
    expect(forgets(0n, false, 0n, 0x800000n)).toBe(false);
  });

  it("tells what it flushed", () => {
    for (const [type, expected] of [
      [0n, { cause: "invpcid", address: 0x1234000n, global: false }],
      [2n, { cause: "invpcid", global: true }],
      [3n, { cause: "invpcid", global: false }],
    ] as const) {
      const machine = longMode(`${INVPCID} f4`, { registers: { rax: type, rdi: BigInt(DATA) } });
      machine.memory.write64(DATA + 8, 0x1234000n);
      const flush = runToEnd(machine, 10).find(({ event }) => event === "tlb-flush");
      expect(flush).toMatchObject({ event: "tlb-flush", rip: BigInt(CODE), ...expected });
    }
  });
});

describe("INVLPG (SDM vol. 2)", () => {
  it("takes any address: a non-canonical one is no fault", () => {
    expect(outcome("0f 01 3f", { registers: { rdi: 0x800000000000n } })).toBe("done");
  });
});

describe("instructions of a feature that a CPU lacks (SDM vol. 2)", () => {
  it.each([
    ["SYSENTER", "sep", "0f 34"],
    ["SYSEXIT", "sep", "0f 35"],
    ["EMMS", "mmx", "0f 77"],
    ["FXSAVE", "fxsr", "0f ae 07"],
    ["ADDPS", "sse", "0f 58 c1"],
    ["PXOR", "sse2", "66 0f ef c0"],
    ["LDDQU", "sse3", "f2 0f f0 07"],
    ["SYSCALL", "syscall", "0f 05"],
  ])("%s is #UD without %s", (_name, feature, code) => {
    const efer = feature === "syscall" ? 0xd00 : 0xd01;
    const registers = { rdi: BigInt(DATA) };
    expect(outcome(code, { cpu: `max,-${feature}`, efer, registers })).toBe(UD);
  });
});
