/** Buttons, wheel and keys: what the user does with the picture as a whole. */
import type { SpaceName } from "../src/debug/protocol/memoryMap";
import { moveFocus } from "./roving";
import { html } from "./svg";

export interface Actions {
  /** @param x pixel of the picture that stays where it is; its middle without */
  zoom(factor: number, x?: number): void;
  /** @param part of the width; positive to higher addresses */
  pan(part: number): void;
  showAll(): void;
  boot(): void;
  goTo(text: string): void;
  showAsTable(asTable: boolean): void;
  showMachine(machine: boolean): void;
}

const STEP = 1.6;
const WHEEL_STEP = 1.2;
const PAN = 0.1;

/** Connects the page's controls. */
export function connect(picture: HTMLElement, asTable: boolean, actions: Actions): void {
  const on = (id: string, action: () => void) => element(id).addEventListener("click", action);
  on("zoom-in", () => actions.zoom(1 / STEP));
  on("zoom-out", () => actions.zoom(STEP));
  on("whole", () => actions.showAll());
  on("start", () => actions.boot());
  const check = element("as-table") as HTMLInputElement;
  check.checked = asTable;
  check.addEventListener("change", () => actions.showAsTable(check.checked));
  const machine = element("machine") as HTMLInputElement;
  machine.addEventListener("change", () => actions.showMachine(machine.checked));
  const field = element("address") as HTMLInputElement;
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") actions.goTo(field.value.trim());
  });
  picture.addEventListener("wheel", (event) => wheel(event, picture, check.checked, actions), {
    passive: false,
  });
  picture.addEventListener("keydown", (event) => key(event, check.checked, actions));
}

/** Offers the choice of addresses where there is one. */
export function showSpace(space: SpaceName | undefined): void {
  const machine = element("machine") as HTMLInputElement;
  machine.hidden = space === undefined;
  machine.checked = space === "machine";
}

/** A part of the page by its ID. */
export function element(id: string): HTMLElement {
  return document.getElementById(id) ?? html("div");
}

function wheel(event: WheelEvent, picture: HTMLElement, asTable: boolean, actions: Actions): void {
  if (asTable) return;
  event.preventDefault();
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    actions.pan((event.deltaX || event.deltaY) / 1000);
    return;
  }
  const x = event.clientX - picture.getBoundingClientRect().left;
  actions.zoom(event.deltaY > 0 ? WHEEL_STEP : 1 / WHEEL_STEP, x);
}

/** Arrows go from item to item; at the end of a row, and with Shift, the picture moves. */
function key(event: KeyboardEvent, asTable: boolean, actions: Actions): void {
  const moved = !event.shiftKey && moveFocus(event.key);
  const action = {
    "+": () => actions.zoom(1 / STEP),
    "=": () => actions.zoom(1 / STEP),
    "-": () => actions.zoom(STEP),
    "0": () => actions.showAll(),
    ArrowLeft: () => actions.pan(-PAN),
    ArrowRight: () => actions.pan(PAN),
  }[event.key];
  if (!moved && (action === undefined || asTable)) return;
  event.preventDefault();
  if (!moved) action?.();
}
