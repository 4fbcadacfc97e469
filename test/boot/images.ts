/** Small images to boot, and ways of looking at what came of them. */
import type { Boot } from "../../src/boot/boot";
import { PhysicalMemory } from "../../src/machine/memory";
import { type ElfToWrite, pvhNote, writeElf } from "../support/elfWriter";

export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const KERNEL_MAP = 0xffffffff80000000n;
/** hlt; jmp to it. */
export const HALT = Uint8Array.of(0xf4, 0xeb, 0xfd);

/** Linked like Linux: virtual in the kernel map, physical and entry at 16 MiB; 3 MiB of bss. */
export function kernel(changes: ElfToWrite = {}, code: Uint8Array = HALT): Uint8Array {
  return writeElf({
    entry: 0x1000000n,
    segments: [
      {
        virtualAddress: KERNEL_MAP + 0x1000000n,
        physicalAddress: 0x1000000n,
        bytes: code,
        memorySize: 3 * MIB,
      },
    ],
    ...changes,
  });
}

/** A 32-bit image with a PVH entry at 1 MiB + 1. */
export function pvhKernel(entry = 0x100001): Uint8Array {
  return writeElf({
    class: 32,
    segments: [{ virtualAddress: 0x100000n, bytes: HALT, memorySize: 0x2000 }, pvhNote(entry)],
  });
}

/** The machine's memory after the boot was applied. */
export function memoryOf(boot: Boot): PhysicalMemory {
  const memory = new PhysicalMemory(boot.ram);
  boot.apply(memory);
  return memory;
}

/** A thing that was placed, by name. */
export function placed(boot: Boot, name: string): { start: number; end: number } {
  const found = boot.placements.find((placement) => placement.name === name);
  if (found === undefined) throw new Error(`${name} was not placed`);
  return { start: found.start, end: found.end };
}

/** Text up to its NUL. */
export function textAt(memory: PhysicalMemory, address: number): string {
  let text = "";
  for (let at = address; memory.read8(at) !== 0; at++) text += String.fromCharCode(memory.read8(at));
  return text;
}

/** The 2 MiB pages that 4-level tables map, as [linear, physical, flags]; other page sizes are an error. */
export function largePages(memory: PhysicalMemory, root: number): [number, number, number][] {
  const pages: [number, number, number][] = [];
  const visit = (table: number, level: number, linear: number): void => {
    const span = 2 ** (12 + 9 * (level - 1));
    for (let index = 0; index < 512; index++) {
      const entry = memory.read64(table + 8 * index);
      if ((entry & 1n) === 0n) continue;
      const frame = Number(entry & 0xffffffffff000n);
      const flags = Number(entry & 0xfffn);
      if ((flags & 0x80) === 0) {
        if (level === 2 || flags !== 0x63) throw new Error(`entry ${entry.toString(16)} at level ${level}`);
        visit(frame, level - 1, linear + index * span);
      } else pages.push([linear + index * span, frame, flags]);
    }
  };
  visit(root, 4, 0);
  return pages;
}
