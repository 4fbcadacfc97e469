/**
 * Archives in the "newc" format of cpio (cpio(5), "New ASCII Format"), as Linux takes them for a ramdisk. Files may
 * be large and zero: an archive is described by its pieces.
 */
import type { Piece } from "./layout";
import type { SparseFile } from "./ramdisk";
import { alignUp } from "./values";

/** A file or directory of an archive. */
export interface CpioEntry {
  /** Path without a leading slash. ASCII. */
  name: string;
  /** st_mode. */
  mode: number;
  /** Bytes of data, below 2^32; zero behind `data`. */
  size: number;
  data?: Uint8Array;
}

export const CPIO_FILE = 0o100644;
export const CPIO_DIRECTORY = 0o040755;
const MAGIC = "070701";
const HEADER_SIZE = 110;
/** Headers and data are aligned to this. */
const ALIGNMENT = 4;
const TRAILER = "TRAILER!!!";

/** The bytes that an entry takes up in an archive, padding included. */
export function cpioEntrySize(entry: CpioEntry): number {
  return headerSize(entry.name) + alignUp(entry.size, ALIGNMENT);
}

/** The bytes of an archive without its entries. */
export const CPIO_TRAILER_SIZE = headerSize(TRAILER);

/** An archive of the entries, in that order. */
export function buildCpio(entries: readonly CpioEntry[]): SparseFile {
  const pieces: Piece[] = [];
  let offset = 0;
  [...entries, { name: TRAILER, mode: 0, size: 0 }].forEach((entry, index) => {
    pieces.push({ offset, bytes: encodeHeader(entry, index + 1) });
    const data = (entry as CpioEntry).data;
    if (data !== undefined) pieces.push({ offset: offset + headerSize(entry.name), bytes: data });
    offset += cpioEntrySize(entry);
  });
  return { size: offset, pieces };
}

function headerSize(name: string): number {
  return alignUp(HEADER_SIZE + name.length + 1, ALIGNMENT);
}

/** The header and the name with the NUL and padding behind it. */
function encodeHeader(entry: CpioEntry, inode: number): Uint8Array {
  const links = entry.mode === CPIO_DIRECTORY ? 2 : 1;
  const fields = {
    ino: inode,
    mode: entry.mode,
    uid: 0,
    gid: 0,
    nlink: links,
    mtime: 0,
    filesize: entry.size,
    devmajor: 0,
    devminor: 0,
    rdevmajor: 0,
    rdevminor: 0,
    namesize: entry.name.length + 1,
    check: 0,
  };
  const digits = Object.values(fields).map((value) => value.toString(16).padStart(8, "0").toUpperCase());
  const text = MAGIC + digits.join("") + entry.name;
  const bytes = new Uint8Array(headerSize(entry.name));
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
