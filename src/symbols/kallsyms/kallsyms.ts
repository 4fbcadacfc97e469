/**
 * The symbol table that a Linux kernel carries for itself (CONFIG_KALLSYMS), found in a stripped image by its form:
 * nothing there has a name or a header. The tokens are found first, then the names before them, then the addresses.
 */
import type { ElfImage } from "../elf";
import { ElfSymbols, type LinkedRange } from "../elfSymbols";
import { signedAddress } from "../intervals";
import { findAddresses } from "./addresses";
import { kernelImage } from "./image";
import { findNames, lengthAt, type NameTable, SEARCH_STEPS } from "./names";
import { findTokens, type TokenTable } from "./tokens";

/** One symbol as kallsyms has it. */
export interface KernelSymbol {
  readonly name: string;
  /** As nm has it: "T", "t", "D" and so on; "A" for per-CPU and other absolute ones. */
  readonly type: string;
  /** As linked, 64 bit. */
  readonly address: bigint;
}

/** The table as it was found. */
export interface Kallsyms {
  readonly bytes: Uint8Array;
  readonly tokens: TokenTable;
  readonly names: NameTable;
  /** By symbol, signed. */
  readonly addresses: Float64Array;
}

/** Finds the table in an image's loaded bytes; undefined where there is none. Throws nothing. */
export function findKallsyms(elf: ElfImage): Kallsyms | undefined {
  const image = kernelImage(elf);
  const work = { steps: SEARCH_STEPS };
  for (const part of image.loaded) {
    for (const tokens of findTokens(part.bytes, image.pointer)) {
      const names = findNames(part.bytes, tokens, image.pointer, work);
      if (names === undefined) continue;
      const addresses = findAddresses(image, part, names, tokens);
      if (addresses !== undefined) return { bytes: part.bytes, tokens, names, addresses };
    }
  }
  return undefined;
}

/** Every symbol, in the table's order, which is that of addresses. */
export function* kernelSymbols(table: Kallsyms): Generator<KernelSymbol> {
  const decoder = new NameDecoder(table);
  for (const address of table.addresses) {
    const text = String.fromCharCode(...decoder.next());
    yield { type: text[0], name: text.slice(1), address: BigInt.asUintN(64, BigInt(address)) };
  }
}

/** The table in the form of an ELF file's, so that one look-up serves both. */
export function kallsymsSymbols(elf: ElfImage): ElfSymbols | undefined {
  const table = findKallsyms(elf);
  if (table === undefined) return undefined;
  const sections = placesOf(elf);
  const { count } = table.names;
  const symbols = new DataView(new ArrayBuffer(count * SYMBOL_SIZE));
  const strings = new Strings(4 * (table.names.end - table.names.start));
  const decoder = new NameDecoder(table);
  const placeOf = sectionFinder(sections);
  for (let index = 0; index < count; index++) {
    const text = decoder.next();
    const at = index * SYMBOL_SIZE;
    const address = table.addresses[index];
    symbols.setUint32(at, strings.add(text.subarray(1)), true);
    symbols.setUint8(at + 4, infoOf(text[0]));
    symbols.setUint16(at + 6, isAbsolute(text[0]) ? SHN_ABS : placeOf(address), true);
    symbols.setUint32(at + 8, address % 2 ** 32, true);
    symbols.setInt32(at + 12, Math.floor(address / 2 ** 32), true);
  }
  return new ElfSymbols({
    symbols: new Uint8Array(symbols.buffer),
    strings: strings.bytes,
    is64: true,
    sections,
  });
}

/** Elf64_Sym. */
const SYMBOL_SIZE = 24;
const SHN_ABS = 0xfff1;
const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2 } as const;
const STT = { OBJECT: 1, FUNC: 2 } as const;

/** Binding and type of a symbol by nm's letter: capitals are global, t is code, w and v are weak. */
function infoOf(letter: number): number {
  const lower = letter | 0x20;
  const weak = lower === 0x77 || lower === 0x76;
  const binding = weak ? STB.WEAK : letter === lower ? STB.LOCAL : STB.GLOBAL;
  return (binding << 4) | (lower === 0x74 || lower === 0x77 ? STT.FUNC : STT.OBJECT);
}

/** Letter a, in both cases. */
function isAbsolute(letter: number): boolean {
  return (letter | 0x20) === 0x61;
}

/** Decompresses name after name: type, then name. What it gives is valid until the next. */
class NameDecoder {
  private at: number;
  private text = new Uint8Array(1024);

  constructor(private readonly table: Kallsyms) {
    this.at = table.names.start;
  }

  next(): Uint8Array {
    const { bytes, tokens } = this.table;
    const { length, size } = lengthAt(bytes, this.at);
    const first = this.at + size;
    let filled = 0;
    for (let index = first; index < first + length; index++) {
      const token = tokens.tokens[bytes[index]];
      if (filled + token.length > this.text.length) this.grow(filled + token.length);
      for (let i = 0; i < token.length; i++) this.text[filled++] = token[i];
    }
    this.at = first + length;
    return this.text.subarray(0, filled);
  }

  private grow(size: number): void {
    const larger = new Uint8Array(2 * size);
    larger.set(this.text);
    this.text = larger;
  }
}

/** A growing string table. */
class Strings {
  private buffer: Uint8Array;
  private filled = 1;

  constructor(size: number) {
    this.buffer = new Uint8Array(size + 1);
  }

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.filled);
  }

  /** @returns the offset of the text */
  add(text: Uint8Array): number {
    const at = this.filled;
    if (at + text.length + 1 > this.buffer.length) {
      const larger = new Uint8Array(2 * (at + text.length + 1));
      larger.set(this.buffer);
      this.buffer = larger;
    }
    this.buffer.set(text, at);
    this.filled = at + text.length + 1;
    return at;
  }
}

/** Where symbols can lie: the loaded sections, or the segments where there are no section headers. Index 0 is none. */
function placesOf(elf: ElfImage): LinkedRange[] {
  const sections = elf.sections.filter(({ flags, size }) => (flags & SHF_ALLOC) !== 0n && size > 0);
  const ranges =
    sections.length > 0
      ? sections
      : elf.segments.map(({ virtualAddress, memorySize }) => ({ address: virtualAddress, size: memorySize }));
  return [
    { address: 0n, size: 0n },
    ...ranges.slice(0, SHN_LORESERVE - 1).map(({ address, size }) => ({ address, size: BigInt(size) })),
  ];
}

const SHF_ALLOC = 2n;
const SHN_LORESERVE = 0xff00;

/** The index of the section that an address lies in or ends; SHN_ABS for none. */
function sectionFinder(sections: readonly LinkedRange[]): (address: number) => number {
  const starts = sections.map(({ address }) => signedAddress(address));
  const ends = sections.map(({ size }, index) => starts[index] + Number(size));
  let last = 0;
  return (address) => {
    if (address >= starts[last] && address < ends[last]) return last;
    const found = starts.findIndex((start, index) => address >= start && address < ends[index]);
    const ending = found < 0 ? ends.indexOf(address) : found;
    if (ending < 0) return SHN_ABS;
    last = ending;
    return ending;
  };
}
