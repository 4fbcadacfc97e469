/**
 * The 64-bit entry of Linux (Linux documentation: "The Linux/x86 Boot Protocol", section "64-bit Boot Protocol"):
 * long mode, paging on, an identity map of the kernel, boot_params and the command line, CS = __BOOT_CS,
 * DS = ES = SS = __BOOT_DS, RSI = boot_params, interrupts off. There is no stack.
 *
 * Unless told otherwise boot_params lies at 0x10000 and the command line at 0x20000; the GDT and the page tables of
 * the loader take the lowest free memory from 0x1000 on. The identity map holds nothing but what the protocol names
 * and the GDT: what else a kernel touches, it has to map itself.
 */
import type { PhysicalRange } from "../machine/memory";
import type { StartState } from "../machine/startState";
import { BOOT_PARAMS_SIZE, buildBootParams, COMMAND_LINE_SIZE } from "./bootParams";
import { cString } from "./bytes";
import { type BzImage, canLieAbove4G } from "./bzImage";
import { buildBootGdt } from "./descriptors";
import { longModeState } from "./entryState";
import { UsageError } from "./errors";
import { buildIdentityMap } from "./identityMap";
import type { Layout } from "./layout";
import type { LoadedImage } from "./load";
import { placeRamdisk, type SparseFile } from "./ramdisk";

const DEFAULT_BOOT_PARAMS = 0x10000;
const DEFAULT_CMDLINE = 0x20000;

/** What a boot is given besides the kernel. Addresses are physical; the loader chooses those that are left out. */
export interface Linux64Options {
  cmdline: string;
  ramdisk?: SparseFile;
  bootParamsAddress?: number;
  cmdlineAddress?: number;
  ramdiskAddress?: number;
  /** What the kernel was taken from, whose setup header it gets; one is made up for a kernel without. */
  bzImage?: BzImage;
}

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
export function bootLinux64(layout: Layout, kernel: LoadedImage, options: Linux64Options): StartState {
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
export function enterLinux64(layout: Layout, kernel: Linux64Kernel, options: Linux64Options): StartState {
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

/**
 * Puts boot_params, the command line and the RAM disk into memory.
 * @returns where those are that every entry has mapped
 * @throws UsageError where they do not fit
 */
export function writeBootData(
  layout: Layout,
  kernel: { readonly start: number; readonly size: number },
  options: Linux64Options,
): { bootParams: PhysicalRange; cmdline: PhysicalRange } {
  const { bzImage } = options;
  const limit = bzImage === undefined ? COMMAND_LINE_SIZE : bzImage.cmdlineSize + 1;
  const text = cString(options.cmdline, "the command line", limit);
  const { bootParams, cmdline, ramdisk } = placeBootData(layout, text.length, options);
  layout.write(cmdline, text);
  layout.write(
    bootParams,
    buildBootParams({
      e820: layout.memoryMap.e820,
      cmdline,
      kernel: { address: kernel.start, size: kernel.size },
      ...(bzImage === undefined ? {} : { setupHeader: bzImage.setupHeader }),
      ...(ramdisk === undefined ? {} : { ramdisk }),
    }),
  );
  return {
    bootParams: { start: bootParams, end: bootParams + BOOT_PARAMS_SIZE },
    cmdline: { start: cmdline, end: cmdline + text.length },
  };
}

/** Things with an address from the user come first, so that what the loader chooses makes way for them. */
function placeBootData(layout: Layout, cmdlineSize: number, options: Linux64Options) {
  const { bootParamsAddress, cmdlineAddress, ramdiskAddress } = options;
  const file = options.ramdisk?.size === 0 ? undefined : options.ramdisk;
  if (bootParamsAddress !== undefined) layout.claim("boot_params", bootParamsAddress, BOOT_PARAMS_SIZE);
  if (cmdlineAddress !== undefined) layout.claim("command line", cmdlineAddress, cmdlineSize);
  const fixed =
    file === undefined || ramdiskAddress === undefined
      ? undefined
      : placeRamdisk(layout, file, { address: ramdiskAddress });
  const limits = ramdiskLimits(options.bzImage);
  return {
    bootParams: bootParamsAddress ?? layout.prefer("boot_params", DEFAULT_BOOT_PARAMS, BOOT_PARAMS_SIZE),
    cmdline: cmdlineAddress ?? layout.prefer("command line", DEFAULT_CMDLINE, cmdlineSize),
    ramdisk: file === undefined ? undefined : (fixed ?? placeRamdisk(layout, file, limits)),
  };
}

/** Below what the kernel names (initrd_addr_max), and above only where it can do with that. */
function ramdiskLimits(bzImage: BzImage | undefined): { limit?: number; strict?: boolean } {
  return bzImage === undefined ? {} : { limit: bzImage.initrdAddrMax + 1, strict: !canLieAbove4G(bzImage) };
}
