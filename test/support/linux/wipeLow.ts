/** Takes away what firmware leaves below 1 MiB, so that a kernel finds nothing but what its loader hands over. */
import { BOOT_PARAMS_FIELDS, BOOT_PARAMS_SIZE } from "../../../src/boot/bootParams";
import type { QemuMachine } from "../qemu/qemuMachine";

const MIB = 2 ** 20;
const CMDLINE_LIMIT = 4096;
/** struct hvm_start_info (Xen documentation, "x86/HVM direct boot ABI"). */
const START_INFO = { size: 56, cmdline: 24, rsdp: 32, memmap: 40, memmapEntries: 48 } as const;
const MEMMAP_ENTRY = 24;
/** PAM registers of the i440FX (data sheet, "Programmable Attribute Map"): the BIOS area can be written where set. */
const PAM_REGISTERS: readonly [register: number, value: number][] = [
  [0x58, 0x33333000],
  [0x5c, 0x33333333],
];

/**
 * At the PVH entry: zeroes below 1 MiB but for hvm_start_info, which gives no RSDP any more, the memory map and the
 * command line.
 * @param startInfo physical address of hvm_start_info
 * @throws RemoteError; Error where a page cannot be written
 */
export async function wipeForPvh(qemu: QemuMachine, startInfo: number): Promise<void> {
  const info = await qemu.gdb.readPhysical(startInfo, START_INFO.size);
  const low = new LowMemory(qemu);
  const entries = info.readUInt32LE(START_INFO.memmapEntries);
  await low.keep(Number(info.readBigUInt64LE(START_INFO.memmap)), entries * MEMMAP_ENTRY);
  await low.keepText(Number(info.readBigUInt64LE(START_INFO.cmdline)));
  info.writeBigUInt64LE(0n, START_INFO.rsdp);
  low.put(startInfo, info);
  await low.write();
}

/**
 * At the 32-bit entry of a bzImage: zeroes below 1 MiB but for boot_params and the command line.
 * @param bootParams physical address of boot_params
 * @returns boot_params
 * @throws RemoteError; Error where a page cannot be written
 */
export async function wipeForBzImage(qemu: QemuMachine, bootParams: number): Promise<Buffer> {
  const params = await qemu.gdb.readPhysical(bootParams, BOOT_PARAMS_SIZE);
  const low = new LowMemory(qemu);
  await low.keepText(params.readUInt32LE(BOOT_PARAMS_FIELDS.cmd_line_ptr));
  low.put(bootParams, params);
  await low.write();
  return params;
}

/** What is to be below 1 MiB. */
class LowMemory {
  private readonly bytes = Buffer.alloc(MIB);

  constructor(private readonly qemu: QemuMachine) {}

  async keep(address: number, length: number): Promise<void> {
    this.put(address, await this.qemu.gdb.readPhysical(address, length));
  }

  /** A text that ends with NUL. */
  async keepText(address: number): Promise<void> {
    const text = await this.qemu.gdb.readPhysical(address, CMDLINE_LIMIT);
    this.put(address, text.subarray(0, text.indexOf(0) + 1));
  }

  put(address: number, bytes: Buffer): void {
    this.bytes.set(bytes, address);
  }

  async write(): Promise<void> {
    const { gdb, qmp } = this.qemu;
    for (const [register, value] of PAM_REGISTERS) {
      await qmp.monitor(`o/w 0xcf8 0x${(0x80000000 + register).toString(16)}`);
      await qmp.monitor(`o/w 0xcfc 0x${value.toString(16)}`);
    }
    await qmp.monitor("o/w 0xcf8 0");
    await gdb.writePhysical(0, this.bytes);
    if (!(await gdb.readPhysical(0, MIB)).equals(this.bytes)) {
      throw new Error("memory below 1 MiB could not be wiped: QEMU kept some of it");
    }
  }
}
