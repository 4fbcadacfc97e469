/** Writes small bzImages in memory, sound ones: tests break them afterwards at the offsets of SETUP_HEADER. */

import { Struct } from "../../src/boot/bytes";
import { SETUP_HEADER } from "../../src/boot/bzImage";

/** Headers end behind kernel_info_offset of protocol 2.15. */
export const HEADER_END = 0x26c;
const SETUP_SECTS = 1;
const KERNEL_OFFSET = (SETUP_SECTS + 1) * 512;
const PAYLOAD_OFFSET = 0x240;

export interface BzImageToWrite {
  /** With its size behind it, as the kernel's build appends it. */
  payload: Uint8Array;
  relocatable?: boolean;
  xloadflags?: number;
  initrdAddrMax?: number;
  cmdlineSize?: number;
  prefAddress?: number;
  initSize?: number;
  alignment?: number;
}

/** There is a HLT at the 64-bit entry, and vid_mode is "normal". */
export function writeBzImage(image: BzImageToWrite): Uint8Array {
  const at = SETUP_HEADER;
  const kernelSize = Math.ceil((PAYLOAD_OFFSET + image.payload.length) / 16) * 16;
  const file = new Struct(KERNEL_OFFSET + kernelSize);
  file.u8(at.setup_sects, SETUP_SECTS);
  file.u32(at.syssize, kernelSize / 16);
  file.u16(0x1fa, 0xffff);
  file.u16(at.boot_flag, 0xaa55);
  file.u8(at.jump, 0xeb);
  file.u8(at.jump + 1, HEADER_END - 0x202);
  file.bytes.set([0x48, 0x64, 0x72, 0x53], at.header);
  file.u16(at.version, 0x020f);
  file.u8(at.loadflags, 1);
  file.u32(at.code32_start, 0x100000);
  file.u32(at.initrd_addr_max, image.initrdAddrMax ?? 0x7fffffff);
  file.u32(at.kernel_alignment, image.alignment ?? 0x200000);
  file.u8(at.relocatable_kernel, (image.relocatable ?? true) ? 1 : 0);
  file.u8(at.min_alignment, 21);
  file.u16(at.xloadflags, image.xloadflags ?? 0x7f);
  file.u32(at.cmdline_size, image.cmdlineSize ?? 2047);
  file.u32(at.payload_offset, PAYLOAD_OFFSET);
  file.u32(at.payload_length, image.payload.length);
  file.u64(at.pref_address, image.prefAddress ?? 0x1000000);
  file.u32(at.init_size, image.initSize ?? 0x800000);
  file.bytes.set([0xf4], KERNEL_OFFSET + 0x200);
  file.bytes.set(image.payload, KERNEL_OFFSET + PAYLOAD_OFFSET);
  return file.bytes;
}

/** A stream with the size of what it holds behind it. */
export function withSize(stream: Uint8Array, size: number): Uint8Array {
  const payload = new Struct(stream.length + 4);
  payload.bytes.set(stream);
  payload.u32(stream.length, size);
  return payload.bytes;
}
