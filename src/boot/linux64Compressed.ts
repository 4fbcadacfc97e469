/**
 * The 64-bit entry of a bzImage (Linux documentation: "The Linux/x86 Boot Protocol", section "64-bit Boot Protocol"):
 * 0x200 behind the start of the protected-mode kernel, whose decompressor makes room for the kernel, decompresses it,
 * and enters it. Otherwise everything is as at the 64-bit entry of the kernel itself (linux64.ts).
 */
import type { PhysicalRange } from "../machine/memory";
import type { StartState } from "../machine/startState";
import { type BzImage, canLieAbove4G } from "./bzImage";
import { UsageError } from "./errors";
import type { Layout } from "./layout";
import { enterLinux64, type Linux64Options } from "./linux64";
import { GIB, hex, IDENTITY_LIMIT, MIB, sizeInWords } from "./values";

const ENTRY_64 = 0x200;
/** Where the protected-mode kernel of a bzImage lies that cannot be relocated. */
const FIXED_LOAD = MIB;

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
 * @param load where it is to lie; where it prefers to, or else above that, unless given
 * @throws UsageError where it cannot lie there
 */
export function loadCompressed(layout: Layout, image: BzImage, load?: number): CompressedKernel {
  const { kernel, prefAddress, initSize, alignment } = image;
  const reach = canLieAbove4G(image) ? {} : { below: 4 * GIB };
  let place: CompressedKernel;
  if (!image.relocatable) {
    if (load !== undefined && load !== FIXED_LOAD) {
      throw new UsageError(
        "the bzImage is not relocatable (relocatable_kernel is 0), and is loaded at 1 MiB only",
      );
    }
    place = { load: FIXED_LOAD, runtimeStart: prefAddress };
    claimApart(layout, image, place);
  } else if (load === undefined) {
    const from = Math.max(prefAddress, alignment);
    const start = layout.prefer(NAME, prefAddress, initSize, { align: alignment, from, ...reach });
    place = { load: start, runtimeStart: start };
  } else {
    checkAlignment(load, alignment);
    if (load + initSize > (reach.below ?? IDENTITY_LIMIT)) {
      throw new UsageError(
        `the bzImage cannot be loaded at ${hex(load)}, where it ends above what its loader reaches`,
      );
    }
    place = { load, runtimeStart: Math.max(load, prefAddress) };
    claimApart(layout, image, place);
  }
  layout.write(place.load, kernel);
  return place;
}

function claimApart(layout: Layout, image: BzImage, { load, runtimeStart }: CompressedKernel): void {
  const { kernel, initSize } = image;
  const start = load + kernel.length > runtimeStart ? load : runtimeStart;
  if (start !== load) layout.claim("protected-mode kernel", load, kernel.length);
  layout.claim(NAME, start, Math.max(load + kernel.length, runtimeStart + initSize) - start);
}

/** @throws UsageError where a kernel cannot run at an address (kernel_alignment) */
export function checkAlignment(load: number, alignment: number): void {
  if (load % alignment === 0) return;
  throw new UsageError(
    `the kernel cannot be loaded at ${hex(load)}: its addresses are multiples of ${sizeInWords(alignment)}`,
  );
}

/** @throws UsageError where things do not fit */
export function bootLinux64Compressed(
  layout: Layout,
  image: BzImage,
  { load, runtimeStart }: CompressedKernel,
  options: Linux64Options,
): StartState {
  const mapped: PhysicalRange[] = [load, runtimeStart].map((start) => ({
    start,
    end: start + image.initSize,
  }));
  return enterLinux64(layout, { entry: load + ENTRY_64, start: load, size: image.initSize, mapped }, options);
}
