/** The help text, made from the table of options. */
import { BOOT_PROGRAMS } from "../boot/boot";
import { CPU_MODELS } from "../machine/cpu/model";
import { EVENT_KINDS } from "../machine/events";
import { type OptionDeclaration, RUN_OPTIONS } from "./options";

const WIDTH = 100;

export function helpText(): string {
  const options: readonly OptionDeclaration[] = RUN_OPTIONS;
  const [printed, others] = [true, false].map((byDefault) =>
    EVENT_KINDS.filter((kind) => kind.byDefault === byDefault).map((kind) => kind.kind),
  );
  return [
    "Boots an x86 kernel on a machine of its own and tells what becomes of its page tables.",
    "",
    "  pagewalk run PROGRAM [options]   PROGRAM: a bundled program, an ELF image or a bzImage",
    "  pagewalk list [--json]           the bundled programs and their settings",
    "  pagewalk dap                     the debug adapter on standard input and output, for editors",
    "",
    "Options of run",
    ...columns(options.map((option) => [optionName(option), option.help])),
    "",
    "Events",
    ...columns([
      ["by default", printed.join(" ")],
      ["on request", others.join(" ")],
    ]),
    "",
    "CPU models, to be changed by +FEATURE, -FEATURE, phys-bits=N, vendor=NAME",
    ...columns(CPU_MODELS.map((model) => [model.name, model.meaning])),
    "",
    "Bundled programs",
    ...columns(BOOT_PROGRAMS.map((program) => [program.name, program.description])),
    "",
    "Exit status",
    ...columns([
      ["0", "stopped as asked, or the guest exited with 0"],
      ["N", "the guest exited with N"],
      ["2", "wrong usage, or an image that cannot be used"],
      ["3", "the limit of instructions came first"],
      [
        "4",
        "the guest cannot go on: an instruction that is not implemented, a triple fault, a halt for ever, or a page fault that comes again and again",
      ],
      ["130", "interrupted"],
    ]),
    "",
  ].join("\n");
}

function optionName({ name, value, short }: OptionDeclaration): string {
  return `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** Rows of a name and a text; the text is wrapped in its column. */
export function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.flatMap(([name, text]) =>
    wrap(text, WIDTH - width - 2).map((line, i) => `  ${(i === 0 ? name : "").padEnd(width)}${line}`),
  );
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
