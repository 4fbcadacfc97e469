/** The recorded cases: how they are made, and where their outcomes are kept. */
import type { Case, Mode } from "./builder";
import { generate } from "./generate";
import { background } from "./layout";
import { Random } from "./random";
import { encodeInput } from "./recorder";

export type { Case, Mode } from "./builder";
export { familiesOf, MODES } from "./generate";
export { decodeOutput } from "./recorder";
export { decodeRecording, encodeRecording, hashOf, type Outcome, readHeader } from "./recording";
export { undefinedFlags } from "./undefinedFlags";

export const BACKGROUND = background(new Random("background"));

/** File name of a family's outcomes. */
export function fileName(family: string, mode: Mode): string {
  return `${mode}-${family}.bin.gz`;
}

/** A family's cases, and their bytes for the recorder. */
export function casesOf(family: string, mode: Mode): { cases: Case[]; input: Uint8Array } {
  const cases = [...generate(family, mode)];
  return { cases, input: encodeInput(BACKGROUND, cases) };
}
