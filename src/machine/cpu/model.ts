/** A CPU model from its text: a model's name with features added and taken away, e.g. `qemu64,-nx`. */
import { FEATURE_NEEDS, type FeatureName } from "./features";
import { ALL_FEATURES, type BaseModel, MODELS, VENDOR_SIGNATURES, type Vendor } from "./models";
import type { Leaf } from "./qemuLeaves";

export type { Vendor } from "./models";

/** What the CPU is, to software and to this machine. */
export interface CpuModel {
  /** The text it was made from. */
  readonly name: string;
  readonly vendor: Vendor;
  readonly features: Readonly<Record<FeatureName, boolean>>;
  /** MAXPHYADDR, 32..52. */
  readonly maxPhysicalBits: number;
  /** Bits of a linear address: 57 with la57, 48 with lm, else 32. */
  readonly linearBits: number;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** The processor brand string, up to 47 characters. */
  readonly brand: string;
  /** The last extended leaf of CPUID. */
  readonly maxExtended: number;
  /** Whole answers of CPUID that do not derive from the features. */
  readonly leaves: readonly Leaf[];
}

/** A CPU that cannot be: the message says what is wrong in one sentence. */
export class CpuModelError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "CpuModelError";
  }
}

/** The models that `parseCpu` knows, with what they are. */
export const CPU_MODELS: readonly { name: string; meaning: string }[] = MODELS.map(({ name, meaning }) => ({
  name,
  meaning,
}));

interface Draft {
  features: Record<FeatureName, boolean>;
  maxPhysicalBits: number;
  vendor: Vendor;
}

/**
 * A CPU model from its text: a name, then changes behind commas: `+feature`, `-feature`, `feature=on|off`,
 * `phys-bits=32..52` (or `maxphyaddr=`), `vendor=GenuineIntel|AuthenticAMD`. The last change of a thing holds.
 * Nothing is switched on or off along with something else: what needs a feature that is not there is an error.
 * @throws CpuModelError
 */
export function parseCpu(text: string): CpuModel {
  const [name, ...changes] = text.split(",").map((part) => part.trim());
  const base = baseModel(name);
  const draft: Draft = {
    features: featureRecord(base.features),
    maxPhysicalBits: base.maxPhysicalBits,
    vendor: base.vendor,
  };
  for (const change of changes) applyChange(draft, change);
  checkNeeds(draft.features, text);
  const { family, model, stepping } = base.signature ?? VENDOR_SIGNATURES[draft.vendor];
  const { features } = draft;
  const linearBits = features.la57 ? 57 : features.lm ? 48 : 32;
  const { brand, maxExtended = 0x80000008, leaves = [] } = base;
  return { name: text, ...draft, linearBits, family, model, stepping, brand, maxExtended, leaves };
}

function baseModel(name: string): BaseModel {
  const found = MODELS.find((model) => model.name === name);
  if (found !== undefined) return found;
  throw new CpuModelError(
    `there is no CPU model "${name}": the models are ${MODELS.map((model) => model.name).join(", ")}`,
  );
}

function featureRecord(present: readonly FeatureName[]): Record<FeatureName, boolean> {
  const features = Object.fromEntries(ALL_FEATURES.map((it) => [it, false])) as Record<FeatureName, boolean>;
  for (const feature of present) features[feature] = true;
  return features;
}

function applyChange(draft: Draft, change: string): void {
  const sign = change[0];
  if (sign === "+" || sign === "-") {
    draft.features[featureName(change.slice(1))] = sign === "+";
    return;
  }
  const equals = change.indexOf("=");
  const key = change.slice(0, Math.max(0, equals));
  const value = change.slice(equals + 1);
  if (key === "vendor") draft.vendor = vendorOf(value);
  else if (key === "phys-bits" || key === "maxphyaddr") draft.maxPhysicalBits = physicalBits(value);
  else if (key !== "" && (value === "on" || value === "off"))
    draft.features[featureName(key)] = value === "on";
  else
    throw new CpuModelError(
      `"${change}" is no change of a CPU: write +NAME, -NAME, NAME=on, NAME=off, phys-bits=N or vendor=NAME`,
    );
}

function featureName(name: string): FeatureName {
  const found = ALL_FEATURES.find((it) => it === name);
  if (found !== undefined) return found;
  const near = nearFeatures(name);
  const hint =
    near.length > 0 ? `did you mean ${near.join(" or ")}?` : `the features are ${ALL_FEATURES.join(" ")}`;
  throw new CpuModelError(`there is no CPU feature "${name}": ${hint}`);
}

/** The features whose names are least different from a wrong one, up to two letters; none where that is no help. */
function nearFeatures(name: string): readonly FeatureName[] {
  const plain = name.toLowerCase().replaceAll(/[-_.]/g, "");
  if (plain.length < 2 || plain.length > 16) return [];
  const distances = ALL_FEATURES.map((it) => letterChanges(plain, it.replaceAll("_", "")));
  const least = Math.min(...distances);
  return least <= Math.min(2, plain.length - 1)
    ? ALL_FEATURES.filter((_, index) => distances[index] === least)
    : [];
}

/** How many letters must be put in, taken out or replaced to make one text into another (Levenshtein). */
function letterChanges(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[to.length];
}

function vendorOf(text: string): Vendor {
  if (text === "GenuineIntel" || text === "AuthenticAMD") return text;
  throw new CpuModelError(`"${text}" is no CPU vendor: write GenuineIntel or AuthenticAMD`);
}

function physicalBits(text: string): number {
  const bits = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (bits >= 32 && bits <= 52) return bits;
  throw new CpuModelError(`phys-bits=${text} is not possible: an x86 CPU has 32 to 52 physical-address bits`);
}

/** Names every feature that lacks what it needs, with the change that mends all of it. */
function checkNeeds(features: Readonly<Record<FeatureName, boolean>>, text: string): void {
  const broken = FEATURE_NEEDS.filter(([name, needed]) => features[name] && !features[needed]);
  if (broken.length === 0) return;
  const missing = [...new Set(broken.map(([, needed]) => needed))].join(" and ");
  const what = broken.map(([name]) => name).join(", ");
  const mend = withoutSupport(features).map((name) => `-${name}`);
  throw new CpuModelError(
    `the CPU "${text}" has ${what}, which cannot be without ${missing}: add ${mend.join(",")}`,
  );
}

/** The features that have to go until nothing lacks what it needs. */
function withoutSupport(features: Readonly<Record<FeatureName, boolean>>): readonly FeatureName[] {
  const gone = new Set<FeatureName>();
  const isThere = (name: FeatureName) => features[name] && !gone.has(name);
  for (let before = -1; before !== gone.size; ) {
    before = gone.size;
    for (const [name, needed] of FEATURE_NEEDS) if (isThere(name) && !isThere(needed)) gone.add(name);
  }
  return [...gone];
}
