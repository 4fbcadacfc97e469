import { describe, expect, it } from "vitest";
import { parseCpu } from "../../src/machine/cpu/model";
import type { MachineEvent } from "../../src/machine/events";
import { Machine } from "../../src/machine/machine";
import {
  CODE,
  CR0,
  CR4,
  DATA,
  EFER,
  GDT,
  haltedIn,
  hexBytes,
  IDT,
  KERNEL_CS,
  type LongModeOptions,
  longMode,
  mapForUser,
  P,
  PD,
  PDPT,
  PML4,
  PS,
  RW,
  runToEnd,
} from "../support/longMode";

const GP = 13;
const UD = 6;
const MOV_CR0 = "0f 22 c0"; // mov cr0, rax
const MOV_CR3 = "0f 22 d8";
const MOV_CR4 = "0f 22 e0";
const WRMSR = "0f 30";
const EFER_INDEX = 0xc0000080n;

/** Runs `code` and HLT with a value in RAX; the vector it ended in, or "done" at its own HLT. */
function outcome(code: string, rax: bigint, options: LongModeOptions = {}): number | string {
  const machine = longMode(`${code} f4`, { ...options, registers: { rax, ...options.registers } });
  runToEnd(machine, 100);
  const end = BigInt(CODE + code.split(" ").length);
  return machine.cpu.rip === end ? "done" : haltedIn(machine);
}

describe("MOV to CR0 (SDM vol. 3A, 2.5; vol. 2, MOV)", () => {
  it.each([
    ["PG without PE", 0x80050032n],
    ["NW without CD", 0xa0050033n],
    ["a bit of the upper half", 0x180050033n],
    ["PG cleared in 64-bit mode", 0x00050033n],
  ])("%s is #GP", (_name, value) => {
    expect(outcome(MOV_CR0, value)).toBe(GP);
  });

  it("WP decides whether the supervisor may write read-only pages, at once", () => {
    const write = "89 1f"; // mov [rdi], ebx
    const options = { registers: { rdi: BigInt(DATA) } };
    const readOnly = (machine: Machine) => machine.memory.write64(PD + 8, BigInt(0x200000) | P | PS);
    const on = longMode(`${write} f4`, options);
    readOnly(on);
    runToEnd(on);
    expect(haltedIn(on)).toBe(14);
    const off = longMode(`${MOV_CR0} ${write} f4`, {
      registers: { rdi: BigInt(DATA), rax: BigInt(CR0 & ~0x10000) & 0xffffffffn },
    });
    readOnly(off);
    const events = runToEnd(off);
    expect(events[0]).toMatchObject({ event: "paging-mode", set: [], cleared: ["WP"], mode: "4-level" });
    expect(off.cpu.rip).toBe(BigInt(CODE + 5));
  });

  it("ET reads as 1 whatever is written", () => {
    const machine = longMode(`${MOV_CR0} f4`, { registers: { rax: BigInt(CR0 & ~0x10) & 0xffffffffn } });
    runToEnd(machine);
    expect(machine.cpu.cr0 & 0x10).toBe(0x10);
  });
});

describe("MOV to CR3 (SDM vol. 3A, 2.5, 4.10.4.1)", () => {
  it("a bit above MAXPHYADDR is #GP", () => {
    expect(outcome(MOV_CR3, 1n << 46n)).toBe(GP);
    expect(outcome(MOV_CR3, BigInt(PML4) | (1n << 40n), { cpu: "max,phys-bits=40" })).toBe(GP);
  });

  it("bit 63 is #GP without CR4.PCIDE", () => {
    expect(outcome(MOV_CR3, BigInt(PML4) | (1n << 63n))).toBe(GP);
    expect(outcome(MOV_CR3, BigInt(PML4) | (1n << 63n), { cr4: CR4 | 0x20000 })).toBe("done");
  });

  it("tells of the load, of a switchover between the guest's own roots, and of a reset that lost entries", () => {
    const other = 0x8000;
    // mov cr3, rax; mov cr3, rbx; mov [rcx], rdx; mov cr3, rbx
    const machine = longMode(`${MOV_CR3} 0f 22 db 48 89 11 0f 22 db f4`, {
      registers: { rax: BigInt(PML4), rbx: BigInt(other), rcx: BigInt(other + 8), rdx: 0n },
    });
    machine.memory.write64(other, machine.memory.read64(PML4));
    machine.memory.write64(other + 8, machine.memory.read64(PML4));
    const kinds = runToEnd(machine).filter(({ event }) =>
      ["cr3-load", "switchover", "reset"].includes(event),
    );
    expect(kinds.map(({ event }) => event)).toEqual([
      "cr3-load",
      "cr3-load",
      "switchover",
      "cr3-load",
      "reset",
    ]);
    expect(kinds[2]).toMatchObject({ from: PML4, to: other, instruction: 1 });
    expect(kinds[4]).toMatchObject({ root: other, cleared: 1, instruction: 3 });
  });

  it("calls only the first load of a known final root a switchover", () => {
    const [other, final] = [0x8000, 0x9000];
    // rax, rbx, rcx and rdx into CR3, then rbx and rdx again
    const machine = longMode(`${MOV_CR3} 0f 22 db 0f 22 d9 0f 22 da 0f 22 db 0f 22 da f4`, {
      registers: { rax: BigInt(final), rbx: BigInt(other), rcx: BigInt(PML4), rdx: BigInt(final) },
    });
    machine.memory.write64(other, machine.memory.read64(PML4));
    machine.memory.write64(final, machine.memory.read64(PML4));
    machine.knownRoots = { final: new Set([final]) };
    const switches = runToEnd(machine).filter(({ event }) => event === "switchover");
    expect(switches).toMatchObject([{ from: PML4, to: final, instruction: 3 }]);
  });

  it("calls the first load of each root a switchover where nobody knows the final one", () => {
    const other = 0x8000;
    // rax and rbx into CR3, in turns
    const machine = longMode(`${MOV_CR3} 0f 22 db ${MOV_CR3} 0f 22 db ${MOV_CR3} f4`, {
      registers: { rax: BigInt(PML4), rbx: BigInt(other) },
    });
    machine.memory.write64(other, machine.memory.read64(PML4));
    const switches = runToEnd(machine).filter(({ event }) => event === "switchover");
    expect(switches).toMatchObject([
      { from: PML4, to: other },
      { from: other, to: PML4 },
    ]);
  });

  it("calls only what known early roots lost a reset", () => {
    // mov [rcx], rax (present); mov [rcx], rdx (not); mov cr3, rbx
    const resets = (root: number) => {
      const machine = longMode("48 89 01 48 89 11 0f 22 db f4", {
        registers: { rax: BigInt(PDPT) | P, rbx: BigInt(PML4), rcx: BigInt(PML4 + 80), rdx: 0n },
      });
      machine.knownRoots = { early: new Set([root]) };
      return runToEnd(machine).filter(({ event }) => event === "reset").length;
    };
    expect(resets(PML4)).toBe(1);
    expect(resets(0x8000)).toBe(0);
  });

  it("counts entries that came and went between two loads as cleared too", () => {
    // mov [rcx], rax (present); mov [rcx], rdx (not); mov cr3, rbx
    const machine = longMode("48 89 01 48 89 11 0f 22 db f4", {
      registers: { rax: BigInt(PDPT) | P, rbx: BigInt(PML4), rcx: BigInt(PML4 + 80), rdx: 0n },
    });
    expect(runToEnd(machine).find(({ event }) => event === "reset")).toMatchObject({ cleared: 1 });
  });
});

describe("MOV to CR4 (SDM vol. 3A, 2.5, 4.1.2)", () => {
  it.each([
    ["PAE cleared in IA-32e mode", BigInt(CR4 & ~0x20), "max"],
    ["LA57 set in IA-32e mode", BigInt(CR4 | 0x1000), "max"],
    ["SMEP on a CPU without it", BigInt(CR4 | 0x100000), "max,-smep"],
    ["a bit that no CPU has", BigInt(CR4) | (1n << 15n), "max"],
    ["a bit of the upper half", BigInt(CR4) | (1n << 40n), "max"],
  ])("%s is #GP", (_name, value, cpu) => {
    expect(outcome(MOV_CR4, value, { cpu })).toBe(GP);
  });

  it("PCIDE needs IA-32e mode, and CR3 bits 11:0 to be 0", () => {
    expect(outcome(MOV_CR4, BigInt(CR4 | 0x20000))).toBe("done");
    // mov cr3, rbx with a PCD bit first
    const machine = longMode(`0f 22 db ${MOV_CR4} f4`, {
      registers: { rax: BigInt(CR4 | 0x20000), rbx: BigInt(PML4) | 0x10n },
    });
    runToEnd(machine);
    expect(haltedIn(machine)).toBe(GP);
  });

  it("SMEP and SMAP take effect at once: supervisor code on user pages no longer runs", () => {
    for (const [bit, error] of [
      [0x100000, 0x11],
      [0x200000, 0x1],
    ] as const) {
      const machine = longMode(`${MOV_CR4} 8b 1f f4`, {
        registers: { rax: BigInt(CR4 | bit), rdi: BigInt(DATA) },
      });
      mapForUser(machine);
      // The handlers and stacks must stay the supervisor's.
      machine.memory.write64(PD, machine.memory.read64(PD) & ~4n);
      machine.memory.write64(PD + 8, 0x200000n | P | RW | PS | (bit === 0x100000 ? 0n : 4n));
      if (bit === 0x100000) {
        machine.memory.writeBytes(0x400000, hexBytes(`${MOV_CR4} f4`));
        machine.cpu.rip = 0x400000n;
      }
      const fault = runToEnd(machine, 50).find(({ event }) => event === "page-fault");
      expect(fault).toMatchObject({ error });
    }
  });
});

describe("IA32_EFER (SDM vol. 3A, 2.2.1, 9.8.5)", () => {
  const write = (value: bigint, cpu = "max") =>
    outcome(WRMSR, value, { cpu, registers: { rcx: EFER_INDEX, rdx: 0n } });

  it("LME cannot change while CR0.PG is set", () => {
    expect(write(BigInt(EFER & ~0x100))).toBe(GP);
  });

  it("NXE is #GP without NX, SCE without SYSCALL, and reserved bits always", () => {
    expect(write(BigInt(EFER))).toBe("done");
    expect(write(BigInt(EFER) | 2n)).toBe(GP);
    expect(
      outcome(WRMSR, 0xd00n, { cpu: "max,-nx", efer: 0x500, registers: { rcx: EFER_INDEX, rdx: 0n } }),
    ).toBe(GP);
  });

  it("LMA is read-only: writing it changes nothing", () => {
    const machine = longMode(`${WRMSR} f4`, {
      registers: { rcx: EFER_INDEX, rax: BigInt(EFER & ~0x400), rdx: 0n },
    });
    runToEnd(machine);
    expect(machine.cpu.efer).toBe(EFER);
  });
});

describe("privileged instructions at CPL 3 (SDM vol. 3A, 5.9)", () => {
  it.each([
    ["MOV to CR0", MOV_CR0],
    ["MOV from CR3", "0f 20 d8"],
    ["MOV to DR7", "0f 23 f8"],
    ["LGDT", "0f 01 10"],
    ["LIDT", "0f 01 18"],
    ["LLDT", "0f 00 d0"],
    ["LTR", "0f 00 d8"],
    ["LMSW", "0f 01 f0"],
    ["CLTS", "0f 06"],
    ["HLT", "f4"],
    ["RDMSR", "0f 32"],
    ["WRMSR", "0f 30"],
    ["INVLPG", "0f 01 38"],
    ["WBINVD", "0f 09"],
    ["SWAPGS", "0f 01 f8"],
    ["CLI above IOPL", "fa"],
    ["STI above IOPL", "fb"],
    ["IN above IOPL", "e4 60"],
    ["OUT above IOPL", "e6 60"],
  ])("%s is #GP(0)", (_name, code) => {
    const machine = longMode(code, { cpl: 3, registers: { rax: BigInt(DATA) } });
    mapForUser(machine);
    runToEnd(machine, 50);
    expect(haltedIn(machine)).toBe(GP);
    expect(machine.memory.read64(Number(machine.cpu.getRegister(4)))).toBe(0n);
  });

  it("UMIP makes SGDT, SIDT, SLDT, STR and SMSW #GP (2.5, CR4.UMIP)", () => {
    for (const code of ["0f 01 00", "0f 01 08", "0f 00 c0", "0f 00 c8", "0f 01 e0"]) {
      for (const [cr4, expected] of [
        [CR4, "ran"],
        [CR4 | 0x800, GP],
      ] as const) {
        const machine = longMode(`${code} 0f 0b`, { cpl: 3, cr4, registers: { rax: BigInt(DATA) } });
        mapForUser(machine);
        runToEnd(machine, 50);
        expect(haltedIn(machine) === UD ? "ran" : haltedIn(machine)).toBe(expected);
      }
    }
  });
});

describe("the way into IA-32e mode and back (SDM vol. 3A, 9.8.5)", () => {
  /** 32-bit protected mode without paging, with the tables and the GDT of the 64-bit helper in memory. */
  function protectedMode(code: string): { machine: Machine; events: MachineEvent[] } {
    const template = longMode("f4");
    const machine = new Machine({ ram: [{ start: 0, end: 0x40000000 }], cpu: parseCpu("max") });
    machine.memory.writeBytes(0, template.memory.readBytes(0, 0x10000));
    machine.memory.writeBytes(CODE, hexBytes(code));
    const flat = (selector: number, attributes: number) => ({
      selector,
      base: 0n,
      limit: 0xffffffff,
      attributes,
    });
    const data = flat(0x10, 0xc093);
    machine.start({
      rip: BigInt(CODE),
      registers: { rsp: 0x1f000n, rbx: BigInt(PML4) },
      cr0: 0x11,
      cr3: 0n,
      cr4: 0,
      efer: 0,
      segments: { es: data, cs: flat(0x30, 0xc09b), ss: data, ds: data, fs: data, gs: data },
      gdtr: { base: BigInt(GDT), limit: 0x47 },
      idtr: { base: BigInt(IDT), limit: 0xfff },
    });
    const events: MachineEvent[] = [];
    machine.onEvent = (event) => {
      events.push(event);
      return false;
    };
    return { machine, events };
  }

  const ENABLE = [
    "b8 20 00 00 00 0f 22 e0", // mov eax, 0x20; mov cr4, eax
    "0f 22 db", // mov cr3, ebx
    "b9 80 00 00 c0 0f 32 0d 00 01 00 00 0f 30", // EFER.LME
    "0f 20 c0 0d 00 00 00 80 0f 22 c0", // CR0.PG
  ].join(" ");
  const enabled = CODE + ENABLE.split(" ").length;

  it("PG with LME sets LMA: compatibility mode first, 64-bit code after the far jump", () => {
    const target = enabled + 7;
    const jump = `ea ${[0, 8, 16, 24].map((shift) => ((target >> shift) & 0xff).toString(16).padStart(2, "0")).join(" ")} 08 00`;
    // In 64-bit code: mov rax, imm64; hlt
    const { machine, events } = protectedMode(`${ENABLE} ${jump} 48 b8 01 02 03 04 05 06 07 08 f4`);
    machine.run(10);
    expect([machine.cpu.efer & 0x500, machine.cpu.code64]).toEqual([0x500, false]);
    machine.run(10);
    expect(machine.cpu.code64).toBe(true);
    expect(machine.cpu.getRegister(0)).toBe(0x0807060504030201n);
    expect(machine.cpu.selectors[1]).toBe(KERNEL_CS);
    const modes = events.filter(({ event }) => event === "paging-mode");
    expect(modes).toMatchObject([
      { set: ["PAE"], mode: "off" },
      { set: ["PG"], mode: "4-level" },
    ]);
    expect(events.some(({ event }) => event === "switchover")).toBe(false);
  });

  it("PG with LME but without PAE is #GP; the machine has no usable IDT for it and shuts down", () => {
    const withoutPae = ENABLE.replace("b8 20 00 00 00", "b8 00 00 00 00");
    const { machine, events } = protectedMode(`${withoutPae} f4`);
    machine.run(50);
    const fault = events.find(({ event }) => event === "exception");
    expect(fault).toMatchObject({ name: "#GP" });
    expect((fault as { reason: string }).reason).toMatch(/EFER.LME is set without CR4.PAE/);
  });

  it("PAE paging checks the PDPTEs at MOV to CR3, and #GP leaves CR3 as it was (4.4.1)", () => {
    // mov eax, 0x20; mov cr4, eax; mov cr3, ebx; mov eax, 0x80000011; mov cr0, eax; mov cr3, ecx
    const code = "b8 20 00 00 00 0f 22 e0 0f 22 db b8 11 00 00 80 0f 22 c0 0f 22 d9 f4";
    const { machine, events } = protectedMode(code);
    const [good, bad] = [0x9000, 0x9020];
    machine.memory.write64(good, BigInt(PD) | 1n);
    machine.memory.write64(bad, BigInt(PD) | 3n);
    machine.cpu.setRegister(3, BigInt(good));
    machine.cpu.setRegister(1, BigInt(bad));
    machine.run(5);
    expect(machine.pagingState.levels).toBe(3);
    machine.run(50);
    const fault = events.find(({ event }) => event === "exception");
    expect((fault as { reason: string }).reason).toMatch(/^PDPTE 0 at 0x9020 has a reserved bit set/);
    expect(machine.cpu.cr3).toBe(BigInt(good));
  });

  describe("CR4.PAE set while paging is on: the page of the 2-level root is read as four PDPTEs (4.1.2, 4.4.1)", () => {
    const ROOT = 0x9000;
    const [BOOT_PT, PAE_PD] = [0xa000, 0xc000];
    // mov cr3, ebx; mov eax, 0x80000011; mov cr0, eax; mov eax, 0xc0100012; jmp eax
    const toHigh = "0f 22 db b8 11 00 00 80 0f 22 c0 b8 12 00 10 c0 ff e0";
    const setPae = "b8 20 00 00 00 0f 22 e0"; // mov eax, 0x20; mov cr4, eax
    const writePde = "89 0d 28 c0 00 c0"; // mov [0xc000c028], ecx

    /** 2-level entries 0 and 768 map the low MiB and CODE; PDPTE 3 (2-level entries 6 and 7) maps them as well. */
    function switching(identity: "kept" | "cleared") {
      const booted = protectedMode(`${toHigh} ${setPae} ${writePde} f4`);
      const { machine } = booted;
      machine.memory.fill(ROOT, 0x4000, 0);
      for (const index of [0, 768]) machine.memory.write32(ROOT + 4 * index, BOOT_PT | 3);
      for (let page = 0; page <= 0x200; page++)
        machine.memory.write32(BOOT_PT + 4 * page, (page * 0x1000) | 3);
      machine.memory.write64(ROOT + 24, BigInt(PAE_PD) | P);
      machine.memory.write64(PAE_PD, P | RW | PS);
      machine.cpu.setRegister(3, BigInt(ROOT));
      machine.cpu.setRegister(1, 0x600083n);
      machine.want(["table-write", "exception"]);
      machine.run(5);
      if (identity === "cleared") machine.memory.write32(ROOT, 0);
      machine.run(50);
      return booted;
    }

    it("they are loaded at that moment, and writes to the PAE tables are those to live tables", () => {
      const { machine, events } = switching("cleared");
      expect(machine.pagingState.levels).toBe(3);
      expect([...machine.pagingState.pdpte]).toEqual([0, 0, 0, 0, 0, 0, PAE_PD | 1, 0]);
      const last = events.findLast(({ event }) => event === "table-write");
      expect(last).toMatchObject({ entry: PAE_PD + 40, level: 2, address: 0xc0a00000n, new: 0x600083n });
    });

    it("a 2-level walk's accessed flag is a reserved bit of the PDPTE: #GP, and the mode stays", () => {
      const { machine, events } = switching("kept");
      const fault = events.find(({ event }) => event === "exception");
      expect(fault).toMatchObject({ name: "#GP" });
      expect((fault as { reason: string }).reason).toMatch(/^PDPTE 0 at 0x9000 has a reserved bit set/);
      expect(machine.pagingState.levels).toBe(2);
    });
  });
});

describe("writes to live tables", () => {
  it("are told with level, address, old and new value, also in a table that was linked a moment ago", () => {
    // mov [rcx], rdx: link a new page table; mov [rsi], rdi: an entry in it
    const machine = longMode("48 89 11 48 89 3e f4", {
      registers: {
        rcx: BigInt(PD + 8 * 100),
        rdx: 0x9000n | P | RW,
        rsi: 0x9000n + 24n,
        rdi: 0x5000n | P,
      },
    });
    machine.memory.fill(0x9000, 0x1000, 0);
    machine.memory.write64(PD + 8 * 100, 0n);
    machine.want(["table-write"]);
    const writes = runToEnd(machine).filter(({ event }) => event === "table-write");
    expect(writes).toMatchObject([
      { entry: PD + 800, level: 2, address: 100n * 0x200000n, old: 0n, new: 0x9003n },
      { entry: 0x9018, level: 1, address: 100n * 0x200000n + 3n * 0x1000n, old: 0n, new: 0x5001n },
    ]);
  });
});
