/**
 * The names at the tops of units, and those of enumerators, found by stepping over entries (see `skipPlan.ts`): what
 * a unit repeats of the headers that it includes costs one look into a hash table. Nothing is kept but the first entry
 * of each name.
 */
import { decodeUtf8 } from "../utf8";
import { DW_TAG } from "./constants";
import { KIND_OF_TAG, NAME_KINDS, type NameTable } from "./names";
import { DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";
import { HAS, SkipPlan, STEP } from "./skipPlan";
import type { Unit } from "./unit";

const GLOBAL = NAME_KINDS.indexOf("global");
const DECLARED = NAME_KINDS.indexOf("declared");
const ENUMERATOR = NAME_KINDS.indexOf("enumerator");

/** By tag: 1 more than the index of its kind; 0 for tags without one. */
const KIND_INDEX = new Uint8Array(256);
for (const [tag, kind] of Object.entries(KIND_OF_TAG)) KIND_INDEX[Number(tag)] = NAME_KINDS.indexOf(kind) + 1;

/** Where a name's text is: in .debug_str, in .debug_line_str, or, up to three bytes, in the key itself. */
const IN_STR = 0;
const IN_LINE_STR = 1;
const IN_KEY = 2;
/** Nowhere, or longer text that stands in the entry. */
const NO_NAME = 3;
const IN_ENTRY = 4;

export class NameScan {
  private readonly plan = new SkipPlan();
  private readonly seen = new Seen();
  private readonly enumerations = new Set<number>();
  private readonly info: Uint8Array;
  /** Of the entry that was stepped over last. */
  private head = 0;
  private nameIn = NO_NAME;
  private nameAt = 0;
  private sibling = 0;
  private specification = 0;

  constructor(
    private readonly sections: DwarfSections,
    private readonly table: NameTable,
  ) {
    this.info = sections.info.bytes;
  }

  /**
   * Adds the names of a unit; those that are known keep their entries.
   * @returns whether the unit's entries can be read like this; where not, none is added
   * @throws DwarfError where they are malformed
   */
  add({ header }: Unit): boolean {
    const { entries, end, offset, encoding, abbrevOffset } = header;
    if (!this.plan.compile(this.sections.abbrev, abbrevOffset, encoding)) return false;
    let at = this.step(entries, offset, end);
    if ((this.head & HAS.CHILDREN) === 0) return true;
    for (let depth = 1; depth > 0 && at < end; ) {
      const entry = at;
      at = this.step(at, offset, end);
      if (this.head === 0) {
        depth--;
        continue;
      }
      const { head, sibling } = this;
      if (depth === 1) this.note(entry, at, head, header);
      if ((head & HAS.CHILDREN) === 0) continue;
      if (sibling === 0) depth++;
      else if (sibling > entry && sibling <= end) at = sibling;
      else throw this.error(entry, "the sibling does not lie behind");
    }
    return true;
  }

  /** An entry at the top of the unit, which has just been stepped over. */
  private note(entry: number, children: number, head: number, { offset, end }: Unit["header"]): void {
    const tag = head >> 8;
    if (tag === DW_TAG.variable) {
      if (this.nameIn === NO_NAME && this.specification !== 0) {
        this.step(this.specification, offset, end);
        this.specification = 0;
      }
      this.keep((head & HAS.PLACE) === 0 ? DECLARED : GLOBAL, entry);
      return;
    }
    const kind = tag < KIND_INDEX.length ? KIND_INDEX[tag] : 0;
    if (kind === 0 || (head & HAS.DECLARATION) !== 0) return;
    this.keep(kind - 1, entry);
    if (tag === DW_TAG.enumeration_type && (head & HAS.CHILDREN) !== 0) {
      this.enumerators(entry, children, this.sibling, offset, end);
    }
  }

  /** Those of an enumeration; one with the same first enumerator and length has been here, from the same header. */
  private enumerators(entry: number, first: number, sibling: number, offset: number, end: number): void {
    for (let at = first; at < end; ) {
      const next = this.step(at, offset, end);
      if (this.head === 0) return;
      if (at === first && this.nameIn === IN_STR && sibling > entry) {
        const key = this.nameAt * 2 ** 20 + ((sibling - entry) % 2 ** 20);
        if (this.enumerations.has(key)) return;
        this.enumerations.add(key);
      }
      if (this.head >> 8 === DW_TAG.enumerator) this.keep(ENUMERATOR, entry);
      // Enumerators have no children; what has is nothing that C makes.
      if ((this.head & HAS.CHILDREN) !== 0) return;
      at = next;
    }
  }

  /** Keeps an entry under the name that was met last. */
  private keep(kind: number, entry: number): void {
    const { nameIn, nameAt } = this;
    if (nameIn === NO_NAME) return;
    if (nameIn !== IN_ENTRY && !this.seen.add(kind * 4 + nameIn, nameAt)) return;
    const names = this.table[NAME_KINDS[kind]];
    const text = this.textOf(nameIn, nameAt);
    if (!names.has(text)) names.set(text, entry);
  }

  private textOf(nameIn: number, at: number): string {
    const { str, lineStr, info } = this.sections;
    switch (nameIn) {
      case IN_STR:
        return new DwarfReader(str, at).string();
      case IN_LINE_STR:
        return new DwarfReader(lineStr, at).string();
      case IN_ENTRY:
        return new DwarfReader(info, at).string();
      default: {
        const bytes = [at & 0xff, (at >> 8) & 0xff, (at >> 16) & 0xff];
        const length = bytes.indexOf(0);
        return decodeUtf8(Uint8Array.from(length < 0 ? bytes : bytes.slice(0, length)));
      }
    }
  }

  /**
   * Steps over the entry at an offset; `head` is 0 for the null entry that ends a row of siblings.
   * @returns the offset behind its attributes
   */
  private step(entry: number, unit: number, end: number): number {
    const { info, plan } = this;
    let at = entry;
    let code = 0;
    for (let shift = 0, byte = 0x80; (byte & 0x80) !== 0 && shift < 28; shift += 7) {
      byte = info[at++];
      code |= (byte & 0x7f) << shift;
    }
    this.nameIn = NO_NAME;
    this.sibling = 0;
    this.specification = 0;
    this.head = 0;
    if (code === 0) return at;
    const head = code < plan.heads.length ? plan.heads[code] : 0;
    if (head === 0) throw this.error(entry, `the unit has no abbreviation ${code}`);
    const { steps } = plan;
    for (let index = plan.starts[code]; ; index++) {
      const step = steps[index];
      const operand = step >> 4;
      switch (step & 15) {
        case STEP.END:
          if (at > end) throw this.error(entry, "the entry does not end within its unit");
          this.head = head;
          return at;
        case STEP.FIXED:
          at += operand;
          break;
        case STEP.NAME_STR:
          this.nameIn = IN_STR;
          this.nameAt = this.number(at, 4);
          at += 4;
          break;
        case STEP.SIBLING:
          this.sibling = unit + this.number(at, operand);
          at += operand;
          break;
        case STEP.ULEB:
          while ((info[at++] & 0x80) !== 0);
          break;
        case STEP.NAME_TEXT:
          at = this.nameText(at);
          break;
        case STEP.STRING:
          at = this.behindText(at);
          break;
        case STEP.BLOCK:
          at = this.behindBlock(at, operand);
          break;
        case STEP.NAME_LINE_STR:
          this.nameIn = IN_LINE_STR;
          this.nameAt = this.number(at, 4);
          at += 4;
          break;
        default:
          this.specification = unit + this.number(at, operand);
          at += operand;
      }
    }
  }

  private number(at: number, size: number): number {
    const { info } = this;
    if (size === 1) return info[at];
    if (size === 2) return info[at] | (info[at + 1] << 8);
    return (info[at] | (info[at + 1] << 8) | (info[at + 2] << 16) | (info[at + 3] << 24)) >>> 0;
  }

  /** A short text is its own key. */
  private nameText(at: number): number {
    const next = this.behindText(at);
    const length = next - 1 - at;
    this.nameIn = length <= 3 ? IN_KEY : IN_ENTRY;
    this.nameAt = length <= 3 ? this.number(at, 4) & (length === 3 ? 0xffffff : (1 << (8 * length)) - 1) : at;
    if (length === 0) this.nameIn = NO_NAME;
    return next;
  }

  private behindText(at: number): number {
    const { info } = this;
    let zero = at;
    while (zero < info.length && info[zero] !== 0) zero++;
    return zero + 1;
  }

  private behindBlock(at: number, lengthSize: number): number {
    if (lengthSize !== 0) return at + lengthSize + this.number(at, lengthSize);
    const { info } = this;
    let length = 0;
    let scale = 1;
    let from = at;
    for (;;) {
      const byte = info[from++];
      length += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return from + length;
      scale *= 128;
    }
  }

  private error(at: number, problem: string) {
    return new DwarfReader(this.sections.info).error(problem, at);
  }
}

/** A set of pairs of a small number and a 32-bit one. */
class Seen {
  /** 1 more than the small number; 0 for a free place. */
  private kinds = new Uint8Array(2 ** 16);
  private keys = new Uint32Array(2 ** 16);
  private count = 0;

  /** @returns whether the pair is new */
  add(kind: number, key: number): boolean {
    const { kinds, keys } = this;
    const mask = keys.length - 1;
    let place = this.placeOf(kind, key, mask);
    for (; kinds[place] !== 0; place = (place + 1) & mask) {
      if (keys[place] === key && kinds[place] === kind + 1) return false;
    }
    kinds[place] = kind + 1;
    keys[place] = key;
    if (++this.count * 2 > keys.length) this.grow();
    return true;
  }

  private placeOf(kind: number, key: number, mask: number): number {
    return ((Math.imul(key, 0x9e3779b1) >>> 8) ^ (kind * 0x3d4d51cb)) & mask;
  }

  private grow(): void {
    const { kinds, keys } = this;
    this.kinds = new Uint8Array(2 * kinds.length);
    this.keys = new Uint32Array(2 * keys.length);
    this.count = 0;
    for (let place = 0; place < keys.length; place++) {
      if (kinds[place] !== 0) this.add(kinds[place] - 1, keys[place]);
    }
  }
}
