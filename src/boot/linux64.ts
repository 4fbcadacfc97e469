/**
 * The 64-bit entry of Linux (Linux documentation: "The Linux/x86 Boot Protocol", section "64-bit Boot Protocol"):
 * long mode, paging on, an identity map of the kernel, boot_params and the command line, CS = __BOOT_CS,
 * DS = ES = SS = __BOOT_DS, RSI = boot_params, interrupts off. There is no stack.
 *
 * The GDT and the page tables of the loader take the lowest free memory from 0x1000 on. The identity map holds nothing
 * but what the protocol names and the GDT: what else a kernel touches, it has to map itself.
 */
import type { PhysicalRange } from "../machine/memory";
import type { StartState } from "../machine/startState";
import { buildBootGdt } from "./descriptors";
import { longModeState } from "./entryState";
import { UsageError } from "./errors";
import { buildIdentityMap } from "./identityMap";
import type { Layout } from "./layout";
import { type LinuxOptions, writeBootData } from "./linuxBootData";
import type { LoadedImage } from "./load";

/** A kernel in memory; addresses are physical. */
export interface Linux64Kernel {
  entry: number;
  start: number;
  /** Bytes that it occupies from `start` on. */
  size: number;
  /** What the identity map holds of it. */
  mapped: readonly PhysicalRange[];
}

/**
 * Lays out everything the kernel is given.
 * @throws UsageError where things do not fit; ImageError where the image has no such entry
 */
export function bootLinux64(layout: Layout, kernel: LoadedImage, options: LinuxOptions): StartState {
  if (kernel.image.class !== 64) {
    throw new UsageError("the image is 32-bit, so it has no 64-bit Linux entry: use --entry pvh or elf");
  }
  const { start, end, ranges } = kernel;
  return enterLinux64(layout, { entry: kernel.entry(), start, size: end - start, mapped: ranges }, options);
}

/**
 * Lays out what a kernel in memory is given, and the page tables and the GDT that its loader uses.
 * @throws UsageError where things do not fit
 */
export function enterLinux64(layout: Layout, kernel: Linux64Kernel, options: LinuxOptions): StartState {
  const { bootParams, cmdline } = writeBootData(layout, kernel, options);
  const gdtr = buildBootGdt(layout, 64);
  const gdt = Number(gdtr.base);
  const cr3 = buildIdentityMap(layout, [
    ...kernel.mapped,
    bootParams,
    cmdline,
    { start: gdt, end: gdt + gdtr.limit + 1 },
  ]);
  return {
    ...longModeState(kernel.entry, cr3, gdtr),
    registers: { rsi: BigInt(bootParams.start) },
  };
}
