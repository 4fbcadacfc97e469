/** Boots a kernel in QEMU and records its page tables at the moments of `MOMENTS`. */
import { basename } from "node:path";
import type { Boot } from "../../../src/boot/boot";
import { BOOT_PARAMS_SIZE } from "../../../src/boot/bootParams";
import { pvhEntry } from "../../../src/boot/pvh";
import { Symbols } from "../../../src/symbols/symbols";
import type { GdbRemote, RemoteRegisters } from "../qemu/gdbRemote";
import { QemuMachine } from "../qemu/qemuMachine";
import { looking, pagingStateOf } from "../qemu/remoteMemory";
import { describeTables } from "./describeTables";
import type { Kernel } from "./kernels";
import {
  COUNTED,
  e820Of,
  type Fault,
  type HandedOver,
  type Moment,
  type MomentName,
  RECORDED_REGISTERS,
  type Recording,
} from "./recording";
import { wipeForBzImage, wipeForPvh } from "./wipeLow";

export interface RecordOptions {
  /** As QEMU reads them. */
  readonly memory: string;
  readonly cpu: string;
  readonly cmdline: string;
  /** Whether memory below 1 MiB is wiped at the entry. */
  readonly wipe: boolean;
  /** The kernel's bzImage, for firmware to start; without one the kernel is entered by its PVH note. */
  readonly bzImage?: string;
}

/** The 32-bit entry of a bzImage, where QEMU's loader puts it. */
const ENTRY_32 = 0x100000n;

/** __START_KERNEL_map: where Linux for x86-64 maps physical 0 (Documentation/arch/x86/x86_64/mm.rst). */
const KERNEL_MAP = 0xffffffff80000000n;
/** struct pt_regs: the error code (orig_ax) and RIP of what was interrupted. */
const PT_REGS = { error: 120, rip: 128, size: 136 } as const;
const EXCEPTION_HANDLER = "do_early_exception";

const hex = (value: bigint) => `0x${value.toString(16)}`;

/** @throws RemoteError; Error where the kernel has no PVH note or lacks a symbol */
export async function recordLinux(kernel: Kernel, options: RecordOptions): Promise<Recording> {
  const { memory, cpu, cmdline, wipe, bzImage } = options;
  const entry = bzImage === undefined ? pvhEntry(kernel.image) : ENTRY_32;
  if (entry === undefined) throw new Error(`${kernel.path} has no PVH note`);
  const qemu = await QemuMachine.start({ kernel: bzImage ?? kernel.path, memory, cpu, cmdline });
  try {
    const recorder = new Recorder(qemu.gdb, kernel);
    const { rbx, rsi } = await recorder.runTo(entry, true);
    let handedOver: HandedOver | undefined;
    if (bzImage !== undefined) handedOver = await handOver(qemu, Number(rsi), wipe);
    else if (wipe) await wipeForPvh(qemu, Number(rbx));
    const moments = await recorder.moments();
    const origin = {
      kernel: basename(kernel.path),
      buildId: kernel.buildId,
      qemu: await qemu.qmp.version(),
      ...{ memory, cpu, cmdline },
      start: bzImage === undefined ? ("pvh" as const) : ("bzimage" as const),
      lowMemory: wipe ? ("wiped" as const) : ("firmware" as const),
    };
    return { origin, ...(handedOver === undefined ? {} : { handedOver }), moments, faults: recorder.faults };
  } finally {
    await qemu.stop();
  }
}

/**
 * Records a boot of ours in QEMU, from the same start state: no firmware runs.
 * @param options as QEMU reads them
 * @throws RemoteError; RangeError where QEMU cannot be brought to the start state
 */
export async function recordBoot(
  kernel: Kernel,
  boot: Boot,
  options: { readonly memory: string; readonly cpu: string },
): Promise<Pick<Recording, "moments" | "faults">> {
  const qemu = await QemuMachine.startBoot(boot, options);
  try {
    const recorder = new Recorder(qemu.gdb, kernel);
    await recorder.runTo(boot.start.rip, true);
    return { moments: await recorder.moments(), faults: recorder.faults };
  } finally {
    await qemu.stop();
  }
}

async function handOver(qemu: QemuMachine, address: number, wipe: boolean): Promise<HandedOver> {
  const params = wipe
    ? await wipeForBzImage(qemu, address)
    : await qemu.gdb.readPhysical(address, BOOT_PARAMS_SIZE);
  return { bootParams: hex(BigInt(address)), e820: e820Of(params) };
}

class Recorder {
  readonly faults: Fault[] = [];
  private readonly symbols: Symbols;
  private readonly counts: Record<string, number> = {};

  constructor(
    private readonly gdb: GdbRemote,
    kernel: Kernel,
  ) {
    this.symbols = Symbols.fromElf(kernel.image, { loadDelta: 0 });
  }

  async moments(): Promise<Record<MomentName, Moment>> {
    // Where it lies physically it is the 64-bit entry, and where the PVH entry and decompressors go on.
    const physical = this.addressOf("startup_64") - KERNEL_MAP;
    const entry = await this.gdb.registers();
    const start = await this.at(entry.rip === physical ? entry : await this.runTo(physical));
    for (const name of [EXCEPTION_HANDLER, ...COUNTED]) await this.gdb.setBreakpoint(this.addressOf(name));
    const first = await this.at(await this.runTo(this.addressOf("x86_64_start_kernel")));
    const registers = await this.runTo(this.addressOf("init_mem_mapping"));
    const called = await this.at(registers);
    const back = (await this.gdb.readLinear(registers.rsp, 8)).readBigUInt64LE();
    const returned = await this.at(await this.runTo(back));
    return {
      startup_64: start,
      x86_64_start_kernel: first,
      init_mem_mapping: called,
      "return:init_mem_mapping": returned,
    };
  }

  /** Runs to an address, counting on the way. @param fresh nothing ran yet: a breakpoint here would be no news */
  async runTo(address: bigint, fresh = false): Promise<RemoteRegisters> {
    const { gdb } = this;
    await gdb.setBreakpoint(address);
    if (fresh) await gdb.continueHere();
    for (;;) {
      const registers = fresh ? await gdb.registers() : await this.goOn();
      if (registers.rip === address) {
        await gdb.removeBreakpoint(address);
        return registers;
      }
      if (fresh) throw new Error(`the kernel did not come to its entry ${hex(address)}`);
      await this.count(registers);
    }
  }

  private async goOn(): Promise<RemoteRegisters> {
    await this.gdb.continue();
    return this.gdb.registers();
  }

  private async count(registers: RemoteRegisters): Promise<void> {
    if (registers.rip === this.addressOf(EXCEPTION_HANDLER)) {
      this.faults.push(await this.faultOf(registers));
      return;
    }
    const name = COUNTED.find((each) => this.addressOf(each) === registers.rip);
    if (name === undefined)
      throw new Error(`QEMU stopped at ${hex(registers.rip)}, where nobody asked it to`);
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  /** The handler's arguments are pt_regs and the vector. */
  private async faultOf({ rdi, rsi, cr2 }: RemoteRegisters): Promise<Fault> {
    const saved = await this.gdb.readLinear(rdi, PT_REGS.size);
    const word = (offset: number) => hex(saved.readBigUInt64LE(offset));
    return [Number(rsi & 0xffffffffn), word(PT_REGS.error), word(PT_REGS.rip), hex(cr2)];
  }

  private async at(registers: RemoteRegisters): Promise<Moment> {
    const state = pagingStateOf(registers);
    const tables = await looking(this.gdb, (memory) => describeTables(state, memory));
    const recorded = RECORDED_REGISTERS.map((name) => [name, hex(registers[name])]);
    return { registers: Object.fromEntries(recorded), counts: { ...this.counts }, ...tables };
  }

  private addressOf(name: string): bigint {
    const address = this.symbols.addressOf(name);
    if (address === undefined) throw new Error(`the kernel has no symbol ${name}`);
    return address;
  }
}
