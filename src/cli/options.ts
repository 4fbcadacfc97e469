/** The options of `pagewalk run`, declared once: the parser, the help text and the checks derive from this table. */
import { ENTRY_METHODS, type EntryMethod } from "../boot/boot";

/** One option of the command line. */
export interface OptionDeclaration {
  name: string;
  /** What its value is called in the help; none for a switch. */
  value?: string;
  short?: string;
  repeatable?: boolean;
  help: string;
}

/** The names of the entry methods. */
export const ENTRY_NAMES: readonly EntryMethod[] = ENTRY_METHODS.map((method) => method.name);

export const RUN_OPTIONS = [
  { name: "memory", value: "SIZE", help: "RAM of the machine, such as 512M or 8G" },
  { name: "cpu", value: "MODEL", help: "CPU model, with features added or taken away: max,-nx" },
  {
    name: "set",
    value: "NAME=VALUE",
    repeatable: true,
    help: "A setting of a bundled program (`pagewalk list` shows them); repeatable",
  },
  { name: "cmdline", value: "TEXT", help: "Kernel command line" },
  { name: "initrd", value: "FILE", help: "Initial RAM disk" },
  {
    name: "symbols",
    value: "FILE",
    help: "ELF file with the image's names and debugging information, where it was stripped; of the same build ID",
  },
  { name: "entry", value: "METHOD", help: `How the image is entered: ${ENTRY_NAMES.join(", ")}` },
  {
    name: "load",
    value: "ADDRESS",
    help: "Physical address of the image's lowest segment, such as 0x2000000; as linked, or as a bzImage asks for it, unless given",
  },
  {
    name: "until",
    value: "WHEN",
    help: "Where to stop: EVENT[:N] (the Nth such event), symbol:NAME (first instruction of NAME), return:NAME (just after NAME returned)",
  },
  {
    name: "max-instructions",
    value: "N",
    help: "Stop with status 3 after so many instructions, such as 40M",
  },
  {
    name: "events",
    value: "LIST",
    help: "Events to print, separated by commas, or all; exit is always printed",
  },
  {
    name: "print",
    value: "WHAT",
    repeatable: true,
    help: "At the stop: tables, registers or walk:ADDRESS; repeatable",
  },
  {
    name: "tlb",
    value: "SIZE",
    help: "TLB entries: max (nothing is evicted), off (every access walks), or a number",
  },
  { name: "json", help: "One JSON object a line instead of text" },
  { name: "help", short: "h", help: "This text" },
  { name: "version", help: "The version" },
] as const satisfies readonly OptionDeclaration[];
