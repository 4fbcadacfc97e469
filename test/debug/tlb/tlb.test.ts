import { describe, expect, test } from "vitest";
import type { Machine } from "../../../src/machine/machine";
import {
  CODE,
  G,
  type LongModeOptions,
  longMode,
  P,
  PD,
  PDPT,
  PML4,
  PS,
  PT,
  RW,
  US,
  XD,
} from "../../support/longMode";
import { CachedMachine } from "./cached";

const PAGE = 0x150000;
const PTE = PT + 8 * (PAGE >> 12);
/** Instructions: RAX = a page, RCX = an entry, RDX = its next value, RSI = a value of CR3. */
const READ = "8b 18";
const SET_ENTRY = "48 89 11";
const SET_NEXT = "4c 89 01"; // mov [rcx], r8
const MOV_CR3 = "0f 22 de";
const RAN = (code: string) => code.trim().split(/\s+/).length;

function cached(code: string, registers: Record<string, bigint> = {}, options: LongModeOptions = {}) {
  const machine = longMode(`${code} f4`, {
    ...options,
    registers: { rax: BigInt(PAGE), rcx: BigInt(PTE), rsi: BigInt(PML4), ...registers },
  });
  return new CachedMachine(machine);
}

/** After READ, a write of the entry, and nothing else. */
function changedTo(entry: bigint, first = BigInt(PAGE) | P | RW) {
  const it = cached(`${READ} ${SET_ENTRY}`, { rdx: entry });
  it.machine.memory.write64(PTE, first);
  it.machine.run(2);
  return it;
}

describe("an entry of the TLB", () => {
  test("has range, page size, frame, rights and age, and agrees with the tables", () => {
    const it = cached(READ);
    it.machine.run(1);
    const row = it.at(PAGE);
    expect(row).toMatchObject({ kind: "page", physical: "0x150000", end: "0x151000", expandable: false });
    expect(row.description).toBe("4K → 0x150000 RW US · made at 0");
    expect(row.tooltip).toContain("made at instruction 0, 1 instruction ago");
    expect(row.tooltip).toContain("*Agrees with the tables*");
    expect(row.stale).toBeUndefined();
  });

  test.each([
    ["mapped elsewhere", 0x151000n | P | RW | US],
    ["not present now", 0n],
    ["other rights", BigInt(PAGE) | P],
    ["a reserved bit is set now", BigInt(PAGE) | P | RW | (1n << 51n)],
  ])("is stale: %s", (words, entry) => {
    const it = changedTo(entry);
    const row = it.at(PAGE);
    expect(row.stale).toBe(true);
    expect(row.description).toContain(`stale: ${words}`);
    expect(row.tooltip).toContain("PTE 336 of 0x4000");
    expect(row.cause).toMatchObject({ instruction: 1, rip: `0x${(CODE + RAN(READ)).toString(16)}` });
    expect(row.cause?.text).toContain("entry 0x4a80 goes from 0x150023 to");
    expect(it.translations({ filter: "stale" }).map(({ start }) => start)).toEqual([row.start]);
  });

  test("is stale where the tables have a page of another size there", () => {
    const it = cached(`${READ} ${SET_ENTRY}`, { rcx: BigInt(PD), rdx: P | RW | US | PS });
    it.machine.run(2);
    expect(it.at(PAGE).description).toContain("stale: another page size");
    expect(it.structures().filter(({ stale }) => stale === true)).toHaveLength(1);
    expect(it.structures({ filter: "stale" })[0]).toMatchObject({
      start: "0x0",
      end: "0x200000",
      physical: "0x4000",
    });
  });

  test("is not stale for accessed, dirty and ignored bits", () => {
    expect(changedTo(BigInt(PAGE) | P | RW | 0xe60n).at(PAGE).stale).toBeUndefined();
  });

  test("of another PCID is not compared, since its root is not known", () => {
    const it = cached(
      `${READ} ${MOV_CR3} ${READ}`,
      { rsi: BigInt(PML4) | 5n },
      { cr4: 0x200a0, cpu: "max,+pcid" },
    );
    it.machine.run(3);
    const rows = it.translations().filter(({ start }) => start === "0x150000");
    expect(rows.map(({ description }) => description)).toEqual([
      expect.stringContaining("not compared: another PCID · 4K → 0x150000 RW US · PCID 0"),
      expect.stringMatching(/^4K → 0x150000 RW US · PCID 5/),
    ]);
    expect(it.ask().pcids).toEqual([0, 5]);
    expect(it.translations({ pcid: 5 }).map(({ start }) => start)).toEqual(["0x100000", "0x150000"]);
  });
});

describe("what made an entry stale", () => {
  test("is the last change with which it began to disagree", () => {
    // Away, back, away: in between it agreed.
    const it = cached(`${READ} ${SET_ENTRY} ${SET_NEXT} ${SET_ENTRY}`, {
      rdx: 0n,
      r8: BigInt(PAGE) | P | RW | US,
    });
    it.machine.run(2);
    expect(it.at(PAGE).cause?.instruction).toBe(1);
    it.machine.run(1);
    expect(it.at(PAGE).stale).toBeUndefined();
    it.machine.run(1);
    expect(it.at(PAGE).cause?.instruction).toBe(3);
  });

  test("is the first of several changes that all disagree", () => {
    const it = cached(`${READ} ${SET_ENTRY} ${SET_NEXT}`, { rdx: 0x151000n | P, r8: 0x152000n | P });
    it.machine.run(3);
    expect(it.at(PAGE).cause?.instruction).toBe(1);
  });

  test("is a change of a table above, though the walk now goes through another table", () => {
    const it = cached(`${READ} ${SET_ENTRY}`, { rcx: BigInt(PDPT), rdx: 0x300000n | P | RW });
    it.machine.run(2);
    const { cause, description } = it.at(PAGE);
    expect(description).toContain("stale: not present now");
    expect(cause?.text).toContain("entry 0x2000 goes from");
  });

  test("is a load of CR3 for a global entry, which stays", () => {
    const it = cached(`${READ} ${MOV_CR3}`, { rsi: 0x300000n });
    const { memory } = it.machine;
    memory.write64(PTE, BigInt(PAGE) | P | RW | G);
    memory.write64(0x300000, BigInt(0x301000) | P | RW);
    memory.write64(0x301000, P | RW | PS | (1n << 30n));
    it.machine.run(2);
    const row = it.at(PAGE);
    expect(row.description).toContain("RW G");
    expect(row.cause?.text).toContain("CR3 goes from 0x1000 to 0x300000");
  });

  test("is the user, where the debugger wrote the table", () => {
    const it = cached(`${READ} 90`);
    it.machine.run(1);
    it.machine.writePhysical(PTE, new Uint8Array(8));
    expect(it.at(PAGE).cause?.text).toContain("made stale by the user in the debugger: entry 0x4a80");
    it.machine.run(1);
    expect(it.at(PAGE).cause?.text).toContain("by the user");
  });

  test("is inherited from the paging-structure cache that a walk began with", () => {
    // Another PT for the first 2 MiB; then a page is read that was not cached: through the old PT.
    const it = cached(`${READ} ${SET_ENTRY} 8b 1f`, {
      rcx: BigInt(PD),
      rdx: 0x300000n | P | RW | US,
      rdi: 0x151000n,
    });
    it.machine.run(3);
    const [row] = it.translations({ address: 0x151000n });
    expect(row.start).toBe("0x151000");
    expect(row.stale).toBe(true);
    expect(row.cause?.instruction).toBe(1);
  });

  test("comes with the event of its use", () => {
    const it = cached(`${READ} ${SET_ENTRY} ${READ}`, { rdx: 0n });
    it.machine.onEvent = ({ event }) => event === "stale-tlb";
    expect(it.machine.run(10)).toMatchObject({
      reason: "event",
      event: {
        event: "stale-tlb",
        instruction: 2,
        cause: { kind: "write", instruction: 1, entry: PTE, new: 0n },
      },
    });
  });

  test("is not known where it is no longer kept", () => {
    // The write, and 70,000 others: of an entry for another page, in turns.
    const it = cached(`${READ} ${SET_ENTRY} b9 78 4a 00 00 bf 58 88 00 00 ${SET_NEXT} 48 89 29 ff cf 75 f6`, {
      rdx: 0n,
      r8: 0x14f000n | P | RW | US,
      rbp: 0x14e000n | P | RW | US,
    });
    it.machine.run(200_000);
    expect(it.at(PAGE)).toMatchObject({ stale: true });
    expect(it.at(PAGE).cause).toBeUndefined();
    expect(it.at(PAGE).tooltip).toContain("a change that is not recorded any more");
  });
});

describe("rows", () => {
  /** Reads a page after another: add rax, rdi; dec ecx; jnz. */
  const SWEEP = `${READ} 48 01 f8 ff c9 75 f7`;

  test("join consecutive pages, and open to single ones, in pages of rows", () => {
    const it = cached(SWEEP, { rax: 0n, rdi: 0x1000n, rcx: 256n });
    it.machine.run(4 * 256);
    const [run, ...others] = it.translations();
    expect(others).toEqual([]);
    expect(run).toMatchObject({ kind: "run", start: "0x0", end: "0x101000", expandable: true });
    expect(run.description).toMatch(/^257 × 4K → 0x0–0x101000 RW US · made at 0–/);
    const first = it.ask({ parent: run.id });
    expect([first.rows.length, first.total]).toEqual([200, 257]);
    const rest = it.ask({ parent: run.id, start: 200 });
    expect(rest.rows).toHaveLength(57);
    expect(rest.rows[56]).toMatchObject({ kind: "page", start: "0x100000" });
  });

  test("end where rights, tags, state or frames change", () => {
    const it = cached(SWEEP, { rax: 0x140000n, rdi: 0x1000n, rcx: 6n });
    const set = (page: number, value: bigint) => it.machine.memory.write64(PT + 8 * page, value);
    set(0x141, 0x141000n | P | RW | US | XD);
    set(0x142, 0x142000n | P | RW | US | G);
    set(0x144, 0x150000n | P | RW | US);
    it.machine.run(4 * 6);
    const rows = it.translations().filter(({ start }) => start !== "0x100000");
    expect(rows.map(({ start, description }) => `${start} ${description.replace(/ · .*/, "")}`)).toEqual([
      "0x140000 4K → 0x140000 RW US",
      "0x141000 4K → 0x141000 RW US NX",
      "0x142000 4K → 0x142000 RW US G",
      "0x143000 4K → 0x143000 RW US",
      "0x144000 4K → 0x150000 RW US",
      "0x145000 4K → 0x145000 RW US",
    ]);
    expect(it.translations({ filter: "global" }).map(({ start }) => start)).toEqual(["0x142000"]);
    expect(it.translations({ address: 0x144abcn }).map(({ start }) => start)).toEqual(["0x144000"]);
    expect(it.ask({ address: 0xffff800000000000n }).empty).toBe("No entry passes the filter.");
  });

  test("of tens of thousands of pages come at once", () => {
    const it = cached("90");
    const { tlb } = it.machine.cpu.mmu;
    for (let page = 0; page < 200_000; page++) {
      tlb.insert({
        page,
        pcid: 0,
        pageShift: 12,
        frame: page % 2 === 0 ? page * 4096 : 0,
        rights: 6,
        key: 0,
        global: false,
        dirty: false,
        made: 0,
        checked: 0,
      });
    }
    const { rows, total, summary } = it.ask({ parent: "translations" });
    expect(rows).toHaveLength(200);
    expect(total).toBeGreaterThan(50_000);
    expect(summary).toContain("of 200,000, 100,000 are shown");
  });

  test("of a parent that is gone are refused in words", () => {
    const it = cached(READ);
    it.machine.run(1);
    expect(() => it.ask({ parent: "run/0/12/0x999000" })).toThrow(
      'there is no row "run/0/12/0x999000" in the TLB now',
    );
  });
});

describe("where nothing is cached, a sentence says why", () => {
  test("paging is off", () => {
    const it = cached(READ, {}, { cr0: 0x11, efer: 0, code32: true });
    expect(it.ask().empty).toBe("Paging is off: linear addresses are physical ones, and nothing is cached.");
  });

  test("the TLB is off", () => {
    const it = cached(READ, {}, { tlb: "off" });
    it.machine.run(1);
    expect(it.ask().empty).toMatch(/^The machine runs with its TLB off/);
  });

  test("nothing has been translated yet", () => {
    expect(cached(READ).ask().empty).toMatch(/^Nothing is cached/);
  });
});

test("looking changes neither tables nor marks nor what happens afterwards", () => {
  const state = ({ cpu, memory }: Machine) => ({
    marks: [...cpu.mmu.tlb.entries(), ...[...cpu.mmu.tlb.structureEntries()].map(({ entry }) => entry)].map(
      ({ checked, made }) => [checked, made],
    ),
    generation: cpu.mmu.generation,
    tables: [PML4, PDPT, PD, PT].map((table) =>
      Buffer.from(memory.readBytes(table, 4096)).toString("base64"),
    ),
    flags: [PML4, PDPT, PD, PT, 0x300000].map((table) => memory.flagsOf(table)),
  });
  const run = (look: boolean) => {
    const it = cached(`${READ} ${SET_ENTRY} ${READ} ${SET_NEXT} ${READ}`, { rdx: 0n, r8: 0x300000n | P });
    const told: unknown[] = [];
    it.machine.onEvent = (event) => {
      told.push(event.event, event.instruction);
      return false;
    };
    for (let i = 0; i < 5; i++) {
      it.machine.run(1);
      const before = state(it.machine);
      if (look)
        for (const parent of [undefined, "translations", "structures"]) it.ask(parent ? { parent } : {});
      expect(state(it.machine)).toEqual(before);
    }
    return { told, end: state(it.machine) };
  };
  const looked = run(true);
  expect(looked).toEqual(run(false));
  expect(looked.told).toContain("stale-tlb");
});
