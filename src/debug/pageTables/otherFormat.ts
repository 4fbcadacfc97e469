/**
 * A 2-level root as the CPU would read it once CR4.PAE is set: the same page, four entries of 8 bytes. A kernel that
 * goes on in PAE mode with its root has to write them there while the CPU still reads entries of 4 bytes.
 */
import { decodeEntry, describeEntry } from "../../paging/entry";
import { type OtherEntry, rootInOtherFormat, type TakenEntries } from "../../paging/otherFormat";
import type { Target } from "../../target/target";
import type { TableRow } from "../protocol/tables";
import { toHex } from "../protocol/values";
import type { TableChanges } from "./changes";
import { placeText } from "./names";

/** The row behind which the entries are. */
export const OTHER_FORMAT_ID = "root/pae";

/** The row of the root page in PAE format; undefined where the CPU reads another mode, or could never read PAE. */
export function otherFormatRow({ pagingState, machine }: Target): TableRow | undefined {
  if (pagingState.levels !== 2 || !machine.model.features.pae) return undefined;
  return {
    id: OTHER_FORMAT_ID,
    kind: "other-format",
    label: "The same page as a PAE root",
    description: "4 entries of 8 bytes, should CR4.PAE be set with this CR3",
    tooltip:
      "Setting CR4.PAE while paging is on leaves CR3 as it is: the CPU takes the first 32 bytes of the page for " +
      "four PDPTEs, and loads them (SDM vol. 3A, 4.4.1). Until then they are eight PDEs, of linear 0 to 32 MiB.",
    expandable: true,
  };
}

/** The four entries, each with the 2-level entries whose bytes it takes. */
export function otherFormatRows(target: Target, changes: TableChanges): TableRow[] {
  const entries = rootInOtherFormat(target.pagingState, target.memory);
  return entries.map((other) => rowOf(target, changes, other));
}

function rowOf(target: Target, changes: TableChanges, other: OtherEntry): TableRow {
  const { index, address, entry, translates, takes } = other;
  const says = describeEntry(entry, (physical) => placeText(target, physical));
  const mark = takes === undefined ? undefined : markOf(target, changes, takes);
  const taken = takes === undefined ? "" : takenText(takes);
  return {
    id: `${OTHER_FORMAT_ID}/${index}`,
    kind: "other-format",
    label: `PDPTE ${index}`,
    description: `${entry.present ? `→ ${placeText(target, entry.address)} ${entry.flags.join(" ")}` : "not present"}${
      entry.reserved.length > 0 ? " · reserved bits are set: loading it is a #GP" : ""
    }${taken === "" ? "" : ` · takes ${taken}`}`,
    tooltip: [
      `**PDPTE ${index}** of ${placeText(target, target.pagingState.root)} in PAE format: ${says}`,
      `would translate \`${toHex(translates.start)}\` to \`${toHex(translates.end - 1n)}\``,
      ...(takes === undefined ? [] : [`Its bytes are ${taken}. In 2-level format they say:`]),
      ...(takes === undefined ? [] : presentEntries(target, takes)),
    ].join("\n\n"),
    expandable: false,
    ...(mark === undefined ? {} : { mark }),
    entry: toHex(address),
    entrySize: 8,
    value: toHex(entry.value),
    start: toHex(translates.start),
    end: toHex(BigInt.asUintN(32, translates.end)),
  };
}

/** "PDE 0 and 1, linear 0x0 to 0x7fffff". */
function takenText({ first, last, translates }: TakenEntries): string {
  const range = `linear ${toHex(translates.start)} to ${toHex(translates.end - 1n)}`;
  return `PDE ${first === last ? first : `${first} and ${last}`}, ${range}`;
}

function presentEntries(target: Target, { first, last }: TakenEntries): string[] {
  const { pagingState: state, memory } = target;
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const value = BigInt(memory.read32(state.root + 4 * (first + i)) >>> 0);
    const decoded = decodeEntry(value, 2, state);
    return `PDE ${first + i} = \`${toHex(value)}\`: ${describeEntry(decoded, (at) => placeText(target, at))}`;
  });
}

/** What became of the 2-level entries since the last stop. */
function markOf(target: Target, changes: TableChanges, { first, last }: TakenEntries): TableRow["mark"] {
  const { root } = target.pagingState;
  const marks = [first, last].flatMap((index) => changes.of(root + 4 * index, 2)?.kind ?? []);
  return marks.length === 0 ? undefined : marks.every((mark) => mark === marks[0]) ? marks[0] : "changed";
}
