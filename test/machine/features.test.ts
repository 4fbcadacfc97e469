import { describe, expect, it } from "vitest";
import { FEATURES, type FeatureName } from "../../src/machine/cpu/features";
import { RAX, RCX } from "../../src/machine/cpu/registers";
import {
  CODE,
  CR4,
  DATA,
  haltedIn,
  type LongModeOptions,
  longMode,
  P,
  PDPT,
  PML4,
  PS,
  RW,
  runToEnd,
  XD,
} from "../support/longMode";

const UD = 6;
const GP = 13;
const PF = 14;

/** Runs `code` and HLT; the vector it ended in, or "done" where it came to its own HLT. */
function outcome(code: string, cpu: string, options: LongModeOptions = {}): number | string {
  const machine = longMode(`${code} f4`, {
    cpu,
    registers: { rdi: BigInt(DATA), rax: 2n, rsp: 0x1f000n, ...options.registers },
    ...(options.cr4 === undefined ? {} : { cr4: options.cr4 }),
  });
  // All of memory is the supervisor's, so that SMEP and SMAP can be turned on.
  machine.memory.write64(PML4, BigInt(PDPT) | P | RW);
  const events = runToEnd(machine, 100);
  const end = CODE + code.trim().split(/\s+/).length;
  const stopped = events.find(({ event }) => event === "unimplemented" || event === "triple-fault");
  if (stopped !== undefined) return stopped.event;
  return Number(machine.cpu.rip) === end ? "done" : haltedIn(machine);
}

/** Instructions that a CPU has with a feature, and that are #UD without it. */
const INSTRUCTIONS: readonly [FeatureName, string, string, number?][] = [
  ["tsc", "RDTSC", "0f 31"],
  ["cx8", "CMPXCHG8B [RDI]", "0f c7 0f"],
  ["cmov", "CMOVE EAX, ECX", "0f 44 c1"],
  ["clflush", "CLFLUSH [RDI]", "0f ae 3f"],
  ["cx16", "CMPXCHG16B [RDI]", "48 0f c7 0f"],
  ["movbe", "MOVBE EAX, [RDI]", "0f 38 f0 07"],
  ["popcnt", "POPCNT EAX, ECX", "f3 0f b8 c1"],
  ["sse42", "CRC32 EAX, ECX", "f2 0f 38 f1 c1"],
  ["fsgsbase", "RDFSBASE EAX", "f3 0f ae c0", 1 << 16],
  ["bmi1", "ANDN EAX, ECX, EDX", "c4 e2 70 f2 c2"],
  ["bmi2", "RORX EAX, ECX, 5", "c4 e3 7b f0 c1 05"],
  ["invpcid", "INVPCID RAX, [RDI]", "66 0f 38 82 07"],
  ["adx", "ADCX EAX, ECX", "66 0f 38 f6 c1"],
  ["smap", "CLAC", "0f 01 ca"],
  ["smap", "STAC", "0f 01 cb"],
  ["clflushopt", "CLFLUSHOPT [RDI]", "66 0f ae 3f"],
  ["clwb", "CLWB [RDI]", "66 0f ae 37"],
  ["pku", "RDPKRU", "0f 01 ee", 1 << 22],
  ["lahf_lm", "LAHF", "9f"],
  ["lahf_lm", "SAHF", "9e"],
  ["rdtscp", "RDTSCP", "0f 01 f9"],
];

describe("An instruction that belongs to a feature", () => {
  for (const [feature, text, code, cr4 = 0] of INSTRUCTIONS) {
    it(`${text} is executed with ${feature}, and is #UD without it`, () => {
      expect(outcome(code, "max", { cr4: CR4 | cr4 })).toBe("done");
      expect(outcome(code, `max,-${feature}`)).toBe(UD);
    });
  }
});

/** Loads RAX, then MOV CR4, RAX. */
const moveToCr4 = (value: number) => `b8 ${bytes(value)} 0f 22 e0`;
/** Loads ECX and EAX, clears EDX, then WRMSR or RDMSR. */
const writeMsr = (index: number, value: number) => `b9 ${bytes(index)} b8 ${bytes(value)} 31 d2 0f 30`;
const readMsr = (index: number) => `b9 ${bytes(index)} 0f 32`;

function bytes(value: number): string {
  return [0, 8, 16, 24].map((shift) => ((value >>> shift) & 0xff).toString(16).padStart(2, "0")).join(" ");
}

/** Bits of CR4 that exist with a feature only (SDM vol. 3A, 2.5), and can be set in 64-bit mode with CR3[11:0] = 0. */
const CR4_BITS: readonly [FeatureName, string, number][] = [
  ["tsc", "TSD", 2],
  ["de", "DE", 3],
  ["mce", "MCE", 6],
  ["pge", "PGE", 7],
  ["fxsr", "OSFXSR", 9],
  ["sse", "OSXMMEXCPT", 10],
  ["umip", "UMIP", 11],
  ["fsgsbase", "FSGSBASE", 16],
  ["pcid", "PCIDE", 17],
  ["smep", "SMEP", 20],
  ["smap", "SMAP", 21],
  ["pku", "PKE", 22],
  ["pks", "PKS", 24],
];

describe("A bit of a control register that belongs to a feature", () => {
  for (const [feature, name, bit] of CR4_BITS) {
    it(`CR4.${name} can be set with ${feature}, and is #GP without it`, () => {
      const code = moveToCr4(0x20 | (1 << bit));
      expect(outcome(code, "max", { cr4: 0x20 })).toBe("done");
      expect(outcome(code, `max,-${feature}`, { cr4: 0x20 })).toBe(GP);
    });
  }

  it("CR4.PSE can be set with pse, and is #GP without it", () => {
    expect(outcome(moveToCr4(0x30), "max", { cr4: 0x20 })).toBe("done");
    expect(outcome(moveToCr4(0x30), "max,-pse,-pse36", { cr4: 0x20 })).toBe(GP);
  });

  it("CR4.OSXSAVE can be set with xsave, which no model has, and CPUID then shows it", () => {
    // mov eax, OSXSAVE | PAE; mov cr4, rax; mov eax, 1; cpuid
    const code = `${moveToCr4(0x40020)} b8 01 00 00 00 0f a2`;
    expect(outcome(code, "max")).toBe(GP);
    const machine = longMode(`${code} f4`, { cpu: "max,+xsave" });
    runToEnd(machine, 100);
    expect(Number(machine.cpu.getRegister(RCX) >> 26n) & 3).toBe(3);
  });

  for (const [feature, name, bit] of [
    ["syscall", "SCE", 0],
    ["nx", "NXE", 11],
  ] as const) {
    it(`EFER.${name} can be set with ${feature}, and is #GP without it`, () => {
      const code = writeMsr(0xc0000080, 0x500 | (1 << bit));
      expect(outcome(code, "max")).toBe("done");
      expect(outcome(code, `max,-${feature}`)).toBe(GP);
    });
  }
});

describe("A register that belongs to a feature", () => {
  for (const [feature, name, index] of [
    ["tsc", "IA32_TIME_STAMP_COUNTER", 0x10],
    ["mtrr", "IA32_MTRRCAP", 0xfe],
    ["pat", "IA32_PAT", 0x277],
    ["pks", "IA32_PKRS", 0x6e1],
    ["rdtscp", "IA32_TSC_AUX", 0xc0000103],
    ["syscall", "IA32_LSTAR", 0xc0000082],
  ] as const) {
    it(`${name} can be read with ${feature}, and is #GP without it`, () => {
      expect(outcome(readMsr(index), "max")).toBe("done");
      expect(outcome(readMsr(index), `max,-${feature}`)).toBe(GP);
    });
  }
});

describe("An encoding that means another instruction without its feature", () => {
  const result = (code: string, cpu: string) => {
    const machine = longMode(`${code} f4`, { cpu, registers: { rcx: 0x10n } });
    runToEnd(machine, 100);
    return Number(machine.cpu.getRegister(RAX));
  };

  it("LZCNT is BSR without abm", () => {
    expect([result("f3 0f bd c1", "max"), result("f3 0f bd c1", "max,-abm")]).toEqual([27, 4]);
  });

  it("TZCNT is BSF without bmi1, which shows with a source of 0", () => {
    const code = "b8 63 00 00 00 31 c9 f3 0f bc c1";
    expect([result(code, "max"), result(code, "max,-bmi1")]).toEqual([32, 0x63]);
  });
});

describe("A feature of translation and addresses", () => {
  /** MOV RAX, [RDI] through a 1 GiB page at 1 GiB, whose entry has `flags` besides. */
  function readThrough(flags: bigint, cpu: string, efer: number): number | "done" {
    const machine = longMode("48 8b 07 f4", { cpu, efer, registers: { rdi: 0x40300000n } });
    machine.memory.write64(PDPT + 8, P | RW | PS | flags);
    runToEnd(machine, 100);
    return Number(machine.cpu.rip) === CODE + 3 ? "done" : haltedIn(machine);
  }

  it("1 GiB pages are there with pdpe1gb, and a reserved bit without it", () => {
    expect(readThrough(0n, "max", 0xd01)).toBe("done");
    expect(readThrough(0n, "max,-pdpe1gb", 0xd01)).toBe(PF);
  });

  it("bit 63 of an entry is execute-disable with nx, and reserved without it", () => {
    expect(readThrough(XD, "max", 0xd01)).toBe("done");
    expect(readThrough(XD, "no-nx", 0x501)).toBe(PF);
  });

  it("physical addresses end at MAXPHYADDR, behind which bits of an entry are reserved", () => {
    expect(readThrough(1n << 39n, "max,phys-bits=40", 0xd01)).toBe("done");
    expect(readThrough(1n << 40n, "max,phys-bits=40", 0xd01)).toBe(PF);
  });

  it("a base of 57 bits is canonical with la57, also while 4-level paging is on, and #GP without it", () => {
    // IA32_FS_BASE = 0x00ff000000000000
    const code = "b9 00 01 00 c0 31 c0 ba 00 00 ff 00 0f 30";
    expect(outcome(code, "max")).toBe("done");
    expect(outcome(code, "max,la57=off")).toBe(GP);
  });
});

describe("A feature that is not implemented", () => {
  const CODES: Partial<Record<FeatureName, string>> = {
    fpu: "d8 c1",
    sep: "0f 34",
    mmx: "0f fc c1",
    sse: "0f 57 c0",
    sse2: "66 0f ef c0",
    sse3: "f2 0f f0 07",
    ssse3: "66 0f 38 00 c1",
    sse41: "66 0f 38 14 c1",
    xsave: "0f 01 d0",
    svm: "0f 01 d9",
  };

  for (const [feature, code] of Object.entries(CODES)) {
    it(`an instruction of ${feature} stops the machine, which never guesses`, () => {
      expect(FEATURES.find(({ name }) => name === feature)?.implemented).toBe(false);
      expect(outcome(code, `max,+${feature}`, { cr4: CR4 | 0x600 })).toBe("unimplemented");
    });
  }
});
