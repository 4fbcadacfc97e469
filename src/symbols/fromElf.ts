/**
 * What of an image, and of a file that has its debugging information apart, gives names, lines, types and frames:
 *
 * - names: the symbol table of the separate file, else that of the image, else what the kernel carries for itself;
 * - lines, types, variables and call frames of DWARF: the file that has .debug_info, the separate one first;
 * - what is loaded (segments, sections, .eh_frame, ORC): the image.
 *
 * Nothing is decompressed or searched before somebody asks for it.
 */
import type { DebugInfo } from "./debugInfo";
import { DwarfDebugInfo } from "./dwarf/debugInfo";
import { DwarfLines } from "./dwarf/lines";
import { dwarfSections } from "./dwarf/sections";
import { Units } from "./dwarf/units";
import { type ElfImage, ImageError, PT_LOAD, SHT_NOBITS, SHT_SYMTAB } from "./elf";
import { ElfSymbols } from "./elfSymbols";
import { kallsymsSymbols } from "./kallsyms/kallsyms";
import { OrcFrames } from "./orc";
import type { LinkedSegment, LoadedSection } from "./symbols";

/** What was found in the files; everything but the headers is read when asked for. */
export interface FileParts {
  readonly segments: readonly LinkedSegment[];
  readonly sections: readonly LoadedSection[];
  readonly lines: DwarfLines;
  /** Undefined where no file has debugging information or unwind tables. */
  readonly debug: DebugInfo | undefined;
  /** What could not be read so far; grows. */
  readonly problems: readonly Error[];
  symbols(): ElfSymbols | undefined;
}

/** Throws nothing: what cannot be read is left out, see `problems`. */
export function partsOf(image: ElfImage, debugFile: ElfImage | undefined): FileParts {
  const problems: Error[] = [];
  const guarded = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      problems.push(error);
      return undefined;
    }
  };
  const dwarf = debugFile !== undefined && hasDwarf(debugFile) ? debugFile : image;
  const contents = (name: string) => guarded(() => (name === EH_FRAME ? image : dwarf).sectionData(name));
  const units = new Units(dwarfSections(contents));
  const orc = guarded(() => orcFrames(image));
  const hasFrames = hasContents(dwarf, ".debug_frame") || hasContents(image, EH_FRAME) || orc !== undefined;
  const ehFrame = image.section(EH_FRAME)?.address ?? 0n;
  return {
    segments: segmentsOf(image, guarded),
    sections: loadedSections(image, debugFile),
    lines: new DwarfLines(units),
    debug:
      hasDwarf(dwarf) || hasFrames
        ? new DwarfDebugInfo(units, image.class === 64 ? 8 : 4, ehFrame, orc)
        : undefined,
    problems,
    symbols: () =>
      guarded(() => debugFile && symbolTable(debugFile)) ??
      guarded(() => symbolTable(image)) ??
      kallsymsSymbols(image),
  };
}

const EH_FRAME = ".eh_frame";

function hasDwarf(elf: ElfImage): boolean {
  return hasContents(elf, ".debug_info");
}

function hasContents(elf: ElfImage, name: string): boolean {
  const section = elf.section(name);
  return section !== undefined && section.type !== SHT_NOBITS && section.size > 0;
}

/** @throws ImageError */
function symbolTable(elf: ElfImage): ElfSymbols | undefined {
  const table = elf.sections.find(({ type, size }) => type === SHT_SYMTAB && size > 0);
  const strings = table === undefined ? undefined : elf.sections[table.link];
  if (table === undefined || strings === undefined) return undefined;
  return new ElfSymbols({
    symbols: elf.dataOf(table),
    strings: elf.dataOf(strings),
    is64: elf.class === 64,
    sections: elf.sections.map(({ address, size }) => ({ address, size: BigInt(size) })),
  });
}

/** @throws ImageError */
function orcFrames(image: ElfImage): OrcFrames | undefined {
  const addresses = image.section(".orc_unwind_ip");
  const entries = image.section(".orc_unwind");
  if (image.class !== 64 || addresses === undefined || entries === undefined) return undefined;
  return new OrcFrames({
    addresses: image.dataOf(addresses),
    linked: addresses.address,
    entries: image.dataOf(entries),
    withHeader: image.section(".orc_header") !== undefined,
  });
}

/** What a problem is told of once, however often it is asked for. */
function once<T>(read: () => T): () => T {
  let known: { value: T } | undefined;
  return () => {
    known ??= { value: read() };
    return known.value;
  };
}

function segmentsOf(image: ElfImage, guarded: <T>(read: () => T) => T | undefined): LinkedSegment[] {
  return image.segments
    .filter((segment) => segment.type === PT_LOAD)
    .map((segment) => ({
      linear: segment.virtualAddress,
      physical: segment.physicalAddress,
      size: BigInt(segment.memorySize),
      contents: once(() => guarded(() => image.segmentData(segment))),
    }));
}

const SHF_WRITE = 1n;
const SHF_ALLOC = 2n;
const SHF_EXECINSTR = 4n;

/** Those of the image; of the separate file where the image has no section headers. */
function loadedSections(image: ElfImage, debugFile: ElfImage | undefined): LoadedSection[] {
  const own = allocated(image);
  return own.length > 0 || debugFile === undefined ? own : allocated(debugFile);
}

function allocated(elf: ElfImage): LoadedSection[] {
  return elf.sections
    .filter(({ flags, size }) => (flags & SHF_ALLOC) !== 0n && size > 0)
    .map(({ name, address, size, flags }) => ({
      name,
      address,
      size,
      writable: (flags & SHF_WRITE) !== 0n,
      executable: (flags & SHF_EXECINSTR) !== 0n,
    }))
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}
