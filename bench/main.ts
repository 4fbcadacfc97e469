/**
 * Measures the machine, each figure a median over rounds in this run: `npm run bench`. Absolute times depend on the
 * host; the ratio to a plain JavaScript loop in the same run is what to compare between hosts.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type BootOptions, bootProgram, programImage, requireProgram } from "../src/boot/boot";
import { parseCpu } from "../src/machine/cpu/model";
import { Machine, type MachineConfig } from "../src/machine/machine";
import { Symbols } from "../src/symbols/symbols";
import { compareWithQemu } from "./besideQemu";
import { debuggerFigures } from "./debugger";
import { type Figure, median, ROUNDS, timed } from "./figures";
import { reverseFigures } from "./reverse";

const GIB = 2 ** 30;
const GUESTS = join(__dirname, "..", "guests");

function rounds(measure: () => number): number {
  return median(Array.from({ length: ROUNDS }, measure));
}

/** A started early-fault. */
function earlyFault(
  settings: Record<string, string>,
  options: BootOptions,
  tlb: MachineConfig["tlb"] = "max",
) {
  const program = requireProgram("early-fault");
  const given = new Map(Object.entries(settings));
  const cpu = parseCpu("max");
  const boot = bootProgram(program, given, readFileSync(join(GUESTS, programImage(program, given))), {
    maxPhysicalBits: cpu.maxPhysicalBits,
    ...options,
  });
  const machine = new Machine({ ram: boot.ram, cpu, tlb });
  machine.want([]);
  boot.apply(machine.memory);
  machine.start(boot.start);
  return { machine, boot };
}

/** Dependent multiplications and additions in plain JavaScript, a second: how fast the host is. */
function hostLoops(): number {
  const count = 20_000_000;
  let x = 1;
  const seconds = timed(() => {
    for (let i = 0; i < count; i++) x = (Math.imul(x, 1664525) + i) | 0;
  });
  return x === 0 ? 0 : count / seconds;
}

/** Instructions a second while the whole ramdisk is read through demand-made mappings. */
function ramdiskScan(): number {
  const { machine } = earlyFault({ ramdisk: "64M", checksum: "on" }, { memory: GIB });
  const seconds = timed(() => {
    while (machine.ended === undefined) machine.run(50_000_000);
  });
  return machine.instructions / seconds;
}

/** Reads of one word of each of many pages, a second, by `tlb`: every one a walk, or every one a hit in the TLB. */
function translations(tlb: MachineConfig["tlb"]): number {
  const { machine, boot } = earlyFault({}, { memory: 4 * GIB }, tlb);
  const symbols = Symbols.fromElf(boot.image, { loadDelta: boot.loadDelta });
  machine.setBreakpoints([symbols.addressOf("install_final_page_fault")!]);
  machine.run(50_000_000);
  const { mmu } = machine.cpu;
  // 64 MiB of the direct map from 16 MiB on: far more pages than the fast cache before the TLB holds.
  const base = 0xffff8800;
  const first = 4096;
  const pages = 16_384;
  const pass = () => {
    for (let page = 0; page < pages; page++) mmu.load32(((first + page) * 4096) | 0, base | 0);
  };
  pass();
  const passes = 8;
  return (
    (passes * pages) /
    timed(() => {
      for (let i = 0; i < passes; i++) pass();
    })
  );
}

/** Milliseconds from the first instruction to the switch to init_level4_pgt. */
function toSwitchover(): number {
  const { machine } = earlyFault({}, {});
  machine.want(["switchover"]);
  machine.onEvent = (event) => event.event === "switchover";
  return timed(() => machine.run(50_000_000)) * 1000;
}

/** Milliseconds for a whole boot with 1 TiB in 1 GiB pages. */
function terabyte(): number {
  const { machine } = earlyFault({}, { memory: 1024 * GIB });
  const seconds = timed(() => {
    while (machine.ended === undefined) machine.run(50_000_000);
  });
  if (machine.ended?.event !== "exit")
    throw new Error(`the boot with 1 TiB ended with ${machine.ended?.event}`);
  return seconds * 1000;
}

const PEAK = "--terabyte-peak";
/** Measures only a part: the machine and the debugger by themselves, boots beside QEMU, going backwards. */
const PARTS = ["--machine", "--qemu", "--reverse"] as const;
/** Also goes backwards from the end of a full boot of Linux. */
const FULL = "--full";

/** Peak resident memory in MiB of a process that does nothing else than boot with 1 TiB. */
function terabytePeak(): number {
  return Number(execFileSync(process.execPath, [__filename, PEAK], { encoding: "utf8" }));
}

function figures(): Figure[] {
  const loops = rounds(hostLoops);
  const scan = rounds(ramdiskScan);
  const cold = rounds(() => translations("off"));
  const hits = rounds(() => translations("max"));
  return [
    { name: "plain JavaScript loop (the peer)", value: loops / 1e6, unit: "million iterations/s" },
    {
      name: "ramdisk scan",
      value: scan / 1e6,
      unit: "million instructions/s",
      note: `${(scan / loops).toFixed(2)} of the peer`,
    },
    {
      name: "walks with a cold TLB",
      value: cold / 1e6,
      unit: "million/s",
      note: `${(cold / loops).toFixed(3)} of the peer`,
    },
    {
      name: "hits in the TLB",
      value: hits / 1e6,
      unit: "million/s",
      note: `${(hits / loops).toFixed(3)} of the peer`,
    },
    { name: "start to switchover", value: rounds(toSwitchover), unit: "ms" },
    { name: "whole boot with 1 TiB of memory", value: rounds(terabyte), unit: "ms" },
    { name: "its peak memory, a process of its own", value: terabytePeak(), unit: "MiB" },
  ];
}

async function debugging(): Promise<Figure[]> {
  const { launch, step, refreshed, tables, map } = await debuggerFigures();
  const p99 = (value: number) => `99th percentile ${value.toFixed(1)} ms`;
  return [
    { name: "debugger: launch to first stop", value: launch, unit: "ms" },
    { name: "debugger: step by a line", value: step.median, unit: "ms", note: p99(step.p99) },
    { name: "debugger: page-table rows", value: tables, unit: "ms" },
    { name: "debugger: memory map", value: map, unit: "ms" },
    {
      name: "debugger: step to all refreshed",
      value: refreshed.median,
      unit: "ms",
      note: p99(refreshed.p99),
    },
  ];
}

function print(figures: readonly Figure[]): void {
  for (const { name, value, unit, note } of figures) {
    const remark = note === undefined ? "" : `   (${note})`;
    console.log(`${name.padEnd(40)}${value.toFixed(1).padStart(10)} ${unit}${remark}`);
  }
}

async function backwards(full: boolean): Promise<void> {
  for await (const { boot, instructions, ...figures } of reverseFigures(join(__dirname, ".."), full)) {
    const { switchover, fault, write, step, slowdown, checkpoints } = figures;
    print([
      { name: "reverse: end to the switchover", value: switchover, unit: "ms", note: boot },
      { name: "reverse: end to first page fault", value: fault, unit: "ms" },
      { name: "reverse: end to an entry's write", value: write, unit: "ms" },
      { name: "reverse: one step back", value: step, unit: "ms" },
      {
        name: "run with checkpoints",
        value: slowdown,
        unit: "times as long",
        note: `${(instructions / 1e6).toFixed(1)} million instructions, ${checkpoints.toFixed(1)} MiB of checkpoints`,
      },
    ]);
  }
}

async function main(): Promise<void> {
  if (process.argv.includes(PEAK)) {
    terabyte();
    console.log(process.resourceUsage().maxRSS / 1024);
    return;
  }
  const chosen = PARTS.filter((part) => process.argv.includes(part));
  const wants = (part: (typeof PARTS)[number]) => chosen.length === 0 || chosen.includes(part);
  if (wants("--machine")) {
    print(figures());
    print(await debugging());
  }
  if (wants("--qemu")) await compareWithQemu(GUESTS);
  if (wants("--reverse")) await backwards(process.argv.includes(FULL));
}

void main();
