/** The caches in front of the TLB hold nothing that the TLB does not hold, whoever listens. */
import { describe, expect, it } from "vitest";
import type { EventKind } from "../../src/machine/events";
import { longMode, P, PD, PS, PT, RW, runToEnd } from "../support/longMode";

const PAGE = 0x150000;
const OTHER = 0x151000;
const PTE = PT + 8 * (PAGE >> 12);

const READ = "8b 18"; // mov ebx, [rax]
const READ_NEXT = "8b 1e"; // mov ebx, [rsi]
const INVLPG = "0f 01 38"; // invlpg [rax]
const SET_ENTRY = "48 89 11"; // mov [rcx], rdx
const MOV_CR3 = "0f 22 df"; // mov cr3, rdi

interface Setup {
  rcx?: number;
  rdx?: bigint;
  rsi?: number;
  rdi?: bigint;
  cr4?: number;
  tlb?: "max" | "off" | number;
  /** All kinds unless given. */
  events?: readonly EventKind[];
}

/** Runs code with RAX = the page; what EBX holds in the end. */
function result(code: string, setup: Setup = {}): number {
  const machine = longMode(`${code} f4`, {
    ...(setup.tlb === undefined ? {} : { tlb: setup.tlb }),
    ...(setup.cr4 === undefined ? {} : { cr4: setup.cr4 }),
    registers: {
      rax: BigInt(PAGE),
      rcx: BigInt(setup.rcx ?? PTE),
      rdx: setup.rdx ?? BigInt(OTHER) | P | RW,
      rsi: BigInt(setup.rsi ?? OTHER),
      rdi: setup.rdi ?? 0x1000n,
    },
  });
  machine.memory.write32(PAGE, 0x1111);
  machine.memory.write32(OTHER, 0x2222);
  if (setup.events !== undefined) machine.want(setup.events);
  runToEnd(machine);
  return Number(machine.cpu.getRegister(3));
}

describe.each([
  ["with all events", undefined],
  ["with no events", []],
] as const)("%s", (_name, events) => {
  const run = (code: string, setup: Setup = {}) =>
    result(code, { ...setup, ...(events === undefined ? {} : { events }) });

  it("a changed entry is used on until INVLPG", () => {
    expect(run(`${READ} ${SET_ENTRY} ${READ}`)).toBe(0x1111);
    expect(run(`${READ} ${SET_ENTRY} ${INVLPG} ${READ}`)).toBe(0x2222);
  });

  it("INVLPG of one page leaves another as it was cached", () => {
    // RSI's page is read, its entry changed, RAX's page flushed: RSI's is still stale.
    const setup = { rcx: PTE + 8, rdx: BigInt(PAGE) | P | RW };
    expect(run(`${READ} ${READ_NEXT} ${SET_ENTRY} ${INVLPG} ${READ_NEXT}`, setup)).toBe(0x2222);
  });

  it("INVLPG of any address in a large page flushes all of it (SDM vol. 3A, 4.10.4.1)", () => {
    // RSI and RAX lie in one 2 MiB page; its entry then leads to other memory, and RAX is flushed.
    const large = 0x400000;
    const machine = longMode(`8b 1e ${SET_ENTRY} 0f 01 3f 8b 1e f4`, {
      registers: {
        rcx: BigInt(PD + 16),
        rdx: 0x600000n | P | RW | PS,
        rsi: BigInt(large + 0x5000),
        rdi: BigInt(large + 0x9000),
      },
    });
    machine.memory.write32(large + 0x5000, 1);
    machine.memory.write32(0x605000, 2);
    if (events !== undefined) machine.want(events);
    runToEnd(machine);
    expect(machine.cpu.getRegister(3)).toBe(2n);
  });

  it("what a bounded TLB has lost is walked for again", () => {
    expect(run(`${READ} ${SET_ENTRY} ${READ_NEXT} ${READ}`, { tlb: 1 })).toBe(0x2222);
  });

  it("a translation of one PCID does not answer under another, and is there when the first comes back", () => {
    // CR3 with PCID 1 and without flushing (bit 63): the same tables, read anew.
    const setup = { cr4: 0x200a0, rdi: 0x8000000000001001n };
    expect(run(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ}`, setup)).toBe(0x2222);
    // Back to PCID 0, without flushing: mov rdi, r8; mov cr3, rdi.
    const back = "49 b8 00 10 00 00 00 00 00 80 4c 89 c7 0f 22 df";
    expect(run(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ} ${back} ${READ}`, setup)).toBe(0x1111);
  });
});

it("whether cached translations are compared with the tables may change while the machine runs", () => {
  const machine = longMode(`${READ} ${SET_ENTRY} ${READ} ${READ} f4`, {
    registers: { rax: BigInt(PAGE), rcx: BigInt(PTE), rdx: BigInt(OTHER) | P | RW },
  });
  machine.want([]);
  machine.run(3);
  machine.want(["stale-tlb"]);
  expect(runToEnd(machine).map(({ event }) => event)).toEqual(["stale-tlb", "halt"]);
});

it("the reason of a page fault that is only counted is not written", () => {
  const faults = (kinds: EventKind[], counted: EventKind[]) => {
    const machine = longMode(`${READ} f4`, { registers: { rax: 0x40000000n } });
    machine.want(kinds, counted);
    return runToEnd(machine).filter(({ event }) => event === "page-fault");
  };
  expect(faults([], ["page-fault"])).toMatchObject([{ address: 0x40000000n, error: 0, reason: "" }]);
  expect(faults(["page-fault"], ["page-fault"])[0]).toHaveProperty(
    "reason",
    expect.stringMatching(/not present/),
  );
  expect(faults([], [])).toEqual([]);
});

it("a large page that a write marked dirty is dirty in all of its parts", () => {
  const [first, second] = [0x310000n, 0x311000n];
  // mov ebx, [rax]; mov [rsi], ebx; mov [rax], ebx; hlt
  const machine = longMode("8b 18 89 1e 89 18 f4", { registers: { rax: first, rsi: second } });
  runToEnd(machine);
  const { mmu } = machine.cpu;
  // One for the code, one for the read, one that sets D.
  expect(mmu.walks).toBe(3);
  expect(mmu.held(first).translation).toMatchObject({ dirty: true, made: 1 });
});
