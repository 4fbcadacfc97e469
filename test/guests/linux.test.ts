/**
 * Linux from its entry to the return of init_mem_mapping: its page tables on our machine are those that it makes in
 * QEMU, page by page. Against recordings where the kernel that they were made of is in the cache, and against QEMU
 * itself with the kernels that are there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import {
  bzImageOf,
  findKernel,
  type Kernel,
  kernelCache,
  readKernel,
  vmlinuxOf,
  vmlinuxPaths,
} from "../support/linux/kernels";
import { type BzImageStart, bootOf } from "../support/linux/ourBoot";
import { recordBoot, recordLinux } from "../support/linux/record";
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
  max: "amd,phys-bits=40",
};

/** RFLAGS but for the status flags, which the last instruction may have left undefined. */
const SYSTEM_FLAGS = ~0x8d5n;

const recordings = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .map((name) => ({ name, recording: JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as Recording }));

/** Boots ours from the start that was recorded. @param bzImage path of the kernel's, where that was started */
function compareRecording(kernel: Kernel, recording: Recording, bzImage?: string): void {
  const { origin, handedOver } = recording;
  const { memory, cpu, cmdline } = origin;
  const start: BzImageStart | undefined =
    bzImage === undefined || handedOver === undefined
      ? undefined
      : { entry: "linux32-compressed", bzImage, bootParams: Number(handedOver.bootParams) };
  const ours = recordOurs(kernel, { memory, cmdline, cpu: OUR_CPUS[cpu], ...(start && { start }) });
  expect.soft(ours.e820, "the memory map").toEqual(handedOver?.e820);
  compare(ours, recording, origin);
}

type Recorded = Pick<Recording, "moments" | "faults">;

function compare(
  ours: Recorded,
  recording: Recorded,
  { cpu, lowMemory }: Pick<Recording["origin"], "cpu" | "lowMemory">,
): void {
  for (const name of MOMENTS) {
    const [mine, theirs] = [ours.moments[name], recording.moments[name]];
    expect.soft(mine.mode, `${name}: paging mode`).toBe(theirs.mode);
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
      else if (origin.start === "pvh") compareRecording(kernel, recording);
      else {
        const bzImage = bzImageOf(kernel);
        if (bzImage === undefined) skip(`the bzImage of ${origin.kernel} was not fetched with it`);
        compareRecording(kernel, recording, bzImage);
      }
    });
  }
});

describe("Linux makes the page tables on both machines now", () => {
  const paths = vmlinuxPaths();
  const none = `no vmlinux is in ${kernelCache()}: npm run kernels -- --debug fetches one`;
  const options = { memory: "3G", cpu: "qemu64", cmdline: "nokaslr quiet" };

  for (const path of paths.length === 0 ? ["any kernel"] : paths) {
    test(path, { timeout: TIMEOUT }, async ({ skip }) => {
      const reason = paths.length === 0 ? none : qemuMissing();
      if (reason !== undefined) skip(reason);
      const kernel = readKernel(path);
      compareRecording(kernel, await recordLinux(kernel, { ...options, wipe: true }));
    });
  }

  // Our start state in QEMU, without firmware.
  test.for([
    ["linux64", "qemu64"],
    ["linux64", "max"],
    ["linux64-compressed", "qemu64"],
    // The decompressor goes over to 5-level paging.
    ["linux64-compressed", "max"],
  ] as const)("by the entry %s, CPU %s", { timeout: TIMEOUT }, async ([entry, cpu], { skip }) => {
    const path = vmlinuxOf("cloud-amd64") ?? paths[0];
    const reason = path === undefined ? none : qemuMissing();
    if (reason !== undefined) skip(reason);
    const kernel = readKernel(path);
    const bzImage = bzImageOf(kernel) ?? "";
    if (entry !== "linux64" && bzImage === "") skip(`the bzImage of ${path} was not fetched with it`);
    const start = entry === "linux64" ? { entry } : { entry, bzImage };
    const ours = { ...options, cpu: OUR_CPUS[cpu], start };
    const theirs = await recordBoot(kernel, bootOf(kernel, ours), { ...options, cpu });
    compare(recordOurs(kernel, ours), theirs, { cpu, lowMemory: "wiped" });
  });
});
