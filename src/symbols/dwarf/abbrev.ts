/** Abbreviations (DWARF 5, 7.5.3): how the entries of a unit are laid out. */
import type { Budget } from "./budget";
import { DW_FORM } from "./constants";
import { DwarfReader, type DwarfSection } from "./reader";

/** One attribute of an abbreviation. */
export interface AttributeSpecification {
  readonly attribute: number;
  readonly form: number;
  /** The value that DW_FORM_implicit_const keeps here. */
  readonly implicit: bigint;
}

/** One declaration of an abbreviations table. */
export interface Abbreviation {
  readonly code: number;
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeSpecification[];
}

/** A table of .debug_abbrev, read no further than the highest place that was asked for. */
export class AbbreviationTable {
  private readonly known = new Map<number, Abbreviation>();
  private reader: DwarfReader | undefined;

  /** @throws DwarfError where the offset lies outside of the section */
  constructor(
    section: DwarfSection,
    offset: number,
    private readonly budget: Budget,
  ) {
    this.reader = new DwarfReader(section, offset);
  }

  /**
   * The declaration of a code, 1 or more; undefined where the table has none.
   * @throws DwarfError where the table is malformed before it
   */
  get(code: number): Abbreviation | undefined {
    for (;;) {
      const found = this.known.get(code);
      if (found !== undefined || this.reader === undefined) return found;
      const next = readAbbreviation(this.reader, this.budget);
      if (next === undefined) this.reader = undefined;
      else if (!this.known.has(next.code)) this.known.set(next.code, next);
    }
  }
}

function readAbbreviation(reader: DwarfReader, budget: Budget): Abbreviation | undefined {
  const code = reader.uleb();
  if (code === 0) return undefined;
  const tag = reader.uleb();
  const hasChildren = reader.u8() !== 0;
  const attributes: AttributeSpecification[] = [];
  for (;;) {
    budget.spend(reader);
    const attribute = reader.uleb();
    const form = reader.uleb();
    if (attribute === 0 && form === 0) return { code, tag, hasChildren, attributes };
    const implicit = form === DW_FORM.implicit_const ? reader.sleb64() : 0n;
    attributes.push({ attribute, form, implicit });
  }
}
