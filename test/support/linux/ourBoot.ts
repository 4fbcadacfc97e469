/** A kernel of Debian's on our machine at its entry, as QEMU's PC would boot it. */
import { readFileSync } from "node:fs";
import { type Boot, bootImage } from "../../../src/boot/boot";
import { BOOT_PARAMS_SIZE } from "../../../src/boot/bootParams";
import { parseCpu } from "../../../src/machine/cpu/model";
import { targetOf } from "../../../src/target/launch";
import type { Target } from "../../../src/target/target";
import type { Kernel } from "./kernels";
import { bytesOfSize } from "./memorySize";

export interface OurBootOptions {
  /** As QEMU reads it: "4G". */
  readonly memory: string;
  /** As `parseCpu` reads it. */
  readonly cpu: string;
  readonly cmdline: string;
  /** PVH unless given. */
  readonly start?: VmlinuxStart | BzImageStart;
}

export interface VmlinuxStart {
  readonly entry: "pvh" | "linux64";
}

export interface BzImageStart {
  readonly entry: "linux32-compressed" | "linux64-compressed";
  /** Path of the kernel's bzImage. */
  readonly bzImage: string;
  /** Physical, where boot_params is to be at the 32-bit entry: setup code of other builds has it elsewhere. */
  readonly bootParams?: number;
}

/** Number of the register that holds the address of boot_params at an entry. */
export const RSI = 6;

/** @throws CpuModelError, ImageError, UsageError */
export function bootOf(kernel: Kernel, { memory, cpu: name, cmdline, start }: OurBootOptions): Boot {
  const cpu = parseCpu(name);
  const { entry } = start ?? { entry: "pvh" };
  const bytes = start !== undefined && "bzImage" in start ? readFileSync(start.bzImage) : kernel.image.bytes;
  const boot = bootImage(bytes, {
    memory: bytesOfSize(memory),
    cmdline,
    entry,
    vendor: cpu.vendor,
    maxPhysicalBits: cpu.maxPhysicalBits,
    pages1G: cpu.features.pdpe1gb,
    nx: cpu.features.nx,
  });
  return { ...boot, image: kernel.image };
}

/** @throws CpuModelError, ImageError, UsageError */
export function ourBoot(kernel: Kernel, options: OurBootOptions): Target {
  const { start, cpu } = options;
  const target = targetOf(bootOf(kernel, options), parseCpu(cpu), "max", kernel.path);
  if (start !== undefined && "bzImage" in start && start.bootParams !== undefined)
    moveBootParams(target, start.bootParams);
  return target;
}

function moveBootParams({ machine: { memory, cpu } }: Target, to: number): void {
  const from = Number(cpu.getRegister(RSI));
  const params = memory.readBytes(from, BOOT_PARAMS_SIZE);
  memory.fill(from, BOOT_PARAMS_SIZE, 0);
  memory.writeBytes(to, params);
  cpu.setRegister(RSI, BigInt(to));
}
