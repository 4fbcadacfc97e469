/** Pools of table pages: a square for each slot, in lines, and where the next one comes from. */
import { poolText, SLOT_SIGNS } from "./describe";
import type { PoolItem, SlotItem } from "./model";
import { type Drawing, shape } from "./rows";
import { svg } from "./svg";
import { GUTTER } from "./view";

const SLOT = 15;
/** From slot to slot, and from line to line: below a slot is room for the pointer. */
const COLUMN = 17;
const LINE = 26;
const TITLE = 18;

/** A pool, and the height that it takes. */
export function drawPool(
  pool: PoolItem,
  top: number,
  drawing: Drawing,
): { element: SVGElement; height: number } {
  const columns = Math.max(1, Math.floor(drawing.view.inner / COLUMN));
  const corner = (index: number) => ({
    left: GUTTER + (index % columns) * COLUMN,
    top: top + TITLE + Math.floor(index / columns) * LINE,
  });
  const text = poolText(pool);
  const group = svg("g", {
    class: "slots",
    role: "listbox",
    "aria-label": text,
    "aria-orientation": "horizontal",
  });
  group.append(
    svg("text", { x: GUTTER - 6, y: top + TITLE + 11, class: "row", "aria-hidden": "true" }, "Pool"),
    svg("text", { x: GUTTER, y: top + 11, class: "axis", "aria-hidden": "true" }, text),
    ...pool.slots.map((slot) => drawSlot(slot, corner(slot.index), drawing)),
  );
  if (pool.next < pool.slots.length) group.append(drawNext(corner(pool.next)));
  const lines = Math.ceil(pool.slots.length / columns);
  return { element: group, height: TITLE + lines * LINE };
}

function drawSlot(item: SlotItem, { left, top }: Corner, drawing: Drawing): SVGElement {
  const label = item.level === undefined ? SLOT_SIGNS[item.state] : String(item.level);
  const box = { left, right: left + SLOT, top, height: SLOT };
  const changed = item.changed === true ? " changed" : "";
  return shape({ kind: "slot", item }, box, `slot ${item.state}${changed}`, label, drawing);
}

interface Corner {
  readonly left: number;
  readonly top: number;
}

function drawNext({ left, top }: Corner): SVGElement {
  const x = left + SLOT / 2;
  return svg(
    "path",
    { class: "next", d: `M${x} ${top + SLOT + 1}l5 8h-10Z`, "aria-hidden": "true" },
    svg("title", {}, "the next slot that is given out"),
  );
}
