/** Writes small ELF files in memory, sound ones: tests break them afterwards at the offsets given here. */
import { EM_386, EM_X86_64, ET_EXEC, PT_LOAD, PT_NOTE, SHT_STRTAB, SHT_SYMTAB } from "../../src/symbols/elf";

export interface SegmentToWrite {
  type?: number;
  virtualAddress: bigint;
  /** As the virtual one unless given. */
  physicalAddress?: bigint;
  bytes?: Uint8Array;
  /** As long as `bytes` unless given. */
  memorySize?: number;
  align?: number;
}

export interface SectionToWrite {
  name: string;
  type?: number;
  flags?: number;
  bytes?: Uint8Array;
  link?: number;
  entrySize?: number;
}

export interface ElfToWrite {
  class?: 32 | 64;
  type?: number;
  machine?: number;
  entry?: bigint;
  segments?: readonly SegmentToWrite[];
  sections?: readonly SectionToWrite[];
  /** Global symbols. */
  symbols?: readonly { name: string; value: bigint }[];
}

/** Offsets in ELF64 files as `writeElf` makes them. */
export const EI_CLASS = 4;
export const EI_DATA = 5;
export const EI_VERSION = 6;
export const E_TYPE = 16;
export const E_MACHINE = 18;
export const E_ENTRY = 24;
export const E_PHOFF = 32;
export const E_SHOFF = 40;
export const E_PHENTSIZE = 54;
export const E_PHNUM = 56;
export const E_SHENTSIZE = 58;
export const E_SHNUM = 60;
export const E_SHSTRNDX = 62;
export const PROGRAM_HEADERS = 64;
export const P_OFFSET = 8;
export const P_PADDR = 24;
export const P_FILESZ = 32;
export const P_MEMSZ = 40;
export const PROGRAM_HEADER_SIZE = 56;

class Writer {
  private readonly parts: number[] = [];

  constructor(readonly is64: boolean) {}

  get length(): number {
    return this.parts.length;
  }

  u8(...values: number[]): this {
    this.parts.push(...values.map((value) => value & 0xff));
    return this;
  }

  u16(...values: number[]): this {
    for (const value of values) this.u8(value, value >> 8);
    return this;
  }

  u32(...values: number[]): this {
    for (const value of values) this.u16(value & 0xffff, value >>> 16);
    return this;
  }

  word(...values: (number | bigint)[]): this {
    for (const value of values) {
      const wide = BigInt(value);
      this.u32(Number(wide & 0xffffffffn));
      if (this.is64) this.u32(Number((wide >> 32n) & 0xffffffffn));
    }
    return this;
  }

  bytes(bytes: Uint8Array): this {
    for (const byte of bytes) this.parts.push(byte);
    return this;
  }

  align(to: number): this {
    while (this.parts.length % to !== 0) this.parts.push(0);
    return this;
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.parts);
  }
}

/** Headers, program headers, contents of segments, contents of sections, section headers; in that order. */
export function writeElf(elf: ElfToWrite): Uint8Array {
  const is64 = (elf.class ?? 64) === 64;
  const segments = elf.segments ?? [];
  const headerSize = is64 ? 64 : 52;
  const segmentSize = is64 ? 56 : 32;
  const contents = new Writer(is64);
  const base = headerSize + segments.length * segmentSize;
  const segmentOffsets = segments.map((segment) => append(contents, base, segment.bytes));
  const sections = allSections(elf, is64);
  const names = stringTable(sections.map((section) => section.name));
  sections[sections.length - 1].bytes = names.bytes;
  const sectionOffsets = sections.map((section) => append(contents, base, section.bytes));
  contents.align(8);
  const sectionTable = alignedTo(base + contents.length, 8);

  const file = new Writer(is64);
  file.u8(0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1, 0).u32(0, 0);
  file.u16(elf.type ?? ET_EXEC, elf.machine ?? (is64 ? EM_X86_64 : EM_386)).u32(1);
  file.word(elf.entry ?? segments[0]?.virtualAddress ?? 0n);
  file.word(segments.length === 0 ? 0 : headerSize, sectionTable).u32(0);
  file.u16(headerSize, segmentSize, segments.length, is64 ? 64 : 40, sections.length, sections.length - 1);
  segments.forEach((segment, index) => {
    writeSegment(file, segment, segmentOffsets[index]);
  });
  file.bytes(contents.finish()).align(8);
  sections.forEach((section, index) => {
    file.u32(names.offsets[index], section.type ?? 1).word(section.flags ?? 0, 0);
    file.word(index === 0 ? 0 : sectionOffsets[index], section.bytes?.length ?? 0);
    file.u32(section.link ?? 0, 0).word(1, section.entrySize ?? 0);
  });
  return file.finish();
}

/** An ELF note, padded. */
export function writeNote(name: string, type: number, description: Uint8Array): Uint8Array {
  const note = new Writer(false);
  note.u32(name.length + 1, description.length, type);
  note.u8(...[...name].map((character) => character.charCodeAt(0)), 0).align(4);
  return note.bytes(description).align(4).finish();
}

/** A PT_NOTE segment with XEN_ELFNOTE_PHYS32_ENTRY. */
export function pvhNote(entry: number): SegmentToWrite {
  const description = new Writer(false).u32(entry).finish();
  return { type: PT_NOTE, virtualAddress: 0n, bytes: writeNote("Xen", 18, description), align: 4 };
}

/** A copy with a little-endian value of `size` bytes at an offset. */
export function patched(
  bytes: Uint8Array,
  offset: number,
  value: number | bigint,
  size: 1 | 2 | 4 | 8,
): Uint8Array {
  const copy = bytes.slice();
  for (let i = 0; i < size; i++) copy[offset + i] = Number((BigInt(value) >> BigInt(8 * i)) & 0xffn);
  return copy;
}

function writeSegment(file: Writer, segment: SegmentToWrite, offset: number): void {
  const { type = PT_LOAD, virtualAddress, physicalAddress = virtualAddress, bytes, align = 1 } = segment;
  const fileSize = bytes?.length ?? 0;
  const memorySize = segment.memorySize ?? fileSize;
  file.u32(type);
  if (file.is64) file.u32(7);
  file.word(offset, virtualAddress, physicalAddress, fileSize, memorySize);
  if (!file.is64) file.u32(7);
  file.word(align);
}

function append(contents: Writer, base: number, bytes: Uint8Array | undefined): number {
  const rest = (base + contents.length) % 8;
  if (rest !== 0) contents.bytes(new Uint8Array(8 - rest));
  const offset = base + contents.length;
  contents.bytes(bytes ?? new Uint8Array(0));
  return offset;
}

/** With the empty one, the symbol table where there are symbols, and the table of section names at last. */
function allSections(elf: ElfToWrite, is64: boolean): SectionToWrite[] {
  const sections: SectionToWrite[] = [{ name: "", type: 0 }, ...(elf.sections ?? [])];
  if (elf.symbols !== undefined) {
    const names = stringTable(["", ...elf.symbols.map((symbol) => symbol.name)]);
    const table = new Writer(is64).bytes(new Uint8Array(is64 ? 24 : 16));
    elf.symbols.forEach(({ value }, index) => {
      table.u32(names.offsets[index + 1]);
      if (is64) table.u8(0x11, 0).u16(1).word(value, 8);
      else table.word(value, 8).u8(0x11, 0).u16(1);
    });
    sections.push({ name: ".strtab", type: SHT_STRTAB, bytes: names.bytes });
    const link = sections.length - 1;
    sections.push({
      name: ".symtab",
      type: SHT_SYMTAB,
      bytes: table.finish(),
      link,
      entrySize: is64 ? 24 : 16,
    });
  }
  sections.push({ name: ".shstrtab", type: SHT_STRTAB });
  return sections;
}

function stringTable(names: readonly string[]): { bytes: Uint8Array; offsets: number[] } {
  const table = new Writer(false).u8(0);
  const offsets = names.map((name) => {
    if (name === "") return 0;
    const offset = table.length;
    table.u8(...[...name].map((character) => character.charCodeAt(0)), 0);
    return offset;
  });
  return { bytes: table.finish(), offsets };
}

function alignedTo(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
