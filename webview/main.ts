/** The Memory Map page: takes maps from the extension, draws them, and tells what the user wants. */
import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeTextField,
} from "@vscode/webview-ui-toolkit";
import * as v from "valibot";
import { details, legend, table } from "./details";
import { draw, keyOf, type Window } from "./drawing";
import "./memoryMap.css";
import { type FromPage, toPage } from "./messages";
import { find, type Model, modelOf, type Selection } from "./model";
import { html } from "./svg";

declare function acquireVsCodeApi(): {
  postMessage(message: FromPage): void;
  getState(): unknown;
  setState(state: unknown): void;
};

provideVSCodeDesignSystem().register(vsCodeButton(), vsCodeCheckbox(), vsCodeTextField());

const savedState = v.object({ from: v.number(), to: v.number(), asTable: v.boolean() });
const WHOLE: Window = { from: 0, to: 1 };
/** Half of a position's double precision is left at this zoom. */
const NARROWEST = 1e-9;
const STEP = 1.6;

class Page {
  private readonly api = acquireVsCodeApi();
  private model: Model | undefined;
  private selected: Selection | undefined;
  private window = WHOLE;
  private asTable = false;
  private readonly picture = element("picture");
  private readonly side = element("details");
  private readonly status = element("status");

  constructor() {
    const saved = v.safeParse(savedState, this.api.getState());
    if (saved.success && saved.output.to > saved.output.from) {
      this.window = { from: saved.output.from, to: saved.output.to };
      this.asTable = saved.output.asTable;
    }
    window.addEventListener("message", ({ data }) => this.take(data));
    new ResizeObserver(() => this.draw()).observe(this.picture);
    this.controls();
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
        this.show(modelOf(message.map));
        break;
      case "state":
        document.body.dataset.state = message.state;
        if (message.state === "none") this.clear();
        this.status.textContent = STATES[message.state];
        break;
      case "problem":
        this.status.textContent = message.text;
        break;
      case "select":
        this.goTo({
          ...(message.physical === undefined ? {} : { physical: BigInt(message.physical) }),
          ...(message.linear === undefined ? {} : { linear: BigInt(message.linear) }),
        });
    }
  }

  private show(model: Model): void {
    const key = this.selected === undefined ? undefined : keyOf(this.selected);
    this.model = model;
    this.selected = key === undefined ? undefined : byKey(model, key);
    this.draw();
    this.status.textContent =
      model.data.unexplored.length > 0 ? "There is more than is shown: the map lists the first ranges." : "";
  }

  private clear(): void {
    this.model = undefined;
    this.selected = undefined;
    this.draw();
  }

  private draw(): void {
    const { model } = this;
    const focused = document.activeElement?.getAttribute("data-key");
    this.api.setState({ ...this.window, asTable: this.asTable });
    document.body.classList.toggle("has-map", model !== undefined);
    if (model === undefined) {
      this.picture.replaceChildren();
      this.side.replaceChildren();
      return;
    }
    const select = (selection: Selection) => this.select(selection);
    const width = Math.max(200, this.picture.clientWidth);
    const shown = this.asTable
      ? table(model, select)
      : draw(model, { width, window: this.window, selected: this.selected, select });
    this.picture.replaceChildren(shown);
    this.side.replaceChildren(
      details(model, this.selected, (command, argument) => this.post({ type: "command", command, argument })),
    );
    if (focused != null)
      this.picture.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  private select(selection: Selection): void {
    this.selected = selection;
    this.draw();
  }

  private goTo(place: { physical?: bigint; linear?: bigint }): void {
    const { model } = this;
    const found = model && find(model, place);
    if (found === undefined || model === undefined) {
      this.status.textContent = "Nothing is there.";
      return;
    }
    this.selected = found;
    const scale = found.kind === "owner" ? model.physical : model.linear;
    const [from, to] = [scale.position(found.item.first), scale.position(found.item.last)];
    if (from < this.window.from || to > this.window.to) this.setWindow({ from: from - 0.1, to: to + 0.1 });
    this.draw();
  }

  private setWindow({ from, to }: Window): void {
    const width = Math.min(1, Math.max(NARROWEST, to - from));
    const start = Math.min(1 - width, Math.max(0, from));
    this.window = { from: start, to: start + width };
    this.draw();
  }

  /** @param at the part of the picture's width that stays where it is, 0 to 1 */
  private zoom(factor: number, at = 0.5): void {
    const { from, to } = this.window;
    const fixed = from + (to - from) * at;
    this.setWindow({ from: fixed - (fixed - from) * factor, to: fixed + (to - fixed) * factor });
  }

  private pan(part: number): void {
    const { from, to } = this.window;
    const by = (to - from) * part;
    this.setWindow({ from: from + by, to: to + by });
  }

  private controls(): void {
    const on = (id: string, action: () => void) => element(id).addEventListener("click", action);
    on("zoom-in", () => this.zoom(1 / STEP));
    on("zoom-out", () => this.zoom(STEP));
    on("whole", () => this.setWindow(WHOLE));
    on("start", () => this.post({ type: "command", command: "debugProgram" }));
    const check = element("as-table") as HTMLInputElement;
    check.checked = this.asTable;
    check.addEventListener("change", () => {
      this.asTable = check.checked;
      this.draw();
    });
    const field = element("address") as HTMLInputElement;
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.goToText(field.value.trim());
    });
    this.picture.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.picture.addEventListener("keydown", (event) => this.key(event));
  }

  private goToText(text: string): void {
    if (!/^0x[0-9a-f]{1,16}$/i.test(text)) {
      this.status.textContent = "An address is 0x and up to 16 hexadecimal digits.";
      return;
    }
    const address = BigInt(text);
    this.goTo({ linear: address, physical: address });
  }

  private wheel(event: WheelEvent): void {
    if (this.asTable) return;
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.pan((event.deltaX || event.deltaY) / 1000);
      return;
    }
    const box = this.picture.getBoundingClientRect();
    this.zoom(event.deltaY > 0 ? 1.2 : 1 / 1.2, (event.clientX - box.left) / Math.max(1, box.width));
  }

  private key(event: KeyboardEvent): void {
    const action = {
      "+": () => this.zoom(1 / STEP),
      "=": () => this.zoom(1 / STEP),
      "-": () => this.zoom(STEP),
      "0": () => this.setWindow(WHOLE),
      ArrowLeft: () => this.pan(-0.1),
      ArrowRight: () => this.pan(0.1),
    }[event.key];
    if (action === undefined || this.asTable) return;
    event.preventDefault();
    action();
  }
}

const STATES = {
  none: "",
  starting: "Starting…",
  running: "Running. The map is shown as it was.",
  stopped: "",
} as const;

function byKey(model: Model, key: string): Selection | undefined {
  const owner = model.owners.find((item) => keyOf({ kind: "owner", item }) === key);
  if (owner !== undefined) return { kind: "owner", item: owner };
  const mapped = model.mapped.find((item) => keyOf({ kind: "mapped", item }) === key);
  return mapped === undefined ? undefined : { kind: "mapped", item: mapped };
}

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  return found ?? html("div");
}

new Page();
