/** The same boots on this machine and in QEMU's TCG, in turns. */
import { vmlinuxPaths } from "../test/support/linux/kernels";
import { qemuMissing } from "../test/support/qemu/qemuMachine";
import { median, ROUNDS } from "./figures";
import { linuxContest } from "./linux";
import { programContests } from "./programs";

/** One boot on both machines. */
export interface Contest {
  readonly name: string;
  /** Boots on this machine, from its start state to its end. */
  ours(): Run;
  /** Seconds for the same in QEMU. @throws an error where it does not come to the same end */
  theirs(): Promise<number>;
}

export interface Run {
  readonly seconds: number;
  readonly instructions: number;
}

/** Rounds of a boot that takes longer than `LONG` seconds on either machine. */
const LONG_ROUNDS = 2;
const LONG = 20;
/** Rounds of one that takes less than `SHORT`: the host's compiler has seen little of it after five. */
const SHORT_ROUNDS = 15;
const SHORT = 1;

/** Measures all boots and prints them as a table. @param guests the folder of the bundled images */
export async function compareWithQemu(guests: string): Promise<void> {
  const missing = qemuMissing();
  const kernel = vmlinuxPaths()[0];
  if (kernel === undefined)
    console.log("SKIPPED  Linux: no vmlinux has been fetched (npm run kernels -- --debug)");
  const linux = kernel === undefined ? [] : [linuxContest(kernel)];
  if (missing !== undefined) console.log(`SKIPPED  QEMU: ${missing}`);
  printRow("boot, medians", "instructions", "first", "median", "M/s", "QEMU TCG", "M/s", "ratio", "rounds");
  for (const contest of [...linux, ...programContests(guests)]) await compare(contest, missing === undefined);
}

async function compare(contest: Contest, withQemu: boolean): Promise<void> {
  const ours: number[] = [];
  const theirs: number[] = [];
  let instructions = 0;
  let skipped: string | undefined;
  for (let round = 0, rounds = ROUNDS; round < rounds; round++) {
    const run = contest.ours();
    ours.push(run.seconds);
    instructions = run.instructions;
    try {
      if (withQemu && skipped === undefined) theirs.push(await contest.theirs());
    } catch (error) {
      skipped = String(error);
    }
    const longest = Math.max(...ours, ...theirs);
    if (longest > LONG) rounds = LONG_ROUNDS;
    else if (longest < SHORT) rounds = SHORT_ROUNDS;
  }
  const ms = (seconds: number) => `${(seconds * 1000).toFixed(0)} ms`;
  const speed = (seconds: number) => (instructions / 1e6 / seconds).toFixed(0);
  const mine = median(ours);
  const peer = median(theirs);
  printRow(
    contest.name,
    `${(instructions / 1e6).toFixed(1)} M`,
    ms(ours[0]),
    ms(mine),
    speed(mine),
    ...(theirs.length === 0 ? ["-", "-", "-"] : [ms(peer), speed(peer), (mine / peer).toFixed(2)]),
    String(ours.length),
  );
  if (skipped !== undefined) console.log(`SKIPPED  ${contest.name} in QEMU: ${skipped}`);
}

function printRow(name: string, ...cells: readonly string[]): void {
  const widths = [14, 11, 11, 6, 11, 6, 7, 8];
  console.log(name.padEnd(36) + cells.map((cell, i) => cell.padStart(widths[i])).join(""));
}
