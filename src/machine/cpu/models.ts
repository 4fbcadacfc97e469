/** The CPU models by name: what each has before a user changes it. */
import { FEATURES, type FeatureName } from "./features";
import { KVM64_LEAVES, type Leaf, QEMU64_LEAVES } from "./qemuLeaves";

export type Vendor = "GenuineIntel" | "AuthenticAMD";

/** What CPUID 1 EAX tells: family 0..270, model 0..255, stepping 0..15 (extended parts included). */
export interface Signature {
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
}

export interface BaseModel {
  readonly name: string;
  readonly meaning: string;
  readonly vendor: Vendor;
  readonly features: readonly FeatureName[];
  readonly maxPhysicalBits: number;
  /** Left out where the CPU identifies itself as its vendor's usual one does: see `VENDOR_SIGNATURES`. */
  readonly signature?: Signature;
  readonly brand: string;
  /** The last extended leaf of CPUID; left out: 80000008H. */
  readonly maxExtended?: number;
  /** What CPUID answers beyond what this machine would say of itself. */
  readonly leaves?: readonly Leaf[];
}

/** Skylake-SP, and Zen 3: CPUs that have nearly all that this machine implements. */
export const VENDOR_SIGNATURES: Readonly<Record<Vendor, Signature>> = {
  GenuineIntel: { family: 6, model: 85, stepping: 4 },
  AuthenticAMD: { family: 25, model: 1, stepping: 1 },
};

export const ALL_FEATURES: readonly FeatureName[] = FEATURES.map(({ name }) => name);

/** What `max` leaves out: kernels that see these bits choose code with instructions that are not implemented. */
const NOT_IN_MAX: ReadonlySet<FeatureName> = new Set(["xsave", "ssse3", "sse41", "svm"]);
const MAX_FEATURES = ALL_FEATURES.filter((name) => !NOT_IN_MAX.has(name));

/** QEMU 7.2's qemu64 under TCG: CPUID 1 ECX 80002001 EDX 078bfbfd, 80000001 ECX 00000005 EDX 2193fbfd. */
const QEMU64_FEATURES: readonly FeatureName[] = [
  ...(["fpu", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "sep", "mtrr", "pge", "mca"] as const),
  ...(["cmov", "pat", "pse36", "clflush", "mmx", "fxsr", "sse", "sse2", "sse3", "cx16"] as const),
  ...(["hypervisor", "lahf_lm", "svm", "syscall", "nx", "lm"] as const),
];

export const MODELS: readonly BaseModel[] = [
  {
    name: "max",
    meaning: "everything that this machine implements, as an Intel CPU",
    vendor: "GenuineIntel",
    features: MAX_FEATURES,
    maxPhysicalBits: 46,
    brand: "Pagewalk CPU (max)",
  },
  {
    name: "intel",
    meaning: "the same as max",
    vendor: "GenuineIntel",
    features: MAX_FEATURES,
    maxPhysicalBits: 46,
    brand: "Pagewalk CPU (intel)",
  },
  {
    name: "amd",
    meaning: "everything that this machine implements, as an AMD CPU",
    vendor: "AuthenticAMD",
    // No AMD CPU has supervisor protection keys.
    features: MAX_FEATURES.filter((name) => name !== "pks"),
    maxPhysicalBits: 48,
    brand: "Pagewalk CPU (amd)",
  },
  {
    name: "no-nx",
    meaning: "max without execute-disable",
    vendor: "GenuineIntel",
    features: MAX_FEATURES.filter((name) => name !== "nx"),
    maxPhysicalBits: 46,
    brand: "Pagewalk CPU (no NX)",
  },
  {
    name: "qemu64",
    meaning: "what QEMU 7.2 gives with -cpu qemu64",
    vendor: "AuthenticAMD",
    features: QEMU64_FEATURES,
    maxPhysicalBits: 40,
    signature: { family: 15, model: 107, stepping: 1 },
    brand: "QEMU Virtual CPU version 2.5+",
    maxExtended: 0x8000000a,
    leaves: QEMU64_LEAVES,
  },
  {
    name: "kvm64",
    meaning: "what QEMU 7.2 gives with -cpu kvm64",
    vendor: "GenuineIntel",
    features: QEMU64_FEATURES.filter((name) => name !== "lahf_lm" && name !== "svm"),
    maxPhysicalBits: 40,
    signature: { family: 15, model: 6, stepping: 1 },
    brand: "Common KVM processor",
    leaves: KVM64_LEAVES,
  },
];
