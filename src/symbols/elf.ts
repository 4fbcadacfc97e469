/**
 * ELF files for x86, little endian (System V ABI, "Object Files" and "Program Loading"; constants as in <elf.h>).
 *
 * Headers are read at once and checked against the file's length; contents are handed out as views into the file,
 * so that a file of hundreds of megabytes costs nothing but its headers.
 */

import { Cursor, hex, ImageError } from "../bytes/cursor";
import { decompressSection } from "./compressed";

export { ImageError } from "../bytes/cursor";

export const ET_REL = 1;
export const ET_EXEC = 2;
export const ET_DYN = 3;
export const ET_CORE = 4;

export const EM_386 = 3;
export const EM_X86_64 = 62;

export const PT_LOAD = 1;
export const PT_NOTE = 4;

export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_NOTE = 7;
export const SHT_NOBITS = 8;

const SHF_COMPRESSED = 0x800n;
/** e_phnum: the number of program headers stands in section header 0. */
const PN_XNUM = 0xffff;
/** e_shstrndx: the index of the section-name table stands in section header 0. */
const SHN_XINDEX = 0xffff;
/** More headers than any linker makes. */
const MAX_HEADERS = 2 ** 18;

/** Machines that users are likely to try, by e_machine. */
const FOREIGN_MACHINES: Readonly<Record<number, string>> = {
  2: "SPARC",
  8: "MIPS",
  20: "PowerPC",
  21: "64-bit PowerPC",
  22: "S/390",
  40: "ARM",
  43: "SPARC V9",
  50: "Itanium",
  183: "AArch64",
  243: "RISC-V",
  258: "LoongArch",
};

/** A program header. Offsets and sizes beyond 2^53 are rounded: no file is that long. */
export interface ElfSegment {
  type: number;
  /** PF_X 1, PF_W 2, PF_R 4. */
  flags: number;
  offset: number;
  virtualAddress: bigint;
  physicalAddress: bigint;
  fileSize: number;
  memorySize: number;
  align: number;
}

/** A section header. Offsets and sizes beyond 2^53 are rounded: no file is that long. */
export interface ElfSection {
  name: string;
  type: number;
  flags: bigint;
  address: bigint;
  offset: number;
  size: number;
  link: number;
  info: number;
  entrySize: number;
}

export interface ElfNote {
  /** The owner, such as "GNU" or "Xen". */
  name: string;
  type: number;
  description: Uint8Array;
}

/** What the headers of an ELF file say. */
export interface ElfHeaders {
  /** Address size: 32 or 64 bits. */
  readonly class: 32 | 64;
  /** e_machine: EM_386 or EM_X86_64. */
  readonly machine: number;
  /** e_type: ET_EXEC and so on. */
  readonly type: number;
  /** e_entry, as in the file. */
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];
}

/** The headers of an ELF file, and its contents on demand. */
export class ElfImage implements ElfHeaders {
  readonly class: 32 | 64;
  readonly machine: number;
  readonly type: number;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];

  /** @param bytes the whole file, of which `headers` are read */
  constructor(
    readonly bytes: Uint8Array,
    headers: ElfHeaders,
  ) {
    this.class = headers.class;
    this.machine = headers.machine;
    this.type = headers.type;
    this.entry = headers.entry;
    this.segments = headers.segments;
    this.sections = headers.sections;
  }

  /** The first section of that name. */
  section(name: string): ElfSection | undefined {
    return this.sections.find((section) => section.name === name);
  }

  /**
   * The contents of the first section of that name; empty for one without bytes in the file (SHT_NOBITS);
   * undefined where there is no such section.
   * @throws ImageError where it lies outside of the file or cannot be decompressed
   */
  sectionData(name: string): Uint8Array | undefined {
    const section = this.section(name);
    return section === undefined ? undefined : this.dataOf(section);
  }

  /** The contents of a section, a view into the file unless they are compressed. @throws ImageError as `sectionData` */
  dataOf(section: ElfSection): Uint8Array {
    if (section.type === SHT_NOBITS) return this.bytes.subarray(0, 0);
    const bytes = sliceOf(this.bytes, section.offset, section.size, `section ${section.name}`);
    return (section.flags & SHF_COMPRESSED) === 0n
      ? bytes
      : decompressSection(bytes, this.class === 64, section.name);
  }

  /** What the file holds of a segment, not copied. @throws ImageError where it lies outside of the file */
  segmentData(segment: ElfSegment): Uint8Array {
    return sliceOf(this.bytes, segment.offset, segment.fileSize, `segment ${this.segments.indexOf(segment)}`);
  }

  /**
   * The notes of all PT_NOTE segments, or of the note sections where there are no such segments.
   * @throws ImageError where one is cut off
   */
  notes(): ElfNote[] {
    const segments = this.segments.filter((segment) => segment.type === PT_NOTE);
    if (segments.length > 0) {
      return segments.flatMap((segment) => readNotes(this.segmentData(segment), segment.align));
    }
    const sections = this.sections.filter((section) => section.type === SHT_NOTE);
    return sections.flatMap((section) => readNotes(this.dataOf(section), 4));
  }
}

/**
 * Reads the headers of an ELF file for x86.
 * @throws ImageError where it is no ELF file, is for another machine, or its headers are truncated or corrupt
 */
export function parseElf(bytes: Uint8Array): ElfImage {
  const header = readHeader(bytes);
  const first = header.sectionOffset === 0 ? undefined : readSections(bytes, header, 1)[0];
  const sectionCount = header.sectionCount === 0 ? (first?.size ?? 0) : header.sectionCount;
  const segmentCount = header.segmentCount === PN_XNUM ? (first?.info ?? 0) : header.segmentCount;
  const nameIndex = header.nameIndex === SHN_XINDEX ? (first?.link ?? 0) : header.nameIndex;
  const segments = readSegments(bytes, header, segmentCount);
  const raw = header.sectionOffset === 0 ? [] : readSections(bytes, header, sectionCount);
  return new ElfImage(bytes, { ...header, segments, sections: nameSections(bytes, raw, nameIndex) });
}

interface Header {
  class: 32 | 64;
  machine: number;
  type: number;
  entry: bigint;
  segmentOffset: number;
  segmentCount: number;
  sectionOffset: number;
  sectionCount: number;
  nameIndex: number;
}

type RawSection = ElfSection & { nameOffset: number };

function readHeader(bytes: Uint8Array): Header {
  const cursor = new Cursor(bytes, "the ELF header");
  const fileClass = readIdent(cursor);
  const type = cursor.u16();
  const machine = cursor.u16();
  checkMachine(machine, fileClass);
  cursor.skip(4);
  const word = () => (fileClass === 64 ? cursor.u64() : BigInt(cursor.u32()));
  const entry = word();
  const segmentOffset = Number(word());
  const sectionOffset = Number(word());
  cursor.skip(6);
  const segmentSize = cursor.u16();
  const segmentCount = cursor.u16();
  const sectionSize = cursor.u16();
  const sectionCount = cursor.u16();
  const nameIndex = cursor.u16();
  if (segmentCount !== 0) expectSize("e_phentsize", segmentSize, SEGMENT_SIZE[fileClass]);
  if (sectionOffset !== 0) expectSize("e_shentsize", sectionSize, SECTION_SIZE[fileClass]);
  return {
    class: fileClass,
    machine,
    type,
    entry,
    segmentOffset,
    segmentCount,
    sectionOffset,
    sectionCount,
    nameIndex,
  };
}

const SEGMENT_SIZE = { 32: 32, 64: 56 } as const;
const SECTION_SIZE = { 32: 40, 64: 64 } as const;

function readIdent(cursor: Cursor): 32 | 64 {
  const magic = [0x7f, 0x45, 0x4c, 0x46];
  if (magic.some((byte, index) => cursor.bytes[index] !== byte)) {
    throw new ImageError("the file is not an ELF image: it does not begin with 7f 45 4c 46");
  }
  cursor.skip(4);
  const fileClass = cursor.u8();
  const data = cursor.u8();
  const version = cursor.u8();
  if (fileClass !== 1 && fileClass !== 2) {
    throw new ImageError(`the ELF header's EI_CLASS is ${fileClass}, neither 1 (32-bit) nor 2 (64-bit)`);
  }
  if (data === 2) throw new ImageError("the ELF file is big-endian, but x86 images are little-endian");
  if (data !== 1) throw new ImageError(`the ELF header's EI_DATA is ${data}, not 1 (little-endian)`);
  if (version !== 1) throw new ImageError(`the ELF header's EI_VERSION is ${version}, not 1`);
  cursor.skip(9);
  return fileClass === 2 ? 64 : 32;
}

function checkMachine(machine: number, fileClass: 32 | 64): void {
  if (machine !== EM_386 && machine !== EM_X86_64) {
    const name = FOREIGN_MACHINES[machine] ?? `machine ${machine} (e_machine)`;
    throw new ImageError(`the ELF file is for ${name}, not for x86`);
  }
  if ((machine === EM_X86_64) !== (fileClass === 64)) {
    throw new ImageError(
      `the ELF file is ${fileClass}-bit, but for ${machine === EM_386 ? "i386" : "x86-64"}: ` +
        "only 32-bit i386 and 64-bit x86-64 files are supported",
    );
  }
}

function expectSize(field: string, actual: number, expected: number): void {
  if (actual !== expected) throw new ImageError(`the ELF header's ${field} is ${actual}, not ${expected}`);
}

function table(bytes: Uint8Array, what: string, offset: number, count: number, size: number): Cursor {
  if (count > MAX_HEADERS)
    throw new ImageError(`${what} has ${count} entries, more than the ${MAX_HEADERS} supported`);
  sliceOf(bytes, offset, count * size, what);
  return new Cursor(bytes, what, offset);
}

function readSegments(bytes: Uint8Array, header: Header, count: number): ElfSegment[] {
  if (count === 0) return [];
  const what = "the program header table";
  const cursor = table(bytes, what, header.segmentOffset, count, SEGMENT_SIZE[header.class]);
  const read = header.class === 64 ? readSegment64 : readSegment32;
  return Array.from({ length: count }, () => read(cursor));
}

function readSegment64(cursor: Cursor): ElfSegment {
  return {
    type: cursor.u32(),
    flags: cursor.u32(),
    offset: Number(cursor.u64()),
    virtualAddress: cursor.u64(),
    physicalAddress: cursor.u64(),
    fileSize: Number(cursor.u64()),
    memorySize: Number(cursor.u64()),
    align: Number(cursor.u64()),
  };
}

function readSegment32(cursor: Cursor): ElfSegment {
  const type = cursor.u32();
  const offset = cursor.u32();
  const virtualAddress = BigInt(cursor.u32());
  const physicalAddress = BigInt(cursor.u32());
  const fileSize = cursor.u32();
  const memorySize = cursor.u32();
  const flags = cursor.u32();
  return { type, flags, offset, virtualAddress, physicalAddress, fileSize, memorySize, align: cursor.u32() };
}

function readSections(bytes: Uint8Array, header: Header, count: number): RawSection[] {
  const what = "the section header table";
  const cursor = table(bytes, what, header.sectionOffset, count, SECTION_SIZE[header.class]);
  const word = header.class === 64 ? () => cursor.u64() : () => BigInt(cursor.u32());
  return Array.from({ length: count }, () => {
    const section = {
      nameOffset: cursor.u32(),
      name: "",
      type: cursor.u32(),
      flags: word(),
      address: word(),
      offset: Number(word()),
      size: Number(word()),
      link: cursor.u32(),
      info: cursor.u32(),
    };
    cursor.skip(header.class / 8);
    return { ...section, entrySize: Number(word()) };
  });
}

function nameSections(bytes: Uint8Array, raw: RawSection[], nameIndex: number): ElfSection[] {
  if (raw.length === 0 || nameIndex === 0) return raw.map(({ nameOffset: _, ...section }) => section);
  const strings = raw[nameIndex];
  if (strings === undefined) {
    throw new ImageError(`the ELF header's e_shstrndx is ${nameIndex}, but there are ${raw.length} sections`);
  }
  const names = sliceOf(bytes, strings.offset, strings.size, "the table of section names");
  return raw.map(({ nameOffset, ...section }, index) => {
    if (index === 0) return section;
    return { ...section, name: stringAt(names, nameOffset, `the name of section ${index}`) };
  });
}

function readNotes(bytes: Uint8Array, align: number): ElfNote[] {
  const alignment = align === 8 ? 8 : 4;
  const cursor = new Cursor(bytes, "the notes");
  const notes: ElfNote[] = [];
  while (cursor.remaining >= 12) {
    const nameSize = cursor.u32();
    const descriptionSize = cursor.u32();
    const type = cursor.u32();
    const name = cursor.slice(nameSize);
    alignTo(cursor, alignment);
    const description = cursor.slice(descriptionSize);
    alignTo(cursor, alignment);
    const length = nameSize > 0 && name[nameSize - 1] === 0 ? nameSize - 1 : nameSize;
    notes.push({ name: latin1(name.subarray(0, length)), type, description });
  }
  return notes;
}

/** The padding behind the last note may be missing. */
function alignTo(cursor: Cursor, alignment: number): void {
  const rest = cursor.position % alignment;
  if (rest !== 0) cursor.skip(Math.min(alignment - rest, cursor.remaining));
}

function sliceOf(bytes: Uint8Array, offset: number, size: number, what: string): Uint8Array {
  if (offset + size > bytes.length) {
    throw new ImageError(
      `${what} lies at ${hex(offset)}-${hex(offset + size)} of the file, but the file has only ` +
        `${hex(bytes.length)} bytes: it is truncated or corrupt`,
    );
  }
  return bytes.subarray(offset, offset + size);
}

function stringAt(strings: Uint8Array, offset: number, what: string): string {
  const end = offset < strings.length ? strings.indexOf(0, offset) : -1;
  if (end < 0) throw new ImageError(`${what} lies outside of its string table`);
  return latin1(strings.subarray(offset, end));
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
