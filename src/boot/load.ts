/** Places the segments of an executable in physical memory (ELF specification, "Program Loading"). */
import type { PhysicalRange } from "../machine/memory";
import type { ElfImage } from "../symbols/elf";
import { ImageError, UsageError } from "./errors";
import { type LoadableSegment, loadableSegments } from "./executable";
import type { Layout } from "./layout";
import { hex, rangeInWords, sizeInWords } from "./values";

export class LoadedImage {
  /** @param delta bytes from where a segment was linked to be (p_paddr) to where it is; may be negative */
  constructor(
    readonly image: ElfImage,
    readonly segments: readonly LoadableSegment[],
    readonly delta: number,
  ) {}

  /** Where the segments lie, by address. */
  get ranges(): PhysicalRange[] {
    return this.segments.map(({ physical, segment }) => ({
      start: physical + this.delta,
      end: physical + segment.memorySize + this.delta,
    }));
  }

  get start(): number {
    return this.segments[0].physical + this.delta;
  }

  get end(): number {
    return this.ranges.at(-1)!.end;
  }

  /**
   * What is linked to run at any address only does so where its alignment is kept (p_align).
   * @throws UsageError where it is not
   */
  checkAlignment(): void {
    const align = Math.max(1, ...this.segments.map(({ segment }) => segment.align));
    if (this.delta % align === 0) return;
    throw new UsageError(
      `the kernel cannot be loaded at ${hex(this.start)}: it can be moved by multiples of ${sizeInWords(align)} only`,
    );
  }

  /** Where an address that is physical as linked has come to be; undefined outside of the image. */
  fromLinkedPhysical(address: bigint): number | undefined {
    const inside = this.segments.some(
      ({ physical, segment }) =>
        address >= BigInt(physical) && address < BigInt(physical) + BigInt(segment.memorySize),
    );
    return inside ? Number(address) + this.delta : undefined;
  }

  /** Where in physical memory a virtual address of the image lies; undefined outside of the image. */
  fromVirtual(address: bigint): number | undefined {
    for (const { physical, segment } of this.segments) {
      const offset = address - segment.virtualAddress;
      if (offset >= 0n && offset < BigInt(segment.memorySize)) return physical + Number(offset) + this.delta;
    }
    return undefined;
  }

  /**
   * The physical address of e_entry, which is a physical one in some kernels (Linux) and a virtual one in others.
   * @throws ImageError where it lies outside of the image
   */
  entry(): number {
    const { entry } = this.image;
    const address = this.fromLinkedPhysical(entry) ?? this.fromVirtual(entry);
    if (address === undefined) {
      const first = this.segments[0].physical;
      const end = Math.max(...this.segments.map(({ physical, segment }) => physical + segment.memorySize));
      throw new ImageError(
        `the entry point (e_entry) ${hex(entry)} lies in no loadable segment (${rangeInWords(first, end)})`,
      );
    }
    return address;
  }
}

/**
 * Claims the memory of all segments; what a segment has no bytes for in the file is zero.
 * @param load where the lowest segment is to lie; as linked unless given
 * @throws ImageError as `loadableSegments`; UsageError where memory does not hold the image
 */
export function loadImage(layout: Layout, image: ElfImage, load?: number): LoadedImage {
  const segments = loadableSegments(image);
  const loaded = new LoadedImage(image, segments, load === undefined ? 0 : load - segments[0].physical);
  for (const { index, segment, physical } of segments) {
    const address = physical + loaded.delta;
    layout.claim(`kernel segment ${index}`, address, segment.memorySize);
    layout.write(address, image.segmentData(segment));
  }
  // A kernel takes all from its first to its last byte for its own, with what lies between its segments.
  layout.avoid(loaded.start, loaded.end);
  return loaded;
}
