/** The timeline as a picture: an axis of instructions, a lane for each family of events, the moments. */
import type { TimelineData } from "./messages";
import { option } from "./rows";
import { html, svg } from "./svg";
import { classOf, LANES, type LaneName, labelOf, shapeOf } from "./timelineKinds";
import { grouped, type TimeMark, type TimeView, ticksOf, tickText } from "./timelineModel";
import { GUTTER } from "./view";

const AXIS = 18;
const LANE = 18;
/** Room for the flags of the moments. */
const FLAGS = 16;
export const TRACK_HEIGHT = FLAGS + AXIS + LANES.length * LANE + 4;

export interface TimelineLook {
  readonly view: TimeView;
  readonly marks: readonly TimeMark[];
  /** Where the cursor is: the moment that is looked at, or the one that the user drags to. */
  readonly cursor: number;
  /** The first moment of a comparison. */
  readonly firstMoment: number | undefined;
  choose(mark: TimeMark): void;
}

/** The lane at a pixel from the top. */
export function laneAt(y: number): LaneName | undefined {
  return LANES[Math.floor((y - FLAGS - AXIS) / LANE)]?.name;
}

/** The whole picture. */
export function drawTimeline(data: TimelineData, look: TimelineLook): SVGElement {
  const { view, marks } = look;
  const picture = svg("svg", { width: view.width, height: TRACK_HEIGHT, class: "timeline" });
  picture.append(...ground(data, look), ...axis(view));
  LANES.forEach(({ name, label }, i) => {
    const y = FLAGS + AXIS + i * LANE + LANE / 2;
    const own = marks.filter(({ lane }) => lane === name);
    picture.append(
      svg("line", { class: "lane", x1: GUTTER, x2: GUTTER + view.inner, y1: y, y2: y }),
      svg("text", { x: GUTTER - 6, y: y + 4, class: "row", "aria-hidden": "true" }, label),
      svg(
        "g",
        { role: "listbox", "aria-label": label, "aria-orientation": "horizontal" },
        ...own.map((mark) => drawMark(mark, y, look)),
      ),
    );
  });
  picture.append(...moments(data, look));
  return picture;
}

/** What is known: what has been run, and what the run would do again. */
function ground({ now, start, end }: TimelineData, { view }: TimelineLook): SVGElement[] {
  const band = (first: number, last: number, name: string) => {
    const [left, right] = [Math.max(GUTTER, view.x(first)), Math.min(GUTTER + view.inner, view.x(last))];
    const height = LANES.length * LANE;
    return right <= left
      ? []
      : [svg("rect", { class: name, x: left, width: right - left, y: FLAGS + AXIS, height })];
  };
  return [...band(start, now, "past"), ...band(now, end, "future")];
}

function axis(view: TimeView): SVGElement[] {
  const ticks = ticksOf(view);
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  return ticks.flatMap((at) => {
    const x = view.x(at);
    const bottom = FLAGS + AXIS + LANES.length * LANE;
    return [
      svg("line", { class: "tick", x1: x, x2: x, y1: FLAGS + AXIS - 4, y2: bottom }),
      svg("text", { class: "axis", x, y: FLAGS + AXIS - 6, "text-anchor": "middle" }, tickText(at, step)),
    ];
  });
}

function drawMark(mark: TimeMark, y: number, { choose }: TimelineLook): SVGElement {
  const [kind] = mark.kinds;
  const group = option(spokenOfMark(mark), `mark ${classOf(kind)}`, false, () => choose(mark));
  group.setAttribute("data-key", `${mark.lane}:${mark.first}`);
  group.setAttribute("data-vscode-context", momentContext(mark.first));
  group.setAttribute("transform", `translate(${mark.x.toFixed(1)} ${y})`);
  // What is hit is larger than what is seen.
  group.append(
    svg("rect", { class: "hit", x: -6, y: -LANE / 2, width: 12, height: LANE }),
    svg("path", { d: shapeOf(kind), "fill-rule": "evenodd" }),
  );
  if (mark.count > 1) {
    const count = mark.count > 99 ? "99+" : String(mark.count);
    group.append(svg("text", { class: "count", x: 6, y: 5 - LANE / 2 + 1 }, count));
  }
  return group;
}

/** All of a mark in a line. */
export function spokenOfMark({ kinds, count, first, last, text }: TimeMark): string {
  const what = kinds.map(labelOf).join(", ");
  if (text !== undefined) return `${what} at instruction ${grouped(first)}: ${text}`;
  const where =
    first === last ? `at instruction ${grouped(first)}` : `from ${grouped(first)} to ${grouped(last)}`;
  return `${what}: ${grouped(count)} events, ${where}. Select to ${first === last ? "look" : "zoom in"}`;
}

/** What the editor's context menu is about. */
export function momentContext(instruction: number): string {
  return JSON.stringify({ webviewSection: "moment", instruction, preventDefaultContextMenuItems: true });
}

/** The present, the moment that is looked at, and the first one of a comparison. */
function moments(
  { end, lookingBack }: TimelineData,
  { view, cursor, firstMoment }: TimelineLook,
): SVGElement[] {
  const flag = (at: number, name: string, label: string) => {
    if (!view.shows(at)) return [];
    const x = view.x(at);
    const width = label.length * 6.4 + 10;
    const left = Math.min(Math.max(GUTTER, x - width / 2), view.width - width);
    return [
      svg(
        "g",
        { class: `moment ${name}`, "aria-hidden": "true" },
        svg("line", { x1: x, x2: x, y1: FLAGS, y2: TRACK_HEIGHT }),
        svg("rect", { x: left, y: 0, width, height: FLAGS - 1, rx: 2 }),
        svg("text", { x: left + width / 2, y: FLAGS - 5, "text-anchor": "middle" }, label),
      ),
    ];
  };
  return [
    ...(firstMoment === undefined ? [] : flag(firstMoment, "first", "first")),
    ...flag(end, "present", "present"),
    ...(lookingBack || cursor !== end ? flag(cursor, "looked-at", grouped(cursor)) : []),
  ];
}

/** What shapes mean, with a switch for each kind. */
export function timelineLegend(
  kinds: readonly { readonly kind: string; readonly label: string; readonly count: number }[],
  hidden: ReadonlySet<string>,
  toggle: (kind: string) => void,
): HTMLElement {
  return html(
    "div",
    { class: "kinds", role: "group", "aria-label": "Kinds of events" },
    ...kinds.map(({ kind, label, count }) => {
      const isShown = !hidden.has(kind);
      const button = html("button", {
        class: `kind ${classOf(kind)}`,
        "data-kind": kind,
        "aria-pressed": String(isShown),
        "aria-label": `${label}, ${grouped(count)}`,
        title: isShown ? `Hide: ${label}` : `Show: ${label}`,
      });
      const sign = svg("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": "true" });
      sign.append(svg("path", { d: shapeOf(kind), "fill-rule": "evenodd" }));
      button.append(sign, html("span", {}, label), html("span", { class: "hint" }, grouped(count)));
      button.addEventListener("click", () => toggle(kind));
      return button;
    }),
  );
}
