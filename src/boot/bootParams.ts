/**
 * Linux's boot_params, the "zero page" (Linux documentation: "The Linux/x86 Boot Protocol", version 2.15, and
 * "Zero Page"), as a loader fills it in.
 */
import { Struct } from "./bytes";
import { LOADED_HIGH, SETUP_HEADER, XLF_CAN_BE_LOADED_ABOVE_4G, XLF_KERNEL_64 } from "./bzImage";
import { UsageError } from "./errors";
import type { E820Entry } from "./memoryMap";
import { MIB } from "./values";

export const BOOT_PARAMS_SIZE = 4096;
/** COMMAND_LINE_SIZE of Linux on x86, the NUL included. */
export const COMMAND_LINE_SIZE = 2048;

/** Offsets in boot_params of the fields that are set here; those of the setup header are the file's. */
export const BOOT_PARAMS_FIELDS = {
  ...SETUP_HEADER,
  ext_ramdisk_image: 0x0c0,
  ext_ramdisk_size: 0x0c4,
  ext_cmd_line_ptr: 0x0c8,
  alt_mem_k: 0x1e0,
  e820_entries: 0x1e8,
  e820_table: 0x2d0,
} as const;

/** struct boot_e820_entry: address, size, type. */
export const E820_ENTRY_SIZE = 20;
/** E820_MAX_ENTRIES_ZEROPAGE. */
const E820_MAX_ENTRIES = 128;
const BOOT_FLAG = 0xaa55;
/** "HdrS". */
const HEADER_MAGIC = 0x53726448;
const PROTOCOL_VERSION = 0x020f;
const LOADER_UNDEFINED = 0xff;

/** What a kernel is told; all addresses are physical. */
export interface BootParams {
  e820: readonly E820Entry[];
  /** Where the command line lies. */
  cmdline: number;
  ramdisk?: { address: number; size: number };
  /** Where the kernel lies, and the bytes it occupies. */
  kernel: { address: number; size: number };
  /** The setup header of the kernel's bzImage, from 0x1f1 on; one is made up for a kernel that has none. */
  setupHeader?: Uint8Array;
}

/**
 * The 4 KiB of boot_params.
 * @throws UsageError where the memory map has more entries than fit
 */
export function buildBootParams(params: BootParams): Uint8Array {
  const page = new Struct(BOOT_PARAMS_SIZE);
  const at = BOOT_PARAMS_FIELDS;
  if (params.setupHeader === undefined) makeSetupHeader(page, params.kernel);
  else page.bytes.set(params.setupHeader, at.setup_sects);
  page.u8(at.type_of_loader, LOADER_UNDEFINED);
  page.u32(at.code32_start, params.kernel.address);
  splitAddress(page, at.cmd_line_ptr, at.ext_cmd_line_ptr, params.cmdline);
  if (params.ramdisk !== undefined) {
    splitAddress(page, at.ramdisk_image, at.ext_ramdisk_image, params.ramdisk.address);
    splitAddress(page, at.ramdisk_size, at.ext_ramdisk_size, params.ramdisk.size);
  }
  writeE820(page, params.e820);
  return page.bytes;
}

function makeSetupHeader(page: Struct, kernel: { address: number; size: number }): void {
  const at = BOOT_PARAMS_FIELDS;
  page.u16(at.boot_flag, BOOT_FLAG);
  page.u32(at.header, HEADER_MAGIC);
  page.u16(at.version, PROTOCOL_VERSION);
  page.u8(at.loadflags, LOADED_HIGH);
  page.u32(at.initrd_addr_max, 0x7fffffff);
  page.u32(at.kernel_alignment, 2 * MIB);
  page.u8(at.min_alignment, Math.log2(2 * MIB));
  page.u16(at.xloadflags, XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
  page.u32(at.cmdline_size, COMMAND_LINE_SIZE - 1);
  page.u64(at.pref_address, kernel.address);
  page.u32(at.init_size, kernel.size);
}

/** The low half of a 64-bit value in the setup header, the high half in its ext_ field. */
function splitAddress(page: Struct, low: number, high: number, value: number): void {
  page.u32(low, value);
  page.u32(high, Math.floor(value / 2 ** 32));
}

function writeE820(page: Struct, e820: readonly E820Entry[]): void {
  if (e820.length > E820_MAX_ENTRIES) {
    throw new UsageError(
      `the e820 map has ${e820.length} ranges, but boot_params holds at most ${E820_MAX_ENTRIES}`,
    );
  }
  page.u8(BOOT_PARAMS_FIELDS.e820_entries, e820.length);
  e820.forEach((entry, index) => {
    const at = BOOT_PARAMS_FIELDS.e820_table + index * E820_ENTRY_SIZE;
    page.u64(at, entry.start);
    page.u64(at + 8, entry.end - entry.start);
    page.u32(at + 16, entry.type);
  });
  page.u32(BOOT_PARAMS_FIELDS.alt_mem_k, memoryAbove1M(e820));
}

/** KiB of usable memory from 1 MiB on up to the first hole, as far as 32 bits count them. */
function memoryAbove1M(e820: readonly E820Entry[]): number {
  const entry = e820.find(({ start, end, type }) => type === 1 && start <= MIB && end > MIB);
  return entry === undefined ? 0 : Math.min(Math.floor((entry.end - MIB) / 1024), 0xffffffff);
}
