import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CallFrames } from "../../src/symbols/dwarf/cfi";
import { dwarfSections } from "../../src/symbols/dwarf/sections";
import { parseElf } from "../../src/symbols/elf";
import { OrcFrames } from "../../src/symbols/orc";
import { Symbols } from "../../src/symbols/symbols";
import { FLAVOURS, skipReason, vmlinuxOf } from "../support/linux/kernels";

const LINKED = 0xffffffff82c00000n;
const CODE = 0xffffffff81000000n;
const STACK = 0xffffffff82a03000n;

interface Entry {
  at: bigint;
  sp: number;
  bp?: number;
  spRegister: number;
  bpRegister?: number;
  kind: number;
}

function orc(entries: readonly Entry[], withHeader = false): OrcFrames {
  const addresses = new DataView(new ArrayBuffer(4 * entries.length));
  const table = new DataView(new ArrayBuffer(6 * entries.length));
  for (const [i, { at, sp, bp, spRegister, bpRegister, kind }] of entries.entries()) {
    addresses.setInt32(4 * i, Number(at - LINKED) - 4 * i, true);
    table.setInt16(6 * i, sp, true);
    table.setInt16(6 * i + 2, bp ?? 0, true);
    table.setUint16(6 * i + 4, spRegister | ((bpRegister ?? 0) << 4) | (kind << 8), true);
  }
  return new OrcFrames({
    addresses: new Uint8Array(addresses.buffer),
    linked: LINKED,
    entries: new Uint8Array(table.buffer),
    withHeader,
  });
}

/** A stack whose words are 0x1000, 0x1001 and so on, from STACK up. */
function read(address: bigint, length: number): Uint8Array | undefined {
  if (address < STACK || address + BigInt(length) > STACK + 0x1000n) return undefined;
  const bytes = new DataView(new ArrayBuffer(length));
  for (let i = 0; i < length; i += 8)
    bytes.setBigUint64(i, 0x1000n + (address - STACK + BigInt(i)) / 8n, true);
  return new Uint8Array(bytes.buffer);
}

const registers = (rip: bigint, more: readonly [number, bigint][] = []) =>
  new Map<number, bigint>([[16, rip], [7, STACK], [6, STACK + 0x100n], ...more]);
const PREVIOUS_SP = 1;
const [DX, BP, SP, R10, BP_INDIRECT, SP_INDIRECT] = [2, 4, 5, 6, 8, 9];

describe("unwinding by ORC", () => {
  test("a call's frame has its return address below where the caller's stack was", () => {
    const frames = orc([
      { at: CODE, sp: 8, spRegister: SP, kind: 0 },
      { at: CODE + 0x10n, sp: 24, spRegister: SP, bp: -16, bpRegister: PREVIOUS_SP, kind: 0 },
      { at: CODE + 0x20n, sp: 16, spRegister: BP, kind: 0 },
    ]);
    expect(frames.unwind(registers(CODE + 0xfn), read)).toEqual({
      registers: new Map([
        [6, STACK + 0x100n],
        [16, 0x1000n],
        [7, STACK + 8n],
      ]),
      cfa: STACK + 8n,
      signalFrame: false,
    });
    expect(frames.unwind(registers(CODE + 0x10n), read)?.registers).toEqual(
      new Map([
        [6, 0x1001n],
        [16, 0x1002n],
        [7, STACK + 24n],
      ]),
    );
    expect(frames.unwind(registers(CODE + 0x2000n), read)?.cfa).toBe(STACK + 0x110n);
    expect(frames.unwind(registers(CODE - 1n), read)).toBeUndefined();
  });

  test("the stack pointer is found behind other registers and in memory", () => {
    const frames = orc([
      { at: CODE, sp: 8, spRegister: SP_INDIRECT, kind: 0 },
      { at: CODE + 0x10n, sp: -16, spRegister: BP_INDIRECT, kind: 0 },
      { at: CODE + 0x20n, sp: 0, spRegister: R10, kind: 0 },
      { at: CODE + 0x30n, sp: 0, spRegister: DX, kind: 0 },
    ]);
    const stack = (rip: bigint) =>
      frames.unwind(
        registers(rip, [
          [10, STACK + 0x40n],
          [1, STACK + 0x50n],
        ]),
        anywhere,
      )?.cfa;
    const anywhere = (address: bigint, length: number) => read(address, length) ?? new Uint8Array(length);
    expect(stack(CODE)).toBe(0x1008n);
    expect(stack(CODE + 0x10n)).toBe(0x1000n + 0xf0n / 8n);
    expect(stack(CODE + 0x20n)).toBe(STACK + 0x40n);
    expect(stack(CODE + 0x30n)).toBe(STACK + 0x50n);
  });

  test("an entry's frame gives the registers of the code that it interrupted", () => {
    const frames = orc([
      { at: CODE, sp: 0, spRegister: SP, kind: 1 },
      { at: CODE + 0x10n, sp: 8, spRegister: SP, kind: 2 },
    ]);
    const whole = frames.unwind(registers(CODE), read);
    expect(whole?.signalFrame).toBe(true);
    // Saved from R15 up to RDI, then the error code, RIP, CS, RFLAGS, RSP.
    expect(whole?.registers.get(15)).toBe(0x1000n);
    expect(whole?.registers.get(6)).toBe(0x1004n);
    expect(whole?.registers.get(5)).toBe(0x100en);
    expect(whole?.registers.get(16)).toBe(0x1010n);
    expect(whole?.registers.get(7)).toBe(0x1013n);
    const partial = frames.unwind(registers(CODE + 0x10n), read);
    expect(partial).toEqual({
      registers: new Map([
        [6, STACK + 0x100n],
        [16, 0x1001n],
        [7, 0x1004n],
      ]),
      cfa: STACK + 8n,
      signalFrame: true,
    });
  });

  test("ends where the stack does, and where it cannot be read", () => {
    const frames = orc([
      { at: CODE, sp: 0, spRegister: 0, kind: 0 },
      { at: CODE + 0x10n, sp: 0x7000, spRegister: SP, kind: 0 },
    ]);
    expect(frames.unwind(registers(CODE), read)).toBeUndefined();
    expect(frames.unwind(registers(CODE + 0x10n), read)).toBeUndefined();
  });

  test("kinds are numbered otherwise where there is a header", () => {
    const entry = { at: CODE, sp: 8, spRegister: SP };
    const kinds = [0, 1, 2, 3, 4, 5].map((kind) => {
      const frame = orc([{ ...entry, kind }], true).unwind(registers(CODE), read);
      return frame === undefined ? "none" : frame.signalFrame ? "interrupted" : "call";
    });
    expect(kinds).toEqual(["none", "none", "call", "interrupted", "interrupted", "none"]);
  });

  test("by garbage is harmless", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.uint8Array({ maxLength: 200 }),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.boolean(),
        (addresses, entries, rip, withHeader) => {
          const frames = new OrcFrames({ addresses, linked: LINKED, entries, withHeader });
          const frame = frames.unwind(registers(rip), (_, length) => new Uint8Array(length).fill(0xff));
          if (frame !== undefined) expect(frame.registers.get(16)).toBeDefined();
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe.each(FLAVOURS)("unwinding of Debian's kernel %s", (flavour) => {
  const file = vmlinuxOf(flavour);

  test.skipIf(file === undefined)(
    file === undefined
      ? skipReason(flavour)
      : "by ORC and by call frame information agree but for inline assembly",
    () => {
      const elf = parseElf(readFileSync(file ?? ""));
      const symbols = Symbols.fromElf(elf, { loadDelta: 0 });
      const addresses = elf.section(".orc_unwind_ip");
      const frames = new OrcFrames({
        addresses: elf.sectionData(".orc_unwind_ip") ?? new Uint8Array(),
        linked: addresses?.address ?? 0n,
        entries: elf.sectionData(".orc_unwind") ?? new Uint8Array(),
        withHeader: false,
      });
      const names = [
        "start_kernel",
        "init_mem_mapping",
        "early_make_pgtable",
        "vprintk",
        "kmalloc_large",
        "do_page_fault",
      ];
      const callFrames = new CallFrames(
        dwarfSections((name) => elf.sectionData(name)),
        { address: 0n },
        8,
        () => undefined,
      );
      let compared = 0;
      let other = 0;
      for (const name of [...names, ...symbols.names("__x64_sys_", 60), ...symbols.names("mem", 60)]) {
        const start = symbols.addressOf(name);
        const size = Number(symbols.sizeOf(name) ?? 0n);
        for (let at = 0; start !== undefined && at < size; at++) {
          const rip = start + BigInt(at);
          const dwarf = callFrames.unwind(registers(rip), read);
          const own = frames.unwind(registers(rip), read);
          if (dwarf === undefined || own === undefined || dwarf.signalFrame) continue;
          if (own.cfa !== dwarf.cfa || own.registers.get(16) !== dwarf.registers.get(16)) other++;
          compared++;
        }
      }
      expect(compared).toBeGreaterThan(5000);
      // Of what inline assembly pushes, the compiler's information does not know.
      expect(other / compared).toBeLessThan(0.01);
    },
    60_000,
  );

  test.skipIf(file === undefined)(
    file === undefined ? skipReason(flavour) : "leads through the assembly that handles an early exception",
    () => {
      const symbols = Symbols.fromElf(parseElf(readFileSync(file ?? "")), { loadDelta: 0 });
      const handler = symbols.addressOf("early_idt_handler_common") ?? 0n;
      const caller = Array.from({ length: 160 }, (_, at) =>
        symbols.debug?.unwind(registers(handler + BigInt(at)), read),
      );
      expect(caller.filter((frame) => frame?.signalFrame === true).length).toBeGreaterThan(20);
    },
    60_000,
  );
});
