/** Which family translates which mnemonic. */
import { CpuidFeature, Formatter, FormatterSyntax, type Instruction, type Mnemonic } from "iced-x86";
import { Unimplemented } from "../fault";
import type { FeatureName } from "../features";
import type { Op, Site } from "../operands";
import { ARITHMETIC } from "./arithmetic";
import { BCD } from "./bcd";
import { BITS } from "./bits";
import { BMI } from "./bmi";
import { BRANCH } from "./branch";
import { CMPXCHG } from "./cmpxchg";
import { undefinedOpcode } from "./family";
import { FAR } from "./far";
import { FLAG_OPS } from "./flagOps";
import { FPU_STATE } from "./fpuState";
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
  FPU_STATE,
  IO,
  SYSTEM,
]) {
  for (const [mnemonic, builder] of family) BUILDERS.set(mnemonic, builder);
}

/** The builder for an instruction; for one that is missing, a builder that stops the machine when it runs. */
export function builderOf(instruction: Instruction): Builder {
  return BUILDERS.get(instruction.mnemonic) ?? MISSING;
}

/** Features whose instructions are missing here, but #UD on a CPU model without them (SDM vol. 2). */
const FEATURES_OF_MISSING = new Map<number, FeatureName>([
  [CpuidFeature.SEP, "sep"],
  [CpuidFeature.MMX, "mmx"],
  [CpuidFeature.SSE, "sse"],
  [CpuidFeature.SSE2, "sse2"],
  [CpuidFeature.SSE3, "sse3"],
  [CpuidFeature.SSSE3, "ssse3"],
  [CpuidFeature.SSE4_1, "sse41"],
  [CpuidFeature.SSE4_2, "sse42"],
  [CpuidFeature.XSAVE, "xsave"],
  [CpuidFeature.SVM, "svm"],
]);

const MISSING: Builder = {
  ends: true,
  build: ({ instruction, features }) => {
    for (const needed of instruction.cpuidFeatures()) {
      const feature = FEATURES_OF_MISSING.get(needed);
      if (feature !== undefined && !features[feature]) return undefinedOpcode(`this CPU has no ${feature}`);
    }
    const formatter = new Formatter(FormatterSyntax.Intel);
    const name = formatter.formatMnemonic(instruction);
    formatter.free();
    return () => {
      throw new Unimplemented(`this machine does not implement ${name}`);
    };
  },
};
