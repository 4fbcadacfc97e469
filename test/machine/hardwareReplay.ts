/** The tests that replay recorded instruction cases, a family each. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { casesOf, decodeRecording, familiesOf, fileName, type Mode, readHeader } from "../reference/cpu";
import { HardwareMachine } from "./hardwareMachine";

/** Differing cases that a failure shows. */
const EXAMPLES = 5;
const folder = new URL("../reference/cpu/recorded/", import.meta.url);

/** Declares the tests of all families of a mode. */
export function replayFamilies(title: string, mode: Mode, compiled: boolean): void {
  describe(title, () => {
    // The runner hears of nothing while a family runs, and gives up after a minute of silence.
    afterEach(() => sleep(20));
    for (const family of familiesOf(mode)) {
      const file = readFileSync(new URL(fileName(family, mode), folder));
      it(`${family}, ${readHeader(file).cases} cases`, () => replay(family, mode, compiled, file));
    }
  });
}

function replay(family: string, mode: Mode, compiled: boolean, file: Uint8Array): void {
  const { cases, input } = casesOf(family, mode);
  const { outcomes } = decodeRecording(file, cases, input);
  const machine = new HardwareMachine(mode, compiled);
  const differing = cases
    .map((one, i) => machine.differences(one, outcomes[i]))
    .filter((text) => text !== "");
  const examples = differing.slice(0, EXAMPLES).join("\n");
  expect(differing.length, `${differing.length} of ${cases.length} cases differ\n${examples}`).toBe(0);
}
