/** Small images with a Multiboot 1 header. */
import { writeElf } from "./elfWriter";

const MAGIC = 0x1badb002;

/** A header's words: magic, flags, checksum, and the address fields where they are given. */
export function multibootHeader(flags: number, addresses: readonly number[] = []): Uint8Array {
  const words = [MAGIC, flags, -(MAGIC + flags), ...addresses];
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setUint32(4 * index, word >>> 0, true);
  });
  return bytes;
}

/** An ELF image at 1 MiB: the header, and behind it the code, where it is entered. */
export function multibootElf(code: Uint8Array, flags = 0, fileClass: 32 | 64 = 32): Uint8Array {
  const header = multibootHeader(flags);
  return writeElf({
    class: fileClass,
    entry: BigInt(0x100000 + header.length),
    segments: [{ virtualAddress: 0x100000n, bytes: Uint8Array.of(...header, ...code), memorySize: 0x3000 }],
  });
}

export interface AddressFields {
  load: number;
  /** At `load` unless given. */
  header?: number;
  loadEnd?: number;
  bssEnd?: number;
  /** Behind the header unless given. */
  entry?: number;
}

/** A file that is no ELF file: 16 bytes that are not loaded, then header and code. */
export function multibootFlat(code: Uint8Array, fields: AddressFields): Uint8Array {
  const { load, header = load, loadEnd = 0, bssEnd = 0, entry = load + 32 } = fields;
  const bytes = multibootHeader(0x10000, [header, load, loadEnd, bssEnd, entry]);
  return Uint8Array.of(...new Uint8Array(16), ...bytes, ...code);
}
