import { expect, test } from "vitest";
import { NM } from "../../src/machine/cpu/fault";
import { CR0, DATA, haltedIn, longMode, runToEnd } from "../support/longMode";

// fninit; fnstsw [rbx]; fnstcw [rbx+2]; fnstsw ax; hlt
const ASK = "db e3 dd 3b d9 7b 02 df e0 f4";

test("FNINIT leaves the words that a kernel takes for a sign of an FPU", () => {
  const machine = longMode(ASK, { registers: { rbx: BigInt(DATA), rax: 0x12345678n } });
  machine.memory.write32(DATA, -1);
  runToEnd(machine);
  expect(machine.memory.read32(DATA)).toBe(0x037f0000);
  expect(machine.cpu.getRegister(0)).toBe(0x12340000n);
});

test.each([
  ["TS", 8],
  ["EM", 4],
])("raises #NM with CR0.%s", (_, bit) => {
  const machine = longMode(ASK, { cr0: CR0 | bit, registers: { rbx: BigInt(DATA) } });
  machine.memory.write32(DATA, -1);
  runToEnd(machine);
  expect(haltedIn(machine)).toBe(NM);
  expect(machine.memory.read32(DATA) | 0).toBe(-1);
});
