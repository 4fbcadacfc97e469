/**
 * The CPU against a real one: replays the instruction cases that were recorded on an x86-64 processor
 * (test/reference/cpu) and compares registers, flags, memory and faults bit for bit. Flags that the manual leaves
 * undefined are not compared.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type Case,
  casesOf,
  decodeRecording,
  familiesOf,
  fileName,
  type Mode,
  type Outcome,
  readHeader,
} from "../reference/cpu";
import { HardwareReplay } from "./hardwareReplay";

const EXAMPLES = 5;
const folder = new URL("../reference/cpu/recorded/", import.meta.url);

/** Generating takes a quarter of the time: families that are replayed twice are kept. */
const loaded = new Map<string, { cases: Case[]; outcomes: Outcome[] }>();

function load(family: string, mode: Mode, file: Uint8Array): { cases: Case[]; outcomes: Outcome[] } {
  const name = fileName(family, mode);
  let found = loaded.get(name);
  if (found === undefined) {
    const { cases, input } = casesOf(family, mode);
    found = { cases, outcomes: decodeRecording(file, cases, input).outcomes };
    loaded.set(name, found);
  }
  return found;
}

function replay(family: string, mode: Mode, compiled: boolean): void {
  const file = readFileSync(new URL(fileName(family, mode), folder));
  it(`${family}, ${readHeader(file).cases} cases`, () => {
    const { cases, outcomes } = load(family, mode, file);
    const machine = new HardwareReplay(mode, compiled);
    const differing = cases
      .map((one, i) => machine.differences(one, outcomes[i]))
      .filter((text) => text !== "");
    const examples = differing.slice(0, EXAMPLES).join("\n");
    expect(differing.length, `${differing.length} of ${cases.length} cases differ\n${examples}`).toBe(0);
  });
}

describe("in 64-bit code the CPU does what the recorded processor did:", () => {
  for (const family of familiesOf(64)) replay(family, 64, false);
});

describe("in 32-bit code the CPU does what the recorded processor did:", () => {
  for (const family of familiesOf(32)) replay(family, 32, false);
});

describe("so do compiled blocks of 64-bit code:", () => {
  for (const family of familiesOf(64)) replay(family, 64, true);
});
