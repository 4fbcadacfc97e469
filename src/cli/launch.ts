/** From a request to a machine that stands at the first instruction of its program. */
import {
  BOOT_PROGRAMS,
  type Boot,
  type BootOptions,
  type BootProgram,
  bootImage,
  bootProgram,
  findProgram,
  ImageError,
  programImage,
  UsageError,
} from "../boot/boot";
import { type CpuModel, parseCpu } from "../machine/cpu/model";
import { Machine } from "../machine/machine";
import { Symbols } from "../symbols/symbols";
import type { RunRequest } from "./args";
import type { CliIo } from "./io";
import { hex, roughBytes } from "./values";

export interface Launched {
  machine: Machine;
  symbols: Symbols;
  /** What was booted how, in words. */
  details: string;
}

const DEFAULT_CPU = "max";
/** IA32_EFER.LMA: the CPU is in IA-32e mode. */
const EFER_LMA = 1 << 10;

/** @throws UsageError, CpuModelError, ImageError where the request or the image cannot be used */
export async function launch(request: RunRequest, io: CliIo): Promise<Launched> {
  const cpu = parseCpu(request.cpu ?? DEFAULT_CPU);
  const boot = await bootOf(request, cpu, io);
  if ((boot.start.efer & EFER_LMA) !== 0 && !cpu.features.lm) {
    throw new UsageError(
      `the ${boot.entry} entry starts in 64-bit mode, which the CPU "${cpu.name}" does not have (lm)`,
    );
  }
  const machine = new Machine({ ram: boot.ram, cpu, tlb: request.tlb });
  boot.apply(machine.memory);
  machine.start(boot.start);
  const symbols = Symbols.fromElf(boot.image, { loadDelta: boot.loadDelta });
  return { machine, symbols, details: detailsOf(boot, request) };
}

async function bootOf(request: RunRequest, cpu: CpuModel, io: CliIo): Promise<Boot> {
  const { memory, cmdline, entry } = request;
  const initrd = request.initrd === undefined ? undefined : await readFile(request.initrd, io);
  const options: BootOptions = {
    vendor: cpu.vendor,
    maxPhysicalBits: cpu.maxPhysicalBits,
    entry,
    ...(memory === undefined ? {} : { memory }),
    ...(cmdline === undefined ? {} : { cmdline }),
    ...(initrd === undefined ? {} : { initrd }),
  };
  const program = findProgram(request.program);
  if (program !== undefined) return bootBundled(program, request, options, io);
  const [setting] = request.settings.keys();
  if (setting !== undefined) {
    throw new UsageError(
      `--set ${setting}=...: settings belong to bundled programs, and ${request.program} is a file`,
    );
  }
  return bootImage(await readProgram(request.program, io), options);
}

async function bootBundled(
  program: BootProgram,
  request: RunRequest,
  options: BootOptions,
  io: CliIo,
): Promise<Boot> {
  const path = programImage(program, request.settings);
  const bytes = await guarded(`the image of ${program.name} (guests/${path})`, () => io.readGuest(path));
  return bootProgram(program, request.settings, bytes, options);
}

async function readProgram(path: string, io: CliIo): Promise<Uint8Array> {
  try {
    return await io.readFile(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw fileError(path, error);
    const names = BOOT_PROGRAMS.map((program) => program.name).join(", ");
    throw new UsageError(`there is neither a bundled program nor a file "${path}"; bundled: ${names}`);
  }
}

function readFile(path: string, io: CliIo): Promise<Uint8Array> {
  return guarded(path, () => io.readFile(path));
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

function detailsOf(boot: Boot, request: RunRequest): string {
  const memory = boot.ram.reduce((sum, { start, end }) => sum + end - start, 0);
  const moved =
    boot.loadDelta === 0
      ? ""
      : `, loaded ${hex(Math.abs(boot.loadDelta))} ${boot.loadDelta > 0 ? "above" : "below"} its linked place`;
  const given = [...request.settings].map(([name, value]) => `${name}=${value}`).join(" ");
  const settings = given === "" ? "" : `, ${given}`;
  return `${roughBytes(memory)} of RAM, CPU ${request.cpu ?? DEFAULT_CPU}, ${boot.entry} entry${moved}${settings}`;
}
