/** The timeline as a table: the marks of what is seen, and the moments. */
import type { TimelineData } from "./messages";
import { html } from "./svg";
import { momentContext } from "./timelineDrawing";
import { LANES, labelOf } from "./timelineKinds";
import { grouped, type TimeMark } from "./timelineModel";

/** @param choose looks at a mark, or zooms to it */
export function timelineTable(
  { now, end, lookingBack }: TimelineData,
  marks: readonly TimeMark[],
  choose: (mark: TimeMark) => void,
): HTMLElement {
  const rows = [...marks]
    .sort((a, b) => a.first - b.first)
    .map((mark) => {
      const { lane, kinds, first, last, count, text } = mark;
      const cells = [
        first === last ? grouped(first) : `${grouped(first)} – ${grouped(last)}`,
        LANES.find(({ name }) => name === lane)?.label ?? lane,
        kinds.map(labelOf).join(", "),
        grouped(count),
        text ?? "",
      ];
      const row = html(
        "tr",
        {
          tabindex: -1,
          "data-key": `${lane}:${first}`,
          "data-vscode-context": momentContext(first),
          "aria-selected": String(lookingBack && first === now),
        },
        ...cells.map((cell) => html("td", { role: "gridcell" }, cell)),
      );
      row.addEventListener("click", () => choose(mark));
      row.addEventListener("keydown", (event) => {
        if (event.key === "Enter") choose(mark);
      });
      return row;
    });
  const head = ["Instruction", "Lane", "Kind", "Events", "What"].map((name) =>
    html("th", { scope: "col" }, name),
  );
  const caption = `Timeline: ${lookingBack ? `looking at instruction ${grouped(now)} of ${grouped(end)}` : `${grouped(end)} instructions`}`;
  return html(
    "table",
    { role: "grid", class: "timeline-table" },
    html("caption", {}, caption),
    html("tr", {}, ...head),
    ...rows,
  );
}
