/** The map as plain tables: for screen readers, and for copying. */
import { SLOT_TEXTS } from "./describe";
import { addressText, keyOf, type Model, type Selection, sizeText } from "./model";
import { html } from "./svg";

/** All of the map; a row that is chosen is selected. */
export function table(
  model: Model,
  selected: Selection | undefined,
  select: (selection: Selection) => void,
): HTMLElement {
  const isSelected = selected === undefined ? undefined : keyOf(selected);
  const row = (selection: Selection, ...cells: readonly string[]): HTMLElement => {
    const key = keyOf(selection);
    const attributes = { tabindex: -1, "data-key": key, "aria-selected": String(key === isSelected) };
    const line = html("tr", attributes, ...cells.map((cell) => html("td", { role: "gridcell" }, cell)));
    line.addEventListener("click", () => select(selection));
    line.addEventListener("keydown", (event) => {
      if (event.key === "Enter") select(selection);
    });
    return line;
  };
  return html(
    "div",
    { class: "tables" },
    grid(
      "Registers",
      ["Register", "Linear", "Physical"],
      model.pointers.map((item) =>
        row(
          { kind: "pointer", item },
          item.name,
          item.start,
          item.physical === undefined ? "not mapped" : addressText(item.physical),
        ),
      ),
    ),
    grid(
      "Changes since the last stop",
      ["From", "To", "What"],
      model.changes.map((item) => row({ kind: "change", item }, item.start, item.end, item.mark)),
    ),
    grid(
      "Linear memory",
      ["From", "Pages", "Physical", "Flags"],
      model.mapped.map((item) =>
        row(
          { kind: "mapped", item },
          item.start,
          `${item.pages} × ${item.pageSize}`,
          item.physical,
          item.flags.join(" "),
        ),
      ),
    ),
    grid(
      "Not looked into yet: select to explore",
      ["From", "To"],
      model.unexplored.map((item) => row({ kind: "unexplored", item }, item.start, item.end)),
    ),
    grid(
      "Physical memory",
      ["From", "To", "Size", "Owner"],
      Object.values(model.lanes).flatMap((lane) =>
        lane.map((item) =>
          row(
            { kind: "owner", item },
            item.start,
            item.end,
            sizeText(item.last - item.first),
            item.changed === true ? `${item.label} (changed)` : item.label,
          ),
        ),
      ),
    ),
    ...model.pools.map(({ name, slots }) =>
      grid(
        name,
        ["Slot", "State", "Level", "Since the last stop"],
        slots.map((item) =>
          row(
            { kind: "slot", item },
            String(item.index),
            SLOT_TEXTS[item.state],
            String(item.level ?? ""),
            item.changed === true ? "changed" : "",
          ),
        ),
      ),
    ),
  );
}

/** A table, or nothing where it had no rows. */
function grid(caption: string, head: readonly string[], rows: readonly HTMLElement[]): HTMLElement | string {
  if (rows.length === 0) return "";
  const names = html("tr", {}, ...head.map((name) => html("th", { scope: "col" }, name)));
  return html("table", { role: "grid" }, html("caption", {}, caption), names, ...rows);
}
