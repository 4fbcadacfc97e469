/** A comparison in words: its rows, as the protocol has them. */
import { entryAddressOf, type PathChange } from "../../paging/compare";
import { decodeEntry, describeEntry } from "../../paging/entry";
import { ENTRY_NAMES, levelShift } from "../../paging/layout";
import { MODE_NAMES } from "../../paging/ranges";
import type { PagingState } from "../../paging/state";
import type { Debuggee } from "../debuggee";
import { entryName, placeText } from "../pageTables/names";
import type {
  COMPARED,
  ComparedAnswer,
  ComparedEntry,
  ComparedKind,
  Deed,
  DeedKind,
} from "../protocol/compare";
import type { CheckedOf } from "../protocol/declare";
import { toHex } from "../protocol/values";
import { momentAt, placeOfMoment } from "../time/moments";
import type { Comparison } from "./comparison";
import { pathOf, type RecordedDeed } from "./deeds";

/** The rows of a comparison, which may be asked for a page at a time. */
export class ComparisonRows {
  /** Rows of each kind, as indexes of all; the root's is -1. */
  private readonly byKind = new Map<ComparedKind | "all", number[]>();

  constructor(
    readonly id: number,
    private readonly debuggee: Debuggee,
    private readonly comparison: Comparison,
  ) {
    const { root, changes } = comparison;
    if (root !== undefined) this.add(root.kind, -1);
    for (const [index, { kind }] of changes.entries()) this.add(kind, index);
  }

  get listed(): number {
    return this.byKind.get("all")?.length ?? 0;
  }

  /** Rows from one on. */
  page({ kind, from, count }: CheckedOf<typeof COMPARED>): ComparedAnswer {
    const rows = this.byKind.get(kind ?? "all") ?? [];
    return {
      entries: rows
        .slice(from, from + count)
        .map((index) => (index < 0 ? this.rootRow() : this.row(this.comparison.changes[index], index))),
      total: rows.length,
    };
  }

  private add(kind: ComparedKind, index: number): void {
    for (const list of [kind, "all"] as const) {
      const rows = this.byKind.get(list);
      if (rows === undefined) this.byKind.set(list, [index]);
      else rows.push(index);
    }
  }

  private row(change: PathChange, index: number): ComparedEntry {
    const { debuggee, comparison } = this;
    const { target } = debuggee;
    const { step, kind, address } = change;
    const [before, after] = [comparison.first.state, comparison.second.state];
    const state = step.after === undefined ? before : after;
    const table = step.after ?? step.before ?? 0;
    const size = 1n << BigInt(levelShift(state.levels, step.level));
    const entry =
      step.after === undefined ? undefined : entryAddressOf(after, step.after, step.level, change.index);
    return {
      number: index + (comparison.root === undefined ? 1 : 2),
      kind,
      label: `${ENTRY_NAMES[step.level]} ${change.index}`,
      name: entryName(target, table, change.index),
      path: pathOf(step, change.index).join("/"),
      level: step.level,
      start: toHex(address),
      end: toHex(BigInt.asUintN(state.levels >= 4 ? 64 : 32, address + size)),
      old: toHex(change.old),
      new: toHex(change.new),
      oldText: step.before === undefined ? NO_TABLE : this.valueText(change.old, step.level, before),
      newText: step.after === undefined ? NO_TABLE : this.valueText(change.new, step.level, after),
      ...(entry === undefined ? {} : { entry: toHex(entry) }),
      ...this.who(comparison.deeds.who(change), kind),
    };
  }

  private rootRow(): ComparedEntry {
    const { comparison, debuggee } = this;
    const { first, second, root } = comparison;
    const levels = Math.max(first.state.levels, second.state.levels);
    const kind = root?.kind ?? "changed";
    return {
      number: 1,
      kind,
      label: "CR3",
      name: "CR3",
      path: "",
      level: levels + 1,
      start: "0x0",
      end: "0x0",
      old: toHex(first.state.root),
      new: toHex(second.state.root),
      oldText: rootText(debuggee, first.state),
      newText: rootText(debuggee, second.state),
      ...this.who(comparison.deeds.root, kind),
    };
  }

  private valueText(value: bigint, level: number, state: PagingState): string {
    const { target } = this.debuggee;
    return describeEntry(decodeEntry(value, level, state), (physical) => placeText(target, physical));
  }

  private who(deed: RecordedDeed | undefined, kind: ComparedKind): { who?: Deed; whoText: string } {
    if (deed === undefined) return { whoText: UNKNOWN };
    const who: Deed = { how: deed.how, ...momentAt(this.debuggee, deed.instruction, deed.rip) };
    const place = placeOfMoment(who);
    if (deed.how === "user") return { who, whoText: `The user did it before ${place}.` };
    return { who, whoText: `${place[0].toUpperCase()}${place.slice(1)} ${DEED_TEXTS[deed.how](kind)}.` };
  }
}

const NO_TABLE = "no table";
const UNKNOWN = "No instruction between the moments wrote it.";

const DEED_TEXTS: Readonly<Record<Exclude<DeedKind, "user">, (kind: ComparedKind) => string>> = {
  write: (kind) => (kind === "cleared" ? "cleared it" : "wrote it"),
  link: (kind) => (kind === "cleared" ? "unlinked its table" : "linked its table"),
  root: () => "loaded the root",
};

/** The paging mode and root of a moment. */
export function rootText({ target }: Debuggee, state: PagingState): string {
  if (state.levels === 0) return "paging off";
  return `${MODE_NAMES[state.levels]}, ${placeText(target, state.root)}`;
}
