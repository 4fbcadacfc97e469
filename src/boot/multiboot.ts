/**
 * Multiboot 1 (Multiboot Specification 0.6.96): an image with a header in its first 8 KiB is entered in 32-bit
 * protected mode, paging off, flat segments, EAX = a magic number, EBX = the Multiboot information.
 *
 * What the specification leaves open is 0: the other registers and GDTR, so that a kernel brings its own stack and
 * GDT. The command line is passed as it was given: no image name is put before it. Of the optional parts of the
 * information there are memory sizes, command line, modules, memory map and the loader's name; not the boot device,
 * symbols, drives, APM, VBE and the frame buffer.
 */
import type { StartState } from "../machine/startState";
import { ElfImage, type ElfSegment, EM_386, ET_EXEC, PT_LOAD } from "../symbols/elf";
import { cString, Struct } from "./bytes";
import { requireLow } from "./elfEntry";
import { protectedModeState } from "./entryState";
import { ImageError, UsageError } from "./errors";
import type { Layout } from "./layout";
import type { LoadedImage } from "./load";
import { E820_USABLE, type E820Entry } from "./memoryMap";
import { placeRamdisk, type SparseFile } from "./ramdisk";
import { GIB, hex, MIB } from "./values";

/** The header (3.1.1) lies as a whole in so many bytes of the file, aligned to 4 bytes. */
const SEARCH = 8192;
const HEADER_MAGIC = 0x1badb002;
const LOADER_MAGIC = 0x2badb002n;
/** Offsets of the header's address fields, and its size with them and without. */
const ADDRESS_FIELDS = { header: 12, load: 16, loadEnd: 20, bssEnd: 24, entry: 28 } as const;
const PLAIN_SIZE = 12;
const SIZE_WITH_ADDRESSES = 32;

/** Flags that a loader must know or refuse: the lower half (3.1.2). */
const MANDATORY = 0xffff;
/** Modules aligned to pages; memory information. */
const SUPPORTED = 0x3;
const VIDEO_MODE = 0x4;
/** The address fields say what to load where, whatever kind of file it is. */
const HAS_ADDRESSES = 0x10000;

/** The Multiboot information structure (3.3). */
const INFO = {
  size: 116,
  flags: 0,
  mem_lower: 4,
  mem_upper: 8,
  cmdline: 16,
  mods_count: 20,
  mods_addr: 24,
  mmap_length: 44,
  mmap_addr: 48,
  boot_loader_name: 64,
} as const;
const INFO_FLAGS = { memory: 1, cmdline: 4, modules: 8, memoryMap: 0x40, loaderName: 0x200 } as const;
/** mod_start, mod_end, string, reserved. */
const MODULE_SIZE = 16;
/** An entry of the memory map with the size field that stands before it and does not count itself. */
const MMAP_ENTRY_SIZE = 24;
const CMDLINE_LIMIT = 4096;
const LOADER_NAME = "Pagewalk";
const LOWER_LIMIT = 640 * 1024;

export interface MultibootOptions {
  cmdline: string;
  ramdisk?: SparseFile;
}

interface Header {
  /** Where it is in the file. */
  readonly offset: number;
  readonly flags: number;
  readonly view: DataView;
}

/** Whether a file has a Multiboot 1 header. */
export function hasMultibootHeader(bytes: Uint8Array): boolean {
  return findHeader(bytes) !== undefined;
}

/** Magic, flags, and a checksum that makes the sum 0. */
function findHeader(bytes: Uint8Array): Header | undefined {
  const end = Math.min(bytes.length, SEARCH);
  const view = new DataView(bytes.buffer, bytes.byteOffset, end);
  for (let offset = 0; offset + PLAIN_SIZE <= end; offset += 4) {
    if (view.getUint32(offset, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(offset + 4, true);
    if (((HEADER_MAGIC + flags + view.getUint32(offset + 8, true)) | 0) !== 0) continue;
    const size = (flags & HAS_ADDRESSES) !== 0 ? SIZE_WITH_ADDRESSES : PLAIN_SIZE;
    if (offset + size <= end) return { offset, flags, view };
  }
  return undefined;
}

/**
 * A file that is no ELF file, but says by the address fields of a Multiboot header what is to be loaded; undefined
 * for any other file.
 * @throws ImageError where the address fields contradict each other
 */
export function flatMultibootImage(bytes: Uint8Array): ElfImage | undefined {
  const isElf = [0x7f, 0x45, 0x4c, 0x46].every((byte, index) => bytes[index] === byte);
  const header = isElf ? undefined : findHeader(bytes);
  if (header === undefined || (header.flags & HAS_ADDRESSES) === 0) return undefined;
  const none = { class: 32, machine: EM_386, type: ET_EXEC, entry: 0n, segments: [], sections: [] } as const;
  return byAddressFields(new ElfImage(bytes, none), header);
}

/**
 * The image as a Multiboot loader takes it: as its address fields say where it has them (they go before the program
 * headers), unchanged otherwise.
 * @throws UsageError where the image has no Multiboot header; ImageError where the header demands what is not
 *   supported, or contradicts itself
 */
export function multibootImage(image: ElfImage): ElfImage {
  const header = findHeader(image.bytes);
  if (header === undefined) {
    throw new UsageError(
      "the image has no Multiboot header in its first 8 KiB (magic 0x1badb002): use another --entry",
    );
  }
  requireSupported(header.flags);
  return (header.flags & HAS_ADDRESSES) !== 0 ? byAddressFields(image, header) : image;
}

function requireSupported(flags: number): void {
  const foreign = flags & MANDATORY & ~SUPPORTED;
  if (foreign === 0) return;
  if ((foreign & VIDEO_MODE) !== 0) {
    throw new ImageError(
      "the Multiboot header demands a video mode (flag bit 2), but this machine has no display",
    );
  }
  throw new ImageError(
    `the Multiboot header demands what no loader of Multiboot 0.6.96 knows: flag bit ${31 - Math.clz32(foreign)}`,
  );
}

/** One segment as the address fields say (3.1.3), at equal linear and physical addresses. */
function byAddressFields(image: ElfImage, { offset, view }: Header): ElfImage {
  const field = (name: keyof typeof ADDRESS_FIELDS) => view.getUint32(offset + ADDRESS_FIELDS[name], true);
  const load = field("load");
  const start = offset - (field("header") - load);
  if (field("header") < load || start < 0) {
    throw new ImageError(
      `the Multiboot header lies at ${hex(offset)} of the file, which does not fit its header_addr ` +
        `${hex(field("header"))} and load_addr ${hex(load)}`,
    );
  }
  const fileEnd = field("loadEnd") === 0 ? load + image.bytes.length - start : field("loadEnd");
  const end = field("bssEnd") === 0 ? fileEnd : field("bssEnd");
  if (fileEnd < load || end < fileEnd) {
    throw new ImageError(
      `the Multiboot header's load_addr ${hex(load)}, load_end_addr ${hex(fileEnd)} and bss_end_addr ${hex(end)} ` +
        "do not ascend",
    );
  }
  const segment: ElfSegment = {
    type: PT_LOAD,
    flags: 7,
    offset: start,
    virtualAddress: BigInt(load),
    physicalAddress: BigInt(load),
    fileSize: fileEnd - load,
    memorySize: end - load,
    align: 1,
  };
  return new ElfImage(image.bytes, { ...image, segments: [segment], entry: BigInt(field("entry")) });
}

/**
 * Lays out the Multiboot information and what it names, all below 4 GiB.
 * @param guest what `multibootImage` gave, loaded
 * @throws UsageError where things do not fit; ImageError where the image's entry lies outside of it
 */
export function bootMultiboot(layout: Layout, guest: LoadedImage, options: MultibootOptions): StartState {
  requireLow(guest);
  const { e820 } = layout.memoryMap;
  const place = (name: string, bytes: Uint8Array) => {
    const address = layout.allocate(name, bytes.length, { below: 4 * GIB, align: 8 });
    layout.write(address, bytes);
    return address;
  };
  const info = new Struct(INFO.size);
  let flags = INFO_FLAGS.memory | INFO_FLAGS.cmdline | INFO_FLAGS.memoryMap | INFO_FLAGS.loaderName;
  info.u32(INFO.mem_lower, Math.min(LOWER_LIMIT, usableUpTo(e820, 0)) / 1024);
  info.u32(INFO.mem_upper, (usableUpTo(e820, MIB) - MIB) / 1024);
  info.u32(INFO.cmdline, place("command line", cString(options.cmdline, "the command line", CMDLINE_LIMIT)));
  info.u32(INFO.boot_loader_name, place("boot loader name", cString(LOADER_NAME, "the name", 64)));
  info.u32(INFO.mmap_length, e820.length * MMAP_ENTRY_SIZE);
  info.u32(INFO.mmap_addr, place("Multiboot memory map", encodeMemoryMap(e820)));
  if (options.ramdisk !== undefined && options.ramdisk.size > 0) {
    flags |= INFO_FLAGS.modules;
    info.u32(INFO.mods_count, 1);
    info.u32(INFO.mods_addr, place("Multiboot module list", encodeModule(layout, options.ramdisk)));
  }
  info.u32(INFO.flags, flags);
  return {
    ...protectedModeState(guest.entry()),
    registers: { rax: LOADER_MAGIC, rbx: BigInt(place("Multiboot information", info.bytes)) },
  };
}

/** Where usable memory that begins at or before an address ends; the address itself where there is none. */
function usableUpTo(e820: readonly E820Entry[], address: number): number {
  let end = address;
  for (const entry of e820) {
    if (entry.type === E820_USABLE && entry.start <= end && entry.end > end) end = entry.end;
  }
  return end;
}

function encodeMemoryMap(e820: readonly E820Entry[]): Uint8Array {
  const map = new Struct(e820.length * MMAP_ENTRY_SIZE);
  e820.forEach(({ start, end, type }, index) => {
    const at = index * MMAP_ENTRY_SIZE;
    map.u32(at, MMAP_ENTRY_SIZE - 4);
    map.u64(at + 4, start);
    map.u64(at + 12, end - start);
    map.u32(at + 20, type);
  });
  return map.bytes;
}

/** A module without a string. */
function encodeModule(layout: Layout, file: SparseFile): Uint8Array {
  const { address, size } = placeRamdisk(layout, file, { strict: true });
  const module = new Struct(MODULE_SIZE);
  module.u32(0, address);
  module.u32(4, address + size);
  return module.bytes;
}
