/** Takes away what firmware leaves below 1 MiB, so that a kernel finds nothing but what PVH hands over. */
import type { QemuMachine } from "../qemu/qemuMachine";

const MIB = 2 ** 20;
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
export async function wipeLowMemory({ gdb, qmp }: QemuMachine, startInfo: number): Promise<void> {
  const info = await gdb.readPhysical(startInfo, START_INFO.size);
  const low = Buffer.alloc(MIB);
  const keep = async (address: number, length: number) => {
    low.set(await gdb.readPhysical(address, length), address);
  };
  const entries = info.readUInt32LE(START_INFO.memmapEntries);
  await keep(Number(info.readBigUInt64LE(START_INFO.memmap)), entries * MEMMAP_ENTRY);
  const cmdline = Number(info.readBigUInt64LE(START_INFO.cmdline));
  const text = await gdb.readPhysical(cmdline, 4096);
  low.set(text.subarray(0, text.indexOf(0) + 1), cmdline);
  info.writeBigUInt64LE(0n, START_INFO.rsdp);
  low.set(info, startInfo);
  for (const [register, value] of PAM_REGISTERS) {
    await qmp.monitor(`o/w 0xcf8 0x${(0x80000000 + register).toString(16)}`);
    await qmp.monitor(`o/w 0xcfc 0x${value.toString(16)}`);
  }
  await qmp.monitor("o/w 0xcf8 0");
  await gdb.writePhysical(0, low);
  if (!(await gdb.readPhysical(0, MIB)).equals(low)) {
    throw new Error("memory below 1 MiB could not be wiped: QEMU kept some of it");
  }
}
