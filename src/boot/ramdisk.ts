/** The contents of a ramdisk by pieces, so that gigabytes of zeroes cost nothing, and its place in memory. */
import type { Layout, Piece, Wanted } from "./layout";
import { GIB } from "./values";

/** A file of `size` bytes that is zero but for its pieces. */
export interface SparseFile {
  size: number;
  pieces: readonly Piece[];
}

/** A file of the user's as it is. */
export function wholeFile(bytes: Uint8Array): SparseFile {
  return { size: bytes.length, pieces: [{ offset: 0, bytes }] };
}

/** What a ramdisk's placement came to. */
export interface PlacedRamdisk {
  address: number;
  size: number;
}

/**
 * Places a ramdisk: at `address`, or as high as it fits below `limit`, or else as high as it fits at all.
 * @param limit a boundary that loaders like to stay below; 4 GiB unless given
 * @throws UsageError where there is no room
 */
export function placeRamdisk(
  layout: Layout,
  file: SparseFile,
  { address, limit = 4 * GIB, strict = false }: { address?: number; limit?: number; strict?: boolean } = {},
): PlacedRamdisk {
  const wanted: Wanted = { highest: true };
  const low: Wanted = { ...wanted, below: limit };
  let start = address;
  if (start !== undefined) layout.claim("ramdisk", start, file.size);
  else
    start = layout.allocate("ramdisk", file.size, strict || layout.hasPlace(file.size, low) ? low : wanted);
  for (const { offset, bytes } of file.pieces) layout.write(start + offset, bytes);
  return { address: start, size: file.size };
}
