/** The sections of debugging information (DWARF 5, 7.26 and appendix B) that are read here. */
import type { DwarfSection } from "./reader";

export interface DwarfSections {
  readonly info: DwarfSection;
  readonly abbrev: DwarfSection;
  readonly line: DwarfSection;
  readonly str: DwarfSection;
  readonly lineStr: DwarfSection;
  readonly strOffsets: DwarfSection;
  readonly addr: DwarfSection;
  /** Range lists up to DWARF 4. */
  readonly ranges: DwarfSection;
  /** Range lists of DWARF 5. */
  readonly rnglists: DwarfSection;
  /** Location lists up to DWARF 4. */
  readonly loc: DwarfSection;
  /** Location lists of DWARF 5. */
  readonly loclists: DwarfSection;
  readonly frame: DwarfSection;
  /** Call frame information as it is loaded with the image; its addresses are relative to where it is linked. */
  readonly ehFrame: DwarfSection;
}

const NAMES: Readonly<Record<keyof DwarfSections, string>> = {
  info: ".debug_info",
  abbrev: ".debug_abbrev",
  line: ".debug_line",
  str: ".debug_str",
  lineStr: ".debug_line_str",
  strOffsets: ".debug_str_offsets",
  addr: ".debug_addr",
  ranges: ".debug_ranges",
  rnglists: ".debug_rnglists",
  loc: ".debug_loc",
  loclists: ".debug_loclists",
  frame: ".debug_frame",
  ehFrame: ".eh_frame",
};

/**
 * The sections of a file; each is fetched when it is first read.
 * @param contents the bytes of a section by its name, undefined where the file has none
 */
export function dwarfSections(contents: (name: string) => Uint8Array | undefined): DwarfSections {
  const entries = Object.entries(NAMES).map(([key, name]) => [key, new LazySection(name, contents)]);
  return Object.fromEntries(entries) as unknown as DwarfSections;
}

class LazySection implements DwarfSection {
  private fetched: Uint8Array | undefined;

  constructor(
    readonly name: string,
    private readonly contents: (name: string) => Uint8Array | undefined,
  ) {}

  get bytes(): Uint8Array {
    this.fetched ??= this.contents(this.name) ?? new Uint8Array(0);
    return this.fetched;
  }
}
