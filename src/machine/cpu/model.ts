/** CPU models: by name, with features added and taken away, e.g. `qemu64,-nx` or `max,vendor=AuthenticAMD`. */
import { FEATURE_NEEDS, FEATURES, type FeatureName } from "./features";

export type Vendor = "GenuineIntel" | "AuthenticAMD";

/** What the CPU is, to software and to this machine. */
export interface CpuModel {
  readonly name: string;
  readonly vendor: Vendor;
  readonly features: Readonly<Record<FeatureName, boolean>>;
  /** MAXPHYADDR, 32..52. */
  readonly maxPhysicalBits: number;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** The processor brand string, up to 47 characters. */
  readonly brand: string;
}

/** A CPU that cannot be: the message says what is wrong in one sentence. */
export class CpuModelError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "CpuModelError";
  }
}

interface Base {
  readonly vendor: Vendor;
  readonly features: readonly FeatureName[];
  readonly maxPhysicalBits: number;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  readonly brand: string;
  readonly meaning: string;
}

/** QEMU 7.2's qemu64 under TCG: CPUID 1 ECX 80002001 EDX 078bfbfd, 80000001 EDX 2193fbfd. */
const QEMU64_FEATURES: readonly FeatureName[] = [
  "fpu",
  "de",
  "pse",
  "tsc",
  "msr",
  "pae",
  "mce",
  "cx8",
  "apic",
  "sep",
  "mtrr",
  "pge",
  "mca",
  "cmov",
  "pat",
  "pse36",
  "clflush",
  "mmx",
  "fxsr",
  "sse",
  "sse2",
  "sse3",
  "cx16",
  "hypervisor",
  "lahf_lm",
  "syscall",
  "nx",
  "lm",
];

const ALL_FEATURES: readonly FeatureName[] = FEATURES.map(({ name }) => name);
/** XSAVE needs state that this machine does not have; the higher SSEs would make kernels choose code with them. */
const MAX_FEATURES = ALL_FEATURES.filter((name) => name !== "xsave" && name !== "ssse3" && name !== "sse41");

const MODELS: Readonly<Record<string, Base>> = {
  max: {
    vendor: "GenuineIntel",
    features: MAX_FEATURES,
    maxPhysicalBits: 46,
    family: 6,
    model: 85,
    stepping: 4,
    brand: "Pagewalk CPU (max)",
    meaning: "everything that this machine implements, as an Intel CPU",
  },
  amd: {
    vendor: "AuthenticAMD",
    features: MAX_FEATURES.filter((name) => name !== "pks"),
    maxPhysicalBits: 48,
    family: 25,
    model: 1,
    stepping: 1,
    brand: "Pagewalk CPU (amd)",
    meaning: "everything that this machine implements, as an AMD CPU",
  },
  qemu64: {
    vendor: "AuthenticAMD",
    features: QEMU64_FEATURES,
    maxPhysicalBits: 40,
    family: 15,
    model: 107,
    stepping: 1,
    brand: "QEMU Virtual CPU version 2.5+",
    meaning: "what QEMU 7.2 gives with -cpu qemu64",
  },
  "no-nx": {
    vendor: "GenuineIntel",
    features: MAX_FEATURES.filter((name) => name !== "nx"),
    maxPhysicalBits: 46,
    family: 6,
    model: 85,
    stepping: 4,
    brand: "Pagewalk CPU (no NX)",
    meaning: "max without execute-disable",
  },
};

/** The models that `parseCpu` knows, with what they are. */
export const CPU_MODELS: readonly { name: string; meaning: string }[] = Object.entries(MODELS).map(
  ([name, { meaning }]) => ({ name, meaning }),
);

/**
 * A CPU model from its text: a name, then changes behind commas: `+feature`, `-feature`, `feature=on|off`,
 * `phys-bits=32..52` (or `maxphyaddr=`), `vendor=GenuineIntel|AuthenticAMD`.
 * @throws CpuModelError
 */
export function parseCpu(text: string): CpuModel {
  const [name, ...changes] = text.split(",").map((part) => part.trim());
  const base = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  if (base === undefined) {
    throw new CpuModelError(
      `there is no CPU model "${name}": the models are ${Object.keys(MODELS).join(", ")}`,
    );
  }
  const features = Object.fromEntries(ALL_FEATURES.map((it) => [it, false])) as Record<FeatureName, boolean>;
  for (const feature of base.features) features[feature] = true;
  const { maxPhysicalBits, vendor } = base;
  const draft = { features, maxPhysicalBits, vendor };
  for (const change of changes) applyChange(draft, change);
  checkNeeds(features, text);
  const { family, model, stepping, brand } = base;
  return { name: text, ...draft, family, model, stepping, brand };
}

interface Draft {
  features: Record<FeatureName, boolean>;
  maxPhysicalBits: number;
  vendor: Vendor;
}

function applyChange(draft: Draft, change: string): void {
  const sign = change[0];
  if (sign === "+" || sign === "-") {
    draft.features[featureName(change.slice(1))] = sign === "+";
    return;
  }
  const [key, value] = change.split("=");
  if (key === "vendor") draft.vendor = vendorOf(value);
  else if (key === "phys-bits" || key === "maxphyaddr") draft.maxPhysicalBits = physicalBits(value);
  else if (value === "on" || value === "off") draft.features[featureName(key)] = value === "on";
  else
    throw new CpuModelError(
      `"${change}" is no change of a CPU: write +NAME, -NAME, phys-bits=N or vendor=NAME`,
    );
}

function featureName(name: string): FeatureName {
  const found = ALL_FEATURES.find((it) => it === name);
  if (found !== undefined) return found;
  const near = ALL_FEATURES.filter((it) => it.startsWith(name.slice(0, 2)) || name.startsWith(it));
  const hint =
    near.length > 0 ? `did you mean ${near.join(" or ")}?` : `the features are ${ALL_FEATURES.join(" ")}`;
  throw new CpuModelError(`there is no CPU feature "${name}": ${hint}`);
}

function vendorOf(text: string | undefined): Vendor {
  if (text === "GenuineIntel" || text === "AuthenticAMD") return text;
  throw new CpuModelError(`"${text ?? ""}" is no CPU vendor: write GenuineIntel or AuthenticAMD`);
}

function physicalBits(text: string | undefined): number {
  const bits = /^\d+$/.test(text ?? "") ? Number(text) : Number.NaN;
  if (bits >= 32 && bits <= 52) return bits;
  throw new CpuModelError(
    `phys-bits=${text ?? ""} is not possible: an x86 CPU has 32 to 52 physical-address bits`,
  );
}

function checkNeeds(features: Readonly<Record<FeatureName, boolean>>, text: string): void {
  for (const [name, needed] of FEATURE_NEEDS) {
    if (features[name] && !features[needed]) {
      throw new CpuModelError(
        `the CPU "${text}" has ${name} without ${needed}, which it needs: take ${name} away too`,
      );
    }
  }
}
