/** Debian's Linux from its PVH entry to its own page tables, on this machine and in QEMU. */
import { bootImage } from "../src/boot/boot";
import { pvhEntry } from "../src/boot/pvh";
import { parseCpu } from "../src/machine/cpu/model";
import { Machine } from "../src/machine/machine";
import { Symbols } from "../src/symbols/symbols";
import { type Kernel, readKernel } from "../test/support/linux/kernels";
import { QemuMachine } from "../test/support/qemu/qemuMachine";
import type { Contest } from "./besideQemu";
import { timed } from "./figures";

const MEMORY = 4 * 2 ** 30;
const CPU = "qemu64";
const CMDLINE = "nokaslr";
/** The function in which CR3 gets `init_top_pgt`. */
const LAST = "init_mem_mapping";

/** @param path of a vmlinux. @throws Error where it lacks a symbol */
export function linuxContest(path: string): Contest {
  const kernel = readKernel(path);
  const end = returnAddress(kernel);
  return {
    name: "Linux to its own tables",
    ours: () => {
      const { machine } = started(kernel);
      machine.setBreakpoints([end]);
      const seconds = timed(() => machine.run(1e9));
      return { seconds, instructions: machine.instructions };
    },
    theirs: () => inQemu(kernel, end),
  };
}

function started({ image }: Kernel): { machine: Machine; symbols: Symbols } {
  const cpu = parseCpu(CPU);
  const { vendor, maxPhysicalBits } = cpu;
  const boot = bootImage(image.bytes, { memory: MEMORY, cmdline: CMDLINE, vendor, maxPhysicalBits });
  const machine = new Machine({ ram: boot.ram, cpu });
  machine.want([]);
  boot.apply(machine.memory);
  machine.start(boot.start);
  return { machine, symbols: Symbols.fromElf(boot.image, { loadDelta: boot.loadDelta }) };
}

/** Where the function returns to. */
function returnAddress(kernel: Kernel): bigint {
  const { machine, symbols } = started(kernel);
  const entry = symbols.addressOf(LAST);
  if (entry === undefined) throw new Error(`${kernel.path} has no symbol ${LAST}`);
  machine.setBreakpoints([entry]);
  machine.run(1e9);
  const { cpu } = machine;
  const stack = cpu.getRegister(4);
  const low = cpu.mmu.load32(Number(BigInt.asIntN(32, stack)), Number(BigInt.asIntN(32, stack >> 32n)));
  // Kernel text lies in the upper 2 GiB.
  return BigInt.asUintN(64, BigInt(low | 0));
}

/** Seconds from the PVH entry to an address. */
async function inQemu(kernel: Kernel, end: bigint): Promise<number> {
  const qemu = await QemuMachine.start({ kernel: kernel.path, memory: "4G", cpu: CPU, cmdline: CMDLINE });
  try {
    const { gdb } = qemu;
    const entry = BigInt(pvhEntry(kernel.image)!);
    await gdb.setBreakpoint(entry);
    await gdb.continueHere();
    await gdb.removeBreakpoint(entry);
    await gdb.setBreakpoint(end);
    const start = process.hrtime.bigint();
    await gdb.continueHere();
    return Number(process.hrtime.bigint() - start) / 1e9;
  } finally {
    await qemu.stop();
  }
}
