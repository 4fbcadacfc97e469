/** A page of physical memory as text: words of eight bytes, with their entries where the page serves as a table. */
import { decodeEntry, describeEntry } from "../../paging/entry";
import { entrySize } from "../../paging/layout";
import type { Target } from "../../target/target";
import { RequestError } from "../dispatcher";
import type { MemoryPage } from "../protocol/tables";
import { toHex } from "../protocol/values";
import { nameOfTable, placeText } from "./names";
import type { PageTables } from "./pageTables";

const PAGE = 4096;

/** @throws RequestError where there is no RAM */
export function memoryPage(target: Target, tables: PageTables, address: number): MemoryPage {
  const page = address - (address % PAGE);
  if (!target.memory.isRam(page)) throw new RequestError(`there is no RAM at ${toHex(address)}`);
  const levels = tables.levelsOf(page);
  const [level] = levels;
  const size = level === undefined ? 8 : entrySize(target.pagingState.levels);
  const lines = Array.from({ length: PAGE / size }, (_, index) => line(target, page, index, size, level));
  const name = nameOfTable(target, page);
  const what = levels.length === 0 ? "" : ` · table of level ${levels.join(" and ")}`;
  const title = `${name === undefined ? "" : `${name} · `}physical ${toHex(page)}${what}`;
  return { title, text: `${title}\n\n${lines.join("\n")}\n` };
}

function line(target: Target, page: number, index: number, size: number, level: number | undefined): string {
  const { memory, pagingState } = target;
  const address = page + index * size;
  const value = size === 8 ? memory.read64(address) : BigInt(memory.read32(address) >>> 0);
  const digits = value.toString(16).padStart(2 * size, "0");
  const text = [...memory.readBytes(address, size)].map(printable).join("");
  const words = `${toHex(address)}: 0x${digits}  ${text}`;
  if (level === undefined) return words.trimEnd();
  const meaning =
    value === 0n
      ? ""
      : describeEntry(decodeEntry(value, level, pagingState), (place) => placeText(target, place));
  return `${words}  [${String(index).padStart(3)}] ${meaning}`.trimEnd();
}

function printable(byte: number): string {
  return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".";
}
