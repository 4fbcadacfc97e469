/**
 * The CPU against a real one: replays the instruction cases that were recorded on an x86-64 processor
 * (test/reference/cpu) and compares registers, flags, memory and faults bit for bit. Flags that the manual leaves
 * undefined are not compared.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  casesOf,
  decodeRecording,
  familiesOf,
  fileName,
  MODES,
  type Mode,
  readHeader,
} from "../reference/cpu";
import { HardwareReplay } from "./hardwareReplay";

const EXAMPLES = 5;
const folder = new URL("../reference/cpu/recorded/", import.meta.url);

function replay(family: string, mode: Mode, compiled: boolean): void {
  const file = readFileSync(new URL(fileName(family, mode), folder));
  it(`${family}, ${readHeader(file).cases} cases`, () => {
    const { cases, input } = casesOf(family, mode);
    const { outcomes } = decodeRecording(file, cases, input);
    const machine = new HardwareReplay(mode, compiled);
    const differing = cases
      .map((one, i) => machine.differences(one, outcomes[i]))
      .filter((text) => text !== "");
    const examples = differing.slice(0, EXAMPLES).join("\n");
    expect(differing.length, `${differing.length} of ${cases.length} cases differ\n${examples}`).toBe(0);
  });
}

for (const mode of MODES) {
  describe(`in ${mode}-bit code the CPU does what the recorded processor did:`, () => {
    for (const family of familiesOf(mode)) replay(family, mode, false);
  });
}

describe("so do compiled blocks of 64-bit code:", () => {
  for (const family of familiesOf(64)) replay(family, 64, true);
});
