/** Boots of ours in QEMU: they begin as on our machine, and come to the same end. */
import { describe, expect, test } from "vitest";
import { GIB, Guest, MIB } from "../bootProgram";
import { compareTables } from "./compareTables";
import { QemuMachine, qemuMissing } from "./qemuMachine";

const BOOTS = [
  { program: "early-fault", settings: { ramdisk: "16M", checksum: "on" }, memory: GIB },
  { program: "direct-map", settings: { variant: "native" }, memory: 256 * MIB },
  { program: "direct-map", settings: { variant: "native-nopse" }, memory: 256 * MIB },
] as const;
const TIMEOUT = 60_000;
const SEGMENTS = ["cs", "ss", "ds", "es", "fs", "gs"] as const;

describe.each(BOOTS)("$program $settings in QEMU", ({ program, settings, memory }) => {
  test("begins in our start state, and makes our tables and our output", { timeout: TIMEOUT }, async ({
    skip,
  }) => {
    const missing = qemuMissing();
    if (missing !== undefined) skip(`SKIPPED: ${missing}`);
    const { boot, machine, events } = new Guest(program, { ...settings }, { memory });
    const qemu = await QemuMachine.startBoot(boot, {
      memory: `${memory / MIB}M`,
      cpu: "max,vendor=GenuineIntel,phys-bits=48",
    });
    try {
      const { gdb } = qemu;
      const { start } = boot;
      await gdb.setBreakpoint(start.rip);
      await gdb.continueHere();
      const { rip, eflags, rsp, rsi, cr0, cr3, cr4, efer, ...rest } = await gdb.registers();
      expect({ rip, rsi, cr3 }).toEqual({ rip: start.rip, rsi: start.registers?.rsi, cr3: start.cr3 });
      expect([cr0, cr4, efer].map(Number)).toEqual([start.cr0, start.cr4, start.efer]);
      expect([eflags, rsp]).toEqual([2n, 0n]);
      for (const name of SEGMENTS) expect(Number(rest[name]), name).toBe(start.segments[name].selector);
      await gdb.removeBreakpoint(start.rip);

      machine.run(1e9);
      const lines = events.flatMap((event) => (event.event === "serial" ? [event.text] : []));
      const serial = await qemu.serialOutput();
      await gdb.continueUntil(serial.until(lines.length, TIMEOUT / 2));
      expect(serial.lines).toEqual(lines);
      const { pages, different } = await compareTables(machine, qemu);
      expect(pages).toBeGreaterThan(3);
      expect(different).toEqual([]);
    } finally {
      await qemu.stop();
    }
  });
});
