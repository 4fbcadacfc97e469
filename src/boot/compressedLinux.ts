/**
 * The entries of a bzImage (Linux documentation: "The Linux/x86 Boot Protocol"), behind which its decompressor makes room
 * for the kernel, decompresses it, and enters it.
 *
 * "64-bit Boot Protocol": 0x200 behind the start of the protected-mode kernel; otherwise everything is as at the
 * 64-bit entry of the kernel itself (linux64.ts). "32-bit Boot Protocol": at its start, in protected mode with paging off,
 * CS = __BOOT_CS, DS = ES = SS = __BOOT_DS, ESI = boot_params, EBP = EDI = EBX = 0, interrupts off: what the setup code
 * in a bzImage goes on with, whatever firmware and boot loader began.
 */
import type { PhysicalRange } from "../machine/memory";
import type { StartState } from "../machine/startState";
import { type BzImage, canLieAbove4G } from "./bzImage";
import { buildBootGdt } from "./descriptors";
import type { CompressedEntry } from "./entry";
import { protectedModeState } from "./entryState";
import { UsageError } from "./errors";
import type { Layout } from "./layout";
import { enterLinux64 } from "./linux64";
import { type LinuxOptions, writeBootData } from "./linuxBootData";
import { alignUp, GIB, hex, IDENTITY_LIMIT, MIB, sizeInWords } from "./values";

const ENTRY_64 = 0x200;
/** Where loaders put the protected-mode kernel of a bzImage, unless it can be relocated and they make use of that. */
const USUAL_LOAD = MIB;

/** Where the protected-mode kernel and the kernel that it decompresses to lie. */
export interface CompressedKernel {
  /** The first byte of the protected-mode kernel. */
  readonly load: number;
  /** The kernel's start, unless KASLR chooses another: the protocol's runtime start address. */
  readonly runtimeStart: number;
}

const NAME = "kernel (init_size)";

/**
 * Claims the memory of the protected-mode kernel, and all that it needs (init_size) from its runtime start on.
 * @param load where it is to lie: at a multiple of its alignment, or at 1 MiB, from where it moves up by itself. Unless
 *   given, it lies where it prefers to, or else above that, for its 64-bit entry, and at 1 MiB for its 32-bit entry
 * @throws UsageError where it cannot lie there
 */
export function loadCompressed(
  layout: Layout,
  image: BzImage,
  entry: CompressedEntry,
  load?: number,
): CompressedKernel {
  const { kernel, prefAddress, initSize, alignment } = image;
  const reach = entry === "linux32-compressed" || !canLieAbove4G(image) ? { below: 4 * GIB } : {};
  const place = placeCompressed(image, entry, load);
  if (place === undefined) {
    const from = Math.max(prefAddress, alignment);
    const start = layout.prefer(NAME, prefAddress, initSize, { align: alignment, from, ...reach });
    layout.write(start, kernel);
    return { load: start, runtimeStart: start };
  }
  const end = Math.max(place.load + kernel.length, place.runtimeStart + initSize);
  if (end > (reach.below ?? IDENTITY_LIMIT)) {
    throw new UsageError(
      `the bzImage cannot be loaded at ${hex(place.load)}, where it ends above what its loader reaches`,
    );
  }
  claimApart(layout, image, place);
  layout.write(place.load, kernel);
  return place;
}

/** Undefined where it may lie where there is room for it. */
function placeCompressed(
  { relocatable, prefAddress, alignment }: BzImage,
  entry: CompressedEntry,
  load: number | undefined,
): CompressedKernel | undefined {
  if (!relocatable) {
    if (load === undefined || load === USUAL_LOAD) return { load: USUAL_LOAD, runtimeStart: prefAddress };
    throw new UsageError(
      "the bzImage is not relocatable (relocatable_kernel is 0), and is loaded at 1 MiB only",
    );
  }
  if (load === undefined && entry === "linux64-compressed") return undefined;
  const start = load ?? USUAL_LOAD;
  if (start !== USUAL_LOAD) checkAlignment(start, alignment, " or 1 MiB");
  return { load: start, runtimeStart: Math.max(alignUp(start, alignment), prefAddress) };
}

function claimApart(layout: Layout, image: BzImage, { load, runtimeStart }: CompressedKernel): void {
  const { kernel, initSize } = image;
  const start = load + kernel.length > runtimeStart ? load : runtimeStart;
  // Before it moves to its runtime start, the decompressor uses its stack and heap, which lie behind the image.
  layout.avoid(load, runtimeStart);
  if (start !== load) layout.claim("protected-mode kernel", load, kernel.length);
  layout.claim(NAME, start, Math.max(load + kernel.length, runtimeStart + initSize) - start);
}

/** @throws UsageError where a kernel cannot run at an address (kernel_alignment) */
export function checkAlignment(load: number, alignment: number, others = ""): void {
  if (load % alignment === 0) return;
  throw new UsageError(
    `the kernel cannot be loaded at ${hex(load)}: its addresses are multiples of ${sizeInWords(alignment)}${others}`,
  );
}

/**
 * Lays out what the decompressor is given.
 * @returns the CPU at the entry
 * @throws UsageError where things do not fit
 */
export function enterCompressed(
  layout: Layout,
  { initSize }: BzImage,
  entry: CompressedEntry,
  { load, runtimeStart }: CompressedKernel,
  options: LinuxOptions,
): StartState {
  const place = { start: load, size: initSize };
  if (entry === "linux32-compressed") {
    const { bootParams } = writeBootData(layout, place, options);
    return {
      ...protectedModeState(load),
      gdtr: buildBootGdt(layout, 32),
      registers: { rsi: BigInt(bootParams.start) },
    };
  }
  const mapped: PhysicalRange[] = [load, runtimeStart].map((start) => ({ start, end: start + initSize }));
  return enterLinux64(layout, { entry: load + ENTRY_64, ...place, mapped }, options);
}
