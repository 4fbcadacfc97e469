/** The timeline on the page: takes what happened when, draws it, and tells to which moment the user wants to go. */
import type { FromPage, Progress, TimelineData } from "./messages";
import { prepareLists } from "./roving";
import { html } from "./svg";
import { drawTimeline, laneAt, momentContext, timelineLegend } from "./timelineDrawing";
import {
  EDIT,
  grouped,
  inside,
  markAt,
  marksOf,
  movedBy,
  neighbour,
  showing,
  type TimeMark,
  type TimeSpan,
  TimeView,
  wholeOf,
  zoomedAt,
} from "./timelineModel";
import { timelineTable } from "./timelineTable";

/** Milliseconds that the cursor rests before the debuggee goes there, and the window before it is asked for. */
const SCRUB_REST = 150;
const WINDOW_REST = 120;
const STEP = 1.6;
const WHEEL_STEP = 1.25;
/** Pixels that a press may move and still be a click. */
const CLICK = 3;

/** What of the timeline outlives the page. */
export interface SavedTimeline {
  readonly from: number;
  readonly to: number;
  readonly hidden: readonly string[];
}

export class TimelinePanel {
  private data: TimelineData | undefined;
  private firstMoment: number | undefined;
  private span: TimeSpan | undefined;
  private isWhole = true;
  private hidden = new Set<string>();
  private marks: readonly TimeMark[] = [];
  private asTable = false;
  /** Where the user has put the cursor, until the debuggee is there. */
  private wanted: number | undefined;
  private drag: { readonly x: number; moved: boolean } | undefined;
  private scrubbing: ReturnType<typeof setTimeout> | undefined;
  private asking: ReturnType<typeof setTimeout> | undefined;
  private readonly banner = html("div", { id: "looking", role: "status" });
  private readonly track = html("div", {
    id: "track",
    role: "slider",
    tabindex: 0,
    "aria-label": "Moment of the run",
    "aria-orientation": "horizontal",
  });
  private readonly lanes = html("div", { id: "timeline-picture" });
  private readonly kinds = html("div", { id: "timeline-legend" });
  private readonly travelling = html("div", { id: "travelling", hidden: "", role: "status" });
  private readonly bar = html("div", { class: "bar" });
  private readonly compare = this.button("Compare With This Moment", () => this.moment("compare"));

  constructor(
    root: HTMLElement,
    private readonly post: (message: FromPage) => void,
    /** Something that outlives the page is another one. */
    private readonly changed: () => void,
    saved: SavedTimeline | undefined,
  ) {
    if (saved !== undefined) {
      this.hidden = new Set(saved.hidden);
      this.isWhole = saved.to <= saved.from;
      if (!this.isWhole) this.span = saved;
    }
    this.bar.append(
      html("h2", {}, "Timeline"),
      this.button("+", () => this.zoom(1 / STEP), "Zoom in on the timeline"),
      this.button("−", () => this.zoom(STEP), "Zoom out of the timeline"),
      this.button("Whole boot", () => this.showWhole()),
      this.button("Set First Moment", () => this.moment("first")),
      this.compare,
    );
    this.track.append(this.lanes);
    root.replaceChildren(this.banner, this.bar, this.travelling, this.track, this.kinds);
    this.track.addEventListener("keydown", (event) => this.key(event));
    this.track.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.track.addEventListener("pointerdown", (event) => this.pressed(event));
    this.track.addEventListener("pointermove", (event) => this.dragged(event));
    this.track.addEventListener("pointerup", (event) => this.released(event));
    this.track.addEventListener("pointercancel", () => {
      this.drag = undefined;
    });
    new ResizeObserver(() => this.draw()).observe(this.track);
  }

  /** What outlives the page; a span without width stands for the whole. */
  get saved(): SavedTimeline {
    const { from, to } = this.isWhole || this.span === undefined ? { from: 0, to: 0 } : this.span;
    return { from, to, hidden: [...this.hidden] };
  }

  /** The debuggee stands somewhere, or a window was answered. */
  take(data: TimelineData, firstMoment: number | undefined): void {
    const moved = this.data?.now !== data.now || this.data.end !== data.end;
    this.data = data;
    this.firstMoment = firstMoment;
    const whole = wholeOf(data);
    if (this.isWhole || this.span === undefined) this.span = whole;
    else this.span = moved ? showing(this.span, data.now, whole) : inside(this.span, whole);
    if (moved && this.drag === undefined && this.scrubbing === undefined) this.wanted = undefined;
    this.draw();
    const { from, to } = this.askedSpan();
    if (data.from !== from || data.to !== Math.min(to, data.end)) this.ask();
  }

  clear(): void {
    clearTimeout(this.scrubbing);
    clearTimeout(this.asking);
    this.data = undefined;
    this.wanted = undefined;
    this.scrubbing = undefined;
    this.isWhole = true;
    this.span = undefined;
    this.progress(undefined);
  }

  /** The debuggee is on its way, or has arrived. */
  progress(progress: Progress | undefined): void {
    this.travelling.hidden = progress === undefined;
    if (progress === undefined) return;
    const { title, percentage } = progress;
    this.travelling.replaceChildren(
      html("progress", { max: 100, value: percentage, "aria-label": title }),
      html("span", {}, `${title}: ${percentage} %`),
      this.button("Cancel", () => this.post({ type: "cancelTravel" })),
    );
  }

  showAsTable(asTable: boolean): void {
    this.asTable = asTable;
    this.draw();
  }

  // --- below ---

  private get view(): TimeView {
    return new TimeView(Math.max(240, this.track.clientWidth), this.span ?? { from: 0, to: 1 });
  }

  private get cursor(): number {
    return this.wanted ?? this.data?.now ?? 0;
  }

  private draw(): void {
    const { data } = this;
    if (data === undefined) return;
    const { view } = this;
    const focused = this.focusedKey();
    this.marks = marksOf(data, view, this.hidden);
    const choose = (mark: TimeMark) => this.choose(mark);
    this.track.classList.toggle("as-table", this.asTable);
    this.lanes.replaceChildren(
      this.asTable
        ? timelineTable(data, this.marks, choose)
        : drawTimeline(data, {
            view,
            marks: this.marks,
            cursor: this.cursor,
            firstMoment: this.firstMoment,
            choose,
          }),
    );
    prepareLists(this.lanes);
    if (focused !== undefined)
      this.lanes.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    const edits =
      data.edits.length > 0 ? [{ kind: EDIT, label: "Changed by the user", count: data.edits.length }] : [];
    const toggled = document.activeElement?.getAttribute("data-kind");
    this.kinds.replaceChildren(
      timelineLegend([...data.kinds, ...edits], this.hidden, (kind) => this.toggle(kind)),
    );
    if (toggled != null)
      this.kinds.querySelector<HTMLElement>(`[data-kind="${CSS.escape(toggled)}"]`)?.focus();
    this.tell(data);
    this.changed();
  }

  private focusedKey(): string | undefined {
    const focused = document.activeElement;
    return this.lanes.contains(focused) ? (focused?.getAttribute("data-key") ?? undefined) : undefined;
  }

  /** The banner, and what a screen reader hears of the slider. */
  private tell({ now, start, end, lookingBack, looking, canGoBack }: TimelineData): void {
    const isAway = lookingBack;
    this.banner.hidden = !isAway && canGoBack;
    document.body.classList.toggle("looking-back", isAway);
    const cursor = this.cursor;
    const set = (name: string, value: string | number) => this.track.setAttribute(name, String(value));
    set("aria-valuemin", start);
    set("aria-valuemax", end);
    set("aria-valuenow", cursor);
    set(
      "aria-valuetext",
      `Instruction ${grouped(cursor)} of ${grouped(end)}${isAway ? ", in the past" : ""}`,
    );
    set("data-vscode-context", momentContext(cursor));
    this.compare.toggleAttribute("disabled", this.firstMoment === undefined || this.firstMoment === now);
    const text = canGoBack
      ? `Looking at instruction ${grouped(now)} of ${grouped(end)}`
      : "There is no way back: the launch configuration's reverseMemory is 0.";
    if (this.banner.dataset.text === text && this.banner.dataset.looking === String(looking)) return;
    this.banner.dataset.text = text;
    this.banner.dataset.looking = String(looking);
    const hint = looking ? "Read-only." : "A change here begins another future.";
    this.banner.replaceChildren(
      html("strong", {}, text),
      ...(canGoBack
        ? [
            html("span", {}, hint),
            this.button("Continue From Here", () => this.post({ type: "continueHere" })),
            this.button("Back to the Present", () => this.post({ type: "present" })),
          ]
        : []),
    );
  }

  private button(label: string, act: () => void, name = label): HTMLElement {
    const button = html("vscode-button", { appearance: "secondary", "aria-label": name }, label);
    button.addEventListener("click", act);
    return button;
  }

  private moment(role: "first" | "compare"): void {
    this.post({ type: "moment", role, instruction: this.cursor });
  }

  private toggle(kind: string): void {
    if (!this.hidden.delete(kind)) this.hidden.add(kind);
    this.draw();
  }

  /** Looks at a mark; zooms to one that stands for several instructions. */
  private choose({ first, last }: TimeMark): void {
    if (first === last) this.scrub(first, 0);
    else this.setSpan({ from: first - (last - first) * 0.1, to: last + (last - first) * 0.1 });
  }

  /** Puts the cursor to an instruction; the debuggee follows once it rests there. */
  private scrub(instruction: number, rest = SCRUB_REST): void {
    const { data } = this;
    if (data === undefined || !data.canGoBack) return;
    const to = Math.min(data.end, Math.max(data.start, instruction));
    this.wanted = to;
    this.span = showing(this.span ?? wholeOf(data), to, wholeOf(data));
    this.draw();
    clearTimeout(this.scrubbing);
    this.scrubbing = setTimeout(() => {
      this.scrubbing = undefined;
      if (to !== this.data?.now) this.post({ type: "travel", to });
    }, rest);
    this.ask();
  }

  private setSpan(span: TimeSpan): void {
    const { data } = this;
    if (data === undefined) return;
    const whole = wholeOf(data);
    this.span = inside(span, whole);
    this.isWhole = this.span.from <= whole.from && this.span.to >= whole.to;
    this.draw();
    this.ask();
  }

  private showWhole(): void {
    if (this.data !== undefined) this.setSpan(wholeOf(this.data));
  }

  private zoom(factor: number, at = this.cursor): void {
    const { data, span } = this;
    if (data === undefined || span === undefined) return;
    const fixed = at >= span.from && at <= span.to ? at : (span.from + span.to) / 2;
    this.setSpan(zoomedAt(span, factor, fixed, wholeOf(data)));
  }

  private askedSpan(): { from: number; to: number } {
    const { from, to } = this.span ?? { from: 0, to: 0 };
    return { from: Math.max(0, Math.floor(from)), to: Math.ceil(to) };
  }

  private ask(): void {
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.post({ type: "timeline", ...this.askedSpan() }), WINDOW_REST);
  }

  private wheel(event: WheelEvent): void {
    const { data, span } = this;
    if (this.asTable || data === undefined || span === undefined) return;
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.setSpan(movedBy(span, (event.deltaX || event.deltaY) / 1000, wholeOf(data)));
    } else this.zoom(event.deltaY > 0 ? WHEEL_STEP : 1 / WHEEL_STEP, this.instructionAt(event));
  }

  private key(event: KeyboardEvent): void {
    const { data, span, cursor } = this;
    if (data === undefined || span === undefined || event.target !== this.track) return;
    const step = event.ctrlKey || event.metaKey ? 1 : this.view.step;
    const pan = (part: number) => this.setSpan(movedBy(span, part, wholeOf(data)));
    const mark = (direction: 1 | -1) => {
      const next = neighbour(this.marks, cursor, direction);
      if (next !== undefined) this.scrub(next);
    };
    const action = {
      ArrowLeft: () => (event.shiftKey ? pan(-0.1) : this.scrub(cursor - step)),
      ArrowRight: () => (event.shiftKey ? pan(0.1) : this.scrub(cursor + step)),
      ArrowDown: () => this.scrub(cursor - 1),
      ArrowUp: () => this.scrub(cursor + 1),
      PageDown: () => mark(-1),
      PageUp: () => mark(1),
      Home: () => this.scrub(data.start),
      End: () => this.scrub(data.end),
      "+": () => this.zoom(1 / STEP),
      "=": () => this.zoom(1 / STEP),
      "-": () => this.zoom(STEP),
      "0": () => this.showWhole(),
      Escape: () => this.post({ type: "cancelTravel" }),
    }[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  private instructionAt(event: MouseEvent): number {
    return this.view.instruction(event.clientX - this.track.getBoundingClientRect().left);
  }

  private pressed(event: PointerEvent): void {
    if (this.asTable || this.data === undefined) return;
    if (event.button !== 0) {
      // The context menu is about this place, unless it is about a mark.
      this.track.setAttribute("data-vscode-context", momentContext(this.instructionAt(event)));
      return;
    }
    this.drag = { x: event.clientX, moved: false };
  }

  private dragged(event: PointerEvent): void {
    const { drag } = this;
    if (drag === undefined) return;
    if (!drag.moved && Math.abs(event.clientX - drag.x) <= CLICK) return;
    if (!drag.moved) {
      drag.moved = true;
      this.track.setPointerCapture(event.pointerId);
      this.track.focus();
    }
    this.scrub(this.instructionAt(event));
  }

  private released(event: PointerEvent): void {
    const { drag } = this;
    this.drag = undefined;
    if (drag === undefined || drag.moved) return;
    const { left, top } = this.track.getBoundingClientRect();
    // Marks hear of their clicks themselves.
    if (markAt(this.marks, laneAt(event.clientY - top), event.clientX - left) !== undefined) return;
    this.scrub(this.instructionAt(event), 0);
  }
}
