/** A comparison as a document. */
import type { CompareAnswer, ComparedEntry } from "../../debug/protocol/compare";
import type { MomentAnswer } from "../../debug/protocol/time";

export const FORMATS = {
  markdown: { label: "Markdown", language: "markdown", extension: "md" },
  csv: { label: "CSV", language: "plaintext", extension: "csv" },
  json: { label: "JSON", language: "json", extension: "json" },
} as const;
export type Format = keyof typeof FORMATS;

/** The whole document. @param entries all that the comparison lists */
export function exported(format: Format, answer: CompareAnswer, entries: readonly ComparedEntry[]): string {
  switch (format) {
    case "markdown":
      return markdown(answer, entries);
    case "csv":
      return csv(entries);
    case "json": {
      const { cancelled, id, listed, ...summary } = answer;
      return `${JSON.stringify({ ...summary, entries }, undefined, 2)}\n`;
    }
  }
}

function markdown(answer: CompareAnswer, entries: readonly ComparedEntry[]): string {
  const { first, second, counts, accessedOnly, remarks } = answer;
  const rows = entries.map(({ kind, label, name, start, oldText, newText, whoText }) =>
    [kind, label, name, start, oldText, newText, whoText].map(cell).join(" | "),
  );
  return [
    `# Page tables from instruction ${first.instruction} to ${second.instruction}`,
    "",
    `- First: ${cell(momentText(first))}; ${cell(answer.firstRoot)}`,
    `- Second: ${cell(momentText(second))}; ${cell(answer.secondRoot)}`,
    `- ${counts.added} added, ${counts.changed} changed, ${counts.cleared} cleared, ${counts.moved} moved`,
    ...(accessedOnly === 0 ? [] : [`- ${accessedOnly} more differ in accessed and dirty bits alone`]),
    ...remarks.map((remark) => `- ${remark}`),
    "",
    "| What | Entry | Place | Linear address | Before | After | Who |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...rows.map((row) => `| ${row} |`),
    "",
  ].join("\n");
}

const COLUMNS = [
  ["number", ({ number }: ComparedEntry) => String(number)],
  ["kind", ({ kind }: ComparedEntry) => kind],
  ["entry", ({ label }: ComparedEntry) => label],
  ["place", ({ name }: ComparedEntry) => name],
  ["path", ({ path }: ComparedEntry) => path],
  ["start", ({ start }: ComparedEntry) => start],
  ["end", ({ end }: ComparedEntry) => end],
  ["old", ({ old }: ComparedEntry) => old],
  ["new", (entry: ComparedEntry) => entry.new],
  ["before", ({ oldText }: ComparedEntry) => oldText],
  ["after", ({ newText }: ComparedEntry) => newText],
  ["how", ({ who }: ComparedEntry) => who?.how ?? ""],
  ["instruction", ({ who }: ComparedEntry) => (who === undefined ? "" : String(who.instruction))],
  ["rip", ({ who }: ComparedEntry) => who?.rip ?? ""],
  ["symbol", ({ who }: ComparedEntry) => who?.symbol ?? ""],
  ["file", ({ who }: ComparedEntry) => who?.path ?? ""],
  ["line", ({ who }: ComparedEntry) => (who?.line === undefined ? "" : String(who.line))],
] as const;

/** RFC 4180. */
function csv(entries: readonly ComparedEntry[]): string {
  const lines = [
    COLUMNS.map(([name]) => name),
    ...entries.map((entry) => COLUMNS.map(([, of]) => of(entry))),
  ];
  return lines.map((line) => `${line.map(field).join(",")}\r\n`).join("");
}

function field(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** "instruction 1234 at early_make_pgtable+0x4 (head64.c:96)". */
export function momentText({ instruction, symbol, rip, path, line }: MomentAnswer): string {
  const source = path === undefined ? "" : ` (${path.split("/").at(-1)}:${line})`;
  return `instruction ${instruction} at ${symbol ?? rip}${source}`;
}

/** Text of the guest is no markup, and stays in its cell. */
function cell(text: string): string {
  return text.replace(/[\\|<>*`]|(?<=\])\(/g, "\\$&").replace(/\s+/g, " ");
}
