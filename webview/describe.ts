/** What is said of the map and of what is selected, as texts: for the pane, for screen readers, for tooltips. */
import type { Mark, SlotState } from "../src/debug/protocol/memoryMap";
import type { PageCommand } from "./messages";
import {
  addressText,
  type Model,
  type PoolItem,
  type Selection,
  type SlotItem,
  type Span,
  sizeText,
} from "./model";

export type Fact = readonly [name: string, value: string];
/** A button: its label, and what it has the extension do. */
export type Action = readonly [label: string, command: PageCommand, argument: string];

/** Signs of marks, since colour alone does not tell. */
export const MARK_SIGNS: Readonly<Record<Mark, string>> = { added: "+", changed: "~", cleared: "−" };

/** Signs of the states of slots; a slot that is reached shows its level. */
export const SLOT_SIGNS: Readonly<Record<SlotState, string>> = {
  reached: "",
  used: "•",
  free: "",
  beyond: "×",
};

export const SLOT_TEXTS: Readonly<Record<SlotState, string>> = {
  reached: "reached from CR3",
  used: "given out, not reached",
  free: "free",
  beyond: "beyond the limit",
};

/** The name of an item, short. */
export function titleOf({ kind, item }: Selection): string {
  switch (kind) {
    case "owner":
      return item.label;
    case "mapped":
      return addressText(item.first);
    case "change":
      return `Mapping ${item.mark}`;
    case "unexplored":
      return "Not looked into yet";
    case "slot":
      return slotName(item);
    case "pointer":
      return item.name;
  }
}

/** All of it in a line. */
export function spokenOf(selection: Selection): string {
  const { kind, item } = selection;
  switch (kind) {
    case "owner":
      return listed(
        item.label,
        `physical ${rangeText(item)}`,
        sizeText(item.last - item.first),
        item.level === undefined ? "" : `table of level ${item.level}`,
        item.changed === true ? "changed" : "",
      );
    case "mapped":
      return listed(
        `linear ${addressText(item.first)}`,
        `${item.pages} × ${item.pageSize} pages`,
        item.flags.join(" "),
        `to physical ${addressText(item.from)}`,
        ...item.marks,
      );
    case "change":
      return listed(
        item.mark,
        `linear ${rangeText(item)}`,
        sizeText(item.last - item.first),
        "since the last stop",
      );
    case "unexplored":
      return listed("not looked into yet", `linear ${rangeText(item)}`, "select to explore");
    case "slot":
      return listed(
        slotName(item),
        SLOT_TEXTS[item.state],
        item.level === undefined ? "" : `level ${item.level}`,
        item.changed === true ? "changed" : "",
      );
    case "pointer":
      return listed(
        `${item.name} ${addressText(item.linear)}`,
        item.physical === undefined ? "not mapped" : `physical ${addressText(item.physical)}`,
      );
  }
}

/** What the pane tells of an item. */
export function factsOf(selection: Selection): Fact[] {
  const { kind, item } = selection;
  switch (kind) {
    case "owner":
      return [
        ["Physical", rangeText(item)],
        ["Size", sizeText(item.last - item.first)],
        ...given("Machine", item.machine),
        ...given("Table of level", item.level),
        ...given("Frame", item.use),
        ...given("Translates from", item.linear),
        ...given("Since the last stop", item.changed === true ? "changed" : undefined),
      ];
    case "mapped": {
      const size = item.last - item.first;
      return [
        ["Linear", rangeText(item)],
        ["Physical", rangeText({ first: item.from, last: item.from + size })],
        ...given("Machine", item.machine && `${item.machine}, of the first page`),
        ["Pages", `${item.pages} × ${item.pageSize}, ${sizeText(size)}`],
        ["Flags", item.flags.join(" ")],
        ...given(
          "Since the last stop",
          item.marks.length === 0 ? undefined : `in part ${item.marks.join(", ")}`,
        ),
      ];
    }
    case "change":
      return [
        ["Linear", rangeText(item)],
        ["Size", sizeText(item.last - item.first)],
        ["Since the last stop", item.mark],
      ];
    case "unexplored":
      return [
        ["Linear", rangeText(item)],
        ["Size", sizeText(item.last - item.first)],
      ];
    case "slot":
      return [
        ["State", SLOT_TEXTS[item.state]],
        ...given("Table of level", item.level),
        ["Physical", rangeText(item)],
        ...given("Since the last stop", item.changed === true ? "changed" : undefined),
      ];
    case "pointer":
      return [
        ["Linear", addressText(item.linear)],
        ["Physical", item.physical === undefined ? "not mapped" : addressText(item.physical)],
      ];
  }
}

/** What can be done with an item. */
export function actionsOf({ kind, item }: Selection): Action[] {
  const showInTree = (linear: string): Action => ["Show in tree", "goToTable", linear];
  const walk = (linear: string): Action => ["Walk", "walkAddress", linear];
  const viewMemory = (physical: string): Action => ["View memory", "viewMemory", physical];
  switch (kind) {
    case "owner":
      return [
        ...(item.linear === undefined ? [] : [showInTree(item.linear)]),
        viewMemory(item.machine ?? item.start),
      ];
    case "slot":
      return [viewMemory(item.start)];
    case "mapped":
      return [showInTree(item.start), walk(item.start), viewMemory(item.machine ?? item.physical)];
    case "pointer":
      return [
        walk(item.start),
        ...(item.physical === undefined ? [] : [viewMemory(item.machine ?? addressText(item.physical))]),
      ];
    default:
      return [walk(item.start)];
  }
}

/** "early_dynamic_pgts: 2 of 64 slots used, next is 2". */
export function poolText({ name, next, limit }: PoolItem): string {
  return `${name}: ${Math.min(next, limit)} of ${limit} slots used, ${next < limit ? `next is ${next}` : "none is left"}`;
}

/** Several items that are drawn as one. */
export function togetherText(items: readonly Selection[]): string {
  const marks = new Set(items.flatMap(({ kind, item }) => (kind === "change" ? [item.mark] : [])));
  return listed(`${items.length} ${NOUNS[items[0].kind]}`, ...marks, "select to zoom in");
}

const NOUNS: Readonly<Record<Selection["kind"], string>> = {
  owner: "owners",
  mapped: "mapped ranges",
  change: "changes",
  unexplored: "ranges not looked into yet",
  slot: "slots",
  pointer: "registers",
};

/** What the map does not show, in sentences. */
export function notesOf({ data, mapped }: Model): string[] {
  return [
    ...(mapped.length === 0 && data.mode === "off"
      ? ["Paging is off: linear addresses are physical ones."]
      : []),
    ...(data.unexplored.length > 0
      ? ["Hatched ranges are not looked into yet: select one to explore it."]
      : []),
    ...(data.moreTables ? ["There are more page tables than the map lists."] : []),
  ];
}

function slotName({ pool, index }: SlotItem): string {
  return `${pool}[${index}]`;
}

function rangeText({ first, last }: Span): string {
  return `${addressText(first)} – ${addressText(last - 1n)}`;
}

function given(name: string, value: string | number | undefined): Fact[] {
  return value === undefined ? [] : [[name, String(value)]];
}

function listed(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(", ");
}
