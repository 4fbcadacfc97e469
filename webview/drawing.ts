/**
 * The picture: linear memory above, physical memory below with a row for each lane of owners, bands between them,
 * pools under both. Each row is a list whose items can be selected.
 */
import { OWNER_LANES, type OwnerLane } from "../src/debug/protocol/memoryMap";
import { MARK_SIGNS, spokenOf } from "./describe";
import { keyOf, type MappedItem, type Model, type PointerItem } from "./model";
import { drawPool } from "./pools";
import { type Drawing, LETTER, option, row, SMALLEST, shapes } from "./rows";
import type { Scale } from "./scale";
import { svg } from "./svg";
import { GUTTER, staggered, type View } from "./view";

const TITLE = 20;
const STRIP = 13;
const LINEAR = 28;
const BAND = 56;
const LANE = 21;
const LANE_GAP = 3;
/** A line of pointers' labels. */
const LABEL = 13;
/** Pixels that the sign of a mark needs. */
const SIGN = 11;
const MOST_BANDS = 400;

const LANE_NAMES: Readonly<Record<OwnerLane, string>> = {
  firmware: "Firmware",
  loaded: "Loaded",
  page: "Pages",
};

/** The whole picture. */
export function draw(model: Model, drawing: Drawing): SVGElement {
  const { view } = drawing;
  const above = pointersAt(model.linear, model.pointers, ({ linear }) => linear, view);
  const below = pointersAt(model.physical, model.pointers, ({ physical }) => physical, view);
  const linearTop = TITLE + linesOf(above) * LABEL + 6;
  const stripTop = linearTop + LINEAR + 2;
  const bandTop = stripTop + (model.changes.length > 0 ? STRIP + 2 : 0);
  const lanesTop = bandTop + BAND;
  const lanesEnd = lanesTop + OWNER_LANES.length * (LANE + LANE_GAP) - LANE_GAP;
  const parts = [
    hatch(),
    svg("text", { x: GUTTER, y: 13, class: "axis" }, `Linear memory, ${model.data.mode} paging`),
    ...background(model.linear, linearTop, LINEAR, view),
    ...bands(model, bandTop, lanesTop, drawing),
    ...row("Linear", linearTop + 18, linearShapes(model, linearTop, drawing), "Linear memory"),
    ...pointerRow(above, linearTop, -1, "Registers in linear memory", drawing),
    ...changeRow(model, stripTop, drawing),
    ...OWNER_LANES.flatMap((lane, index) =>
      drawLane(model, lane, lanesTop + index * (LANE + LANE_GAP), drawing),
    ),
    ...pointerRow(below, lanesEnd, 1, "Registers in physical memory", drawing),
  ];
  let height = lanesEnd + 6 + linesOf(below) * LABEL + 8;
  for (const pool of model.pools) {
    const drawn = drawPool(pool, height, drawing);
    parts.push(drawn.element);
    height += drawn.height;
  }
  return svg(
    "svg",
    {
      width: view.width,
      height: height + 4,
      role: "group",
      class: drawing.flash ? "flash" : undefined,
      "aria-label": "Memory map: linear memory above, physical memory below",
    },
    ...parts,
  );
}

/** The pattern of what was not looked into. */
function hatch(): SVGElement {
  const line = svg("path", { d: "M0 6L6 0", class: "hatching" });
  const size = { width: 6, height: 6, patternUnits: "userSpaceOnUse" };
  return svg("defs", {}, svg("pattern", { id: "hatch", ...size }, line));
}

/** What a row stands on; a line where addresses are passed over. */
function background(scale: Scale, top: number, height: number, view: View): SVGElement[] {
  const lines = scale.gaps().flatMap(({ start, end }) => {
    const [left, right] = [view.x(scale, start), view.x(scale, end)];
    return right - left < SMALLEST ? [] : [`M${left + 1} ${top + height / 2}H${right - 1}`];
  });
  return [
    svg("rect", { x: GUTTER, y: top, width: view.inner, height, class: "empty" }),
    svg("path", { class: "gap", d: lines.join("") }),
  ];
}

function linearShapes(model: Model, top: number, drawing: Drawing): SVGElement[] {
  const items = [
    ...model.mapped.map((item) => ({ kind: "mapped" as const, item })),
    ...model.unexplored.map((item) => ({ kind: "unexplored" as const, item })),
  ].sort((a, b) => (a.item.first < b.item.first ? -1 : 1));
  return shapes(items, model.linear, { top, height: LINEAR }, drawing, (selection) => {
    if (selection.kind === "unexplored") return { kind: "unexplored", label: "not looked into yet" };
    return { kind: `mapped ${rightsOf(selection.item)}${selection.item.marks.length > 0 ? " changed" : ""}` };
  });
}

function changeRow(model: Model, top: number, drawing: Drawing): SVGElement[] {
  if (model.changes.length === 0) return [];
  const items = model.changes.map((item) => ({ kind: "change" as const, item }));
  const place = { top, height: STRIP };
  const drawn = shapes(items, model.linear, place, drawing, ({ item: { mark } }) => ({
    kind: `change ${mark}`,
    label: MARK_SIGNS[mark],
    smallest: SIGN,
  }));
  return row("Changes", top + STRIP - 3, drawn, "Changes since the last stop");
}

function drawLane(model: Model, lane: OwnerLane, top: number, drawing: Drawing): SVGElement[] {
  const items = model.lanes[lane].map((item) => ({ kind: "owner" as const, item }));
  const place = { top, height: LANE };
  const drawn = shapes(items, model.physical, place, drawing, ({ item: { kind, level, changed } }) => ({
    kind: `owner ${kind}${level === undefined ? "" : ` level${level}`}${changed === true ? " changed" : ""}`,
  }));
  return [
    ...background(model.physical, top, LANE, drawing.view),
    ...row(LANE_NAMES[lane], top + 15, drawn, `Physical memory: ${LANE_NAMES[lane]}`),
  ];
}

/** Who may do what, as a class of colours. */
function rightsOf({ flags }: Pick<MappedItem, "flags">): string {
  const executable = !flags.includes("NX");
  if (flags.includes("US")) return "user";
  if (flags.includes("RW")) return executable ? "write-execute" : "write";
  return executable ? "execute" : "read";
}

/** From linear memory to where it leads; of very many, those that are selected or large enough to be seen. */
function bands(model: Model, top: number, bottom: number, drawing: Drawing): SVGElement[] {
  const { view, selected } = drawing;
  const key = selected?.kind === "mapped" ? keyOf(selected) : undefined;
  const seen = model.mapped.filter((item) => view.shows(model.linear, item));
  const drawn = seen.flatMap((item) => {
    const isSelected = key !== undefined && keyOf({ kind: "mapped", item }) === key;
    const [a, b] = [view.x(model.linear, item.first), view.x(model.linear, item.last)];
    if (seen.length > MOST_BANDS && b - a < SMALLEST && !isSelected) return [];
    const end = item.from + (item.last - item.first);
    const [c, d] = [view.x(model.physical, item.from), view.x(model.physical, end)];
    const marks = `${isSelected ? " selected" : ""}${item.marks.length > 0 ? " changed" : ""}`;
    return [
      svg("path", {
        class: `band ${rightsOf(item)}${marks}`,
        d: `M${a} ${top}L${Math.max(b, a + 1)} ${top}L${Math.max(d, c + 1)} ${bottom}L${c} ${bottom}Z`,
        "aria-hidden": "true",
      }),
    ];
  });
  return drawn;
}

interface PlacedPointer {
  readonly item: PointerItem;
  readonly x: number;
  readonly labelX: number;
  readonly line: number;
}

/** The registers that are seen on a scale. */
function pointersAt(
  scale: Scale,
  pointers: readonly PointerItem[],
  addressOf: (item: PointerItem) => bigint | undefined,
  view: View,
): PlacedPointer[] {
  const seen = pointers.flatMap((item) => {
    const address = addressOf(item);
    if (address === undefined || !view.shows(scale, { first: address, last: address })) return [];
    const x = view.x(scale, address);
    const width = item.name.length * LETTER + 8;
    return [{ item, x, width, labelX: Math.min(x + 3, view.width - width) }];
  });
  const lines = staggered(seen.map(({ labelX, width }) => ({ x: labelX, width })));
  return seen.map(({ item, x, labelX }, index) => ({ item, x, labelX, line: lines[index] }));
}

function linesOf(pointers: readonly PlacedPointer[]): number {
  return Math.max(0, ...pointers.map(({ line }) => line + 1));
}

/**
 * Registers as arrows at the edge of a row.
 * @param away -1 where labels stand above the edge, 1 where they stand below
 */
function pointerRow(
  pointers: readonly PlacedPointer[],
  edge: number,
  away: -1 | 1,
  name: string,
  drawing: Drawing,
): SVGElement[] {
  if (pointers.length === 0) return [];
  const { selected } = drawing;
  const drawn = pointers.map(({ item, x, labelX, line }) => {
    const isSelected = selected?.kind === "pointer" && selected.item.name === item.name;
    const selection = { kind: "pointer" as const, item };
    const far = edge + away * (6 + (line + 1) * LABEL);
    const group = option(spokenOf(selection), "pointer", isSelected, () => drawing.select(selection));
    group.setAttribute("data-key", `${keyOf(selection)}:${away}`);
    const text = svg("text", { x: labelX, y: away < 0 ? far + 10 : far - 2 }, item.name);
    const arrow = `M${x} ${edge + away}l4 ${away * 6}h-8Z`;
    group.append(svg("path", { class: "stem", d: `M${x} ${edge}V${far}` }), svg("path", { d: arrow }), text);
    return group;
  });
  return row("Registers", edge + away * 9 + (away < 0 ? 0 : 6), drawn, name);
}
