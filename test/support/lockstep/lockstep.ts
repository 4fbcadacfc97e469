/**
 * Our machine and QEMU over the same kernel, side by side from its PVH entry on: at first each instruction is
 * compared, then moments all over the rest of the run, and page tables at its end; further moments behind that, where
 * there were too few before.
 *
 * Where answers depend on time (RDTSC, the 8254), both go on with QEMU's; where an instruction leaves flags undefined,
 * too. Those moments are reached by breakpoints that both sides have at all times, so that they stop at the same
 * instruction for the same time, or have parted.
 */
import { pvhEntry } from "../../../src/boot/pvh";
import { type DescribedTables, describeTables } from "../linux/describeTables";
import type { Kernel } from "../linux/kernels";
import { wipeForPvh } from "../linux/wipeLow";
import { QemuMachine } from "../qemu/qemuMachine";
import { looking, pagingStateOf } from "../qemu/remoteMemory";
import { Entered, functionsOf, type KernelFunction } from "./functions";
import { factsOf, type InstructionFacts, sitesIn, textOf } from "./instruction";
import { EndError, OurMachine } from "./ours";
import { type Difference, differences, STATUS_FLAGS, type State } from "./state";

export interface LockstepOptions {
  /** As QEMU reads it: "4G". */
  readonly memory: string;
  readonly cpu: string;
  /** The CPU of our machine, where its name is not the same. */
  readonly ourCpu?: string;
  readonly cmdline: string;
  /** Instructions compared one by one. */
  readonly steps: number;
  /** Moments compared behind them. */
  readonly samples: number;
  /** Symbol whose first entry is gone to before instructions are compared one by one; the PVH entry unless given. */
  readonly from?: string;
  /** Function at whose return page tables are compared, and which ends it where there were samples enough. */
  readonly until: string;
  /** Differences of single answers (CPUID, RDMSR, IN) after which it ends; both go on with QEMU's until then. */
  readonly differences: number;
}

/** A place where the machines are not the same. */
export interface Finding {
  /** What was compared there: `instruction 17` or `sample 3`. */
  readonly moment: string;
  readonly rip: bigint;
  readonly symbol: string;
  /** The instruction that made the difference, or that is next where it is not known. */
  readonly instruction: string;
  readonly what: string;
}

export interface LockstepResult {
  readonly findings: readonly Finding[];
  /** Instructions and moments that were compared. */
  readonly steps: number;
  readonly samples: number;
  /** Answers that depend on time, which ours took from QEMU. */
  readonly times: number;
  /** Answers of CPUID, RDMSR and IN that were compared. */
  readonly questions: number;
}

/** REP iterations that are compared one by one; longer ones are compared at their ends. */
const SHORT_REPEAT = 64n;
/** Entered functions that have breakpoints for samples at a time, and hits after which another takes the place. */
const WATCHED = 12;
const HITS = 4;
/** Instructions compared behind a sample: what sets the flags shows that they are right. */
const BEHIND_SAMPLE = 4;

const RSP = 4;

const hex = (value: bigint) => `0x${value.toString(16)}`;

/** @param report hears of each finding as it is made. @throws RemoteError; Error where the kernel cannot be used */
export async function lockstep(
  kernel: Kernel,
  options: LockstepOptions,
  report: (finding: Finding) => void = () => {},
): Promise<LockstepResult> {
  const entry = pvhEntry(kernel.image);
  if (entry === undefined) throw new Error(`${kernel.path} has no PVH note`);
  const { memory, cpu, ourCpu = cpu, cmdline } = options;
  const ours = new OurMachine(kernel, { memory, cpu: ourCpu, cmdline });
  const qemu = await QemuMachine.start({ kernel: kernel.path, memory, cpu, cmdline });
  try {
    await qemu.gdb.setBreakpoint(entry);
    await qemu.gdb.continueHere();
    await qemu.gdb.removeBreakpoint(entry);
    await wipeForPvh(qemu, Number((await qemu.gdb.registers()).rbx));
    return await new Lockstep(kernel, ours, qemu, options, report).run();
  } finally {
    await qemu.stop();
  }
}

/** The two have parted, or enough is known. */
class Finished extends Error {}

class Lockstep {
  private readonly findings: Finding[] = [];
  private readonly entered: Entered;
  /** Breakpoints that both sides have. */
  private readonly common = new Set<bigint>();
  /** Functions among them that are samples, with how often each was hit; those watched longest first. */
  private readonly watched = new Map<bigint, number>();
  /** Where the function of `until` returns to, once it was entered, with RSP there. */
  private end: { readonly address: bigint; readonly rsp: bigint } | undefined;
  private readonly counts = { steps: 0, samples: 0, times: 0, questions: 0 };
  private random = 1;
  private lastSample = "the entry";

  constructor(
    kernel: Kernel,
    private readonly ours: OurMachine,
    private readonly qemu: QemuMachine,
    private readonly options: LockstepOptions,
    private readonly report: (finding: Finding) => void,
  ) {
    const functions = functionsOf(kernel.image);
    this.entered = new Entered(functions);
    ours.setFunctions(new Map(functions.map(({ start, name }) => [start, name])));
  }

  async run(): Promise<LockstepResult> {
    try {
      await this.compare("the entry", undefined, 0n);
      if (this.options.from !== undefined) await this.goTo(this.options.from);
      await this.stepAll();
      await this.sampleAll();
      await this.compareTables();
      while (this.sampling) await this.sample();
    } catch (error) {
      if (!(error instanceof Finished) && !(error instanceof EndError)) throw error;
      if (error instanceof EndError) this.find("the end", this.ours.cpu.rip, this.text(), error.message);
    }
    return { findings: this.findings, ...this.counts };
  }

  // --- one by one ---

  private async stepAll(): Promise<void> {
    while (this.counts.steps < this.options.steps && !this.atEnd()) {
      await this.step(`instruction ${this.counts.steps}`);
      this.counts.steps++;
    }
  }

  /** One instruction on both sides. */
  private async step(moment: string): Promise<void> {
    const { ours, qemu } = this;
    const { rip } = ours.cpu;
    await this.enterHere();
    const facts = factsOf(ours.code, rip, this.bitness, this.counter());
    const text = this.textLater(facts);
    if (facts.kind === "repeat" && this.repeatsLeft() > SHORT_REPEAT)
      await this.passRepeat(rip + BigInt(facts.length));
    else {
      await qemu.gdb.advance();
      ours.step();
      if (facts.kind === "repeat") await this.endRepeat(rip);
    }
    await this.compare(moment, { rip, text, facts }, facts.undefinedFlags);
  }

  /** Over a string instruction to the one behind it. */
  private async passRepeat(next: bigint): Promise<void> {
    const { ours, qemu } = this;
    if (!this.common.has(next)) await qemu.gdb.setBreakpoint(next);
    await qemu.gdb.continue();
    if (!this.common.has(next)) await qemu.gdb.removeBreakpoint(next);
    ours.continue([...this.common, next]);
  }

  /** QEMU takes a step of its own to leave a repeated instruction after its last iteration, ours leaves with it. */
  private async endRepeat(rip: bigint): Promise<void> {
    if (this.ours.cpu.rip === rip) return;
    if ((await this.qemu.gdb.registers()).rip === rip) await this.qemu.gdb.advance();
  }

  private repeatsLeft(): bigint {
    return this.counter().rcx;
  }

  private counter(): { rcx: bigint; rdx: bigint } {
    const { cpu } = this.ours;
    const mask = cpu.code64 ? -1n : 0xffffffffn;
    return { rcx: cpu.getRegister(1) & mask, rdx: cpu.getRegister(2) & mask };
  }

  // --- moments ---

  /** The first entry of a function, by name. */
  private async goTo(name: string): Promise<void> {
    const address = this.addressOf(name);
    while (this.ours.cpu.rip !== address) {
      if (this.atEnd()) throw new Error(`${name} is not entered before ${this.options.until} returns`);
      await this.sample();
    }
  }

  private async sampleAll(): Promise<void> {
    while (!this.atEnd()) await this.sample();
  }

  /** Once there are enough, only first entries are stopped at, for what the functions ask of the machine. */
  private get sampling(): boolean {
    return this.counts.samples < this.options.samples;
  }

  private get untilAddress(): bigint {
    return this.addressOf(this.options.until);
  }

  /** Whether the function of `until` has returned. */
  private atEnd(): boolean {
    const { cpu } = this.ours;
    return this.end !== undefined && cpu.rip === this.end.address && cpu.getRegister(RSP) === this.end.rsp;
  }

  private addressOf(name: string): bigint {
    const address = this.ours.target.symbols.addressOf(name);
    if (address === undefined) throw new Error(`the kernel has no symbol ${name}`);
    return address;
  }

  /** To the next breakpoint of ours, which has to be the next of QEMU too. */
  private async sample(): Promise<void> {
    const { ours, qemu, counts } = this;
    await this.enterHere();
    ours.continue(this.common, (address) => this.entered.unseen.has(address));
    const { rip } = ours.cpu;
    const passing = !this.common.has(rip);
    if (passing) await qemu.gdb.setBreakpoint(rip);
    try {
      await qemu.gdb.continue(30_000);
    } catch (error) {
      const at = (await qemu.gdb.registers()).rip;
      const what = `ours came here, QEMU did not: it is at ${this.place(at)} (${(error as Error).message})`;
      this.find(`sample ${counts.samples}`, rip, this.text(), what);
      throw new Finished();
    }
    if (passing) await qemu.gdb.removeBreakpoint(rip);
    const moment = `sample ${counts.samples}, after ${this.lastSample},`;
    await this.compare(moment, undefined, STATUS_FLAGS);
    this.lastSample = this.place(rip);
    if (this.sampling && (this.entered.unseen.has(rip) || this.watched.has(rip))) counts.samples++;
    await this.enterHere();
    await this.turnWatch(rip);
    for (let i = 0; i < BEHIND_SAMPLE && !this.atEnd(); i++) await this.step(moment);
  }

  /** The next instruction is one of a function that counts as entered. */
  private async enterHere(): Promise<void> {
    const { target, cpu } = this.ours;
    const linked = target.symbols.linkedOf(cpu.rip);
    if (linked !== undefined) await this.enter(this.entered.at(linked));
    if (cpu.rip === this.untilAddress && this.end === undefined) await this.watchReturn();
  }

  /** At the entry of the function of `until`: its return address is on top of the stack. */
  private async watchReturn(): Promise<void> {
    const { target, cpu } = this.ours;
    const rsp = cpu.getRegister(RSP);
    const bytes = target.readExactly(rsp, 8);
    if (bytes === undefined) throw new Error(`the stack of ${this.options.until} is not mapped`);
    this.end = { address: Buffer.from(bytes).readBigUInt64LE(), rsp: rsp + 8n };
    await this.addCommon(this.end.address);
  }

  /** Puts breakpoints on what a function asks of the machine. */
  private async enter(parts: readonly KernelFunction[]): Promise<void> {
    const { symbols, memory } = this.ours.target;
    for (const { start, end } of parts) {
      // The linked address may not be mapped yet.
      const physical = symbols.physicalOf(start);
      if (physical === undefined) continue;
      const code = memory.readBytes(physical, Number(end - start));
      for (const site of sitesIn(code, start)) await this.addCommon(site);
    }
  }

  private async addCommon(address: bigint): Promise<void> {
    if (this.common.has(address)) return;
    this.common.add(address);
    await this.qemu.gdb.setBreakpoint(address);
  }

  /** Another function is watched after some hits of one, and in place of the one that was watched longest. */
  private async turnWatch(rip: bigint): Promise<void> {
    const { watched, entered } = this;
    const hits = watched.get(rip);
    if (hits !== undefined) watched.set(rip, hits + 1);
    if (hits !== undefined && hits + 1 >= HITS) await this.unwatch(rip);
    else if (watched.size === WATCHED) {
      const [longest] = watched.keys();
      await this.unwatch(longest);
    }
    if (!this.sampling) for (const address of [...watched.keys()]) await this.unwatch(address);
    if (!this.sampling) return;
    const { seen } = entered;
    for (let tries = 0; watched.size < WATCHED && tries < WATCHED && seen.length > 0; tries++) {
      this.random = (Math.imul(this.random, 1664525) + 1013904223) >>> 0;
      const { start } = seen[Math.floor((this.random / 2 ** 32) * seen.length)];
      if (this.common.has(start)) continue;
      watched.set(start, 0);
      await this.addCommon(start);
    }
  }

  private async unwatch(address: bigint): Promise<void> {
    this.watched.delete(address);
    this.common.delete(address);
    await this.qemu.gdb.removeBreakpoint(address);
  }

  // --- comparing ---

  private async compare(
    moment: string,
    before: { rip: bigint; text: () => string; facts: InstructionFacts } | undefined,
    undefinedFlags: bigint,
  ): Promise<void> {
    const { ours, qemu, counts } = this;
    const theirs: State = await qemu.gdb.registers();
    const kind = before?.facts.kind;
    if (kind === "time") counts.times++;
    if (kind === "question") counts.questions++;
    const all = differences(ours.state, theirs, ours.cpu.code64, 0n);
    if (all.length === 0) return;
    const real = kind === "time" ? [] : differences(ours.state, theirs, ours.cpu.code64, undefinedFlags);
    if (real.length > 0)
      this.find(moment, before?.rip ?? ours.cpu.rip, before?.text() ?? this.text(), valuesOf(real));
    const goesOn = kind === "time" || kind === "question" || real.length === 0;
    if (!goesOn || this.findings.length >= this.options.differences || !ours.adopt(all)) throw new Finished();
  }

  /** Both sides' tables, with everything that is in their pages. */
  private async compareTables(): Promise<void> {
    const { machine } = this.ours.target;
    const state = pagingStateOf(await this.qemu.gdb.registers());
    const theirs = await looking(this.qemu.gdb, (memory) => describeTables(state, memory));
    const ours = describeTables(machine.pagingState, machine.memory);
    const linesOf = ({ rows, tables }: DescribedTables) =>
      [...rows, ...tables].map((row) => JSON.stringify(row));
    const [mine, others] = [linesOf(ours), linesOf(theirs)];
    const only = (these: string[], those: string[]) =>
      these.filter((line) => !those.includes(line)).join(" ");
    if (only(mine, others) === "" && only(others, mine) === "") return;
    const what = `page tables: only ours ${only(mine, others)}; only QEMU ${only(others, mine)}`;
    this.find("the end", machine.cpu.rip, this.text(), what);
  }

  private find(moment: string, rip: bigint, instruction: string, what: string): void {
    if (this.findings.some((known) => known.instruction === instruction && known.what === what)) return;
    const finding = { moment, rip, symbol: this.place(rip), instruction, what };
    this.findings.push(finding);
    this.report(finding);
  }

  private place(address: bigint): string {
    return this.ours.target.places.symbol(address) ?? hex(address);
  }

  /** The text of the next instruction, to be had when it is past; questions with what they ask for. */
  private textLater({ kind }: InstructionFacts): () => string {
    const { cpu, code } = this.ours;
    const [rip, bitness] = [cpu.rip, this.bitness];
    const [rax, rcx, rdx] = [0, 1, 2].map((register) => hex(cpu.getRegister(register) & 0xffffffffn));
    return () => {
      const text = textOf(code, rip, bitness);
      if (kind !== "question") return text;
      return text.startsWith("in ") ? `${text} (edx ${rdx})` : `${text} (eax ${rax}, ecx ${rcx})`;
    };
  }

  private text(): string {
    return textOf(this.ours.code, this.ours.cpu.rip, this.bitness);
  }

  private get bitness(): 32 | 64 {
    return this.ours.cpu.code64 ? 64 : 32;
  }
}

function valuesOf(found: readonly Difference[]): string {
  return found
    .map(({ register, ours, theirs }) => `${register} ours ${hex(ours)} QEMU ${hex(theirs)}`)
    .join(", ");
}
