/** All that a guest, or a debugger, can tell of a machine, as text that can be compared. */
import { createHash } from "node:crypto";
import { R_EA_HIGH, R_FLAGS, R_HIGH, R_KIND, R_OP1, R_OP2, R_RES } from "../../src/machine/cpu/registers";
import type { Machine } from "../../src/machine/machine";
import { PAGE_SIZE } from "../../src/machine/memory";

/** Words of the register file that hold no state of their own: the lazy flags (see `rflags`), and scratch. */
const SCRATCH = new Set([
  R_EA_HIGH,
  R_FLAGS,
  R_HIGH,
  R_KIND,
  R_RES,
  R_RES + 1,
  R_OP1,
  R_OP1 + 1,
  R_OP2,
  R_OP2 + 1,
]);

/** Registers, TLB, devices and the rest, without memory. */
export function stateOf(machine: Machine): unknown {
  const { cpu, mmu, io, hypervisor, roots, interrupts, apic, apicBase, apicAt } = machine.save();
  const { registers, milestoneToldAt: _told, ...rest } = cpu;
  const entries = mmu.tlb.entries.map((entry) => JSON.stringify(entry)).sort();
  const structures = mmu.tlb.structures.map((entry) => JSON.stringify(entry)).sort();
  const queue = mmu.tlb.queue.map(({ page, pcid }) => `${pcid}:${page}`);
  const words = [...registers].filter((_word, index) => !SCRATCH.has(index));
  return {
    ...rest,
    words,
    rflags: machine.cpu.rflags,
    generation: mmu.generation,
    entries,
    structures,
    queue,
    tableUse: [...mmu.tableUse].sort(([a], [b]) => a - b),
    io,
    interrupts,
    apic,
    apicBase,
    apicAt,
    hypervisor,
    roots,
  };
}

/** A hash of the frames from one physical address to another. */
export function memoryHash(machine: Machine, start: number, end: number): string {
  const hash = createHash("sha1");
  for (let frame = start; frame < end; frame += PAGE_SIZE) {
    const contents = machine.memory.contentsOf(frame);
    if (contents === 0) continue;
    hash.update(`${frame}:`);
    hash.update(contents === 0xff ? "ones" : contents);
  }
  return hash.digest("hex");
}

/** Both, as one text. */
export function digest(machine: Machine, end: number): string {
  const state = JSON.stringify(stateOf(machine), (_key, value) => {
    if (typeof value === "bigint") return `${value}n`;
    if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)];
    return value instanceof Map ? [...value] : value;
  });
  return `${memoryHash(machine, 0, end)} ${state}`;
}
