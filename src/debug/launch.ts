/** A launch configuration, checked and read into what the target is launched by. */
import * as v from "valibot";
import { parseSize } from "../boot/values";
import type { LaunchRequest } from "../target/launch";
import { DEFAULT_REVERSE_MEMORY, ENTRY_NAMES, LAUNCH_ATTRIBUTES } from "./launchAttributes";
import type { Granularity } from "./run/stepping";

const schema = v.looseObject({
  program: v.pipe(v.string("program must be a text"), v.nonEmpty("program must name what is to boot")),
  image: v.optional(v.string("image must be a path")),
  memory: v.optional(
    v.union([v.string(), v.number()], "memory must be a size such as 8G, or a number of bytes"),
  ),
  cpu: v.optional(v.string("cpu must be a text")),
  settings: v.optional(
    v.record(
      v.string(),
      v.union([v.string(), v.number(), v.boolean()], "settings must be texts, numbers, true or false"),
      "settings must be an object of settings by name",
    ),
    {},
  ),
  cmdline: v.optional(v.string("cmdline must be a text")),
  initrd: v.optional(v.string("initrd must be a path")),
  symbols: v.optional(v.string("symbols must be the path of a file")),
  entry: v.optional(v.picklist(ENTRY_NAMES, `entry must be one of ${ENTRY_NAMES.join(", ")}`), "auto"),
  load: v.optional(
    v.pipe(
      v.string("load must be an address"),
      v.regex(/^0x[0-9a-f]{1,13}$/i, "load must be an address such as 0x2000000"),
    ),
  ),
  tlb: v.optional(
    v.union(
      [v.picklist(["max", "off"]), v.pipe(v.number(), v.safeInteger(), v.minValue(0))],
      "tlb must be max, off or a number of entries",
    ),
    "max",
  ),
  reverseMemory: v.optional(
    v.pipe(
      v.number("reverseMemory must be a number of MiB"),
      v.minValue(0, "reverseMemory must be a number of MiB, or 0"),
      v.maxValue(65_536, "reverseMemory must be 65536 MiB at most"),
    ),
    DEFAULT_REVERSE_MEMORY,
  ),
  stopOnEntry: v.optional(v.boolean("stopOnEntry must be true or false"), true),
  noDebug: v.optional(v.boolean("noDebug must be true or false"), false),
  sourceFileMap: v.optional(
    v.record(v.string(), v.string(), "sourceFileMap must be an object of folders by prefix"),
    {},
  ),
  disassemblySyntax: v.optional(
    v.picklist(["intel", "att"], "disassemblySyntax must be intel or att"),
    "intel",
  ),
  stepGranularity: v.optional(
    v.picklist(["line", "statement"], "stepGranularity must be line or statement"),
    "line",
  ),
});

/** A launch, as asked for and checked. */
export interface LaunchSettings {
  readonly request: LaunchRequest;
  readonly stopOnEntry: boolean;
  /** Breakpoints and filters are left out. */
  readonly noDebug: boolean;
  readonly sourceFileMap: Readonly<Record<string, string>>;
  readonly disassemblySyntax: "intel" | "att";
  readonly stepGranularity: Granularity;
  /** MiB for checkpoints; 0 for none. */
  readonly reverseMemory: number;
}

/** The launch configuration is malformed; the message says what of it. */
export class LaunchError extends Error {
  override name = "LaunchError";
}

/** What clients add to a configuration, and what editors keep in it for themselves. */
const CLIENT_ATTRIBUTES = new Set([
  "type",
  "request",
  "name",
  "noDebug",
  "presentation",
  "internalConsoleOptions",
]);
const CLIENT_PREFIX = /^(__|debugServer$|preLaunchTask$|postDebugTask$|serverReadyAction$|suppress)/;

/** @throws LaunchError, UsageError */
export function readLaunch(args: unknown): LaunchSettings {
  const read = v.safeParse(schema, args);
  if (!read.success)
    throw new LaunchError(`the launch configuration cannot be used: ${problemOf(read.issues[0])}`);
  const given = read.output;
  for (const name of Object.keys(given)) {
    if (name in LAUNCH_ATTRIBUTES || CLIENT_ATTRIBUTES.has(name) || CLIENT_PREFIX.test(name)) continue;
    throw new LaunchError(
      `the launch configuration has no attribute "${name}"; it has ${Object.keys(LAUNCH_ATTRIBUTES).join(", ")}`,
    );
  }
  const { program, image, memory, cpu, settings, cmdline, initrd, symbols, entry, load, tlb } = given;
  const request: LaunchRequest = {
    program,
    settings: new Map(Object.entries(settings).map(([name, value]) => [name, textOf(value)])),
    entry,
    tlb,
    ...(image === undefined ? {} : { image }),
    ...(memory === undefined ? {} : { memory: parseSize(String(memory), "memory") }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(cmdline === undefined ? {} : { cmdline }),
    ...(initrd === undefined ? {} : { initrd }),
    ...(symbols === undefined ? {} : { symbols }),
    ...(load === undefined ? {} : { load: Number(BigInt(load)) }),
  };
  const { stopOnEntry, noDebug, sourceFileMap, disassemblySyntax, stepGranularity, reverseMemory } = given;
  return { request, stopOnEntry, noDebug, sourceFileMap, disassemblySyntax, stepGranularity, reverseMemory };
}

function problemOf(issue: v.BaseIssue<unknown>): string {
  const missing = issue.received === "undefined" ? `${issue.path?.[0]?.key} is missing` : undefined;
  return missing ?? issue.message;
}

function textOf(value: string | number | boolean): string {
  return typeof value === "boolean" ? (value ? "on" : "off") : String(value);
}
