/** Stepping over entries finds what reading them finds: the slow way is the oracle. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { Budget } from "../../src/symbols/dwarf/budget";
import { DieReader } from "../../src/symbols/dwarf/die";
import { NameScan } from "../../src/symbols/dwarf/nameScan";
import { addNames, type NameTable, nameTable } from "../../src/symbols/dwarf/names";
import { DwarfError } from "../../src/symbols/dwarf/reader";
import { type DwarfSections, dwarfSections } from "../../src/symbols/dwarf/sections";
import { Units } from "../../src/symbols/dwarf/units";
import { parseElf } from "../../src/symbols/elf";
import { IMAGES, sectionsOf } from "./fixtures";

const folder = mkdtempSync(join(tmpdir(), "pagewalk-names-"));
afterAll(() => rmSync(folder, { recursive: true }));

const FIRST = `
enum color { RED, GREEN = 7, BLUE }; enum { ANONYMOUS_ONE = 1, ANONYMOUS_TWO };
typedef unsigned long word; typedef struct pair { word a, b; } pair_t; union both { int i; float f; };
struct incomplete; extern int elsewhere; extern word declared_first; word declared_first = 3;
static const int fixed = 5; int ab; pair_t pairs[4]; enum color shade; struct incomplete *opaque;
static int helper(int n) { static int calls; struct inner { int x; } y = { n }; return calls++ + y.x + fixed; }
int first(void) { return helper(elsewhere) + ANONYMOUS_TWO; }
`;
const SECOND = `
enum color { RED, GREEN = 7, BLUE }; enum other { RED_TOO, YELLOW }; typedef unsigned long word;
struct incomplete { int now; }; struct incomplete complete; int elsewhere; word second_only; enum other o;
int second(void) { return elsewhere + YELLOW; }
`;

function compiled(...flags: string[]): DwarfSections {
  const files = [FIRST, SECOND].map((text, index) => {
    const path = join(folder, `${index}.c`);
    writeFileSync(path, text);
    return path;
  });
  const out = join(folder, "out");
  execFileSync("gcc", ["-g", "-O1", "-nostdlib", "-static", "-Wl,-e,first", ...flags, ...files, "-o", out]);
  const elf = parseElf(readFileSync(out));
  return dwarfSections((name) => elf.sectionData(name));
}

function slowly(sections: DwarfSections): NameTable {
  const units = new Units(sections);
  const dies = new DieReader(sections, new Budget(1e8), (offset) => units.holding(offset));
  const table = nameTable();
  for (const unit of units.all) addNames(dies, unit, table);
  return table;
}

/** @returns also how many units had to be read the slow way */
function quickly(sections: DwarfSections): { table: NameTable; left: number } {
  const table = nameTable();
  const scan = new NameScan(sections, table);
  const units = new Units(sections);
  const dies = new DieReader(sections, new Budget(1e8), (offset) => units.holding(offset));
  let left = 0;
  for (const unit of units.all) {
    if (scan.add(unit)) continue;
    left++;
    addNames(dies, unit, table);
  }
  return { table, left };
}

describe("names found by stepping over entries are those found by reading them", () => {
  test.each(IMAGES)("in %s", (name) => {
    const sections = sectionsOf(name);
    expect(quickly(sections).table).toEqual(slowly(sections));
  });

  test.each([
    ["DWARF 5", "-gdwarf-5"],
    ["DWARF 4", "-gdwarf-4"],
    ["DWARF 3", "-gdwarf-3", "-gstrict-dwarf"],
  ])("in a program of %s", (_, ...flags) => {
    const sections = compiled(...flags);
    const { table, left } = quickly(sections);
    expect(table).toEqual(slowly(sections));
    // A flag that takes a byte is not stepped over.
    expect(left > 0).toBe(flags[0] === "-gdwarf-3");
    expect([...table.enumerator.keys()]).toEqual(
      expect.arrayContaining(["GREEN", "ANONYMOUS_TWO", "YELLOW"]),
    );
    expect([...table.global.keys()]).toEqual(expect.arrayContaining(["ab", "declared_first", "second_only"]));
    expect(table.struct.has("incomplete")).toBe(true);
    expect(table.struct.has("inner")).toBe(false);
  });

  test("and damaged ones are DwarfErrors", () => {
    const sound = compiled("-gdwarf-5");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 8,
        }),
        (changes) => {
          const info = sound.info.bytes.slice();
          const abbrev = sound.abbrev.bytes.slice();
          for (const [inInfo, at, value] of changes) {
            const bytes = inInfo ? info : abbrev;
            bytes[at % bytes.length] = value;
          }
          const damaged: DwarfSections = {
            ...sound,
            info: { name: ".debug_info", bytes: info },
            abbrev: { name: ".debug_abbrev", bytes: abbrev },
          };
          try {
            quickly(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(DwarfError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
