/** Bundled boot programs, large, from the same start state on this machine and in QEMU. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Boot, bootProgram, programImage, requireProgram } from "../src/boot/boot";
import { parseCpu } from "../src/machine/cpu/model";
import { Machine } from "../src/machine/machine";
import { compareTables } from "../test/support/qemu/compareTables";
import { QemuMachine } from "../test/support/qemu/qemuMachine";
import type { Contest, Run } from "./besideQemu";
import { timed } from "./figures";

interface LargeBoot {
  readonly name: string;
  readonly program: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly gib: number;
}

/** Memory is sparse on both sides: what is only read stays the page of zeros. */
const BOOTS: readonly LargeBoot[] = [
  {
    name: "early-fault, 64 GiB of ramdisk read",
    program: "early-fault",
    settings: { ramdisk: "64G", checksum: "on" },
    gib: 80,
  },
  {
    name: "direct-map, 1 TiB in 2 MiB pages",
    program: "direct-map",
    settings: { variant: "native" },
    gib: 1024,
  },
  {
    name: "direct-map, 64 GiB in 4 KiB pages",
    program: "direct-map",
    settings: { variant: "native-nopse" },
    gib: 64,
  },
];

const CPU = "max,phys-bits=48";
/** What makes QEMU's CPU the same: its own are AMD's. */
const QEMU_CPU = `${CPU},vendor=GenuineIntel`;
const GIB = 2 ** 30;
/** Milliseconds after which QEMU is given up. */
const PATIENCE = 600_000;

export function programContests(guests: string): Contest[] {
  return BOOTS.map((large) => new ProgramContest(large, guests));
}

class ProgramContest implements Contest {
  readonly name: string;
  private readonly boot: Boot;
  /** What the last run of ours left, and said on its serial port. */
  private machine: Machine | undefined;
  private lines: string[] = [];

  constructor(
    private readonly large: LargeBoot,
    guests: string,
  ) {
    this.name = large.name;
    const program = requireProgram(large.program);
    const given = new Map(Object.entries(large.settings));
    const { maxPhysicalBits, vendor } = parseCpu(CPU);
    const options = { memory: large.gib * GIB, maxPhysicalBits, vendor };
    this.boot = bootProgram(
      program,
      given,
      readFileSync(join(guests, programImage(program, given))),
      options,
    );
  }

  ours(): Run {
    const machine = new Machine({ ram: this.boot.ram, cpu: parseCpu(CPU) });
    const lines: string[] = [];
    machine.want(["serial"]);
    machine.onEvent = (event) => {
      if (event.event === "serial") lines.push(event.text);
      return false;
    };
    this.boot.apply(machine.memory);
    machine.start(this.boot.start);
    const seconds = timed(() => {
      while (machine.ended === undefined) machine.run(1e9);
    });
    if (machine.ended?.event !== "exit") throw new Error(`${this.name} ended with ${machine.ended?.event}`);
    this.machine = machine;
    this.lines = lines;
    return { seconds, instructions: machine.instructions };
  }

  /** From reset, a few dozen instructions before the entry, until the last line has come. */
  async theirs(): Promise<number> {
    const qemu = await QemuMachine.startBoot(this.boot, { memory: `${this.large.gib}G`, cpu: QEMU_CPU });
    try {
      const serial = await qemu.serialOutput();
      const start = process.hrtime.bigint();
      let end = start;
      const over = serial.until(this.lines.length, PATIENCE).then(() => {
        end = process.hrtime.bigint();
      });
      await qemu.gdb.continueUntil(over);
      const difference = serial.lines.find((line, i) => line !== this.lines[i]);
      if (difference !== undefined) throw new Error(`its output differs: ${difference}`);
      const { different } = await compareTables(this.machine!, qemu);
      if (different.length > 0) throw new Error(`${different.length} of its page tables differ`);
      return Number(end - start) / 1e9;
    } finally {
      await qemu.stop();
    }
  }
}
