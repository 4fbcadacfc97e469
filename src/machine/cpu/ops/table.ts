/** Which family translates which mnemonic. */
import { Formatter, FormatterSyntax, type Instruction, type Mnemonic } from "iced-x86";
import { Unimplemented } from "../fault";
import type { Op, Site } from "../operands";
import { ARITHMETIC } from "./arithmetic";
import { BCD } from "./bcd";
import { BITS } from "./bits";
import { BMI } from "./bmi";
import { BRANCH } from "./branch";
import { CMPXCHG } from "./cmpxchg";
import { FAR } from "./far";
import { FLAG_OPS } from "./flagOps";
import { IO } from "./io";
import { MOVE } from "./move";
import { MULTIPLY } from "./multiply";
import { SHIFT } from "./shift";
import { STACK } from "./stack";
import { STRING } from "./string";
import { SYSTEM } from "./system";

/** How a mnemonic is translated. */
export interface Builder {
  readonly build: (site: Site) => Op;
  /** Nothing may follow it in its block: it branches, or changes what code means. */
  readonly ends?: boolean;
  /** The same, where it depends on the operands. */
  readonly endsFor?: (instruction: Instruction) => boolean;
}

export type Family = ReadonlyMap<Mnemonic, Builder>;

const BUILDERS = new Map<Mnemonic, Builder>();
for (const family of [
  ARITHMETIC,
  SHIFT,
  MULTIPLY,
  BITS,
  BMI,
  BCD,
  MOVE,
  STACK,
  BRANCH,
  FAR,
  STRING,
  CMPXCHG,
  FLAG_OPS,
  IO,
  SYSTEM,
]) {
  for (const [mnemonic, builder] of family) BUILDERS.set(mnemonic, builder);
}

/** The builder for an instruction; for one that is missing, a builder that stops the machine when it runs. */
export function builderOf(instruction: Instruction): Builder {
  return BUILDERS.get(instruction.mnemonic) ?? MISSING;
}

const MISSING: Builder = {
  ends: true,
  build: ({ instruction }) => {
    const formatter = new Formatter(FormatterSyntax.Intel);
    const name = formatter.formatMnemonic(instruction);
    formatter.free();
    return () => {
      throw new Unimplemented(`this machine does not implement ${name}`);
    };
  },
};
