/** What it costs to go backwards, and what it costs to be able to. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { nodeHost } from "../debug/nodeHost";
import { History } from "../machine/checkpoints/history";
import type { Machine } from "../machine/machine";
import { type LaunchRequest, launch } from "../target/launch";
import { Client } from "./client";

export interface ReverseFigures {
  /** What was booted. */
  readonly boot: string;
  /** Instructions of it. */
  readonly instructions: number;
  /** Milliseconds from the end, medians: to the switchover, to the first page fault, to who wrote an entry. */
  readonly switchover: number;
  readonly fault: number;
  readonly write: number;
  /** Milliseconds of one step back by an instruction, median. */
  readonly step: number;
  /** The time of a run with checkpoints over that of one without: the median of pairs. */
  readonly slowdown: number;
  /** MiB of checkpoints at the end. */
  readonly checkpoints: number;
}

interface Boot {
  readonly name: string;
  readonly program: string;
  readonly memory: string;
  readonly bytes: number;
  readonly cpu: string;
  readonly cmdline?: string;
  readonly settings?: Record<string, string>;
  /** The function at whose return the run ends; the guest's exit unless given. */
  readonly until?: string;
  /** A linear address whose entry of the root is asked for. */
  readonly address: string;
}

const ROUNDS = 5;
const STEPS = 20;
const GIB = 2 ** 30;
const MIB = 2 ** 20;
const BUDGET = 256 * MIB;
const KERNEL = "vmlinux-amd64-nodebug";

function boots(): Boot[] {
  const early: Boot = {
    name: "early-fault, 64 MiB of ramdisk read",
    program: "early-fault",
    memory: "1G",
    bytes: GIB,
    cpu: "max",
    settings: { ramdisk: "64M", checksum: "on" },
    address: "0xffff880000000000",
  };
  const kernel = join(process.env.PAGEWALK_KERNELS ?? "", KERNEL);
  if (process.env.PAGEWALK_KERNELS === undefined || !existsSync(kernel)) return [early];
  const linux: Boot = {
    name: "Linux 6.1 to its own tables",
    program: kernel,
    memory: "4G",
    bytes: 4 * GIB,
    cpu: "qemu64",
    cmdline: "nokaslr",
    until: "init_mem_mapping",
    address: "0xffff888000000000",
  };
  return [early, linux];
}

/** Of every boot that is there. @param root the folder that holds guests/ */
export async function reverseFigures(root: string): Promise<ReverseFigures[]> {
  const figures: ReverseFigures[] = [];
  for (const boot of boots()) figures.push(await figuresOf(root, boot));
  return figures;
}

async function figuresOf(root: string, boot: Boot): Promise<ReverseFigures> {
  const client = new Client(root);
  await client.ask("initialize", { adapterID: "pagewalk" });
  const { program, memory, cpu, cmdline, settings } = boot;
  await client.ask("launch", {
    program,
    memory,
    cpu,
    ...(cmdline === undefined ? {} : { cmdline }),
    ...(settings === undefined ? {} : { settings }),
  });
  const filters = (...names: string[]) => client.ask("setExceptionBreakpoints", { filters: names });
  await filters("page-fault", "exit");
  await client.go("configurationDone");
  const fault = String((await client.go("continue")).text);
  await filters("exit");
  const stopAddress = await runToEnd(client, boot);
  const { instructions } = (await client.ask("pagewalk/state")) as { instructions: number };
  const fromEnd = async (action: () => Promise<unknown>) => {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await client.askAndStop("pagewalk/travel", { to: "end" });
      times.push(await timed(action));
    }
    return median(times);
  };
  const entry = await entryOf(client, boot.address);
  await filters("switchover");
  const switchover = await fromEnd(() => client.go("reverseContinue"));
  const condition = `address == ${/0x[0-9a-f]+/.exec(fault)?.[0]}`;
  await client.ask("setExceptionBreakpoints", {
    filters: [],
    filterOptions: [{ filterId: "page-fault", condition }],
  });
  const toFault = await fromEnd(() => client.go("reverseContinue"));
  await filters();
  const write = await fromEnd(() => client.askAndStop("pagewalk/whoWrote", { physical: entry, length: 8 }));
  await client.askAndStop("pagewalk/travel", { to: "end" });
  const steps: number[] = [];
  for (let i = 0; i < STEPS; i++)
    steps.push(await timed(() => client.go("stepBack", { granularity: "instruction" })));
  client.end();
  const { slowdown, checkpoints } = await slowdownOf(root, boot, stopAddress);
  return {
    boot: boot.name,
    instructions,
    switchover,
    fault: toFault,
    write,
    step: median(steps),
    slowdown,
    checkpoints,
  };
}

/** @returns where the run ends; undefined where it does by itself */
async function runToEnd(client: Client, { until }: Boot): Promise<bigint | undefined> {
  if (until === undefined) {
    await client.go("continue");
    return undefined;
  }
  await client.ask("setFunctionBreakpoints", { breakpoints: [{ name: until }] });
  await client.go("continue");
  await client.ask("setFunctionBreakpoints", { breakpoints: [] });
  const { result } = await client.ask("evaluate", {
    expression: "*(unsigned long *)$rsp,x",
    context: "watch",
  });
  const breakpoints = [{ instructionReference: String(result) }];
  await client.ask("setInstructionBreakpoints", { breakpoints });
  await client.go("continue");
  await client.ask("setInstructionBreakpoints", { breakpoints: [] });
  return BigInt(String(result));
}

/** The physical address of the entry of the root that translates an address. */
async function entryOf(client: Client, address: string): Promise<string> {
  const { rows } = (await client.ask("pagewalk/reveal", { address })) as { rows: { entry?: string }[] };
  const entry = rows.find((row) => row.entry !== undefined)?.entry;
  if (entry === undefined) throw new Error(`nothing translates ${address}`);
  return entry;
}

/** Runs in pairs, one without checkpoints and one with. */
async function slowdownOf(
  root: string,
  { program, bytes, cpu, cmdline, settings }: Boot,
  stopAddress: bigint | undefined,
): Promise<{ slowdown: number; checkpoints: number }> {
  const request: LaunchRequest = {
    program,
    memory: bytes,
    cpu,
    settings: new Map(Object.entries(settings ?? {})),
    ...(cmdline === undefined ? {} : { cmdline }),
    entry: "auto",
    tlb: "max",
  };
  const started = async () => {
    const { machine } = await launch(request, nodeHost(root).files);
    machine.want([]);
    if (stopAddress !== undefined) machine.setBreakpoints([stopAddress]);
    return machine;
  };
  const isOver = (machine: Machine, reason: string) => machine.ended !== undefined || reason === "breakpoint";
  const ratios: number[] = [];
  let checkpoints = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const plain = await started();
    const without = await timed(async () => {
      while (!isOver(plain, plain.run(50_000_000).reason));
    });
    const machine = await started();
    const withCheckpoints = await timed(async () => {
      const history = new History(machine, BUDGET);
      while (!isOver(machine, history.run(50_000_000).reason));
      checkpoints = history.bytes / MIB;
    });
    ratios.push(withCheckpoints / without);
  }
  return { slowdown: median(ratios), checkpoints };
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
