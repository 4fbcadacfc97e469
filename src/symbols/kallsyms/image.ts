/** What of an image the search for the kernel's own symbol table reads: its loaded bytes, and where they are linked. */
import { type ElfImage, ImageError, PT_LOAD } from "../elf";

/** Bytes of the file that are loaded, from one address on. */
export interface LoadedBytes {
  readonly bytes: Uint8Array;
  /** As linked; signed, so that a double holds it exactly (see `signedAddress`). */
  readonly address: number;
}

/** Addresses of one loaded segment, the part without bytes in the file included. */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

export interface KernelImage {
  /** 4 or 8: how wide a pointer is. */
  readonly pointer: 4 | 8;
  readonly loaded: readonly LoadedBytes[];
  readonly ranges: readonly AddressRange[];
}

/** The loaded parts of an image; what lies outside of the file is left out. */
export function kernelImage(elf: ElfImage): KernelImage {
  const is64 = elf.class === 64;
  const loaded: LoadedBytes[] = [];
  const ranges: AddressRange[] = [];
  for (const segment of elf.segments) {
    if (segment.type !== PT_LOAD || segment.memorySize === 0) continue;
    const address = is64 ? Number(BigInt.asIntN(64, segment.virtualAddress)) : Number(segment.virtualAddress);
    if (!Number.isSafeInteger(address)) continue;
    ranges.push({ start: address, end: address + segment.memorySize });
    const bytes = bytesOf(elf, segment);
    if (bytes !== undefined) loaded.push({ bytes, address });
  }
  return { pointer: is64 ? 8 : 4, loaded, ranges };
}

function bytesOf(elf: ElfImage, segment: ElfImage["segments"][number]): Uint8Array | undefined {
  try {
    return elf.segmentData(segment);
  } catch (error) {
    if (error instanceof ImageError) return undefined;
    throw error;
  }
}
