/**
 * The symbol table of an ELF file (System V ABI, "Symbol Table"): names to addresses at once, addresses to names
 * after one lazy sort. Kept in typed arrays, so that the 200,000 symbols of a kernel cost little.
 *
 * Which name an address gets: the innermost function or object whose size covers it; a symbol without a size (a
 * label of assembly or of a linker script) covers what follows it up to the next symbol or the end of its section,
 * but never a place inside a sized one. Of several symbols at one place functions and objects win over labels,
 * then global ones over weak and local ones, then the shorter name, then the order of the alphabet.
 */

import { IntervalMap, signedAddress } from "./intervals";
import { decodeUtf8, encodeUtf8 } from "./utf8";

/** st_info types that name addresses; section, file and TLS symbols do not. */
const STT = { NOTYPE: 0, OBJECT: 1, FUNC: 2, GNU_IFUNC: 10 } as const;
const ADDRESS_TYPES: ReadonlySet<number> = new Set(Object.values(STT));
const STB_LOCAL = 0;
const STB_WEAK = 2;
const SHN_UNDEF = 0;
const SHN_ABS = 0xfff1;
const SHN_LORESERVE = 0xff00;
/** Bytes of a name that are read; bounds the work that a hostile string table can cause. */
const LONGEST_NAME = 4096;

/** A range of linear addresses of the file as linked. */
export interface LinkedRange {
  readonly address: bigint;
  readonly size: bigint;
}

/** What of an ELF file the symbol table needs. */
export interface SymbolTableInput {
  /** Contents of the .symtab section. */
  readonly symbols: Uint8Array;
  /** Contents of its string table. */
  readonly strings: Uint8Array;
  /** ELFCLASS64. */
  readonly is64: boolean;
  /** Sections by their index. */
  readonly sections: readonly LinkedRange[];
}

/** A symbol that an address lies in. */
export interface SymbolHit {
  readonly name: string;
  /** Bytes from the symbol's address. */
  readonly offset: number;
}

export class ElfSymbols {
  private readonly count: number;
  private readonly entrySize: number;
  private readonly view: DataView;
  private intervals: IntervalMap | undefined;
  private readonly starts: Float64Array;
  /** Index of each name that was asked for, -1 where there is none. */
  private readonly byName = new Map<string, number>();

  constructor(private readonly input: SymbolTableInput) {
    const { symbols, is64 } = input;
    this.entrySize = is64 ? 24 : 16;
    this.count = Math.floor(symbols.length / this.entrySize);
    this.starts = new Float64Array(this.count);
    this.view = new DataView(symbols.buffer, symbols.byteOffset, symbols.length);
  }

  /** The address that a name stands for; of several symbols of the name the global one. */
  addressOf(name: string): bigint | undefined {
    const index = this.indexOf(name);
    return index < 0 ? undefined : this.value(index);
  }

  /** The size of a named symbol in bytes; 0 where the file gives none. */
  sizeOf(name: string): bigint | undefined {
    const index = this.indexOf(name);
    return index < 0 ? undefined : this.size(index);
  }

  /** Names that begin with a prefix, sorted, each once; at most `limit`. */
  names(prefix: string, limit: number): string[] {
    const found = new Set<string>();
    const wanted = encodeUtf8(prefix);
    for (let index = 0; index < this.count; index++) {
      if (this.isNamed(index, wanted) && this.namesAnAddress(index)) found.add(this.name(index));
    }
    return [...found].sort().slice(0, limit);
  }

  /** The symbol that a linear address as linked lies in. */
  find(address: bigint): SymbolHit | undefined {
    this.intervals ??= this.indexAddresses();
    const index = this.intervals.find(address);
    return index < 0
      ? undefined
      : { name: this.name(index), offset: signedAddress(address) - this.starts[index] };
  }

  /** One pass over the table for each name that is asked for: cheaper than reading 200,000 names. */
  private indexOf(name: string): number {
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const wanted = encodeUtf8(`${name}\0`);
    let best = -1;
    for (let index = 0; index < this.count && name !== ""; index++) {
      if (!this.isNamed(index, wanted)) continue;
      if (!this.namesAnAddress(index) && this.section(index) !== SHN_ABS) continue;
      if (best < 0 || this.rank(index) < this.rank(best)) best = index;
    }
    this.byName.set(name, best);
    return best;
  }

  private isNamed(index: number, wanted: Uint8Array): boolean {
    const { strings } = this.input;
    const start = this.nameOffset(index);
    for (let i = 0; i < wanted.length; i++) if (strings[start + i] !== wanted[i]) return false;
    return true;
  }

  private indexAddresses(): IntervalMap {
    const { starts } = this;
    const ends = new Float64Array(this.count);
    for (let index = 0; index < this.count; index++) starts[index] = this.position(index);
    const order = this.sorted();
    for (let k = order.length - 1, next = Number.POSITIVE_INFINITY, here = next; k >= 0; k--) {
      const index = order[k];
      const size = this.sizeNumber(index);
      if (starts[index] < here) {
        next = here;
        here = starts[index];
      }
      ends[index] = size > 0 ? here + size : this.endOfLabel(index, next);
    }
    return IntervalMap.build(starts, ends, order, (index) => this.sizeNumber(index) === 0);
  }

  private endOfLabel(index: number, nextSymbol: number): number {
    const section = this.input.sections[this.section(index)];
    if (section === undefined) return nextSymbol;
    return Math.min(nextSymbol, signedAddress(section.address) + Number(section.size));
  }

  /** Symbols with an address by address; of those at one address the weakest first. */
  private sorted(): Uint32Array {
    const { starts } = this;
    const order: number[] = [];
    for (let index = 0; index < this.count; index++) if (this.namesAnAddress(index)) order.push(index);
    return Uint32Array.from(order).sort(
      (a, b) => starts[a] - starts[b] || this.rank(b) - this.rank(a) || this.compareNames(b, a),
    );
  }

  /** Shorter first, then by bytes, then by place in the table; reads no further than the shorter name. */
  private compareNames(a: number, b: number): number {
    const { strings } = this.input;
    let [first, second] = [this.nameOffset(a), this.nameOffset(b)];
    if (first === second) return a - b;
    let difference = 0;
    for (let left = LONGEST_NAME; left > 0; left--) {
      const [x, y] = [strings[first++] ?? 0, strings[second++] ?? 0];
      if (x === 0 || y === 0) return x === y ? difference || a - b : x - y;
      if (difference === 0) difference = x - y;
    }
    return difference || a - b;
  }

  /** Lower is the better name. */
  private rank(index: number): number {
    const info = this.info(index);
    const binding = info >>> 4;
    const label = (info & 0xf) === STT.NOTYPE ? 4 : 0;
    return label + (binding === STB_LOCAL ? 2 : binding === STB_WEAK ? 1 : 0);
  }

  private namesAnAddress(index: number): boolean {
    const type = this.info(index) & 0xf;
    const section = this.section(index);
    const name = this.nameOffset(index);
    if (section === SHN_UNDEF || section >= SHN_LORESERVE || name === 0 || name >= this.input.strings.length)
      return false;
    return ADDRESS_TYPES.has(type) && Number.isSafeInteger(this.position(index));
  }

  private nameOffset(index: number): number {
    return this.view.getUint32(index * this.entrySize, true);
  }

  private name(index: number): string {
    const { strings } = this.input;
    const start = this.nameOffset(index);
    if (start >= strings.length) return "";
    const most = strings.subarray(start, start + LONGEST_NAME);
    const zero = most.indexOf(0);
    return decodeUtf8(zero < 0 ? most : most.subarray(0, zero));
  }

  private value(index: number): bigint {
    const at = index * this.entrySize;
    return this.input.is64 ? this.view.getBigUint64(at + 8, true) : BigInt(this.view.getUint32(at + 4, true));
  }

  private size(index: number): bigint {
    const at = index * this.entrySize;
    return this.input.is64
      ? this.view.getBigUint64(at + 16, true)
      : BigInt(this.view.getUint32(at + 8, true));
  }

  /** The value as in `IntervalMap`, without a bigint. */
  private position(index: number): number {
    const at = index * this.entrySize;
    if (!this.input.is64) return this.view.getUint32(at + 4, true);
    return this.view.getInt32(at + 12, true) * 2 ** 32 + this.view.getUint32(at + 8, true);
  }

  private sizeNumber(index: number): number {
    const at = index * this.entrySize;
    if (!this.input.is64) return this.view.getUint32(at + 8, true);
    return this.view.getUint32(at + 20, true) * 2 ** 32 + this.view.getUint32(at + 16, true);
  }

  private info(index: number): number {
    return this.view.getUint8(index * this.entrySize + (this.input.is64 ? 4 : 12));
  }

  private section(index: number): number {
    return this.view.getUint16(index * this.entrySize + (this.input.is64 ? 6 : 14), true);
  }
}
