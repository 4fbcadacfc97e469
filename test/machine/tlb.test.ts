import { describe, expect, it } from "vitest";
import type { MachineEvent } from "../../src/machine/events";
import type { Machine } from "../../src/machine/machine";
import {
  CODE,
  DATA,
  G,
  haltedIn,
  hexBytes,
  longMode,
  P,
  PD,
  PML4,
  PT,
  RW,
  runToEnd,
  XD,
} from "../support/longMode";

/** 4 KiB page under test, and where it is mapped first and later. */
const PAGE = 0x150000;
const FIRST = 0x150000;
const SECOND = 0x151000;
const PTE = PT + 8 * (PAGE >> 12);

const READ = "8b 18"; // mov ebx, [rax]
const WRITE = "89 18"; // mov [rax], ebx
const INVLPG = "0f 01 38"; // invlpg [rax]
const SET_ENTRY = "48 89 11"; // mov [rcx], rdx
const MOV_CR3 = "0f 22 de"; // mov cr3, rsi
const MOV_CR4 = "0f 22 e7"; // mov cr4, rdi

interface Options {
  entry?: bigint;
  next?: bigint;
  tlb?: "max" | "off" | number;
  cr4?: number;
  rdi?: bigint;
  rsi?: bigint;
  cpu?: string;
}

/** RAX = the page, RCX = its entry, RDX = the entry's next value, RSI = CR3. */
function paged(code: string, options: Options = {}): { machine: Machine; events: MachineEvent[] } {
  const machine = longMode(`${code} f4`, {
    ...(options.tlb === undefined ? {} : { tlb: options.tlb }),
    ...(options.cr4 === undefined ? {} : { cr4: options.cr4 }),
    ...(options.cpu === undefined ? {} : { cpu: options.cpu }),
    registers: {
      rax: BigInt(PAGE),
      rcx: BigInt(PTE),
      rdx: options.next ?? BigInt(SECOND) | P | RW,
      rsi: options.rsi ?? BigInt(PML4),
      rdi: options.rdi ?? 0n,
    },
  });
  machine.memory.write64(PTE, options.entry ?? BigInt(FIRST) | P | RW);
  machine.memory.write32(FIRST, 0x1111);
  machine.memory.write32(SECOND, 0x2222);
  return { machine, events: runToEnd(machine) };
}

const ebx = (machine: Machine) => Number(machine.cpu.getRegister(3));
const stale = (events: MachineEvent[]) => events.filter((event) => event.event === "stale-tlb");

describe("the TLB keeps what nothing flushed (SDM vol. 3A, 4.10)", () => {
  it("goes on translating by an entry that has changed, and says so once", () => {
    const { machine, events } = paged(`${READ} ${SET_ENTRY} ${READ} ${READ}`);
    expect(ebx(machine)).toBe(0x1111);
    expect(stale(events)).toMatchObject([
      { address: BigInt(PAGE), cached: FIRST, tables: SECOND, instruction: 2 },
    ]);
  });

  it("sees the change after INVLPG, without any stale use", () => {
    const { machine, events } = paged(`${READ} ${SET_ENTRY} ${INVLPG} ${READ}`);
    expect(ebx(machine)).toBe(0x2222);
    expect(stale(events)).toEqual([]);
  });

  it("sees the change at once with tlb=off", () => {
    const { machine, events } = paged(`${READ} ${SET_ENTRY} ${READ}`, { tlb: "off" });
    expect(ebx(machine)).toBe(0x2222);
    expect(stale(events)).toEqual([]);
  });

  it("does not cache entries that are not present", () => {
    const { machine } = paged(`${SET_ENTRY} ${READ}`, { entry: 0n });
    expect(ebx(machine)).toBe(0x2222);
  });

  it("tells of a cleared entry that is still in use, with the reason", () => {
    const { machine, events } = paged(`${READ} ${SET_ENTRY} ${READ}`, { next: 0n });
    expect(ebx(machine)).toBe(0x1111);
    expect(stale(events)[0]).toMatchObject({ cached: FIRST });
    expect(stale(events)[0]).not.toHaveProperty("tables");
  });

  it("keeps stale rights too: a page made read-only stays writable until flushed", () => {
    const { machine, events } = paged(`${WRITE} ${SET_ENTRY} ${WRITE} ${INVLPG} ${WRITE}`, {
      next: BigInt(FIRST) | P,
    });
    expect(stale(events)).toHaveLength(1);
    expect(haltedIn(machine)).toBe(14);
  });

  it("forgets the entry of the address of a page fault (4.10.4.1)", () => {
    // Read-only at first: the write faults, and the next read must see the new frame.
    const { machine } = paged(`${READ} ${SET_ENTRY} ${WRITE}`, { entry: BigInt(FIRST) | P });
    expect(haltedIn(machine)).toBe(14);
    machine.memory.writeBytes(CODE, hexBytes(`${READ} f4`));
  });

  it("keeps a structure-cache entry: a changed PDE is not seen by a new page below it until flushed", () => {
    // Read page A, point the PDE to another table, read page B of the same 2 MiB.
    const machine = longMode(`8b 18 48 89 11 8b 5e 00 f4`, {
      registers: {
        rax: BigInt(PAGE),
        rcx: BigInt(PD),
        rdx: BigInt(DATA) | P | RW,
        rsi: BigInt(PAGE + 0x1000),
      },
    });
    // The other table maps everything to where it is, but for page B.
    for (let i = 0; i < 512; i++) machine.memory.write64(DATA + 8 * i, BigInt(i * 0x1000) | P | RW);
    machine.memory.write64(DATA + 8 * ((PAGE >> 12) + 1), 0x180000n | P | RW);
    machine.memory.write32(PAGE + 0x1000, 0xaaaa);
    machine.memory.write32(0x180000, 0xbbbb);
    const events = runToEnd(machine);
    expect(ebx(machine)).toBe(0xaaaa);
    // The code's own page has other rights now; that is found when it is fetched from next.
    expect(stale(events).map(({ address }) => address)).toEqual([BigInt(CODE + 5), BigInt(PAGE + 0x1000)]);
  });
});

describe("global entries and PCIDs (SDM vol. 3A, 4.10.2 and 4.10.4)", () => {
  it("keeps a global entry over MOV CR3 and drops others", () => {
    const local = paged(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ}`);
    expect(ebx(local.machine)).toBe(0x2222);
    const global = paged(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ}`, { entry: BigInt(FIRST) | P | RW | G });
    expect(ebx(global.machine)).toBe(0x1111);
    expect(stale(global.events)).toHaveLength(1);
  });

  it("drops global entries when CR4.PGE changes, and with INVLPG", () => {
    const toggled = paged(`${READ} ${SET_ENTRY} ${MOV_CR4} ${READ}`, {
      entry: BigInt(FIRST) | P | RW | G,
      rdi: 0x20n,
    });
    expect(ebx(toggled.machine)).toBe(0x2222);
    const invalidated = paged(`${READ} ${SET_ENTRY} ${INVLPG} ${READ}`, {
      entry: BigInt(FIRST) | P | RW | G,
    });
    expect(ebx(invalidated.machine)).toBe(0x2222);
  });

  it("ignores G while CR4.PGE is clear", () => {
    const { machine } = paged(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ}`, {
      entry: BigInt(FIRST) | P | RW | G,
      cr4: 0x20,
    });
    expect(ebx(machine)).toBe(0x2222);
  });

  it("keeps the entries of another PCID, and those of its own with bit 63", () => {
    const pcids = { cr4: 0x200a0, cpu: "max,+pcid" };
    const other = paged(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ}`, { ...pcids, rsi: BigInt(PML4) | 1n });
    expect(ebx(other.machine)).toBe(0x2222);
    const kept = paged(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ}`, { ...pcids, rsi: BigInt(PML4) | XD });
    expect(ebx(kept.machine)).toBe(0x1111);
    const flushed = paged(`${READ} ${SET_ENTRY} ${MOV_CR3} ${READ}`, { ...pcids });
    expect(ebx(flushed.machine)).toBe(0x2222);
  });
});

describe("accessed and dirty flags (SDM vol. 3A, 4.8)", () => {
  const flags = (machine: Machine) => machine.memory.read32(PTE) & 0x60;

  it("sets A on a read, D on the first write, also through a clean cached entry", () => {
    expect(flags(paged(READ).machine)).toBe(0x20);
    expect(flags(paged(WRITE).machine)).toBe(0x60);
    expect(flags(paged(`${READ} ${WRITE}`).machine)).toBe(0x60);
  });

  it("does not read them again on a hit: A cleared by software stays clear", () => {
    const { machine } = paged(`${READ} ${SET_ENTRY} ${READ}`, { next: BigInt(FIRST) | P | RW });
    expect(flags(machine)).toBe(0);
  });

  it("sets nothing in a walk that faults", () => {
    const { machine } = paged(WRITE, { entry: BigInt(FIRST) | P });
    expect(haltedIn(machine)).toBe(14);
    expect(flags(machine)).toBe(0);
  });

  it("writes A and D into tables that are mapped read-only", () => {
    const machine = longMode(`${READ} f4`, { registers: { rax: BigInt(PAGE) } });
    machine.memory.write64(PT + 8 * (PT >> 12), BigInt(PT) | P);
    runToEnd(machine);
    expect(machine.memory.read32(PTE) & 0x20).toBe(0x20);
  });
});

describe("a bounded TLB", () => {
  it("holds no more than its capacity, and walks again for what it lost", () => {
    const { machine } = paged(`${READ} ${SET_ENTRY} 8b 1e ${READ}`, { tlb: 1 });
    expect([...machine.cpu.mmu.tlb.entries()].length).toBeLessThanOrEqual(1);
    expect(ebx(machine)).toBe(0x2222);
  });
});
