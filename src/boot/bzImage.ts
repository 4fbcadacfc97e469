/**
 * bzImages (Linux documentation: "The Linux/x86 Boot Protocol"): real-mode setup code with the setup header in it,
 * and behind it the protected-mode kernel, which holds a decompressor and the compressed kernel, its payload.
 */
import { ImageError } from "./errors";
import { hex } from "./values";

/** Offsets in the file, and in boot_params: the setup header lies at the same place in both. */
export const SETUP_HEADER = {
  /** Where the setup header begins. */
  setup_sects: 0x1f1,
  syssize: 0x1f4,
  boot_flag: 0x1fe,
  /** A short jump over the header, whose distance says where the header ends. */
  jump: 0x200,
  header: 0x202,
  version: 0x206,
  type_of_loader: 0x210,
  loadflags: 0x211,
  code32_start: 0x214,
  ramdisk_image: 0x218,
  ramdisk_size: 0x21c,
  cmd_line_ptr: 0x228,
  initrd_addr_max: 0x22c,
  kernel_alignment: 0x230,
  relocatable_kernel: 0x234,
  min_alignment: 0x235,
  xloadflags: 0x236,
  cmdline_size: 0x238,
  payload_offset: 0x248,
  payload_length: 0x24c,
  pref_address: 0x258,
  init_size: 0x260,
} as const;

/** loadflags: the protected-mode code is loaded at 1 MiB. */
export const LOADED_HIGH = 0x01;
/** xloadflags. */
export const XLF_KERNEL_64 = 0x0001;
export const XLF_CAN_BE_LOADED_ABOVE_4G = 0x0002;

const MAGIC = [0x48, 0x64, 0x72, 0x53];
const BOOT_FLAG = 0xaa55;
/** Protocol 2.12 (Linux 3.8) has xloadflags, and with it the 64-bit entry. */
const OLDEST_VERSION = 0x020c;
const SECTOR = 512;
/** Where boot_params goes on behind the setup header (edd_mbr_sig_buffer). */
const HEADER_LIMIT = 0x290;
const HEADER_MINIMUM = SETUP_HEADER.init_size + 4;
/** Kernels take some tens of megabytes; what is larger is no kernel. */
const LARGEST_INIT_SIZE = 2 ** 30;

/** A bzImage, its header read and checked. Sizes in bytes, addresses physical. */
export interface BzImage {
  /** The setup header as in the file, from 0x1f1 on: what a loader copies into boot_params. */
  readonly setupHeader: Uint8Array;
  /** Of the boot protocol: 0x020f is 2.15. */
  readonly version: number;
  /** The protected-mode kernel. */
  readonly kernel: Uint8Array;
  /** The compressed kernel and its size behind it. */
  readonly payload: Uint8Array;
  readonly relocatable: boolean;
  /** A power of two. */
  readonly alignment: number;
  readonly xloadflags: number;
  /** Bytes of a command line, without its NUL. */
  readonly cmdlineSize: number;
  /** The highest address that a RAM disk may occupy. */
  readonly initrdAddrMax: number;
  /** Where the kernel prefers to run. */
  readonly prefAddress: number;
  /** Memory that the kernel needs from its start on before it looks at the memory map. */
  readonly initSize: number;
}

/** Whether kernel, RAM disk and boot data may lie above 4 GiB. */
export function canLieAbove4G({ xloadflags }: BzImage): boolean {
  return (xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G) !== 0;
}

/** Whether the file has a setup header: "HdrS" at 0x202. */
export function isBzImage(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, index) => bytes[SETUP_HEADER.header + index] === byte);
}

/**
 * Reads and checks the setup header.
 * @throws ImageError where the image is truncated or corrupt, older than the 64-bit entry, or for other loaders
 */
export function parseBzImage(bytes: Uint8Array): BzImage {
  if (bytes.length < HEADER_MINIMUM)
    throw new ImageError("the bzImage is truncated: its setup header is cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const u8 = (at: number) => view.getUint8(at);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  const at = SETUP_HEADER;
  const version = u16(at.version);
  checkHeader(u16(at.boot_flag), version, u8(at.loadflags), u16(at.xloadflags));
  const headerEnd = at.header + u8(at.jump + 1);
  if (headerEnd < HEADER_MINIMUM || headerEnd > HEADER_LIMIT || headerEnd > bytes.length) {
    throw new ImageError(`the bzImage's setup header ends at ${hex(headerEnd)}, where no setup header ends`);
  }
  const start = ((u8(at.setup_sects) || 4) + 1) * SECTOR;
  const kernel = part(bytes, start, u32(at.syssize) * 16, "protected-mode kernel");
  const relocatable = u8(at.relocatable_kernel) !== 0;
  const alignment = u32(at.kernel_alignment);
  if (alignment < 4096 || (alignment & (alignment - 1)) !== 0) {
    throw new ImageError(
      `the bzImage's kernel_alignment is ${hex(alignment)}, not a power of two of 4 KiB or more`,
    );
  }
  const initSize = u32(at.init_size);
  if (initSize < kernel.length || initSize > LARGEST_INIT_SIZE) {
    throw new ImageError(
      `the bzImage's init_size is ${hex(initSize)}, but its kernel has ${hex(kernel.length)} bytes and at most 1 GiB are supported`,
    );
  }
  const prefAddress = view.getBigUint64(at.pref_address, true);
  if (prefAddress % BigInt(alignment) !== 0n || prefAddress >= 2n ** 47n) {
    throw new ImageError(`the bzImage's pref_address ${hex(prefAddress)} is no place for its kernel`);
  }
  return {
    setupHeader: bytes.subarray(at.setup_sects, headerEnd),
    version,
    kernel,
    payload: part(kernel, u32(at.payload_offset), u32(at.payload_length), "payload"),
    relocatable,
    alignment,
    xloadflags: u16(at.xloadflags),
    cmdlineSize: u32(at.cmdline_size),
    initrdAddrMax: u32(at.initrd_addr_max),
    prefAddress: Number(prefAddress),
    initSize,
  };
}

function checkHeader(bootFlag: number, version: number, loadflags: number, xloadflags: number): void {
  if (bootFlag !== BOOT_FLAG) {
    throw new ImageError(`the file has a setup header, but its boot_flag is ${hex(bootFlag)}, not 0xaa55`);
  }
  if (version < OLDEST_VERSION) {
    throw new ImageError(
      `the bzImage is of boot protocol ${version >> 8}.${String(version & 0xff).padStart(2, "0")}, ` +
        "but the 64-bit entry came with 2.12 (Linux 3.8)",
    );
  }
  if ((loadflags & LOADED_HIGH) === 0) {
    throw new ImageError("the file is a zImage, which is loaded below 1 MiB: only bzImages are supported");
  }
  if ((xloadflags & XLF_KERNEL_64) === 0) {
    throw new ImageError(
      "the bzImage is a 32-bit kernel, or has no 64-bit entry: use the vmlinux that it was made from",
    );
  }
}

function part(bytes: Uint8Array, start: number, size: number, what: string): Uint8Array {
  if (size === 0 || start + size > bytes.length) {
    throw new ImageError(
      `the bzImage's ${what} takes ${hex(size)} bytes from ${hex(start)} on, but there are ${hex(bytes.length)}: ` +
        "truncated or corrupt",
    );
  }
  return bytes.subarray(start, start + size);
}
