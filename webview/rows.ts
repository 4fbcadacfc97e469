/** A row of the picture: items side by side, each of which can be selected. */

import { spokenOf, titleOf, togetherText } from "./describe";
import { keyOf, type Selection, type Span } from "./model";
import type { Scale } from "./scale";
import { svg } from "./svg";
import { type Fit, fitted, GUTTER, type View } from "./view";

/** What drawing needs beside the map. */
export interface Drawing {
  readonly view: View;
  readonly selected: Selection | undefined;
  /** Whether what changed flashes. */
  readonly flash: boolean;
  select(selection: Selection): void;
  /** Shows a range of a scale over the whole width. */
  zoomTo(scale: Scale, span: Span): void;
}

export interface Place {
  readonly top: number;
  readonly height: number;
}

export interface Box extends Place {
  readonly left: number;
  readonly right: number;
}

/** Widths of letters, and the pixels below which a shape cannot be hit. */
export const LETTER = 6.4;
export const SMALLEST = 3;

/** A row's name at its left, and its items as a list that is one stop of the Tab key. */
export function row(label: string, top: number, items: readonly SVGElement[], name = label): SVGElement[] {
  const list = svg("g", { role: "listbox", "aria-label": name, "aria-orientation": "horizontal" }, ...items);
  return [svg("text", { x: GUTTER - 6, y: top, class: "row", "aria-hidden": "true" }, label), list];
}

/** The items of a row as shapes, of which there are not more than fit. */
export function shapes<S extends Exclude<Selection, { kind: "pointer" }>>(
  items: readonly S[],
  scale: Scale,
  place: Place,
  drawing: Drawing,
  look: (selection: S) => { readonly kind: string; readonly label?: string; readonly smallest?: number },
): SVGElement[] {
  const smallest = items.length === 0 ? SMALLEST : (look(items[0]).smallest ?? SMALLEST);
  const spans = items.map((selection) => ({
    selection,
    first: selection.item.first,
    last: selection.item.last,
  }));
  return fitted(spans, scale, drawing.view, smallest).map((fit) => {
    if (fit.items.length > 1) return together(fit, scale, place, smallest, drawing);
    const [{ selection }] = fit.items;
    const { kind, label = titleOf(selection) } = look(selection);
    const right = Math.max(fit.right, fit.left + smallest - 1);
    return shape(selection, { ...place, left: fit.left, right }, kind, label, drawing);
  });
}

/** One item: a rectangle with its label where that fits. */
export function shape(
  selection: Selection,
  box: Box,
  kind: string,
  label: string,
  drawing: Drawing,
): SVGElement {
  const key = keyOf(selection);
  const selected = drawing.selected !== undefined && keyOf(drawing.selected) === key;
  const group = option(spokenOf(selection), `item ${kind}`, selected, () => drawing.select(selection));
  group.setAttribute("data-key", key);
  group.append(rectangle(box));
  const width = box.right - box.left;
  const isSign = label.length === 1;
  if (isSign || width > label.length * LETTER + 6) {
    const x = isSign ? box.left + width / 2 : box.left + 4;
    const anchor = isSign ? "middle" : undefined;
    group.append(svg("text", { x, y: box.top + box.height / 2 + 4, "text-anchor": anchor }, label));
  }
  if ("changed" in selection.item && selection.item.changed === true) group.append(corner(box));
  return group;
}

/** Neighbours as one shape, which zooms in. */
function together<S extends Exclude<Selection, { kind: "pointer" }>>(
  { items, left, right }: Fit<{ readonly selection: S } & Span>,
  scale: Scale,
  place: Place,
  smallest: number,
  drawing: Drawing,
): SVGElement {
  const selections = items.map(({ selection }) => selection);
  const span = { first: items[0].first, last: items[items.length - 1].last };
  const group = option(togetherText(selections), "item together", false, () => drawing.zoomTo(scale, span));
  group.append(rectangle({ ...place, left, right: Math.max(right, left + smallest) }));
  return group;
}

/** A group that can be focused, clicked, and chosen by keyboard. */
export function option(spoken: string, kind: string, selected: boolean, choose: () => void): SVGElement {
  const group = svg(
    "g",
    {
      class: `${kind}${selected ? " selected" : ""}`,
      tabindex: -1,
      role: "option",
      "aria-label": spoken,
      "aria-selected": selected ? "true" : "false",
    },
    svg("title", {}, spoken),
  );
  group.addEventListener("click", choose);
  group.addEventListener("keydown", (event) => {
    const { key } = event as KeyboardEvent;
    if (key !== "Enter" && key !== " ") return;
    event.preventDefault();
    choose();
  });
  return group;
}

function rectangle({ left, right, top, height }: Box): SVGElement {
  return svg("rect", { x: left, y: top, width: right - left, height });
}

/** The sign of what has changed. */
function corner({ right, top }: Box): SVGElement {
  return svg("path", { class: "corner", d: `M${right} ${top}v7l-7 -7Z` });
}
