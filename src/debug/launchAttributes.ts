/** The attributes of a launch configuration, declared once: the manifest's schema and the checks derive from them. */
import { ENTRY_METHODS, type EntryMethod } from "../boot/entry";

/** The ways of entering an image, by name. */
export const ENTRY_NAMES: readonly EntryMethod[] = ENTRY_METHODS.map(({ name }) => name);

/** MiB for checkpoints. */
export const DEFAULT_REVERSE_MEMORY = 256;

/** A JSON schema, as far as the manifest needs one. */
export interface AttributeSchema {
  readonly type: string | readonly string[];
  readonly description: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly additionalProperties?: unknown;
  readonly examples?: readonly unknown[];
}

/** Every attribute of `launch`. */
export const LAUNCH_ATTRIBUTES: Readonly<Record<string, AttributeSchema>> = {
  program: {
    type: "string",
    description:
      "A bundled boot program (such as early-fault), or the path of a kernel image: an x86 ELF file, or a bzImage",
    default: "early-fault",
  },
  image: {
    type: "string",
    description: "An image to boot in place of the bundled program's own: a changed copy of it",
  },
  memory: {
    type: ["string", "number"],
    description: "RAM of the machine, such as 8G; memory is sparse, so that a terabyte costs what is touched",
    examples: ["4G", "64G", "1T"],
  },
  cpu: {
    type: "string",
    description:
      "The CPU: max, intel, amd, qemu64, kvm64 or no-nx, with +feature, -feature, phys-bits=N, vendor=NAME",
    default: "max",
    examples: ["max,-nx", "qemu64", "amd"],
  },
  settings: {
    type: "object",
    description: "Settings of a bundled program by name; `pagewalk list` shows them",
    additionalProperties: { type: ["string", "number", "boolean"] },
    examples: [{ pool: 4, ramdisk: "20G" }],
  },
  cmdline: { type: "string", description: "The kernel command line" },
  initrd: { type: "string", description: "Path of the initial RAM disk" },
  symbols: {
    type: "string",
    description:
      "An ELF file with the names and debugging information of an image that was stripped of them: the vmlinux, or its .debug file, of the same build ID",
    examples: ["/usr/lib/debug/boot/vmlinux-6.1.0"],
  },
  entry: {
    type: "string",
    description: "How the image is entered",
    default: "auto",
    enum: ENTRY_NAMES,
  },
  load: {
    type: "string",
    description:
      "Physical address of the image's lowest segment, such as 0x2000000; as linked, or as a bzImage asks for it, unless given",
  },
  reverseMemory: {
    type: "number",
    description:
      "MiB that the checkpoints for stepping backwards may take; 0 for none, and then there is no way back",
    default: DEFAULT_REVERSE_MEMORY,
  },
  tlb: {
    type: ["string", "number"],
    description:
      "max keeps all that the architecture allows to be stale, off walks on every access, a number bounds the entries",
    default: "max",
  },
  stopOnEntry: { type: "boolean", description: "Stop at the first instruction", default: true },
  sourceFileMap: {
    type: "object",
    description:
      "Prefixes of source paths in the debugging information, and the folders that stand there on this machine",
    additionalProperties: { type: "string" },
    examples: [{ "/build/linux": "/home/me/linux" }],
  },
  disassemblySyntax: {
    type: "string",
    description: "How instructions are written",
    default: "intel",
    enum: ["intel", "att"],
  },
  stepGranularity: {
    type: "string",
    description: "What a step is where the editor does not say: a whole line, or each statement of it",
    default: "line",
    enum: ["line", "statement"],
  },
};
