/**
 * The picture: linear memory above, physical memory below, bands between them, pools under both. Everything that can
 * be selected is a focusable group with a label.
 */
import type { PoolData } from "./messages";
import { addressText, type MappedItem, type Model, type OwnerItem, type Selection, sizeText } from "./model";
import type { Scale } from "./scale";
import { svg } from "./svg";

/** Part of the scales that is seen: positions from `from` to `to`, 0 to 1. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

export interface Drawing {
  readonly width: number;
  readonly window: Window;
  readonly selected: Selection | undefined;
  select(selection: Selection): void;
}

const MARGIN = 8;
const LINEAR_TOP = 26;
const BAR = 30;
const BAND = 70;
const PHYSICAL_TOP = LINEAR_TOP + BAR + BAND;
const POOL_TOP = PHYSICAL_TOP + BAR + 26;
const SLOT = 13;
/** Width below which a label does not fit. */
const LETTER = 6.4;
const SMALLEST = 1.5;
const MOST_SHAPES = 1200;

/** The whole picture. */
export function draw(model: Model, drawing: Drawing): SVGElement {
  const pools = model.pools.map((pool, index) => drawPool(pool, index, drawing));
  const height = POOL_TOP + model.pools.length * (SLOT + 28);
  const root = svg("svg", {
    width: drawing.width,
    height,
    role: "group",
    "aria-label": "Memory map: linear memory above, physical memory below",
  });
  root.append(
    svg("text", { x: MARGIN, y: LINEAR_TOP - 10, class: "axis" }, `Linear memory, ${model.data.mode} paging`),
    svg("text", { x: MARGIN, y: PHYSICAL_TOP + BAR + 16, class: "axis" }, "Physical memory"),
    svg("rect", { x: MARGIN, y: LINEAR_TOP, width: inner(drawing), height: BAR, class: "empty" }),
    svg("rect", { x: MARGIN, y: PHYSICAL_TOP, width: inner(drawing), height: BAR, class: "empty" }),
  );
  root.append(
    ...drawGaps(model.linear, LINEAR_TOP, drawing),
    ...drawGaps(model.physical, PHYSICAL_TOP, drawing),
  );
  const owners = visible(model.owners, model.physical, drawing).slice(0, MOST_SHAPES);
  const mapped = visible(model.mapped, model.linear, drawing).slice(0, MOST_SHAPES);
  root.append(...mapped.map((item) => drawBand(model, item, drawing)));
  root.append(...owners.map((item, index) => drawOwner(model, item, owners.slice(index + 1), drawing)));
  root.append(...mapped.map((item) => drawMapped(model, item, drawing)));
  root.append(...pools.flat());
  if (model.mapped.length === 0) {
    root.append(
      svg(
        "text",
        { x: MARGIN + 8, y: LINEAR_TOP + 20, class: "hint" },
        "Paging is off: linear addresses are physical ones",
      ),
    );
  }
  return root;
}

function inner({ width }: Drawing): number {
  return Math.max(1, width - 2 * MARGIN);
}

/** The pixel of an address. */
function place(scale: Scale, address: bigint, drawing: Drawing): number {
  const { from, to } = drawing.window;
  const x = MARGIN + ((scale.position(address) - from) / (to - from)) * inner(drawing);
  return Math.min(drawing.width - MARGIN, Math.max(MARGIN, x));
}

function visible<T extends { first: bigint; last: bigint }>(
  items: readonly T[],
  scale: Scale,
  { window }: Drawing,
): T[] {
  return items.filter(
    ({ first, last }) => scale.position(last) >= window.from && scale.position(first) <= window.to,
  );
}

function drawGaps(scale: Scale, top: number, drawing: Drawing): SVGElement[] {
  return scale.gaps().flatMap(({ start, end }) => {
    const [left, right] = [place(scale, start, drawing), place(scale, end, drawing)];
    if (right - left < 3) return [];
    return [svg("path", { class: "gap", d: `M${left + 1} ${top + BAR / 2}H${right - 1}` })];
  });
}

/** @param front what is drawn over it: its label has to end before that */
function drawOwner(model: Model, item: OwnerItem, front: readonly OwnerItem[], drawing: Drawing): SVGElement {
  const left = place(model.physical, item.first, drawing);
  const right = place(model.physical, item.last, drawing);
  const level = item.level === undefined ? "" : ` level${item.level}`;
  const inset =
    item.kind === "ram" || item.kind === "reserved" || item.kind === "acpi"
      ? 0
      : item.kind === "table" || item.kind === "stack"
        ? 8
        : 4;
  return item_(
    { kind: "owner", item },
    { left, right, top: PHYSICAL_TOP + inset, height: BAR - 2 * inset },
    `owner ${item.kind}${level}${item.changed === true ? " changed" : ""}`,
    item.label,
    `${item.label}, physical ${addressText(item.first)} to ${addressText(item.last)}, ${sizeText(item.last - item.first)}${item.changed === true ? ", changed" : ""}`,
    drawing,
    front
      .filter(({ first, last }) => last > item.first && first < item.last)
      .reduce(
        (free, { first }) => Math.min(free, place(model.physical, first, drawing) - left),
        right - left,
      ),
  );
}

function drawMapped(model: Model, item: MappedItem, drawing: Drawing): SVGElement {
  const left = place(model.linear, item.first, drawing);
  const right = place(model.linear, item.last, drawing);
  const size = `${item.pages} × ${item.pageSize}`;
  const rights = rightsOf(item);
  return item_(
    { kind: "mapped", item },
    { left, right, top: LINEAR_TOP, height: BAR },
    `mapped ${rights}${item.changed === true ? " changed" : ""}`,
    addressText(item.first),
    `linear ${addressText(item.first)}, ${size} pages, ${item.flags.join(" ")}, to physical ${addressText(item.from)}${item.changed === true ? ", changed" : ""}`,
    drawing,
  );
}

/** Who may do what, as a class of colours. */
export function rightsOf({ flags }: Pick<MappedItem, "flags">): string {
  const executable = !flags.includes("NX");
  if (flags.includes("US")) return "user";
  if (flags.includes("RW")) return executable ? "write-execute" : "write";
  return executable ? "execute" : "read";
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly height: number;
}

function item_(
  selection: Selection,
  { left, right, top, height }: Box,
  kind: string,
  label: string,
  spoken: string,
  drawing: Drawing,
  labelSpace = right - left,
): SVGElement {
  const width = Math.max(SMALLEST, right - left);
  const selected = drawing.selected?.item === selection.item;
  const group = svg("g", {
    class: `item ${kind}${selected ? " selected" : ""}`,
    tabindex: 0,
    role: "button",
    "aria-label": spoken,
    "aria-pressed": selected ? "true" : "false",
    "data-key": keyOf(selection),
  });
  group.append(svg("title", {}, spoken), svg("rect", { x: left, y: top, width, height }));
  if (labelSpace > label.length * LETTER + 6) {
    group.append(svg("text", { x: left + 4, y: top + height / 2 + 4 }, label));
  }
  const select = () => drawing.select(selection);
  group.addEventListener("click", select);
  group.addEventListener("keydown", (event) => {
    const { key } = event as KeyboardEvent;
    if (key === "Enter" || key === " ") {
      event.preventDefault();
      select();
    }
  });
  return group;
}

/** What stays the same of an item from one picture to the next. */
export function keyOf({ kind, item }: Selection): string {
  return `${kind}:${item.start}:${item.end}:${kind === "owner" ? item.label : ""}`;
}

function drawBand(model: Model, item: MappedItem, drawing: Drawing): SVGElement {
  const top = LINEAR_TOP + BAR;
  const [a, b] = [place(model.linear, item.first, drawing), place(model.linear, item.last, drawing)];
  const physicalEnd = item.from + (item.last - item.first);
  const [c, d] = [place(model.physical, item.from, drawing), place(model.physical, physicalEnd, drawing)];
  const selected = drawing.selected?.item === item ? " selected" : "";
  return svg("path", {
    class: `band ${rightsOf(item)}${selected}${item.changed === true ? " changed" : ""}`,
    d: `M${a} ${top}L${Math.max(b, a + 1)} ${top}L${Math.max(d, c + 1)} ${PHYSICAL_TOP}L${c} ${PHYSICAL_TOP}Z`,
    "aria-hidden": "true",
  });
}

function drawPool(pool: PoolData, index: number, drawing: Drawing): SVGElement[] {
  const top = POOL_TOP + 16 + index * (SLOT + 28);
  const size = Math.max(4, Math.min(SLOT, (inner(drawing) - 8) / pool.slots.length));
  const label = `${pool.name}: ${pool.next} of ${pool.limit} slots used, next is ${pool.next}`;
  const group = svg("g", { class: "pool", role: "img", "aria-label": label });
  group.append(svg("text", { x: MARGIN, y: top - 8, class: "axis" }, label));
  for (let slot = 0; slot < pool.slots.length; slot++) {
    const { state } = pool.slots[slot];
    group.append(
      svg(
        "rect",
        {
          x: MARGIN + slot * size,
          y: top,
          width: Math.max(2, size - 2),
          height: SLOT,
          class: `slot ${state}`,
        },
        svg("title", {}, `${pool.name}[${slot}]: ${state}`),
      ),
    );
  }
  const x = MARGIN + Math.min(pool.next, pool.slots.length) * size + size / 2 - 1;
  group.append(
    svg("path", { class: "next", d: `M${x} ${top + SLOT + 1}l4 7h-8Z` }, svg("title", {}, "next")),
  );
  return [group];
}
