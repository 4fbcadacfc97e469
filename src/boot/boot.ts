/**
 * From an image's bytes to a machine that stands at its entry. Nothing here reads files or writes memory before
 * `apply`: files come in as bytes, and what comes out says what lies where.
 */
import type { Vendor } from "../machine/cpu/model";
import type { PhysicalMemory, PhysicalRange } from "../machine/memory";
import type { StartState } from "../machine/startState";
import { type ElfHeaders, ElfImage, EM_X86_64, ET_EXEC, parseElf } from "../symbols/elf";
import { Symbols } from "../symbols/symbols";
import type { Domain } from "../xen/domain";
import { type BzImage, isBzImage, parseBzImage } from "./bzImage";
import { checkAlignment, enterCompressed, loadCompressed } from "./compressedLinux";
import { bootElfEntry } from "./elfEntry";
import {
  type CompressedEntry,
  chooseEntry,
  type ElfEntry,
  type EntryMethod,
  isCompressedEntry,
  type SupportedEntry,
} from "./entry";
import { ImageError, UsageError } from "./errors";
import { loadableSegments } from "./executable";
import { Layout, type Placement } from "./layout";
import { bootLinux64 } from "./linux64";
import type { LinuxOptions } from "./linuxBootData";
import { type LoadedImage, loadImage } from "./load";
import { checkPhysicalBits, type E820Entry, type MemoryMap, parseE820, pcMemoryMap } from "./memoryMap";
import { bootMultiboot, flatMultibootImage, multibootImage } from "./multiboot";
import { decompressPayload } from "./payload";
import type { BootProgram, Milestone, SymbolPatch } from "./programs/program";
import { bootPvh, pvhRelocatable } from "./pvh";
import { type SparseFile, wholeFile } from "./ramdisk";
import { readSettings, type SettingTexts } from "./settings";
import { GIB } from "./values";
import { bootXenPv, domainMemory, type XenPvOptions } from "./xenPv";

export { ENTRY_METHODS, type EntryMethod, isCompressedEntry } from "./entry";
export { ImageError, UsageError } from "./errors";
export type { BootMemory, Placement } from "./layout";
export { BOOT_PROGRAMS, type BootProgram, findProgram, programImage, requireProgram } from "./programs";
export { readSettings, type SettingDeclaration, Settings, type SettingTexts } from "./settings";

/** What a machine and the user bring along; what is left out is chosen. */
export interface BootOptions {
  /** Bytes of RAM; not together with `e820`. 4 GiB, or what a bundled program is made for, unless given. */
  memory?: number;
  /** The memory map as text (see `parseE820`). */
  e820?: string;
  /** The CPU model's vendor: part of the physical address space is reserved with AMD's. */
  vendor?: Vendor;
  /** The CPU model's MAXPHYADDR; 52 unless given. */
  maxPhysicalBits?: number;
  /** Whether the CPU has pages of 1 GiB; it has unless given. */
  pages1G?: boolean;
  /** Whether the CPU has XD; it has unless given. */
  nx?: boolean;
  cmdline?: string;
  /** The contents of an initial RAM disk. */
  initrd?: Uint8Array;
  /** `auto` unless given. */
  entry?: EntryMethod;
  /** Physical address of the lowest segment, or of a bzImage's protected-mode kernel; the usual one unless given. */
  load?: number;
}

/** A machine's memory and CPU at an image's entry. */
export interface Boot {
  /** What the machine's RAM has to be. */
  ram: readonly PhysicalRange[];
  /** What the guest is told of its memory. */
  e820: readonly E820Entry[];
  entry: SupportedEntry;
  start: StartState;
  /** Bytes from the physical addresses that the image was linked for to where it lies; may be negative. */
  loadDelta: number;
  /** Steps that a bundled program is known for. */
  milestones: readonly Milestone[];
  /** What lies where in physical memory, by address. */
  placements: readonly Placement[];
  image: ElfImage;
  /** Why nothing of the image has a name, where that is for a reason. */
  nameless?: string;
  /** Of a paravirtual domain: what it is, and how its hypervisor behaves. `e820` and `placements` are the domain's. */
  domain?: { readonly domain: Domain; readonly ptwr: boolean };
  /** Puts everything into the machine's memory. @throws what writing to it throws */
  apply(memory: PhysicalMemory): void;
}

const DEFAULT_MEMORY = 4 * GIB;

/**
 * Boots an image of the user's: an ELF file, a flat one with a Multiboot header, or a bzImage, of which the kernel inside is
 * booted.
 * @throws ImageError where the image cannot be used, UsageError where the options do not fit it or each other
 */
export function bootImage(bytes: Uint8Array, options: BootOptions = {}): Boot {
  const { cmdline = "", initrd, entry: wanted = "auto" } = options;
  const input = { cmdline, ...withRamdisk(initrd) };
  if (!isBzImage(bytes)) return bootElf(flatMultibootImage(bytes) ?? parseElf(bytes), wanted, options, input);
  const bzImage = parseBzImage(bytes);
  if (isCompressedEntry(wanted)) return bootCompressed(bzImage, wanted, options, input);
  const image = parseElf(decompressPayload(bzImage.payload));
  return bootElf(image, wanted === "auto" ? "linux64" : wanted, options, { ...input, bzImage });
}

function bootElf(image: ElfImage, wanted: EntryMethod, options: BootOptions, input: LinuxOptions): Boot {
  const entry = chooseEntry(image, wanted);
  if (entry === "xen-pv") {
    return bootDomain(image, domainMapOf(options, options.e820, DEFAULT_MEMORY), options, input);
  }
  const layout = new Layout(memoryMapOf(options, options.e820, DEFAULT_MEMORY));
  const loaded = loadImage(layout, entry === "multiboot" ? multibootImage(image) : image, options.load);
  if (input.bzImage !== undefined) checkAlignment(loaded.start, input.bzImage.alignment);
  else if (entry === "linux64") loaded.checkAlignment();
  if (input.bzImage !== undefined && entry === "pvh" && loaded.delta !== 0 && !pvhRelocatable(image)) {
    throw new UsageError("the kernel's PVH entry runs where it was linked to only: use --entry linux64");
  }
  return bootOf(layout, loaded, entry, enter(entry, layout, loaded, input));
}

/** The decompressor of a bzImage runs; what it makes has names where it is known before where it will be. */
function bootCompressed(
  bzImage: BzImage,
  entry: CompressedEntry,
  options: BootOptions,
  input: LinuxOptions,
): Boot {
  const layout = new Layout(memoryMapOf(options, options.e820, DEFAULT_MEMORY));
  const place = loadCompressed(layout, bzImage, entry, options.load);
  const start = enterCompressed(layout, bzImage, entry, place, { ...input, bzImage });
  const known = /(^|\s)nokaslr(\s|$)/.test(input.cmdline);
  const inside = known ? kernelInside(bzImage) : undefined;
  const image = inside ?? new ElfImage(new Uint8Array(0), NO_KERNEL);
  const linked = image.segments.length > 0 ? loadableSegments(image)[0].physical : place.runtimeStart;
  const loaded = { image, delta: place.runtimeStart - linked };
  const boot = bootOf(layout, loaded, entry, start);
  if (inside !== undefined) return boot;
  const nameless = known
    ? "the kernel inside cannot be decompressed before it runs"
    : 'the kernel chooses its place unless its command line has "nokaslr"';
  return { ...boot, nameless };
}

/** Undefined where its compression is not supported: the kernel's own decompressor is who has to know it. */
function kernelInside(bzImage: BzImage): ElfImage | undefined {
  try {
    return parseElf(decompressPayload(bzImage.payload));
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    return undefined;
  }
}

/** Stands for a kernel of which nothing is known. */
const NO_KERNEL: ElfHeaders = {
  class: 64,
  machine: EM_X86_64,
  type: ET_EXEC,
  entry: 0n,
  segments: [],
  sections: [],
};

/**
 * Boots a bundled program.
 * @param bytes the image that `programImage` names
 * @throws ImageError where the image cannot be used, UsageError where settings and options do not fit each other
 */
export function bootProgram(
  program: BootProgram,
  settings: SettingTexts,
  bytes: Uint8Array,
  options: BootOptions = {},
): Boot {
  const plan = program.plan(readSettings(program.name, program.settings, settings), options.initrd);
  const { entry, ...handed } = plan.handover;
  const { entry: wanted = "auto" } = options;
  if (wanted !== "auto" && wanted !== entry) {
    throw new UsageError(`${program.name} is entered by ${entry}, not by ${wanted}`);
  }
  const e820 = either("e820", plan.e820, options.e820);
  const cmdline = options.cmdline ?? program.defaultCmdline;
  if (entry === "xen-pv") {
    const map = domainMapOf(options, e820, program.defaultMemory);
    const domain = bootDomain(parseElf(bytes), map, options, { ...handed, cmdline }, plan.patches);
    return { ...domain, milestones: program.milestones };
  }
  const layout = new Layout(memoryMapOf(options, e820, program.defaultMemory));
  const loaded = loadImage(layout, parseElf(bytes), either("load", plan.load, options.load));
  const start = enter(entry, layout, loaded, { ...handed, cmdline });
  patchSymbols(layout, loaded, plan.patches);
  return { ...bootOf(layout, loaded, entry, start), milestones: program.milestones };
}

/** @throws UsageError where a setting and an option contradict each other */
function either<T>(name: string, setting: T | undefined, option: T | undefined): T | undefined {
  if (setting !== undefined && option !== undefined && setting !== option) {
    throw new UsageError(`${name} is given twice, as a setting and as an option, with different values`);
  }
  return setting ?? option;
}

function memoryMapOf(options: BootOptions, e820: string | undefined, defaultMemory: number): MemoryMap {
  if (e820 !== undefined && options.memory !== undefined) {
    throw new UsageError(
      "an e820 map decides how much memory there is: give either the map or a memory size",
    );
  }
  const map =
    e820 === undefined ? pcMemoryMap(options.memory ?? defaultMemory, options.vendor) : parseE820(e820);
  checkPhysicalBits(map, options.maxPhysicalBits ?? 52);
  return map;
}

/** A domain's memory: as asked for, without the holes of a PC. */
function domainMapOf(options: BootOptions, e820: string | undefined, defaultMemory: number): MemoryMap {
  const map = memoryMapOf(options, e820, defaultMemory);
  return e820 === undefined ? domainMemory(map.size) : map;
}

function withRamdisk(initrd: Uint8Array | undefined): { ramdisk?: SparseFile } {
  return initrd === undefined ? {} : { ramdisk: wholeFile(initrd) };
}

/** A paravirtual domain, with the hypervisor below it. */
function bootDomain(
  image: ElfImage,
  map: MemoryMap,
  { pages1G = true, nx = true, maxPhysicalBits = 52 }: BootOptions,
  input: XenPvOptions & { cmdline: string; ramdisk?: SparseFile },
  patches: readonly SymbolPatch[] = [],
): Boot {
  const domain = bootXenPv(image, map, { ...input, pages1G, nx, maxPhysicalBits }, patches);
  return {
    ram: domain.ram,
    e820: map.e820,
    entry: "xen-pv",
    start: domain.start,
    loadDelta: -Number(domain.notes.paddrOffset),
    milestones: [],
    placements: domain.parts.map(({ name, pfn, pages }) => ({
      name,
      start: pfn * 4096,
      end: (pfn + pages) * 4096,
    })),
    image,
    domain: { domain, ptwr: input.ptwr ?? true },
    apply: (memory) => domain.apply(memory),
  };
}

function enter(entry: ElfEntry, layout: Layout, loaded: LoadedImage, options: LinuxOptions): StartState {
  switch (entry) {
    case "pvh":
      return bootPvh(layout, loaded, options);
    case "linux64":
      return bootLinux64(layout, loaded, options);
    case "multiboot":
      return bootMultiboot(layout, loaded, options);
    case "elf":
      refuseUnreachable(options);
      return bootElfEntry(layout, loaded);
  }
}

/** Without a boot protocol there is nobody to tell. */
function refuseUnreachable({ cmdline, ramdisk }: LinuxOptions): void {
  const what = ramdisk !== undefined ? "an initial RAM disk" : cmdline !== "" ? "a command line" : undefined;
  if (what === undefined) return;
  throw new UsageError(
    `the plain ELF entry has no way to hand over ${what}: use --entry pvh, multiboot or linux64`,
  );
}

/** @throws ImageError where the image lacks a symbol, or it lies outside of the image */
function patchSymbols(layout: Layout, loaded: LoadedImage, patches: readonly SymbolPatch[]): void {
  if (patches.length === 0) return;
  const symbols = Symbols.fromElf(loaded.image, { loadDelta: loaded.delta });
  for (const { symbol, offset, value } of patches) {
    const address = symbols.addressOf(symbol);
    const physical = address === undefined ? undefined : symbols.physicalOf(address + BigInt(offset));
    if (physical === undefined) {
      throw new ImageError(
        `the image has no data at the symbol ${symbol}+${offset}, where its settings belong`,
      );
    }
    layout.write(physical, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }
}

function bootOf(
  layout: Layout,
  loaded: { image: ElfImage; delta: number },
  entry: SupportedEntry,
  start: StartState,
): Boot {
  return {
    ram: layout.memoryMap.ram,
    e820: layout.memoryMap.e820,
    entry,
    start,
    loadDelta: loaded.delta,
    milestones: [],
    placements: layout.placements,
    image: loaded.image,
    apply: (memory) => layout.apply(memory),
  };
}
