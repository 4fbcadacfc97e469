import { describe, expect, test } from "vitest";
import { ImageError, parseElf, SHT_NOBITS } from "../../src/symbols/elf";
import {
  E_MACHINE,
  E_PHENTSIZE,
  E_PHNUM,
  E_PHOFF,
  E_SHENTSIZE,
  E_SHNUM,
  E_SHOFF,
  E_SHSTRNDX,
  EI_CLASS,
  EI_DATA,
  EI_VERSION,
  patched,
  writeElf,
  writeNote,
} from "../support/elfWriter";

const CODE = Uint8Array.of(0xf4, 0xeb, 0xfd);
const SOUND = writeElf({
  entry: 0x100000n,
  segments: [
    {
      virtualAddress: 0xffffffff80100000n,
      physicalAddress: 0x100000n,
      bytes: CODE,
      memorySize: 0x3000,
      align: 4096,
    },
    { type: 4, virtualAddress: 0n, bytes: writeNote("GNU", 3, Uint8Array.of(1, 2, 3, 4, 5)), align: 4 },
  ],
  sections: [
    { name: ".text", bytes: CODE },
    { name: ".bss", type: SHT_NOBITS },
    { name: ".debug_info", flags: 0x800, bytes: CODE },
  ],
});

describe("an ELF file", () => {
  test("gives its headers, segments, sections and notes", () => {
    const elf = parseElf(SOUND);
    expect([elf.class, elf.machine, elf.type, elf.entry]).toEqual([64, 62, 2, 0x100000n]);
    expect(elf.segments[0]).toMatchObject({
      virtualAddress: 0xffffffff80100000n,
      physicalAddress: 0x100000n,
      fileSize: 3,
      memorySize: 0x3000,
      align: 4096,
    });
    expect(elf.sections.map((section) => section.name)).toEqual([
      "",
      ".text",
      ".bss",
      ".debug_info",
      ".shstrtab",
    ]);
    expect(elf.sectionData(".text")).toEqual(CODE);
    expect(elf.sectionData(".bss")).toHaveLength(0);
    expect(elf.sectionData(".data")).toBeUndefined();
    expect(elf.notes()).toEqual([{ name: "GNU", type: 3, description: Uint8Array.of(1, 2, 3, 4, 5) }]);
  });

  test("is not copied: sections and segments are views into it", () => {
    const elf = parseElf(SOUND);
    expect(elf.sectionData(".text")!.buffer).toBe(SOUND.buffer);
    expect(elf.segmentData(elf.segments[0]).buffer).toBe(SOUND.buffer);
  });

  test("may be 32-bit", () => {
    const bytes = writeElf({
      class: 32,
      segments: [{ virtualAddress: 0x100000n, bytes: CODE, memorySize: 16 }],
    });
    const elf = parseElf(bytes);
    expect([elf.class, elf.machine, elf.entry]).toEqual([32, 3, 0x100000n]);
    expect(elf.segments[0]).toMatchObject({
      physicalAddress: 0x100000n,
      fileSize: 3,
      memorySize: 16,
      flags: 7,
    });
    expect(elf.sections.map((section) => section.name)).toEqual(["", ".shstrtab"]);
  });

  test("without sections has none", () => {
    const elf = parseElf(patched(patched(SOUND, E_SHOFF, 0, 8), E_SHNUM, 0, 2));
    expect(elf.sections).toEqual([]);
  });

  test("with more headers than 16 bits count has the numbers in section 0", () => {
    const sectionTable = Number(new DataView(SOUND.buffer).getBigUint64(E_SHOFF, true));
    let bytes = patched(patched(patched(SOUND, E_SHNUM, 0, 2), E_PHNUM, 0xffff, 2), E_SHSTRNDX, 0xffff, 2);
    bytes = patched(bytes, sectionTable + 32, 5, 8);
    bytes = patched(patched(bytes, sectionTable + 40, 4, 4), sectionTable + 44, 2, 4);
    const elf = parseElf(bytes);
    expect(elf.segments).toHaveLength(2);
    expect(elf.sections.at(-1)!.name).toBe(".shstrtab");
  });

  test("may lie anywhere in a buffer", () => {
    const larger = new Uint8Array(SOUND.length + 10);
    larger.set(SOUND, 7);
    expect(parseElf(larger.subarray(7, 7 + SOUND.length)).sectionData(".text")).toEqual(CODE);
  });
});

describe("a broken ELF file is refused", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(0), /not an ELF image/],
    ["no ELF file", Uint8Array.of(0x4d, 0x5a, 0, 0), /not an ELF image: it does not begin with 7f 45 4c 46/],
    ["cut off in the header", SOUND.subarray(0, 40), /the ELF header: more bytes are expected .* truncated/],
    ["cut off in the program headers", SOUND.subarray(0, 100), /table lies at .* truncated/],
    [
      "cut off in the section headers",
      SOUND.subarray(0, SOUND.length - 1),
      /the section header table lies at/,
    ],
    ["of an unknown class", patched(SOUND, EI_CLASS, 3, 1), /EI_CLASS is 3/],
    ["big-endian", patched(SOUND, EI_DATA, 2, 1), /big-endian/],
    ["of an unknown byte order", patched(SOUND, EI_DATA, 7, 1), /EI_DATA is 7/],
    ["of an unknown version", patched(SOUND, EI_VERSION, 9, 1), /EI_VERSION is 9/],
    ["for ARM", patched(SOUND, E_MACHINE, 40, 2), /is for ARM, not for x86/],
    ["for AArch64", patched(SOUND, E_MACHINE, 183, 2), /is for AArch64, not for x86/],
    ["for a machine nobody knows", patched(SOUND, E_MACHINE, 0x1234, 2), /is for machine 4660 \(e_machine\)/],
    ["for x86-64 in 32 bits", writeElf({ class: 32, machine: 62 }), /is 32-bit, but for x86-64/],
    ["for i386 in 64 bits", patched(SOUND, E_MACHINE, 3, 2), /is 64-bit, but for i386/],
    ["with another size of program headers", patched(SOUND, E_PHENTSIZE, 32, 2), /e_phentsize is 32, not 56/],
    ["with another size of section headers", patched(SOUND, E_SHENTSIZE, 40, 2), /e_shentsize is 40, not 64/],
    [
      "with program headers beyond its end",
      patched(SOUND, E_PHOFF, 2n ** 60n, 8),
      /program header table lies at/,
    ],
    [
      "with section headers beyond its end",
      patched(SOUND, E_SHOFF, 0xfffff0, 8),
      /section header table lies at/,
    ],
    [
      "with more section headers than it is long",
      patched(SOUND, E_SHNUM, 0xfff0, 2),
      /section header table lies at/,
    ],
    [
      "without the table of section names",
      patched(SOUND, E_SHSTRNDX, 77, 2),
      /e_shstrndx is 77, but there are 5/,
    ],
  ];
  test.each(cases)("%s", (_name, bytes, message) => {
    expect(() => parseElf(bytes)).toThrow(ImageError);
    expect(() => parseElf(bytes)).toThrow(message);
  });

  test("with a section name outside of the table", () => {
    const sectionTable = Number(new DataView(SOUND.buffer).getBigUint64(E_SHOFF, true));
    expect(() => parseElf(patched(SOUND, sectionTable + 64, 99999, 4))).toThrow(
      /the name of section 1 lies outside/,
    );
  });

  test("where a compressed section has no compression header, when it is read", () => {
    expect(() => parseElf(SOUND).sectionData(".debug_info")).toThrow(
      /the compression header of section .debug_info: .* truncated or corrupt/,
    );
  });

  test("where a section lies beyond its end, when it is read", () => {
    const sectionTable = Number(new DataView(SOUND.buffer).getBigUint64(E_SHOFF, true));
    const elf = parseElf(patched(SOUND, sectionTable + 64 + 32, 2n ** 40n, 8));
    expect(() => elf.sectionData(".text")).toThrow(/section .text lies at .* of the file/);
  });

  test("where a note is longer than its segment, when notes are read", () => {
    const note = patched(writeNote("Xen", 18, Uint8Array.of(1, 2, 3, 4)), 4, 400, 4);
    const elf = parseElf(writeElf({ segments: [{ type: 4, virtualAddress: 0n, bytes: note }] }));
    expect(() => elf.notes()).toThrow(/the notes: more bytes are expected/);
  });
});
