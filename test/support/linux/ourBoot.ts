/** A kernel on our machine at its PVH entry, as QEMU's PC would boot it. */
import { bootImage } from "../../../src/boot/boot";
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
}

/** @throws CpuModelError, ImageError, UsageError */
export function ourBoot(kernel: Kernel, { memory, cpu: name, cmdline }: OurBootOptions): Target {
  const cpu = parseCpu(name);
  const boot = bootImage(kernel.image.bytes, {
    memory: bytesOfSize(memory),
    cmdline,
    entry: "pvh",
    vendor: cpu.vendor,
    maxPhysicalBits: cpu.maxPhysicalBits,
    pages1G: cpu.features.pdpe1gb,
    nx: cpu.features.nx,
  });
  return targetOf(boot, cpu, "max", kernel.path);
}
