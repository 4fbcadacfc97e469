/**
 * What a loader hands to Linux by its 32-bit and 64-bit boot protocols: boot_params, the command line, the RAM disk.
 *
 * Unless told otherwise boot_params lies at 0x10000 and the command line at 0x20000.
 */
import type { PhysicalRange } from "../machine/memory";
import { BOOT_PARAMS_SIZE, buildBootParams, COMMAND_LINE_SIZE } from "./bootParams";
import { cString } from "./bytes";
import { type BzImage, canLieAbove4G } from "./bzImage";
import type { Layout } from "./layout";
import { placeRamdisk, type SparseFile } from "./ramdisk";

const DEFAULT_BOOT_PARAMS = 0x10000;
const DEFAULT_CMDLINE = 0x20000;

/** What a boot is given besides the kernel. Addresses are physical; the loader chooses those that are left out. */
export interface LinuxOptions {
  cmdline: string;
  ramdisk?: SparseFile;
  bootParamsAddress?: number;
  cmdlineAddress?: number;
  ramdiskAddress?: number;
  /** What the kernel was taken from, whose setup header it gets; one is made up for a kernel without. */
  bzImage?: BzImage;
}

/**
 * Puts boot_params, the command line and the RAM disk into memory.
 * @returns where boot_params and the command line are; the 64-bit entries have them mapped
 * @throws UsageError where they do not fit
 */
export function writeBootData(
  layout: Layout,
  kernel: { readonly start: number; readonly size: number },
  options: LinuxOptions,
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
function placeBootData(layout: Layout, cmdlineSize: number, options: LinuxOptions) {
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
