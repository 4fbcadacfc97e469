/** A decoded entry as markdown, for hovers: in a session and without one. */
import { type DecodedEntry, describeEntry } from "../../paging/entry";

/** @param nameOf names a physical address */
export function entryMarkdown(entry: DecodedEntry, nameOf?: (physical: number) => string): string {
  const headline = `**${entry.name}** ${describeEntry(entry, nameOf)}`;
  const { layout, value } = entry;
  if (!entry.present || layout === undefined) return headline;
  const rows = layout.fields
    .filter(({ role }) => role !== "address")
    .flatMap(({ first, last, name, meaning }) => {
      const field = (value >> BigInt(first)) & ((1n << BigInt(last - first + 1)) - 1n);
      if (field === 0n) return [];
      const bits = first === last ? `${first}` : `${last}:${first}`;
      return [`| ${bits} | ${name} | ${first === last ? "1" : `0x${field.toString(16)}`} | ${meaning} |`];
    });
  const table =
    rows.length === 0
      ? ""
      : `\n\n| bit | name | value | meaning |\n| --- | --- | --- | --- |\n${rows.join("\n")}`;
  return `${headline}${table}\n\n*SDM vol. 3A, table ${layout.table}*`;
}
