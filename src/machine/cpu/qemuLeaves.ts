/**
 * What QEMU 7.2 (TCG) tells through CPUID beyond a CPU's features, recorded from it: caches, MONITOR, its signature, and
 * what there is of SVM. Kernels choose code by some of it, and print it.
 */
import type { FeatureName } from "./features";

/** One answer of CPUID: EAX EBX ECX EDX. */
export interface Leaf {
  readonly leaf: number;
  /** Left out where ECX does not matter. */
  readonly subleaf?: number;
  /** The feature without which the leaf answers as if it were not here. */
  readonly needs?: FeatureName;
  readonly answer: readonly [eax: number, ebx: number, ecx: number, edx: number];
}

const BOTH: readonly Leaf[] = [
  { leaf: 5, answer: [0, 0, 3, 0] },
  { leaf: 0x40000000, needs: "hypervisor", answer: [0x40000001, 0x54474354, 0x43544743, 0x47435447] },
  { leaf: 0x80000005, answer: [0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140] },
  { leaf: 0x80000006, answer: [0, 0x42004200, 0x02008140, 0x00808140] },
];

export const QEMU64_LEAVES: readonly Leaf[] = [
  ...BOTH,
  { leaf: 0x8000000a, needs: "svm", answer: [1, 0x10, 0, 0] },
];

/** As an Intel CPU it has leaves 2 and 4 too. */
export const KVM64_LEAVES: readonly Leaf[] = [
  ...BOTH,
  { leaf: 2, answer: [0x00000001, 0, 0x0000004d, 0x002c307d] },
  { leaf: 4, subleaf: 0, answer: [0x00000121, 0x01c0003f, 0x0000003f, 1] },
  { leaf: 4, subleaf: 1, answer: [0x00000122, 0x01c0003f, 0x0000003f, 1] },
  { leaf: 4, subleaf: 2, answer: [0x00000143, 0x03c0003f, 0x00000fff, 1] },
  { leaf: 4, subleaf: 3, answer: [0x00000163, 0x03c0003f, 0x00003fff, 6] },
];
