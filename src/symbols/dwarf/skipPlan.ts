/**
 * How to step over an entry without reading it: the attributes of each abbreviation as a short program in which
 * those of fixed size are one step. A kernel has some ten million entries at the tops of its units; that is what makes
 * looking at all of them a matter of a second. One plan serves unit after unit: its arrays are used again.
 */
import { DW_AT, DW_FORM } from "./constants";
import type { Encoding } from "./form";
import { DwarfReader, type DwarfSection } from "./reader";

/** Steps, in the low four bits of a word; the operand stands above. */
export const STEP = {
  END: 0,
  /** Skip so many bytes. */
  FIXED: 1,
  ULEB: 2,
  STRING: 3,
  /** A block behind its length, of so many bytes; 0 for a ULEB. */
  BLOCK: 4,
  /** The name: an offset of .debug_str, an offset of .debug_line_str, or the text itself. */
  NAME_STR: 5,
  NAME_LINE_STR: 6,
  NAME_TEXT: 7,
  /** The offset of the next sibling from the unit's header, in so many bytes. */
  SIBLING: 8,
  /** The entry that this one completes, the same way. */
  SPECIFICATION: 9,
} as const;

/** What the attributes say without being read. */
export const HAS = {
  CHILDREN: 1,
  /** DW_AT_location or DW_AT_const_value. */
  PLACE: 2,
  DECLARATION: 4,
} as const;

/** Codes above are not numbered as compilers do. */
const MOST_CODES = 4096;

/** Bytes of the forms that have always as many. */
const FIXED_SIZE: Readonly<Record<number, number>> = {
  [DW_FORM.data1]: 1,
  [DW_FORM.data2]: 2,
  [DW_FORM.data4]: 4,
  [DW_FORM.data8]: 8,
  [DW_FORM.data16]: 16,
  [DW_FORM.flag]: 1,
  [DW_FORM.flag_present]: 0,
  [DW_FORM.implicit_const]: 0,
  [DW_FORM.ref1]: 1,
  [DW_FORM.ref2]: 2,
  [DW_FORM.ref4]: 4,
  [DW_FORM.ref8]: 8,
  [DW_FORM.ref_sig8]: 8,
  [DW_FORM.addrx1]: 1,
  [DW_FORM.addrx2]: 2,
  [DW_FORM.addrx3]: 3,
  [DW_FORM.addrx4]: 4,
};

/** Bytes of the lengths of blocks. */
const BLOCK_LENGTH: Readonly<Record<number, number>> = {
  [DW_FORM.block1]: 1,
  [DW_FORM.block2]: 2,
  [DW_FORM.block4]: 4,
  [DW_FORM.block]: 0,
  [DW_FORM.exprloc]: 0,
};

const OFFSET_FORMS: ReadonlySet<number> = new Set([DW_FORM.strp, DW_FORM.line_strp, DW_FORM.sec_offset]);
const ULEB_FORMS: ReadonlySet<number> = new Set([
  DW_FORM.udata,
  DW_FORM.sdata,
  DW_FORM.ref_udata,
  DW_FORM.addrx,
  DW_FORM.loclistx,
  DW_FORM.rnglistx,
]);

export class SkipPlan {
  /** By code: tag, shifted by 8, and HAS flags; 0 for a code that there is not. */
  readonly heads = new Int32Array(MOST_CODES);
  /** By code: where its steps begin. */
  readonly starts = new Int32Array(MOST_CODES);
  steps = new Int32Array(4096);
  private filled = 0;
  private codes = 0;

  /**
   * Reads the abbreviations of a unit.
   * @returns whether every one of them can be stepped over; else the plan is not to be used
   * @throws DwarfError where the table is malformed
   */
  compile(section: DwarfSection, offset: number, encoding: Encoding): boolean {
    this.heads.fill(0, 0, this.codes + 1);
    this.filled = 0;
    this.codes = 0;
    const reader = new DwarfReader(section, offset);
    for (let code = reader.uleb(); code !== 0; code = reader.uleb()) {
      if (code >= MOST_CODES) return false;
      // The first of several declarations counts, as everywhere else.
      if (!this.declaration(reader, this.heads[code] === 0 ? code : 0, encoding)) return false;
    }
    return true;
  }

  private declaration(reader: DwarfReader, code: number, encoding: Encoding): boolean {
    const tag = reader.uleb();
    let head = (tag << 8) | (reader.u8() !== 0 ? HAS.CHILDREN : 0);
    if (code > this.codes) this.codes = code;
    const start = this.filled;
    let fixed = 0;
    for (;;) {
      const attribute = reader.uleb();
      const form = reader.uleb();
      if (attribute === 0 && form === 0) break;
      if (form === DW_FORM.implicit_const) reader.sleb64();
      if (attribute === DW_AT.location || attribute === DW_AT.const_value) head |= HAS.PLACE;
      if (attribute === DW_AT.declaration) {
        if (form !== DW_FORM.flag_present) return false;
        head |= HAS.DECLARATION;
      }
      const size = OFFSET_FORMS.has(form)
        ? encoding.offsetSize
        : form === DW_FORM.addr
          ? encoding.addressSize
          : FIXED_SIZE[form];
      const step = stepOf(attribute, form, size);
      if (step === undefined) return false;
      if ((step & 15) === STEP.FIXED) fixed += step >> 4;
      else {
        fixed = this.addFixed(fixed);
        this.add(step);
      }
    }
    this.addFixed(fixed);
    this.add(STEP.END);
    if (code === 0) this.filled = start;
    this.heads[code] = code === 0 ? 0 : head;
    this.starts[code] = start;
    return tag !== 0 && tag < 2 ** 20;
  }

  private addFixed(size: number): 0 {
    if (size > 0) this.add(STEP.FIXED | (size << 4));
    return 0;
  }

  private add(step: number): void {
    if (this.filled === this.steps.length) {
      const longer = new Int32Array(2 * this.steps.length);
      longer.set(this.steps);
      this.steps = longer;
    }
    this.steps[this.filled++] = step;
  }
}

/** Undefined for what has to be read another way: names by index, forms without a known size. */
function stepOf(attribute: number, form: number, size: number | undefined): number | undefined {
  if (attribute === DW_AT.name) return nameStep(form, size);
  if (attribute === DW_AT.sibling || attribute === DW_AT.specification) {
    const step = attribute === DW_AT.sibling ? STEP.SIBLING : STEP.SPECIFICATION;
    const plain = form === DW_FORM.ref1 || form === DW_FORM.ref2 || form === DW_FORM.ref4;
    return plain && size !== undefined ? step | (size << 4) : undefined;
  }
  if (size !== undefined) return STEP.FIXED | (size << 4);
  if (ULEB_FORMS.has(form)) return STEP.ULEB;
  if (form === DW_FORM.string) return STEP.STRING;
  const length = BLOCK_LENGTH[form];
  return length === undefined ? undefined : STEP.BLOCK | (length << 4);
}

function nameStep(form: number, size: number | undefined): number | undefined {
  if (form === DW_FORM.string) return STEP.NAME_TEXT;
  if (size !== 4) return undefined;
  if (form === DW_FORM.strp) return STEP.NAME_STR;
  return form === DW_FORM.line_strp ? STEP.NAME_LINE_STR : undefined;
}
