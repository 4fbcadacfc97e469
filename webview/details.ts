/** The pane beside the picture, and the legend. */
import { type Action, actionsOf, type Fact, factsOf, notesOf, titleOf } from "./describe";
import type { PageCommand } from "./messages";
import type { Model, Selection } from "./model";
import { html } from "./svg";

export interface Acts {
  command(command: PageCommand, argument: string): void;
  explore(): void;
}

/** What is said of the selection; of the map where nothing is selected. */
export function details(model: Model, selected: Selection | undefined, acts: Acts): HTMLElement {
  if (selected === undefined) {
    const { data } = model;
    return html(
      "div",
      {},
      html("h2", {}, "Memory"),
      facts([
        ["Paging", data.mode],
        ["CR3", data.rootName === undefined ? data.root : `${data.rootName} (${data.root})`],
        ["Instructions", data.instructions.toLocaleString("en")],
        ["Mapped ranges", `${data.mapped.length}${data.unexplored.length > 0 ? " and more" : ""}`],
        ["Changes", String(data.changes.length)],
      ]),
      ...[...notesOf(model), "Select a range to see what it is."].map((note) =>
        html("p", { class: "hint" }, note),
      ),
    );
  }
  const explore: [string, () => void][] =
    selected.kind === "unexplored" ? [["Explore", () => acts.explore()]] : [];
  const command = ([label, name, argument]: Action): [string, () => void] => [
    label,
    () => acts.command(name, argument),
  ];
  return html(
    "div",
    {},
    html("h2", {}, titleOf(selected)),
    facts(factsOf(selected)),
    buttons([...explore, ...actionsOf(selected).map(command)]),
  );
}

function facts(rows: readonly Fact[]): HTMLElement {
  return html("dl", {}, ...rows.flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
}

function buttons(all: readonly (readonly [string, () => void])[]): HTMLElement {
  return html(
    "div",
    { class: "actions" },
    ...all.map(([label, action]) => {
      const button = html("vscode-button", { appearance: "secondary" }, label);
      button.addEventListener("click", action);
      return button;
    }),
  );
}

const LEGEND = [
  ["mapped write-execute", "", "writable, executable"],
  ["mapped write", "", "writable"],
  ["mapped execute", "", "executable"],
  ["mapped read", "", "read-only"],
  ["mapped user", "", "user"],
  ["unexplored", "", "not looked into yet"],
  ["change added", "+", "added"],
  ["change changed", "~", "changed"],
  ["change cleared", "−", "cleared"],
  ["owner ram", "", "usable RAM"],
  ["owner reserved", "", "reserved"],
  ["owner code", "", "kernel code"],
  ["owner data", "", "kernel data"],
  ["owner boot", "", "boot data"],
  ["owner ramdisk", "", "ramdisk"],
  ["owner object", "", "object"],
  ["owner table", "", "page table"],
  ["owner stack", "", "stack"],
  ["slot used", "•", "slot given out, not reached"],
  ["slot beyond", "×", "slot beyond the limit"],
] as const;

/** What colours and signs mean. */
export function legend(): HTMLElement {
  return html(
    "ul",
    { "aria-label": "Legend" },
    ...LEGEND.map(([kind, sign, label]) =>
      html("li", {}, html("span", { class: `swatch ${kind}`, "aria-hidden": "true" }, sign), label),
    ),
  );
}
