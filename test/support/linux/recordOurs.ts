/** The same moments as `record.ts` takes of QEMU, of our machine. */
import { BOOT_PARAMS_SIZE } from "../../../src/boot/bootParams";
import { PAGE_FAULT } from "../../../src/machine/cpu/fault";
import type { MachineEvent } from "../../../src/machine/events";
import { findRegister } from "../../../src/target/registers";
import type { Target } from "../../../src/target/target";
import { describeTables } from "./describeTables";
import type { Kernel } from "./kernels";
import { type OurBootOptions, ourBoot, RSI } from "./ourBoot";
import {
  COUNTED,
  e820Of,
  type Fault,
  type HandedOver,
  type Moment,
  RECORDED_REGISTERS,
  type Recording,
} from "./recording";

const KERNEL_MAP = 0xffffffff80000000n;
const RSP = 4;
/** Some 40 million with 4 GiB, or 5 billion where it decompresses itself; what comes not within this does not come. */
const MOST_INSTRUCTIONS = 400_000_000;
const MOST_TO_DECOMPRESS = 20_000_000_000;

const hex = (value: bigint | number) => `0x${value.toString(16)}`;

/** @throws Error where the kernel does not come to one of the moments; it says how far it came */
export function recordOurs(
  kernel: Kernel,
  options: OurBootOptions,
): Pick<Recording, "moments" | "faults"> & Partial<Pick<HandedOver, "e820">> {
  const { entry } = options.start ?? { entry: "pvh" };
  const run = new OurRun(ourBoot(kernel, options));
  const handed = entry === "pvh" ? {} : { e820: run.e820() };
  const most = entry.endsWith("-compressed") ? MOST_TO_DECOMPRESS : MOST_INSTRUCTIONS;
  const start = run.to("startup_64", run.addressOf("startup_64") - KERNEL_MAP, most);
  run.counting = true;
  const first = run.to("x86_64_start_kernel", run.addressOf("x86_64_start_kernel"));
  const called = run.to("init_mem_mapping", run.addressOf("init_mem_mapping"));
  const returned = run.to("the return of init_mem_mapping", run.returnAddress());
  const moments = {
    startup_64: start,
    x86_64_start_kernel: first,
    init_mem_mapping: called,
    "return:init_mem_mapping": returned,
  };
  return { ...handed, moments, faults: run.faults };
}

class OurRun {
  readonly faults: Fault[] = [];
  /** Whether calls and exceptions are taken note of. */
  counting = false;
  private readonly counts: Record<string, number> = {};

  constructor(private readonly target: Target) {
    target.machine.want(["page-fault", "exception"]);
    target.machine.onEvent = (event) => {
      if (this.counting) this.note(event);
      return false;
    };
  }

  addressOf(name: string): bigint {
    const address = this.target.symbols.addressOf(name);
    if (address === undefined) throw new Error(`the kernel has no symbol ${name}`);
    return address;
  }

  /** At the entry of a function. */
  returnAddress(): bigint {
    const bytes = this.target.readLinear(this.target.machine.cpu.getRegister(RSP), 8);
    return Buffer.from(bytes).readBigUInt64LE();
  }

  /** The memory map that is handed over, at the entry of a boot protocol of Linux. */
  e820(): HandedOver["e820"] {
    const { cpu, memory } = this.target.machine;
    return e820Of(memory.readBytes(Number(cpu.getRegister(RSI)), BOOT_PARAMS_SIZE));
  }

  to(what: string, address: bigint, most = MOST_INSTRUCTIONS): Moment {
    const { machine, places } = this.target;
    if (machine.instructions === 0 && machine.cpu.rip === address) return this.moment();
    const counted = new Map(this.counting ? COUNTED.map((name) => [this.addressOf(name), name]) : []);
    machine.setBreakpoints([address, ...counted.keys()]);
    const limit = machine.instructions + most;
    for (;;) {
      const result = machine.run(limit - machine.instructions);
      const { rip } = machine.cpu;
      if (result.reason !== "breakpoint") {
        const end = result.reason === "ended" ? describeEnd(result.event) : result.reason;
        throw new Error(`${what} was not reached: ${end} at ${places.symbol(rip) ?? hex(rip)}`);
      }
      if (rip === address) return this.moment();
      const name = counted.get(rip)!;
      this.counts[name] = (this.counts[name] ?? 0) + 1;
    }
  }

  private moment(): Moment {
    const { cpu, memory, pagingState } = this.target.machine;
    const registers = RECORDED_REGISTERS.map((name) => [name, hex(findRegister(name)!.read(cpu))]);
    return {
      registers: Object.fromEntries(registers),
      counts: { ...this.counts },
      ...describeTables(pagingState, memory),
    };
  }

  private note(event: MachineEvent): void {
    const cr2 = hex(this.target.machine.cpu.cr2);
    if (event.event === "page-fault") this.faults.push([PAGE_FAULT, hex(event.error), hex(event.rip), cr2]);
    else if (event.event === "exception")
      this.faults.push([event.vector, hex(event.error ?? 0), hex(event.rip), cr2]);
  }
}

function describeEnd(event: MachineEvent): string {
  return "reason" in event ? `${event.event} (${event.reason})` : event.event;
}
