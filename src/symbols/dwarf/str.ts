/** Strings (DWARF 5, 7.5.5 "string" and 7.26): in place, by offset, or by index through .debug_str_offsets. */
import type { Encoding, FormValue } from "./form";
import { DwarfReader } from "./reader";
import type { DwarfSections } from "./sections";

/**
 * The text of a value of class string; undefined for any other class and for strings of a supplementary file.
 * @param strOffsetsBase DW_AT_str_offsets_base of the unit
 * @throws DwarfError where an offset or index leads out of its section
 */
export function stringOf(
  sections: DwarfSections,
  value: FormValue | undefined,
  encoding: Encoding,
  strOffsetsBase: number,
): string | undefined {
  switch (value?.class) {
    case "string":
      return value.value;
    case "string-offset": {
      const section = value.section === ".debug_str" ? sections.str : sections.lineStr;
      return new DwarfReader(section, value.offset).string();
    }
    case "string-index": {
      const at = strOffsetsBase + value.index * encoding.offsetSize;
      const offset = new DwarfReader(sections.strOffsets, at).offset(encoding.offsetSize);
      return new DwarfReader(sections.str, offset).string();
    }
    default:
      return undefined;
  }
}
