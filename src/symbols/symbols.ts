/**
 * Names and source lines for the addresses of a loaded image: one place to ask, whatever the file has.
 *
 * An image may run at its linked linear addresses and, before it has page tables of its own, identity-mapped at its
 * physical ones. So a linear address that lies in no linked segment is tried as a physical address of the image.
 */
import type { DebugInfo, LineInfo } from "./debugInfo";
import type { DwarfLines, SourceLine } from "./dwarf/lines";
import type { ElfImage } from "./elf";
import type { ElfSymbols, SymbolHit } from "./elfSymbols";
import { partsOf } from "./fromElf";

export type { SourceLine } from "./dwarf/lines";
export type { SymbolHit } from "./elfSymbols";

/** A loaded segment of the file as linked (program header PT_LOAD). */
export interface LinkedSegment {
  /** p_vaddr. */
  readonly linear: bigint;
  /** p_paddr. */
  readonly physical: bigint;
  /** p_memsz. */
  readonly size: bigint;
  /** What the file holds of it, p_filesz bytes; undefined where that cannot be read. */
  contents?(): Uint8Array | undefined;
}

/** A section that occupies memory (SHF_ALLOC). */
export interface LoadedSection {
  readonly name: string;
  /** As linked. */
  readonly address: bigint;
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** What a facade is made of. */
export interface SymbolsParts {
  /** Made when first asked for, where that costs something. */
  readonly symbols?: ElfSymbols | (() => ElfSymbols | undefined) | undefined;
  readonly lines?: DwarfLines | undefined;
  readonly debug?: DebugInfo | undefined;
  /** Sections that are loaded. */
  readonly sections?: readonly LoadedSection[];
  readonly segments: readonly LinkedSegment[];
  /** Physical load address minus p_paddr, in bytes; negative below the linked place. */
  readonly loadDelta: number;
  /** Of a paravirtual domain; physical memory is the machine's itself otherwise. */
  readonly machine?: MachineMemory | undefined;
  /**
   * Whether memory has bytes at a physical address, where the image may not be in memory yet: code that runs where it
   * will lie is not the image's. Left out where it is there from the start.
   */
  readonly isThere?: ((physical: number, bytes: Uint8Array) => boolean) | undefined;
  /** What of the file could not be read. */
  readonly problems?: readonly Error[];
}

/** Which machine memory stands behind the physical memory that a domain sees. Byte addresses; -1 where none does. */
export interface MachineMemory {
  machineOf(physical: number): number;
  physicalOf(machine: number): number;
}

const KERNEL_HALF = 1n << 63n;
/** Bytes of code by which it is told from other code. */
const COMPARED = 8;

export class Symbols {
  private readonly segments: readonly LinkedSegment[];
  private readonly loadDelta: bigint;

  constructor(private readonly parts: SymbolsParts) {
    this.segments = parts.segments.filter((segment) => segment.size > 0n);
    this.loadDelta = BigInt(parts.loadDelta);
  }

  /**
   * The symbols of a loaded ELF file. Throws nothing: what cannot be read is left out, see `problems`.
   * @param options.loadDelta physical load address minus the linked one (p_paddr), in bytes
   * @param options.machine of a paravirtual domain
   * @param options.debugFile a file with the image's names and debugging information, made from the same link
   * @param options.isThere as in `SymbolsParts`
   */
  static fromElf(
    elf: ElfImage,
    options: {
      loadDelta: number;
      machine?: MachineMemory | undefined;
      debugFile?: ElfImage | undefined;
      isThere?: SymbolsParts["isThere"];
    },
  ): Symbols {
    const { loadDelta, machine, debugFile, isThere } = options;
    return new Symbols({ ...partsOf(elf, debugFile), loadDelta, machine, isThere });
  }

  /** The symbol of a linear address (64 bit, zero-extended), as linked or identity-mapped. */
  nameOf(linear: bigint): SymbolHit | undefined {
    const linked = this.linkedOf(linear);
    return linked === undefined ? undefined : this.table?.find(linked);
  }

  /** The symbol of a physical byte address within the loaded image. */
  nameOfPhysical(physical: number | bigint): SymbolHit | undefined {
    const { machine } = this.parts;
    const own = machine === undefined ? BigInt(physical) : BigInt(machine.physicalOf(Number(physical)));
    const linked = this.linkedOfPhysical(own);
    return linked === undefined ? undefined : this.table?.find(linked);
  }

  /** The source line of a linear address, as linked or identity-mapped. */
  lineOf(linear: bigint): SourceLine | undefined {
    const linked = this.linkedOf(linear);
    return linked === undefined ? undefined : this.parts.lines?.lineOf(linked);
  }

  /** Lines in both directions, by linked addresses; undefined where the file has none. */
  get lines(): LineInfo | undefined {
    return this.parts.lines;
  }

  /** Functions, variables, types and frames, by linked addresses; undefined where the file has none. */
  get debug(): DebugInfo | undefined {
    return this.parts.debug;
  }

  /** The sections that are loaded, by address as linked. */
  get sections(): readonly LoadedSection[] {
    return this.parts.sections ?? [];
  }

  private found: { table: ElfSymbols | undefined } | undefined;

  private get table(): ElfSymbols | undefined {
    const { symbols } = this.parts;
    this.found ??= { table: typeof symbols === "function" ? symbols() : symbols };
    return this.found.table;
  }

  /** Names that begin with a prefix, sorted; at most `limit`. */
  names(prefix: string, limit: number): string[] {
    return this.table?.names(prefix, limit) ?? [];
  }

  /** The linear address of a symbol as linked. */
  addressOf(name: string): bigint | undefined {
    return this.table?.addressOf(name);
  }

  /** The size of a symbol in bytes; 0 where the file gives none. */
  sizeOf(name: string): bigint | undefined {
    return this.table?.sizeOf(name);
  }

  /** The machine's physical address at which a linked linear address was loaded; undefined outside of the image. */
  physicalOf(linked: bigint): number | undefined {
    const segment = this.segmentAt(linked);
    if (segment === undefined) return undefined;
    const physical = Number(linked - segment.linear + segment.physical + this.loadDelta);
    return this.parts.machine === undefined ? physical : this.parts.machine.machineOf(physical);
  }

  /**
   * The bytes at a linked linear address as the file has them: before they are in memory, and unpatched.
   * @returns undefined where the file does not have all of them
   */
  contentsAt(linked: bigint, length: number): Uint8Array | undefined {
    const segment = this.segmentAt(linked);
    if (segment === undefined) return undefined;
    const at = Number(linked - segment.linear);
    const bytes = segment.contents?.()?.subarray(at, at + length);
    return bytes?.length === length ? bytes : undefined;
  }

  /** What of the symbols and debugging information could not be read so far; a sentence each. */
  get problems(): readonly Error[] {
    return [...(this.parts.problems ?? []), ...(this.parts.lines?.problems ?? [])];
  }

  /**
   * The linked address of what lies at a linear one: the address itself within the image, or by its physical place
   * where code runs identity-mapped. Undefined outside of the image.
   */
  linkedOf(linear: bigint): bigint | undefined {
    const inSegment = this.segments.some(
      (segment) =>
        linear >= segment.linear && linear < segment.linear + segment.size && !this.isTemplate(segment),
    );
    if (inSegment) return linear;
    const linked = this.parts.machine === undefined ? this.linkedOfPhysical(linear) : undefined;
    return linked !== undefined && this.isThere(linked, linear) ? linked : undefined;
  }

  private isThere(linked: bigint, physical: bigint): boolean {
    const { isThere } = this.parts;
    if (isThere === undefined) return true;
    const bytes = this.contentsAt(linked, COMPARED) ?? this.contentsAt(linked, 1);
    return bytes !== undefined && isThere(Number(physical), bytes);
  }

  private segmentAt(linked: bigint): LinkedSegment | undefined {
    return this.segments.find(({ linear, size }) => linked >= linear && linked < linear + size);
  }

  private linkedOfPhysical(physical: bigint): bigint | undefined {
    const linked = physical - this.loadDelta;
    const segment = this.segments.find(
      (part) => linked >= part.physical && linked < part.physical + part.size,
    );
    return segment === undefined ? undefined : linked - segment.physical + segment.linear;
  }

  /**
   * Whether a segment of a higher-half kernel is linked low: the template of per-CPU data, whose symbols are
   * offsets and no places in the linear address space.
   */
  private isTemplate(segment: LinkedSegment): boolean {
    return segment.linear < KERNEL_HALF && this.segments.some((other) => other.linear >= KERNEL_HALF);
  }
}
