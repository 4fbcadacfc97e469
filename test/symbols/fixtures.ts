/** Images of test/reference/dwarf, and what addr2line said of them. */
import { readFileSync } from "node:fs";
import { dwarfSections } from "../../src/symbols/dwarf/sections";
import { parseElf } from "../../src/symbols/elf";

const FOLDER = new URL("../reference/dwarf/", import.meta.url);

export const IMAGES = ["dwarf3-32bit", "dwarf4", "dwarf4-64", "dwarf5"] as const;

export function readImage(name: string): Uint8Array {
  return readFileSync(new URL(`${name}.elf`, FOLDER));
}

/** Address and `file:line` of each instruction; undefined where addr2line knows no line. */
export function recordedLines(name: string): [bigint, string | undefined][] {
  const text = readFileSync(new URL(`${name}.txt`, FOLDER), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [address, place] = line.split(" ");
      return [BigInt(address), /:[1-9]\d*$/.test(place) ? place : undefined];
    });
}

export function sectionsOf(name: string) {
  const elf = parseElf(readImage(name));
  return dwarfSections((section) => elf.sectionData(section));
}
