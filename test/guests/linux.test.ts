/**
 * Linux from its PVH entry to the return of init_mem_mapping: its page tables on our machine are those that it makes in
 * QEMU, page by page. Against recordings where the kernel that they were made of is in the cache, and against QEMU
 * itself with the kernels that are there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { findKernel, type Kernel, kernelCache, readKernel, vmlinuxPaths } from "../support/linux/kernels";
import { recordLinux } from "../support/linux/record";
import { MOMENTS, type Moment, type Recording } from "../support/linux/recording";
import { recordOurs } from "../support/linux/recordOurs";
import { qemuMissing } from "../support/qemu/qemuMachine";

const FOLDER = new URL("../reference/linux/", import.meta.url);
const TIMEOUT = 180_000;

/** Our CPU for one of QEMU's: in what decides on page tables, the same. */
const OUR_CPUS: Readonly<Record<string, string>> = {
  qemu64: "qemu64",
  // A TCG CPU is AMD's with 40 physical bits.
  "max,la57=off": "amd,phys-bits=40,-la57",
};

/** RFLAGS but for the status flags, which the last instruction may have left undefined. */
const SYSTEM_FLAGS = ~0x8d5n;

const recordings = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .map((name) => ({ name, recording: JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as Recording }));

function compare(kernel: Kernel, recording: Recording): void {
  const { memory, cpu, cmdline, lowMemory } = recording.origin;
  const ours = recordOurs(kernel, { memory, cmdline, cpu: OUR_CPUS[cpu] });
  for (const name of MOMENTS) {
    const [mine, theirs] = [ours.moments[name], recording.moments[name]];
    expect.soft(mine.rows, `${name}: leaf rows`).toEqual(theirs.rows);
    expect.soft(mine.leafPages, `${name}: leaf pages`).toEqual(theirs.leafPages);
    expect.soft(mine.counts, `${name}: calls`).toEqual(theirs.counts);
    // With firmware's tables in memory the kernel uses other pages for its own.
    if (lowMemory === "firmware") continue;
    expect.soft(mine.tables, `${name}: pages of tables`).toEqual(theirs.tables);
    const all = cpu === "qemu64";
    expect.soft(registersOf(mine, all), `${name}: registers`).toEqual(registersOf(theirs, all));
  }
  const faults = recording.faults.map((fault) => (lowMemory === "wiped" ? fault : fault.slice(0, 3)));
  expect
    .soft(
      ours.faults.map((fault) => fault.slice(0, faults[0].length)),
      "faults",
    )
    .toEqual(faults);
}

/** @param all also what other features of the CPU change */
function registersOf({ registers }: Moment, all: boolean): Record<string, string> {
  const { eflags, cr4, ...rest } = registers;
  const flags = (BigInt(eflags) & SYSTEM_FLAGS).toString(16);
  return all ? { ...rest, eflags: flags, cr4 } : { ...rest, eflags: flags };
}

/** A boot keeps the thread to itself for seconds; between two, the runner's own messages get through. */
afterEach(() => sleep(20));

describe("Linux makes the page tables that were recorded in QEMU", () => {
  // One kernel at a time: they have hundreds of megabytes.
  let kernel: Kernel | string = "";
  let of = "";
  for (const { name, recording } of recordings) {
    test(name, { timeout: TIMEOUT }, ({ skip }) => {
      const { origin } = recording;
      if (of !== origin.kernel) kernel = findKernel(origin.kernel, origin.buildId);
      of = origin.kernel;
      if (typeof kernel === "string") skip(kernel);
      else compare(kernel, recording);
    });
  }
});

describe("Linux makes the page tables on both machines now", () => {
  const paths = vmlinuxPaths();
  for (const path of paths.length === 0 ? ["any kernel"] : paths) {
    test(path, { timeout: TIMEOUT }, async ({ skip }) => {
      if (paths.length === 0)
        skip(`no vmlinux is in ${kernelCache()}: npm run kernels -- --debug fetches one`);
      const missing = qemuMissing();
      if (missing !== undefined) skip(missing);
      const kernel = readKernel(path);
      const options = { memory: "3G", cpu: "qemu64", cmdline: "nokaslr quiet", wipe: true };
      compare(kernel, await recordLinux(kernel, options));
    });
  }
});
