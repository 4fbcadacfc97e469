/** Reads the command line into a typed request. */
import { parseArgs } from "node:util";
import { type EntryMethod, UsageError } from "../boot/boot";
import { parseAddress } from "../boot/values";
import { EVENT_KINDS, type EventKind } from "../machine/events";
import { parseCount, parseSize, tryParseAddress } from "../target/values";
import { ENTRY_NAMES, type OptionDeclaration, RUN_OPTIONS } from "./options";
import { EVENT_NAMES, isEventKind, parseUntil, type Until, unknownEvent } from "./until";

/** What to print at the stop. The address of a walk may be a symbol. */
export type PrintRequest = { what: "tables" } | { what: "registers" } | { what: "walk"; place: string };

/** `pagewalk run`, as asked for. What was not asked for is left out: the program decides. */
export interface RunRequest {
  command: "run";
  program: string;
  /** Bytes. */
  memory?: number;
  cpu?: string;
  settings: ReadonlyMap<string, string>;
  cmdline?: string;
  /** Path of the file. */
  initrd?: string;
  /** Path of a file with the image's names. */
  symbols?: string;
  entry: EntryMethod;
  /** Physical address of the lowest segment. */
  load?: number;
  until?: Until;
  /** Instructions; Infinity where there is no limit. */
  maxInstructions: number;
  events: ReadonlySet<EventKind>;
  print: readonly PrintRequest[];
  tlb: "max" | "off" | number;
  json: boolean;
}

export type Request =
  | RunRequest
  | { command: "help" }
  | { command: "version" }
  | { command: "dap" }
  | { command: "list"; json: boolean };

type Values = Readonly<Record<string, string | boolean | string[] | undefined>>;

/**
 * @param argv the arguments behind the program's name
 * @throws UsageError
 */
export function parseCommandLine(argv: readonly string[]): Request {
  const { values, positionals } = split(argv);
  if (values.version === true) return { command: "version" };
  const [command, ...rest] = positionals;
  if (values.help === true || command === undefined || command === "help") return { command: "help" };
  if (command === "dap") return { command: "dap" };
  if (command === "list") return { command: "list", json: values.json === true };
  if (command !== "run") {
    throw new UsageError(
      `there is no command "${command}"; use: pagewalk run PROGRAM [options], or pagewalk --help`,
    );
  }
  if (rest.length !== 1) throw new UsageError(programWanted(rest));
  return runRequest(rest[0], values);
}

/** The kinds of events that are printed unless asked otherwise. */
export function defaultEvents(): Set<EventKind> {
  return new Set(EVENT_KINDS.filter((kind) => kind.byDefault).map((kind) => kind.kind));
}

function programWanted(given: readonly string[]): string {
  return given.length === 0
    ? "run wants the name of a bundled program or an image file (pagewalk list shows the bundled ones)"
    : `run wants one program, but was given ${given.length}: ${given.join(", ")}`;
}

function split(argv: readonly string[]): { values: Values; positionals: string[] } {
  const declarations: readonly OptionDeclaration[] = RUN_OPTIONS;
  const options = Object.fromEntries(
    declarations.map((option) => [
      option.name,
      {
        type: option.value === undefined ? ("boolean" as const) : ("string" as const),
        multiple: option.repeatable ?? false,
        ...(option.short === undefined ? {} : { short: option.short }),
      },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options,
      allowPositionals: true,
      strict: true,
    });
    return { values: values as Values, positionals };
  } catch (error) {
    throw new UsageError(parseArgsMessage(error));
  }
}

/** Node's own sentence without the advice that does not apply here. */
function parseArgsMessage(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = /^Unknown option '([^']+)'/.exec(message);
  if (unknown !== null) return `there is no option ${unknown[1]}; pagewalk --help lists them`;
  const ambiguous = /^Option '(?:-\w, )?(--[\w-]+)(?: <value>)?' argument is ambiguous/.exec(message);
  if (ambiguous !== null)
    return `${ambiguous[1]} wants a value; write ${ambiguous[1]}=VALUE where it starts with "-"`;
  const missing = /^Option '(?:-\w, )?(--[\w-]+) <value>' argument missing/.exec(message);
  if (missing !== null) return `${missing[1]} wants a value`;
  return message.replaceAll(/\s+/g, " ");
}

function runRequest(program: string, values: Values): RunRequest {
  const text = (name: string) => values[name] as string | undefined;
  const list = (name: string) => (values[name] as string[] | undefined) ?? [];
  const given = <K extends string, T>(key: K, value: T | undefined) =>
    (value === undefined ? {} : { [key]: value }) as { [key in K]?: T };
  const map = <T>(value: string | undefined, read: (value: string) => T) =>
    value === undefined ? undefined : read(value);
  return {
    command: "run",
    program,
    ...given(
      "memory",
      map(text("memory"), (value) => parseSize(value, "--memory")),
    ),
    ...given("cpu", text("cpu")),
    settings: parseSettings(list("set")),
    ...given("cmdline", text("cmdline")),
    ...given("initrd", text("initrd")),
    ...given("symbols", text("symbols")),
    entry: parseEntry(text("entry") ?? "auto"),
    ...given(
      "load",
      map(text("load"), (value) => parseAddress(value, "--load")),
    ),
    ...given("until", map(text("until"), parseUntil)),
    maxInstructions:
      map(text("max-instructions"), (value) => parseCount(value, "--max-instructions")) ??
      Number.POSITIVE_INFINITY,
    events: map(text("events"), parseEvents) ?? defaultEvents(),
    print: list("print").map(parsePrint),
    tlb: parseTlb(text("tlb") ?? "max"),
    json: values.json === true,
  };
}

function parseSettings(list: readonly string[]): Map<string, string> {
  const settings = new Map<string, string>();
  for (const text of list) {
    const at = text.indexOf("=");
    if (at < 1) throw new UsageError(`--set wants NAME=VALUE, not "${text}"`);
    settings.set(text.slice(0, at), text.slice(at + 1));
  }
  return settings;
}

function parseEntry(text: string): EntryMethod {
  const found = ENTRY_NAMES.find((method) => method === text);
  if (found === undefined) throw new UsageError(`--entry takes ${ENTRY_NAMES.join(", ")}, not "${text}"`);
  return found;
}

function parseEvents(text: string): Set<EventKind> {
  if (text === "all") return new Set(EVENT_NAMES);
  const events = new Set<EventKind>(["exit"]);
  for (const name of text.split(",").map((part) => part.trim())) {
    if (name === "") continue;
    if (!isEventKind(name)) throw new UsageError(unknownEvent(name, "--events"));
    events.add(name);
  }
  return events;
}

function parsePrint(text: string): PrintRequest {
  if (text === "tables" || text === "registers") return { what: text };
  const walk = /^walk:(.+)$/.exec(text);
  if (walk === null) throw new UsageError(`--print takes tables, registers or walk:ADDRESS, not "${text}"`);
  if (/^[0-9]/.test(walk[1]) && tryParseAddress(walk[1]) === undefined) {
    throw new UsageError(`--print walk: wants an address of at most 64 bits or a symbol, not "${walk[1]}"`);
  }
  return { what: "walk", place: walk[1] };
}

function parseTlb(text: string): "max" | "off" | number {
  if (text === "max" || text === "off") return text;
  if (/^\d+$/.test(text) && Number(text) > 0) return parseCount(text, "--tlb");
  throw new UsageError(`--tlb takes max, off or a number of entries from 1 on, not "${text}"`);
}
