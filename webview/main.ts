/** The Memory Map page: takes maps from the extension, draws them, and tells what the user wants. */
import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeTextField,
} from "@vscode/webview-ui-toolkit";
import * as v from "valibot";
import { connect, element, showSpace } from "./controls";
import { notesOf } from "./describe";
import { details, legend } from "./details";
import { draw } from "./drawing";
import { withWindow } from "./exploring";
import "./memoryMap.css";
import { type FromPage, type LinearRangeData, toPage, type WindowData } from "./messages";
import { addressText, byKey, find, keyOf, type Model, modelOf, type Selection, type Span } from "./model";
import { prepareLists } from "./roving";
import type { Scale } from "./scale";
import { table } from "./table";
import "./timeline.css";
import { TimelinePanel } from "./timelinePanel";
import { carried, panned, View, WHOLE, type Window, windowOf, zoomed } from "./view";

declare function acquireVsCodeApi(): {
  postMessage(message: FromPage): void;
  getState(): unknown;
  setState(state: unknown): void;
};

provideVSCodeDesignSystem().register(vsCodeButton(), vsCodeCheckbox(), vsCodeTextField());

const savedState = v.object({
  from: v.number(),
  to: v.number(),
  asTable: v.boolean(),
  timeline: v.optional(v.object({ from: v.number(), to: v.number(), hidden: v.array(v.string()) })),
});
/** Milliseconds that what changed flashes, as the style sheet has it. */
const FLASH = 900;
/** Milliseconds without another zoom after which what is seen is explored. */
const SETTLED = 300;
/** Part of the width from which on something that is not looked into is worth a look. */
const WORTH_EXPLORING = 0.4;

class Page {
  private readonly api = acquireVsCodeApi();
  private model: Model | undefined;
  private selected: Selection | undefined;
  private window = WHOLE;
  private asTable = false;
  /** When the last map came. */
  private shownAt = Number.NEGATIVE_INFINITY;
  /** What the extension has been asked to look into and has not answered. */
  private asked: LinearRangeData | undefined;
  private settling: ReturnType<typeof setTimeout> | undefined;
  private readonly picture = element("picture");
  private readonly side = element("details");
  private readonly status = element("status");
  private readonly timeline: TimelinePanel;

  constructor() {
    const saved = v.safeParse(savedState, this.api.getState());
    this.timeline = new TimelinePanel(
      element("timeline"),
      (message) => this.post(message),
      () => this.save(),
      saved.success ? saved.output.timeline : undefined,
    );
    if (saved.success && saved.output.to > saved.output.from) {
      this.window = windowOf(saved.output);
      this.asTable = saved.output.asTable;
    }
    this.timeline.showAsTable(this.asTable);
    window.addEventListener("message", ({ data }) => this.take(data));
    new ResizeObserver(() => this.draw()).observe(this.picture);
    connect(this.picture, this.asTable, {
      zoom: (factor, x) => this.zoom(factor, x),
      pan: (part) => this.setWindow(panned(this.window, part)),
      showAll: () => this.setWindow(WHOLE),
      boot: () => this.post({ type: "command", command: "debugProgram" }),
      goTo: (text) => this.goToText(text),
      showMachine: (machine) => this.post({ type: "space", space: machine ? "machine" : "domain" }),
      showAsTable: (asTable) => {
        this.asTable = asTable;
        this.timeline.showAsTable(asTable);
        this.draw();
      },
    });
    element("legend").append(legend());
    this.post({ type: "ready" });
  }

  private post(message: FromPage): void {
    this.api.postMessage(message);
  }

  private take(data: unknown): void {
    const read = v.safeParse(toPage, data);
    if (!read.success) return;
    const message = read.output;
    switch (message.type) {
      case "map":
        this.asked = undefined;
        this.shownAt = performance.now();
        this.show(modelOf(message.map));
        break;
      case "window":
        this.takeWindow(message);
        break;
      case "state":
        document.body.dataset.state = message.state;
        if (message.state === "none") this.clear();
        this.status.textContent = STATES[message.state];
        break;
      case "timeline":
        this.timeline.take(message.timeline, message.firstMoment);
        break;
      case "progress":
        this.timeline.progress(message.progress);
        break;
      case "problem":
        this.asked = undefined;
        this.status.textContent = message.text;
        break;
      case "select":
        this.goTo({
          ...(message.physical === undefined ? {} : { physical: BigInt(message.physical) }),
          ...(message.linear === undefined ? {} : { linear: BigInt(message.linear) }),
        });
    }
  }

  /** An answer to what was asked before the last stop tells of memory that is no more. */
  private takeWindow(found: WindowData): void {
    const { model, asked } = this;
    if (model === undefined || asked?.start !== found.start || asked.end !== found.end) return;
    this.asked = undefined;
    this.show(modelOf(withWindow(model.data, found)));
    if (this.selected === undefined) {
      this.selected = find(this.model!, { linear: BigInt(found.start) });
      this.draw();
    }
  }

  private show(model: Model): void {
    const { model: old, selected } = this;
    if (old !== undefined) this.window = carried(this.window, old.linear, model.linear);
    this.model = model;
    this.selected = selected && byKey(model, keyOf(selected));
    this.draw();
    showSpace(model.data.space);
    this.status.textContent = notesOf(model).join(" ");
  }

  private clear(): void {
    this.model = undefined;
    this.selected = undefined;
    this.asked = undefined;
    this.timeline.clear();
    this.draw();
  }

  private save(): void {
    this.api.setState({ ...this.window, asTable: this.asTable, timeline: this.timeline.saved });
  }

  private get view(): View {
    return new View(Math.max(200, this.picture.clientWidth), this.window);
  }

  private draw(): void {
    const { model } = this;
    this.save();
    document.body.classList.toggle("has-map", model !== undefined);
    if (model === undefined) {
      this.picture.replaceChildren();
      this.side.replaceChildren();
      return;
    }
    const focused = this.focusedKey();
    this.picture.replaceChildren(this.shown(model));
    prepareLists(this.picture);
    this.side.replaceChildren(
      details(model, this.selected, {
        command: (command, argument) => this.post({ type: "command", command, argument }),
        explore: () => this.explore(),
      }),
    );
    if (focused !== undefined) this.focus(focused);
  }

  private shown(model: Model): Element {
    const select = (selection: Selection) => this.select(selection);
    if (this.asTable) return table(model, this.selected, select);
    return draw(model, {
      view: this.view,
      selected: this.selected,
      flash: performance.now() - this.shownAt < FLASH,
      select,
      zoomTo: (scale, span) => this.zoomTo(scale, span),
    });
  }

  private focusedKey(): string | undefined {
    const focused = document.activeElement;
    return this.picture.contains(focused) ? (focused?.getAttribute("data-key") ?? "") : undefined;
  }

  /** Gives the focus back to an item; to the selected or the first one where it is gone. */
  private focus(key: string): void {
    const item =
      this.picture.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`) ??
      this.picture.querySelector<HTMLElement>('[aria-selected="true"]') ??
      this.picture.querySelector<HTMLElement>('[tabindex="0"]');
    item?.focus();
  }

  private select(selection: Selection): void {
    this.selected = selection;
    this.draw();
    if (selection.kind === "unexplored") this.explore();
  }

  /** Has what is seen of the selected range looked into; all of it where nothing of it is seen. */
  private explore(): void {
    const { model, selected } = this;
    if (model === undefined || selected?.kind !== "unexplored") return;
    const seen = this.asTable ? undefined : this.view.seen(model.linear, selected.item);
    this.ask(seen ?? selected.item);
  }

  private ask({ first, last }: Span): void {
    if (this.asked !== undefined) return;
    this.asked = { start: addressText(first), end: addressText(BigInt.asUintN(64, last)) };
    this.status.textContent = "Looking…";
    this.post({ type: "window", ...this.asked });
  }

  /** After zooming in: what fills much of the picture and is not looked into. */
  private exploreSeen(): void {
    const { model, view } = this;
    const large = model?.unexplored.find(({ first, last }) => {
      const width = view.x(model.linear, last) - view.x(model.linear, first);
      return width > WORTH_EXPLORING * view.inner;
    });
    const seen = model && large && view.seen(model.linear, large);
    if (seen !== undefined) this.ask(seen);
  }

  private goTo(place: { physical?: bigint; linear?: bigint }): void {
    const { model } = this;
    const found = model && find(model, place);
    if (found === undefined || model === undefined || found.kind === "pointer") {
      this.status.textContent = "Nothing is there.";
      return;
    }
    const scale = found.kind === "owner" ? model.physical : model.linear;
    const [from, to] = [scale.position(found.item.first), scale.position(found.item.last)];
    if (from < this.window.from || to > this.window.to) this.setWindow({ from: from - 0.1, to: to + 0.1 });
    this.select(found);
  }

  private goToText(text: string): void {
    if (!/^0x[0-9a-f]{1,16}$/i.test(text)) {
      this.status.textContent = "An address is 0x and up to 16 hexadecimal digits.";
      return;
    }
    const address = BigInt(text);
    this.goTo({ linear: address, physical: address });
  }

  private setWindow(wanted: Window): void {
    this.window = windowOf(wanted);
    this.draw();
  }

  private zoom(factor: number, x?: number): void {
    this.setWindow(zoomed(this.window, factor, x === undefined ? 0.5 : this.view.part(x)));
    if (factor < 1) this.settle();
  }

  private zoomTo(scale: Scale, { first, last }: Span): void {
    this.setWindow({ from: scale.position(first), to: scale.position(last) });
    this.settle();
  }

  private settle(): void {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.exploreSeen(), SETTLED);
  }
}

const STATES = {
  none: "",
  starting: "Starting…",
  running: "Running. The map is shown as it was.",
  stopped: "",
} as const;

new Page();
