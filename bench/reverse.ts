/** What it costs to go backwards, and what it costs to be able to. */
import { nodeHost } from "../src/debug/nodeHost";
import { History } from "../src/machine/checkpoints/history";
import type { Machine } from "../src/machine/machine";
import { type LaunchRequest, launch } from "../src/target/launch";
import { vmlinuxPaths } from "../test/support/linux/kernels";
import { Client } from "./client";
import { median, ROUNDS } from "./figures";

export interface ReverseFigures {
  /** What was booted. */
  readonly boot: string;
  /** Instructions of it. */
  readonly instructions: number;
  /** Milliseconds from the end, medians: to the switchover to the final tables, to the first page fault, to who wrote an entry. */
  readonly switchover: number;
  readonly fault: number;
  readonly write: number;
  /** Milliseconds of one step back by an instruction, median. */
  readonly step: number;
  /** The time of a run with checkpoints over that of one without: means of as many of each. */
  readonly slowdown: number;
  /** MiB of checkpoints at the end. */
  readonly checkpoints: number;
}

/** What was met on the way forwards. */
interface Landmark {
  readonly instruction: number;
  /** In its description, in their order. */
  readonly addresses: readonly string[];
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
  /** Pairs of runs without and with checkpoints: an even number. */
  readonly pairs: number;
}

const STEPS = 20;
const PAIRS = 6;
const SLICE = 50_000_000;
/** The tables that a kernel stays with. */
const FINAL = /init_(top|level4)_pgt/;
const MOST_TRIES = 8;
const GIB = 2 ** 30;
const MIB = 2 ** 20;
const BUDGET = 256 * MIB;

/** @param full whether Linux is to run to the reset that ends its panic, half a minute each time */
function boots(full: boolean): Boot[] {
  const early: Boot = {
    name: "early-fault, 64 MiB of ramdisk read",
    program: "early-fault",
    memory: "1G",
    bytes: GIB,
    cpu: "max",
    settings: { ramdisk: "64M", checksum: "on" },
    address: "0xffff880000000000",
    pairs: PAIRS,
  };
  const kernel = vmlinuxPaths()[0];
  if (kernel === undefined) return [early];
  const linux: Boot = {
    name: "Linux 6.1 to its own tables",
    program: kernel,
    memory: "4G",
    bytes: 4 * GIB,
    cpu: "qemu64",
    cmdline: "nokaslr",
    until: "init_mem_mapping",
    address: "0xffff888000000000",
    pairs: PAIRS,
  };
  if (!full) return [early, linux];
  // Without a root file system it panics; the reset that it then asks for is what ends the run.
  const { until: _, ...whole } = linux;
  const panic = { name: "Linux 6.1 to its end", cmdline: "nokaslr panic=-1", pairs: 2 };
  return [early, linux, { ...whole, ...panic }];
}

/**
 * Of every boot that is there.
 * @param root the folder that holds guests/
 * @param full whether Linux also runs to its end
 * @throws Error where a travel comes to another place than the run forwards
 */
export async function* reverseFigures(root: string, full: boolean): AsyncGenerator<ReverseFigures> {
  for (const boot of boots(full)) yield await figuresOf(root, boot);
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
  const filter = (filterId?: string, condition?: string) =>
    client.ask("setExceptionBreakpoints", {
      filters: ["exit", "halt"],
      filterOptions: filterId === undefined ? [] : [{ filterId, ...(condition && { condition }) }],
    });
  const now = async () => ((await client.ask("pagewalk/state")) as { instructions: number }).instructions;
  const first = async (filterId: string, wanted = /./): Promise<Landmark> => {
    await filter(filterId);
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const text = String((await client.go("continue")).text);
      if (wanted.test(text)) return { instruction: await now(), addresses: text.match(/0x[0-9a-f]+/g) ?? [] };
    }
    throw new Error(`${boot.name}: no ${filterId} is like ${wanted}`);
  };
  await filter();
  await client.go("configurationDone");
  const fault = await first("page-fault");
  await filter();
  const stopAddress = boot.until === undefined ? undefined : await returnAddress(client, boot.until);
  const switchover = await first("switchover", FINAL);
  await filter();
  await runToEnd(client, stopAddress);
  const instructions = await now();
  /** @param there the instruction that the action has to come to, where the run forwards was there */
  const fromEnd = async (action: () => Promise<unknown>, there?: number) => {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await client.askAndStop("pagewalk/travel", { to: "end" });
      if ((await now()) !== instructions) throw new Error(`${boot.name}: the end is not where it was`);
      times.push(await timed(action));
      const at = await now();
      if (there !== undefined && at !== there)
        throw new Error(`${boot.name}: went back to instruction ${at}, not to ${there}`);
    }
    return median(times);
  };
  const [from, to] = switchover.addresses;
  const entry = rootEntry(to, boot.address);
  const value = await valueAt(client, entry);
  await filter("switchover", `from == ${from} && to == ${to}`);
  const toSwitchover = await fromEnd(() => client.go("reverseContinue"), switchover.instruction);
  await filter("page-fault", `address == ${fault.addresses[0]}`);
  const toFault = await fromEnd(() => client.go("reverseContinue"), fault.instruction);
  await filter();
  const write = await fromEnd(() => client.askAndStop("pagewalk/whoWrote", { physical: entry, length: 8 }));
  const wasOther = (await valueAt(client, entry)) !== value;
  if (wasOther) await client.go("stepIn", { granularity: "instruction" });
  if (!wasOther || (await valueAt(client, entry)) !== value)
    throw new Error(`${boot.name}: the instruction that was found is not the last one to write ${entry}`);
  await client.askAndStop("pagewalk/travel", { to: "end" });
  const steps: number[] = [];
  for (let i = 0; i < STEPS; i++)
    steps.push(await timed(() => client.go("stepBack", { granularity: "instruction" })));
  client.end();
  const { slowdown, checkpoints } = await slowdownOf(root, boot, stopAddress);
  return {
    boot: boot.name,
    instructions,
    switchover: toSwitchover,
    fault: toFault,
    write,
    step: median(steps),
    slowdown,
    checkpoints,
  };
}

/** Runs until a function is called. @returns where it returns to */
async function returnAddress(client: Client, name: string): Promise<bigint> {
  await client.ask("setFunctionBreakpoints", { breakpoints: [{ name }] });
  await client.go("continue");
  await client.ask("setFunctionBreakpoints", { breakpoints: [] });
  const { result } = await client.ask("evaluate", {
    expression: "*(unsigned long *)$rsp,x",
    context: "watch",
  });
  return BigInt(String(result));
}

/** @param address where the run ends; without it does so by itself */
async function runToEnd(client: Client, address: bigint | undefined): Promise<void> {
  const breakpoints = address === undefined ? [] : [{ instructionReference: `0x${address.toString(16)}` }];
  await client.ask("setInstructionBreakpoints", { breakpoints });
  await client.go("continue");
  await client.ask("setInstructionBreakpoints", { breakpoints: [] });
}

/** The physical address of the entry of a root that translates an address, with 4 levels. */
function rootEntry(root: string, address: string): string {
  return `0x${(BigInt(root) + 8n * ((BigInt(address) >> 39n) & 511n)).toString(16)}`;
}

/** Eight bytes of physical memory that the CPU does not change by itself: without the accessed and dirty bits. */
async function valueAt(client: Client, address: string): Promise<bigint> {
  const { data } = await client.ask("readMemory", { memoryReference: `physical:${address}`, count: 8 });
  return Buffer.from(String(data), "base64").readBigUInt64LE() & ~0x60n;
}

/** Runs in pairs, one without checkpoints and one with. */
async function slowdownOf(
  root: string,
  { program, bytes, cpu, cmdline, settings, pairs }: Boot,
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
  let checkpoints = 0;
  const plain = async () => {
    const machine = await started();
    return timed(async () => {
      while (!isOver(machine, machine.run(SLICE).reason));
    });
  };
  const withCheckpoints = async () => {
    const machine = await started();
    return timed(async () => {
      const history = new History(machine, BUDGET);
      while (!isOver(machine, history.run(SLICE).reason));
      checkpoints = history.bytes / MIB;
    });
  };
  // Whichever comes second finds the host's compiler warm: each is that as often as the other.
  const [without, having]: number[][] = [[], []];
  for (let round = 0; round < pairs; round++) {
    if (round % 2 === 0) without.push(await plain());
    having.push(await withCheckpoints());
    if (round % 2 === 1) without.push(await plain());
  }
  return { slowdown: mean(having) / mean(without), checkpoints };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}
