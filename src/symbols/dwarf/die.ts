/**
 * Debugging information entries (DWARF 5, 2.1 to 2.3): read one at a time, where somebody asks for them. Nothing of
 * an entry is kept but what its reader keeps.
 */
import { addressOf } from "./addr";
import type { Budget } from "./budget";
import { DW_AT } from "./constants";
import { type FormValue, readForm } from "./form";
import { DwarfReader } from "./reader";
import type { AddressRange } from "./rnglists";
import type { DwarfSections } from "./sections";
import { stringOf } from "./str";
import { rangesOf, type Unit } from "./unit";

/** Entries within entries at most; C's need some twenty. */
const DEEPEST = 200;
/** References from one entry to the next (origins, specifications) at most. */
const LONGEST_CHAIN = 8;

/** One entry. */
export class Die {
  constructor(
    private readonly sections: DwarfSections,
    private readonly budget: Budget,
    readonly unit: Unit,
    /** Offset in .debug_info. */
    readonly offset: number,
    readonly tag: number,
    readonly hasChildren: boolean,
    private readonly values: ReadonlyMap<number, FormValue>,
    /** Offset behind the attributes. */
    readonly end: number,
  ) {}

  value(attribute: number): FormValue | undefined {
    return this.values.get(attribute);
  }

  has(attribute: number): boolean {
    return this.values.has(attribute);
  }

  /** The text of an attribute. @throws DwarfError */
  text(attribute: number): string | undefined {
    const { context } = this.unit;
    return stringOf(this.sections, this.value(attribute), context.encoding, context.strOffsetsBase);
  }

  /** A constant as a number; undefined where it is none, or not exact. */
  number(attribute: number): number | undefined {
    const value = this.value(attribute);
    if (value?.class !== "constant") return undefined;
    const number = Number(value.value);
    return Number.isSafeInteger(number) ? number : undefined;
  }

  flag(attribute: number): boolean {
    const value = this.value(attribute);
    return value?.class === "flag" && value.value;
  }

  /** @throws DwarfError */
  address(attribute: number): bigint | undefined {
    const { context } = this.unit;
    return addressOf(this.sections, this.value(attribute), context.encoding, context.addrBase);
  }

  /** Offset in .debug_info of the entry that an attribute refers to; undefined for supplementary files. */
  reference(attribute: number): number | undefined {
    const value = this.value(attribute);
    if (value?.class !== "reference") return undefined;
    return value.of === "unit" ? this.unit.header.offset + value.offset : value.offset;
  }

  /** The addresses of its code. @throws DwarfError */
  ranges(): readonly AddressRange[] {
    return rangesOf(this.sections, this.values, this.unit.context, this.budget);
  }
}

/** Finds entries. */
export class DieReader {
  constructor(
    readonly sections: DwarfSections,
    private readonly budget: Budget,
    /** The unit that holds an offset of .debug_info. */
    private readonly unitAt: (offset: number) => Unit | undefined,
  ) {}

  /** The entry at an offset of .debug_info. @throws DwarfError */
  at(offset: number): Die | undefined {
    const unit = this.unitAt(offset);
    return unit === undefined ? undefined : this.read(unit, offset);
  }

  /** The entry at the top of a unit. @throws DwarfError */
  top(unit: Unit): Die | undefined {
    return this.read(unit, unit.header.entries);
  }

  /** The entries directly below one. @throws DwarfError */
  *children(parent: Die): Generator<Die> {
    if (!parent.hasChildren) return;
    for (let at = parent.end; ; ) {
      const child = this.read(parent.unit, at);
      if (child === undefined) return;
      yield child;
      at = this.behind(child, 0);
    }
  }

  /** An entry and those that it completes: abstract origins and specifications, the nearest first. @throws DwarfError */
  *chain(die: Die): Generator<Die> {
    let current: Die | undefined = die;
    for (let length = 0; current !== undefined && length < LONGEST_CHAIN; length++) {
      yield current;
      const next: number | undefined =
        current.reference(DW_AT.abstract_origin) ?? current.reference(DW_AT.specification);
      current = next === undefined ? undefined : this.at(next);
    }
  }

  /** The first entry of the chain that has an attribute. @throws DwarfError */
  withAttribute(die: Die, attribute: number): Die | undefined {
    for (const candidate of this.chain(die)) if (candidate.has(attribute)) return candidate;
    return undefined;
  }

  /** Where the entry behind one and all below it begins. */
  private behind(die: Die, depth: number): number {
    if (!die.hasChildren) return die.end;
    const sibling = die.reference(DW_AT.sibling);
    if (sibling !== undefined && sibling > die.offset && sibling <= die.unit.header.end) return sibling;
    if (depth > DEEPEST) {
      throw new DwarfReader(this.sections.info, die.offset).error("entries are nested too deeply");
    }
    for (let at = die.end; ; ) {
      const reader = new DwarfReader(this.sections.info, at, die.unit.header.end);
      if (reader.remaining === 0) return at;
      const child = this.read(die.unit, at);
      if (child === undefined) {
        reader.uleb();
        return reader.position;
      }
      at = this.behind(child, depth + 1);
    }
  }

  /** Undefined for the null entry that ends a row of siblings, and at the end of the unit. */
  private read(unit: Unit, offset: number): Die | undefined {
    const { header } = unit;
    if (offset < header.entries || offset >= header.end) return undefined;
    const reader = new DwarfReader(this.sections.info, offset, header.end);
    this.budget.spend(reader);
    const code = reader.uleb();
    if (code === 0) return undefined;
    const abbreviation = unit.abbreviations.get(code);
    if (abbreviation === undefined) throw reader.error(`the unit has no abbreviation ${code}`, offset);
    const values = new Map<number, FormValue>();
    for (const { attribute, form, implicit } of abbreviation.attributes) {
      values.set(attribute, readForm(reader, form, header.encoding, implicit));
    }
    const { tag, hasChildren } = abbreviation;
    return new Die(this.sections, this.budget, unit, offset, tag, hasChildren, values, reader.position);
  }
}
