/**
 * kvm-unit-tests, a peer's tests of page tables as CPUs have them, on this machine. They are not part of this
 * repository: PAGEWALK_KVM_UNIT_TESTS names the folder of a build of them, in which x86/access_test.flat lies;
 * PAGEWALK_KVM_UNIT_TESTS_ALL=1 adds those that take minutes: protection keys in access_test, and sieve.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pagewalk } from "../cli/testIo";

const HOUR = 3_600_000;

interface Program {
  readonly name: string;
  readonly cpu: string;
  /** What its serial output must hold. */
  readonly says: readonly RegExp[];
  readonly long?: boolean;
}

/** access_test tells how many combinations it tried: of a page of each level, and with protection keys. */
const combinations = (count: number) => new RegExp(`^${count} tests, 0 failures$`);
const passed = (count: number) => new RegExp(`^SUMMARY: ${count} tests`);
const ACCESS = { plain: 1916935, keys: 19169288 };

const PROGRAMS: readonly Program[] = [
  { name: "access_test", cpu: "max,-pku,-la57", says: [combinations(ACCESS.plain), passed(1)] },
  { name: "access_test", cpu: "max,-pku", says: [/^PASS: 5-level paging tests$/, passed(2)] },
  { name: "access_test", cpu: "max", says: [combinations(ACCESS.keys), passed(2)], long: true },
  { name: "smap", cpu: "max", says: [passed(18)] },
  { name: "pku", cpu: "max", says: [passed(7)] },
  { name: "pks", cpu: "max", says: [passed(7)] },
  ...["qemu64,+pcid,+invpcid", "qemu64,+invpcid", "qemu64"].map((cpu) => ({
    name: "pcid",
    cpu: `${cpu},vendor=GenuineIntel`,
    says: [passed(2)],
  })),
  { name: "la57", cpu: "max", says: [passed(56)] },
  { name: "la57", cpu: "max,-la57", says: [passed(56)] },
  { name: "memory", cpu: "max", says: [passed(7)] },
  { name: "umip", cpu: "max", says: [passed(21)] },
  { name: "setjmp", cpu: "max", says: [passed(10)] },
  { name: "idt_test", cpu: "max", says: [passed(4)] },
  { name: "cmpxchg8b", cpu: "max", says: [passed(1)] },
  { name: "sieve", cpu: "max", says: [/^virtual:5761455 out of 100000000$/], long: true },
];

const folder = process.env.PAGEWALK_KVM_UNIT_TESTS;
const all = process.env.PAGEWALK_KVM_UNIT_TESTS_ALL === "1";

const fileOf = ({ name }: Program) => join(folder ?? "", "x86", `${name}.flat`);

function reasonToSkip(program: Program): string | undefined {
  if (!existsSync(fileOf(program))) return `there is no ${fileOf(program)}`;
  return program.long && !all ? "it takes minutes, and PAGEWALK_KVM_UNIT_TESTS_ALL is not 1" : undefined;
}

if (folder === undefined)
  console.warn("SKIPPED: kvm-unit-tests: PAGEWALK_KVM_UNIT_TESTS names no build of them");

describe.skipIf(folder === undefined)("kvm-unit-tests", () => {
  for (const program of folder === undefined ? [] : PROGRAMS) {
    const reason = reasonToSkip(program);
    if (reason !== undefined) console.warn(`SKIPPED: ${program.name} on ${program.cpu}: ${reason}`);
    it.skipIf(reason !== undefined)(
      `${program.name} passes on ${program.cpu}`,
      { timeout: HOUR },
      async () => {
        const options = [
          "--cpu",
          program.cpu,
          "--events",
          "serial,unimplemented,triple-fault,halt",
          "--json",
        ];
        const { status, stdout } = await pagewalk(["run", fileOf(program), ...options]);
        const events = stdout
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line) as { event?: string; text?: string });
        const lines = events.filter(({ event }) => event === "serial").map(({ text }) => text ?? "");
        expect(lines.filter((line) => line.startsWith("FAIL"))).toEqual([]);
        for (const said of program.says) expect(lines).toContainEqual(expect.stringMatching(said));
        expect(status).toBe(0);
      },
    );
  }
});
