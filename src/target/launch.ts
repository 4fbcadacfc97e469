/** From a request to a target that stands at the first instruction of its program. */
import {
  BOOT_PROGRAMS,
  type Boot,
  type BootOptions,
  type BootProgram,
  bootImage,
  bootProgram,
  type EntryMethod,
  findProgram,
  ImageError,
  isCompressedEntry,
  programImage,
  UsageError,
} from "../boot/boot";
import { sameBytes } from "../bytes/sameBytes";
import { type CpuModel, parseCpu } from "../machine/cpu/model";
import { Machine } from "../machine/machine";
import type { KnownRoots } from "../machine/rootTracker";
import { checkSameBuild } from "../symbols/buildId";
import { type ElfImage, parseElf } from "../symbols/elf";
import { type MachineMemory, Symbols } from "../symbols/symbols";
import { Xen } from "../xen/hypervisor";
import type { MachineFrames } from "../xen/machineFrames";
import { Target } from "./target";
import { hex, roughBytes } from "./values";

/** What is to boot, and how. What is left out, the program decides. */
export interface LaunchRequest {
  /** A bundled program's name, or the path of an image. */
  readonly program: string;
  /** Path of an image to boot in place of the one that comes with a bundled program: a changed copy of it. */
  readonly image?: string;
  /** Bytes. */
  readonly memory?: number;
  /** A CPU as `parseCpu` reads it; "max" unless given. */
  readonly cpu?: string;
  /** Settings of a bundled program. */
  readonly settings: ReadonlyMap<string, string>;
  readonly cmdline?: string;
  /** Path of the initial RAM disk. */
  readonly initrd?: string;
  /**
   * Path of an ELF file with the names and debugging information of the image, which was stripped of them. Their
   * build IDs must be the same; where one has none, their code must lie at the same place.
   */
  readonly symbols?: string;
  readonly entry: EntryMethod;
  /** Physical address of the lowest segment; as linked unless given. */
  readonly load?: number;
  readonly tlb: "max" | "off" | number;
}

/** Where files come from. */
export interface Files {
  /** The whole of a file. @throws an error of Node's with a code */
  readFile(path: string): Promise<Uint8Array>;
  /** An image that comes with Pagewalk, by its path under guests/. @throws like `readFile` */
  readGuest(path: string): Promise<Uint8Array>;
}

const DEFAULT_CPU = "max";
const PAGE = 4096;
/** IA32_EFER.LMA: the CPU is in IA-32e mode. */
const EFER_LMA = 1 << 10;
const CR4_PAE = 1 << 5;

/** @throws UsageError, CpuModelError, ImageError where the request or the image cannot be used */
export async function launch(request: LaunchRequest, files: Files): Promise<Target> {
  const cpu = parseCpu(request.cpu ?? DEFAULT_CPU);
  const boot = await bootOf(request, cpu, files);
  const named = await debugFileOf(request, boot, files);
  return targetOf(boot, cpu, request.tlb, detailsOf(boot, request) + named.details, named.file);
}

/** The file with the image's names, and how its kinship is told. @throws ImageError */
async function debugFileOf(
  { symbols: path }: LaunchRequest,
  boot: Boot,
  files: Files,
): Promise<{ file?: ElfImage; details: string }> {
  if (path === undefined) return { details: "" };
  if (boot.nameless !== undefined) throw new UsageError(`symbols have no use here: ${boot.nameless}`);
  const bytes = await readFile(path, files);
  try {
    const file = parseElf(bytes);
    const sure = checkSameBuild(boot.image, file, path);
    const unsure = sure ? "" : ", which cannot be compared with the image by build ID";
    return { file, details: `, symbols of ${path}${unsure}` };
  } catch (error) {
    if (!(error instanceof ImageError) || error.message.startsWith(path)) throw error;
    throw new ImageError(`${path} cannot be used for symbols: ${error.message}`);
  }
}

/**
 * A machine with a boot in it, at its entry; with a hypervisor where the boot is a domain's.
 * @param details what was booted how, in words
 * @param debugFile what has the image's names and debugging information, where it has none itself
 * @throws UsageError where the CPU cannot be entered like this
 */
export function targetOf(
  boot: Boot,
  cpu: CpuModel,
  tlb: "max" | "off" | number,
  details: string,
  debugFile?: ElfImage,
): Target {
  const { start, entry } = boot;
  const lacks = (mode: string, feature: string) =>
    new UsageError(
      `the ${entry} entry starts ${mode}, which the CPU "${cpu.name}" does not have (${feature})`,
    );
  if ((start.efer & EFER_LMA) !== 0 && !cpu.features.lm) throw lacks("in 64-bit mode", "lm");
  if (entry === "linux32-compressed" && !cpu.features.lm) throw lacks("a kernel of 64-bit mode", "lm");
  if ((start.cr4 & CR4_PAE) !== 0 && !cpu.features.pae) throw lacks("with PAE paging", "pae");
  const machine = new Machine({ ram: boot.ram, cpu, tlb });
  boot.apply(machine.memory);
  const xen = boot.domain && new Xen(machine, boot.domain.domain, { ptwr: boot.domain.ptwr });
  if (xen !== undefined) machine.attach(xen);
  machine.start(boot.start);
  const { loadDelta } = boot;
  const symbols = Symbols.fromElf(boot.image, {
    loadDelta,
    machine: xen && machineMemory(xen.domain.frames),
    debugFile,
    // What a bzImage decompresses comes to lie where its decompressor has been.
    ...(isCompressedEntry(entry)
      ? { isThere: (at, bytes) => sameBytes(machine.memory.readBytes(at, bytes.length), bytes) }
      : {}),
  });
  machine.setMilestones(milestonesOf(boot, symbols));
  machine.knownRoots = knownRoots(symbols);
  return new Target(machine, symbols, boot, details, xen);
}

async function bootOf(request: LaunchRequest, cpu: CpuModel, files: Files): Promise<Boot> {
  const { memory, cmdline, entry, load } = request;
  const initrd = request.initrd === undefined ? undefined : await readFile(request.initrd, files);
  const options: BootOptions = {
    vendor: cpu.vendor,
    maxPhysicalBits: cpu.maxPhysicalBits,
    entry,
    pages1G: cpu.features.pdpe1gb,
    nx: cpu.features.nx,
    ...(memory === undefined ? {} : { memory }),
    ...(cmdline === undefined ? {} : { cmdline }),
    ...(initrd === undefined ? {} : { initrd }),
    ...(load === undefined ? {} : { load }),
  };
  const program = findProgram(request.program);
  if (program !== undefined) return bootBundled(program, request, options, files);
  const [setting] = request.settings.keys();
  if (setting !== undefined) {
    throw new UsageError(
      `the setting ${setting} cannot be used: settings belong to bundled programs, and ${request.program} is a file`,
    );
  }
  if (request.image !== undefined) {
    throw new UsageError(
      `image stands in for that of a bundled program, and ${request.program} is a file: give only one of them`,
    );
  }
  return bootImage(await readProgram(request.program, files), options);
}

async function bootBundled(
  program: BootProgram,
  request: LaunchRequest,
  options: BootOptions,
  files: Files,
): Promise<Boot> {
  const path = programImage(program, request.settings);
  const { image } = request;
  const bytes =
    image === undefined
      ? await guarded(`the image of ${program.name} (guests/${path})`, () => files.readGuest(path))
      : await readFile(image, files);
  return bootProgram(program, request.settings, bytes, options);
}

async function readProgram(path: string, files: Files): Promise<Uint8Array> {
  try {
    return await files.readFile(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw fileError(path, error);
    const names = BOOT_PROGRAMS.map((program) => program.name).join(", ");
    throw new UsageError(`there is neither a bundled program nor a file "${path}"; bundled: ${names}`);
  }
}

function readFile(path: string, files: Files): Promise<Uint8Array> {
  return guarded(path, () => files.readFile(path));
}

async function guarded(what: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await read();
  } catch (error) {
    throw fileError(what, error);
  }
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB",
};

function fileError(what: string, error: unknown): ImageError {
  const code = codeOf(error);
  const why = FILE_ERRORS[code ?? ""] ?? (error instanceof Error ? error.message : String(error));
  return new ImageError(`${what} cannot be read: ${why}`);
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | undefined)?.code;
}

function milestonesOf({ milestones }: Boot, symbols: Symbols): Map<bigint, string> {
  const found = milestones.map(({ symbol, text }) => [symbols.addressOf(symbol), text] as const);
  return new Map(found.flatMap(([address, text]) => (address === undefined ? [] : [[address, text]])));
}

/** What Linux has called the roots of its early tables, and those that it ends its start with, on x86-64 and (last) i386. */
const EARLY_ROOTS = ["early_top_pgt", "early_level4_pgt"];
const FINAL_ROOTS = ["init_top_pgt", "init_level4_pgt", "swapper_pg_dir"];

/** Looked up when asked for: names are not read before, and a domain's frames may have become others. */
function knownRoots(symbols: Symbols): KnownRoots {
  return {
    get early() {
      return rootsNamed(EARLY_ROOTS, symbols);
    },
    get final() {
      return rootsNamed(FINAL_ROOTS, symbols);
    },
  };
}

/** Undefined where the image has none of the names. */
function rootsNamed(names: readonly string[], symbols: Symbols): ReadonlySet<number> | undefined {
  const linked = names.flatMap((name) => symbols.addressOf(name) ?? []);
  const roots = linked.flatMap((address) => symbols.physicalOf(address) ?? []).filter((root) => root >= 0);
  return roots.length === 0 ? undefined : new Set(roots);
}

/** The machine's memory behind a domain's, in bytes. */
function machineMemory(frames: MachineFrames): MachineMemory {
  const moved = (address: number, frameOf: (frame: number) => number) => {
    const frame = frameOf(Math.floor(address / PAGE));
    return frame < 0 ? -1 : frame * PAGE + (address % PAGE);
  };
  return {
    machineOf: (physical) => moved(physical, (pfn) => frames.mfnOf(pfn)),
    physicalOf: (machine) => moved(machine, (mfn) => frames.pfnOf(mfn)),
  };
}

function detailsOf(boot: Boot, request: LaunchRequest): string {
  const ranges = boot.domain === undefined ? boot.ram : boot.e820;
  const memory = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  const moved =
    boot.loadDelta === 0
      ? ""
      : `, loaded ${hex(Math.abs(boot.loadDelta))} ${boot.loadDelta > 0 ? "above" : "below"} its linked place`;
  const given = [...request.settings].map(([name, value]) => `${name}=${value}`).join(" ");
  const settings = given === "" ? "" : `, ${given}`;
  const nameless = boot.nameless === undefined ? "" : `; no names: ${boot.nameless}`;
  return `${roughBytes(memory)} of RAM, CPU ${request.cpu ?? DEFAULT_CPU}, ${boot.entry} entry${moved}${settings}${nameless}`;
}
