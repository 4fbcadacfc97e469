/** What is said of the selection, the legend, and the map as a plain table. */
import type { PAGE_COMMANDS } from "./messages";
import { addressText, type Model, type Selection, sizeText } from "./model";
import { html } from "./svg";

type Act = (command: (typeof PAGE_COMMANDS)[number], argument?: string) => void;

/** The pane beside the picture. */
export function details(model: Model, selected: Selection | undefined, act: Act): HTMLElement {
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
        ["Mapped ranges", String(data.mapped.length)],
      ]),
      html("p", { class: "hint" }, "Select a range to see what it is."),
    );
  }
  return selected.kind === "owner" ? ownerDetails(selected, act) : mappedDetails(selected, act);
}

function ownerDetails({ item }: Extract<Selection, { kind: "owner" }>, act: Act): HTMLElement {
  const rows: [string, string][] = [
    ["Physical", `${addressText(item.first)} – ${addressText(item.last - 1n)}`],
    ["Size", sizeText(item.last - item.first)],
  ];
  if (item.level !== undefined) rows.push(["Table of level", String(item.level)]);
  if (item.changed === true) rows.push(["Since the last stop", "changed"]);
  return html(
    "div",
    {},
    html("h2", {}, item.label),
    facts(rows),
    buttons([["View memory", () => act("viewMemory", item.start)]]),
  );
}

function mappedDetails({ item }: Extract<Selection, { kind: "mapped" }>, act: Act): HTMLElement {
  const size = item.last - item.first;
  return html(
    "div",
    {},
    html("h2", {}, addressText(item.first)),
    facts([
      ["Linear", `${addressText(item.first)} – ${addressText(item.last - 1n)}`],
      ["Physical", `${addressText(item.from)} – ${addressText(item.from + size - 1n)}`],
      ["Pages", `${item.pages} × ${item.pageSize}, ${sizeText(size)}`],
      ["Flags", item.flags.join(" ")],
      ...(item.changed === true ? [["Since the last stop", "new or changed"] as [string, string]] : []),
    ]),
    buttons([
      ["Show in tree", () => act("goToTable", item.start)],
      ["Walk", () => act("walkAddress", item.start)],
      ["View memory", () => act("viewMemory", item.physical)],
    ]),
  );
}

function facts(rows: readonly (readonly [string, string])[]): HTMLElement {
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
  ["write-execute", "writable, executable"],
  ["write", "writable"],
  ["execute", "executable"],
  ["read", "read-only"],
  ["user", "user"],
  ["table", "page table"],
  ["image", "kernel"],
  ["ramdisk", "ramdisk"],
  ["boot", "boot data"],
  ["stack", "stack"],
  ["changed", "changed"],
] as const;

/** What the colours mean. */
export function legend(): HTMLElement {
  return html(
    "ul",
    { "aria-label": "Legend" },
    ...LEGEND.map(([kind, label]) => html("li", {}, html("span", { class: `swatch ${kind}` }), label)),
  );
}

/** The same without a picture: for screen readers, and for copying. */
export function table(model: Model, select: (selection: Selection) => void): HTMLElement {
  const row = (selection: Selection, cells: readonly string[]) => {
    const line = html("tr", { tabindex: 0 }, ...cells.map((cell) => html("td", {}, cell)));
    line.addEventListener("click", () => select(selection));
    line.addEventListener("keydown", (event) => {
      if ((event as KeyboardEvent).key === "Enter") select(selection);
    });
    return line;
  };
  const head = (...names: string[]) =>
    html("tr", {}, ...names.map((name) => html("th", { scope: "col" }, name)));
  return html(
    "div",
    { class: "tables" },
    html(
      "table",
      {},
      html("caption", {}, "Linear memory"),
      head("From", "Pages", "Physical", "Flags"),
      ...model.mapped.map((item) =>
        row({ kind: "mapped", item }, [
          item.start,
          `${item.pages} × ${item.pageSize}`,
          item.physical,
          item.flags.join(" "),
        ]),
      ),
    ),
    html(
      "table",
      {},
      html("caption", {}, "Physical memory"),
      head("From", "To", "Size", "Owner"),
      ...model.owners.map((item) =>
        row({ kind: "owner", item }, [item.start, item.end, sizeText(item.last - item.first), item.label]),
      ),
    ),
  );
}
