/** Entries as markdown, for hovers: in a session and without one. */
import { type DecodedEntry, decodeEntry, describeEntry } from "../../paging/entry";
import { ENTRY_NAMES } from "../../paging/layout";
import type { EntryState } from "../../paging/walk";

/** Names a physical address. */
export type NameOf = (physical: number) => string;

/** @param name what the entry is called; by its level unless given */
export function entryMarkdown(entry: DecodedEntry, nameOf?: NameOf, name: string = entry.name): string {
  const headline = `**${name}** ${describeEntry(entry, nameOf)}`;
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

/** A value as an entry: of the levels at which it says the same. */
export interface Decoding {
  /** The lowest of the levels. */
  readonly entry: DecodedEntry;
  readonly levels: readonly number[];
  /** "PTE", "PDE, PDPTE or PML4E". */
  readonly name: string;
}

/** What a value says as an entry of each level at which it is present and has no reserved bit set. */
export function decodings(value: bigint, context: EntryState): Decoding[] {
  const groups: { text: string; entry: DecodedEntry; levels: number[] }[] = [];
  for (let level = 1; level <= context.levels; level++) {
    const entry = decodeEntry(value, level, context);
    if (!entry.present || entry.layout === undefined || entry.reserved.length > 0) continue;
    const text = describeEntry(entry);
    const known = groups.find((group) => group.text === text);
    if (known === undefined) groups.push({ text, entry, levels: [level] });
    else known.levels.push(level);
  }
  return groups.map(({ entry, levels }) => ({ entry, levels, name: alternatives(levels) }));
}

function alternatives(levels: readonly number[]): string {
  const names = levels.map((level) => ENTRY_NAMES[level]);
  return names.length === 1 ? names[0] : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}
