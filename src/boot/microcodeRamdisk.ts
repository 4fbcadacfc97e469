/**
 * A ramdisk to look for a microcode update in: filler files of a GiB each and the update where Linux looks for it
 * (Linux documentation: "The Linux Microcode Loader"). A walk over the archive reads one header in each GiB.
 */
import { Struct } from "./bytes";
import {
  buildCpio,
  CPIO_DIRECTORY,
  CPIO_FILE,
  CPIO_TRAILER_SIZE,
  type CpioEntry,
  cpioEntrySize,
} from "./cpio";
import { UsageError } from "./errors";
import type { SparseFile } from "./ramdisk";
import { GIB, hex, KIB } from "./values";

/** Whose update: the file's name. */
export const MICROCODE_FILES = {
  intel: "kernel/x86/microcode/GenuineIntel.bin",
  amd: "kernel/x86/microcode/AuthenticAMD.bin",
} as const;

export interface MicrocodeRamdiskOptions {
  /** Bytes of the whole archive. */
  size: number;
  microcode: "intel" | "amd" | "none";
  /** Before or behind the fillers. */
  position: "first" | "last";
}

/** Smaller archives have no room for the update and its directories. */
export const SMALLEST_RAMDISK = 4 * KIB;
/** A filler with its header takes up as much. */
const FILLER_SPAN = GIB;

/** @throws UsageError where the size is not a multiple of 4 or too small */
export function microcodeRamdisk({ size, microcode, position }: MicrocodeRamdiskOptions): SparseFile {
  if (size % 4 !== 0) throw new UsageError(`the ramdisk's size ${hex(size)} is not a multiple of 4`);
  const update = microcode === "none" ? [] : updateEntries(microcode);
  const room = size - CPIO_TRAILER_SIZE - update.reduce((sum, entry) => sum + cpioEntrySize(entry), 0);
  if (size < SMALLEST_RAMDISK)
    throw new UsageError(`a ramdisk of ${hex(size)} bytes is too small: at least 4K are needed`);
  const fillers = fillerEntries(room);
  return buildCpio(position === "first" ? [...update, ...fillers] : [...fillers, ...update]);
}

function updateEntries(vendor: "intel" | "amd"): CpioEntry[] {
  const data = vendor === "intel" ? intelUpdate() : amdContainer();
  return [
    { name: "kernel", mode: CPIO_DIRECTORY, size: 0 },
    { name: "kernel/x86", mode: CPIO_DIRECTORY, size: 0 },
    { name: "kernel/x86/microcode", mode: CPIO_DIRECTORY, size: 0 },
    { name: MICROCODE_FILES[vendor], mode: CPIO_FILE, size: data.length, data },
  ];
}

/** Files of zeroes that take up exactly `room` bytes; names are numbers of equal length. */
function fillerEntries(room: number): CpioEntry[] {
  const entries: CpioEntry[] = [];
  for (let rest = room; rest > 0; ) {
    const entry = { name: `filler/${String(entries.length).padStart(5, "0")}`, mode: CPIO_FILE, size: 0 };
    const overhead = cpioEntrySize(entry);
    // The last filler takes up what would be too little for one of its own.
    const span = rest < FILLER_SPAN + overhead ? rest : FILLER_SPAN;
    entries.push({ ...entry, size: span - overhead });
    rest -= span;
  }
  return entries;
}

/** An update's header with a checksum that fits (SDM vol. 3A, 9.11.1); for no CPU, and without contents. */
function intelUpdate(): Uint8Array {
  const update = new Struct(2048);
  const words = {
    headerVersion: 1,
    revision: 1,
    date: 0x01012013,
    signature: 0,
    checksum: 0,
    loaderRevision: 1,
  };
  for (const [index, word] of Object.values(words).entries()) update.u32(index * 4, word);
  const sum = words.headerVersion + words.revision + words.date + words.loaderRevision;
  update.u32(16, 2 ** 32 - sum);
  return update.bytes;
}

/** A container's header with an empty table of equivalent CPUs: magic "AMD\0", type 0, its size. */
function amdContainer(): Uint8Array {
  const container = new Struct(12 + 16);
  container.u32(0, 0x00414d44);
  container.u32(8, 16);
  return container.bytes;
}
