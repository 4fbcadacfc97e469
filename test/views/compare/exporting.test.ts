import { describe, expect, test } from "vitest";
import type { CompareAnswer, ComparedEntry } from "../../../src/debug/protocol/compare";
import { exported } from "../../../src/views/compare/exporting";

const ANSWER: CompareAnswer = {
  cancelled: false,
  id: 3,
  first: { instruction: 10, rip: "0x1000" },
  second: { instruction: 99, rip: "0x2000", symbol: "f|g", path: "/a/b.c", line: 7 },
  firstRoot: "paging off",
  secondRoot: "4-level, init_level4_pgt (0x1000)",
  counts: { added: 1, changed: 0, cleared: 1, moved: 0 },
  accessedOnly: 4,
  listed: 2,
  remarks: ["Too many."],
};
const ENTRY: ComparedEntry = {
  number: 1,
  kind: "added",
  label: "PTE 3",
  name: 'a"b, c[3]',
  path: "0/1/2/3",
  level: 1,
  start: "0x3000",
  end: "0x4000",
  old: "0x0",
  new: "0x5003",
  oldText: "empty",
  newText: "4K page 0x5000 RW",
  entry: "0x9018",
  who: { how: "write", instruction: 55, rip: "0x1234", symbol: "early_x", path: "/a/b.c", line: 12 },
  whoText: "Instruction 55 at early_x (b.c:12) wrote it.",
};
const UNKNOWN: ComparedEntry = {
  ...ENTRY,
  number: 2,
  kind: "cleared",
  name: "<img src=x>|*y*",
  whoText: "No instruction between the moments wrote it.",
};
delete (UNKNOWN as { who?: unknown }).who;

/** RFC 4180, read by its own rules. */
function parsed(text: string): string[][] {
  const rows: string[][] = [[]];
  let [cell, quoted] = ["", false];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted && c === '"' && text[i + 1] === '"') {
      cell += '"';
      i++;
    } else if (c === '"') quoted = !quoted;
    else if (!quoted && c === ",") {
      rows.at(-1)!.push(cell);
      cell = "";
    } else if (!quoted && c === "\r" && text[i + 1] === "\n") {
      rows.at(-1)!.push(cell);
      rows.push([]);
      cell = "";
      i++;
    } else cell += c;
  }
  return rows.slice(0, -1);
}

describe("a comparison as a document", () => {
  test("CSV has a row for each entry, whatever stands in it", () => {
    const [head, first, second, ...more] = parsed(exported("csv", ANSWER, [ENTRY, UNKNOWN]));
    expect(more).toEqual([]);
    const of = (row: string[], name: string) => row[head.indexOf(name)];
    expect([of(first, "place"), of(first, "new"), of(first, "instruction"), of(first, "line")]).toEqual([
      'a"b, c[3]',
      "0x5003",
      "55",
      "12",
    ]);
    expect([of(second, "how"), of(second, "rip")]).toEqual(["", ""]);
    expect(first.length).toBe(head.length);
    expect(second.length).toBe(head.length);
  });

  test("JSON has all that is known", () => {
    const read = JSON.parse(exported("json", ANSWER, [ENTRY]));
    expect(read.entries).toEqual([ENTRY]);
    expect(read).toMatchObject({ counts: ANSWER.counts, first: ANSWER.first, remarks: ["Too many."] });
  });

  test("Markdown has a table whose cells hold, and no markup of the guest's", () => {
    const text = exported("markdown", ANSWER, [ENTRY, UNKNOWN]);
    const rows = text.split("\n").filter((line) => line.startsWith("|"));
    expect(rows).toHaveLength(4);
    for (const row of rows) expect(row.replaceAll("\\|", "").split("|")).toHaveLength(9);
    expect(text).toContain("f\\|g");
    expect(text).not.toMatch(/(?<!\\)</);
    expect(text).toContain("4 more differ in accessed and dirty bits alone");
    expect(text).toContain("Too many.");
  });
});
