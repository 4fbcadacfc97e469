/** Numbers without a session: what they would be as page-table entries of 64-bit paging, or as addresses. */
import { decodings, entryMarkdown } from "../../debug/protocol/entryMarkdown";
import { ENTRY_NAMES } from "../../paging/layout";
import type { EntryState } from "../../paging/walk";

/** A current CPU in 4-level paging: nothing of it depends on a machine. */
const CONTEXT: EntryState = {
  levels: 4,
  maxPhysicalBits: 46,
  pse: false,
  pse36: true,
  pages1G: true,
  nxe: true,
};

/** A number as C, assembly and logs write it: `0x1043067`, `$0x63`, `ffffffff81000000`. Undefined for other texts. */
export function numberIn(text: string): bigint | undefined {
  const match = /^\$?(?:0x([0-9a-f]{1,16})(?:u?l{0,2}|l{1,2}u)|([0-9a-f]{16}))$/i.exec(text.trim());
  return match === null ? undefined : BigInt(`0x${match[1] ?? match[2]}`);
}

/** Markdown for a number; undefined where it can be neither an entry nor an address. */
export function decodeNumber(value: bigint): string | undefined {
  const parts: string[] = [];
  if (isCanonical(value) && value >= 4096n) {
    const indexes = [39n, 30n, 21n, 12n].map((shift) => Number((value >> shift) & 0x1ffn));
    const names = [4, 3, 2, 1].map((level, i) => `${ENTRY_NAMES[level]} ${indexes[i]}`);
    parts.push(`As a linear address: ${names.join(", ")}, offset \`0x${(value & 0xfffn).toString(16)}\``);
  }
  for (const { entry, name } of decodings(value, CONTEXT)) parts.push(entryMarkdown(entry, undefined, name));
  return parts.length === 0 ? undefined : parts.join("\n\n");
}

function isCanonical(value: bigint): boolean {
  const high = value >> 47n;
  return high === 0n || high === 0x1ffffn;
}
