/**
 * PVH, Xen's direct boot (Xen documentation: "x86/HVM direct boot ABI"; the entry is named by an ELF note): 32-bit
 * protected mode, paging off, flat segments, EBX = physical address of hvm_start_info.
 *
 * Where the ABI leaves things open, they are as QEMU's loader for PVH leaves them: the places of the structures in
 * low memory, and the registers. So a run can be compared with one there.
 */
import type { StartState } from "../machine/startState";
import type { ElfImage } from "../symbols/elf";
import { cString, Struct } from "./bytes";
import { requireLow } from "./elfEntry";
import { protectedModeState } from "./entryState";
import { ImageError, UsageError } from "./errors";
import type { Layout } from "./layout";
import type { LoadedImage } from "./load";
import { placeRamdisk, type SparseFile } from "./ramdisk";
import { GIB, hex } from "./values";

/** XEN_ELFNOTE_PHYS32_ENTRY, of the owner "Xen": the physical address of the entry. */
const PHYS32_ENTRY = 18;
/** XEN_ELFNOTE_PHYS32_RELOC. */
const PHYS32_RELOC = 19;

/** struct hvm_start_info, version 1. */
const START_INFO = {
  size: 56,
  magic: 0,
  version: 4,
  nr_modules: 12,
  modlist_paddr: 16,
  cmdline_paddr: 24,
  memmap_paddr: 40,
  memmap_entries: 48,
} as const;
const START_INFO_MAGIC = 0x336ec578;
/** struct hvm_modlist_entry: paddr, size, cmdline_paddr, reserved. */
const MODULE_SIZE = 32;
/** struct hvm_memmap_table_entry: addr, size, type, reserved. */
const MEMMAP_ENTRY_SIZE = 24;
const CMDLINE_LIMIT = 4096;

/** Where QEMU's option ROM keeps them. */
const USUAL = { memmap: 0x5a8, cmdline: 0x11c0, modules: 0x21c0, startInfo: 0x21e0 } as const;
/** What QEMU's option ROM leaves in registers that the ABI leaves open; EFLAGS has PF set. */
const LEFT_OVER = { rsp: 0x6edcn, rdi: 0x6ef4n, rdx: 0x518n, rflags: 0x6 } as const;
/** The option ROM's GDT. It is not there any more: a guest brings its own before it loads a segment register. */
const LEFT_OVER_GDTR = { base: 0xc0118n, limit: 0x27 };
const SELECTORS = { code: 0x8, data: 0x10 } as const;

export interface PvhOptions {
  cmdline: string;
  ramdisk?: SparseFile;
}

/**
 * The physical entry address, as linked, that an image names for PVH; undefined where it names none.
 * @throws ImageError where its notes are corrupt
 */
export function pvhEntry(image: ElfImage): bigint | undefined {
  const note = image.notes().find(({ name, type }) => name === "Xen" && type === PHYS32_ENTRY);
  if (note === undefined) return undefined;
  const { description } = note;
  if (description.length !== 4 && description.length !== 8) {
    throw new ImageError(
      `the PVH note (XEN_ELFNOTE_PHYS32_ENTRY) holds ${description.length} bytes, not 4 or 8`,
    );
  }
  return description.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/**
 * Whether an image says that its PVH entry runs wherever the image lies (XEN_ELFNOTE_PHYS32_RELOC).
 * @throws ImageError where its notes are corrupt
 */
export function pvhRelocatable(image: ElfImage): boolean {
  return image.notes().some(({ name, type }) => name === "Xen" && type === PHYS32_RELOC);
}

/**
 * Lays out everything the guest is given.
 * @throws UsageError where things do not fit; ImageError where the image has no such entry
 */
export function bootPvh(layout: Layout, guest: LoadedImage, options: PvhOptions): StartState {
  const entry = entryOf(guest);
  requireLow(guest);
  const text = cString(options.cmdline, "the command line", CMDLINE_LIMIT);
  const low = { below: 4 * GIB, align: 8 };
  const memmap = layout.memoryMap.e820;
  const memmapAddress = layout.prefer("PVH memory map", USUAL.memmap, memmap.length * MEMMAP_ENTRY_SIZE, low);
  const cmdline = layout.prefer("command line", USUAL.cmdline, text.length, low);
  const hasRamdisk = options.ramdisk !== undefined && options.ramdisk.size > 0;
  const modules = hasRamdisk ? layout.prefer("PVH module list", USUAL.modules, MODULE_SIZE, low) : 0;
  const startInfo = layout.prefer("hvm_start_info", USUAL.startInfo, START_INFO.size, low);
  layout.write(memmapAddress, encodeMemmap(layout));
  layout.write(cmdline, text);
  if (hasRamdisk) layout.write(modules, encodeModule(layout, options.ramdisk!));
  layout.write(startInfo, encodeStartInfo({ memmapAddress, memmapEntries: memmap.length, cmdline, modules }));
  return {
    ...protectedModeState(entry, SELECTORS.code, SELECTORS.data),
    rflags: LEFT_OVER.rflags,
    registers: {
      rbx: BigInt(startInfo),
      rcx: BigInt(entry),
      rdx: LEFT_OVER.rdx,
      rsi: BigInt(cmdline),
      rdi: LEFT_OVER.rdi,
      rsp: LEFT_OVER.rsp,
    },
    gdtr: LEFT_OVER_GDTR,
  };
}

function entryOf(guest: LoadedImage): number {
  const linked = pvhEntry(guest.image);
  if (linked === undefined) {
    throw new UsageError("the image has no PVH entry (an ELF note of the owner Xen): use another --entry");
  }
  const entry = guest.fromLinkedPhysical(linked);
  if (entry === undefined) {
    throw new ImageError(`the PVH entry ${hex(linked)} lies in no loadable segment`);
  }
  return entry;
}

interface StartInfo {
  memmapAddress: number;
  memmapEntries: number;
  cmdline: number;
  /** 0 where there is no module. */
  modules: number;
}

function encodeStartInfo(info: StartInfo): Uint8Array {
  const struct = new Struct(START_INFO.size);
  struct.u32(START_INFO.magic, START_INFO_MAGIC);
  struct.u32(START_INFO.version, 1);
  struct.u32(START_INFO.nr_modules, info.modules === 0 ? 0 : 1);
  struct.u64(START_INFO.modlist_paddr, info.modules);
  struct.u64(START_INFO.cmdline_paddr, info.cmdline);
  struct.u64(START_INFO.memmap_paddr, info.memmapAddress);
  struct.u32(START_INFO.memmap_entries, info.memmapEntries);
  return struct.bytes;
}

function encodeMemmap(layout: Layout): Uint8Array {
  const { e820 } = layout.memoryMap;
  const table = new Struct(e820.length * MEMMAP_ENTRY_SIZE);
  e820.forEach(({ start, end, type }, index) => {
    const at = index * MEMMAP_ENTRY_SIZE;
    table.u64(at, start);
    table.u64(at + 8, end - start);
    table.u32(at + 16, type);
  });
  return table.bytes;
}

function encodeModule(layout: Layout, file: SparseFile): Uint8Array {
  const { address, size } = placeRamdisk(layout, file, { strict: true });
  const entry = new Struct(MODULE_SIZE);
  entry.u64(0, address);
  entry.u64(8, size);
  return entry.bytes;
}
