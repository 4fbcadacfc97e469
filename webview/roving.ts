/** Keyboard in lists: a list is one stop of the Tab key, and arrows go from item to item. */

const LISTS = '[role="listbox"], [role="grid"]';
const ITEMS = '[role="option"], tr[data-key]';

/** Makes one item of each list a stop: the selected, or the first. */
export function prepareLists(root: Element): void {
  for (const list of root.querySelectorAll(LISTS)) {
    const items = itemsOf(list);
    const stop = items.find((item) => item.getAttribute("aria-selected") === "true") ?? items.at(0);
    stop?.setAttribute("tabindex", "0");
  }
}

/** Moves the focus inside its list; false where the key does not move it. */
export function moveFocus(key: string): boolean {
  const from = document.activeElement;
  const list = from?.closest(LISTS);
  if (from === null || list == null) return false;
  const items = itemsOf(list);
  const to = items.at(target(key, items.indexOf(from), items.length, list.getAttribute("role") === "grid"));
  if (to === undefined || to === from) return false;
  from.setAttribute("tabindex", "-1");
  to.setAttribute("tabindex", "0");
  (to as HTMLElement).focus();
  return true;
}

function target(key: string, index: number, count: number, vertical: boolean): number {
  if (key === (vertical ? "ArrowDown" : "ArrowRight")) return Math.min(count - 1, index + 1);
  if (key === (vertical ? "ArrowUp" : "ArrowLeft")) return Math.max(0, index - 1);
  return key === "Home" ? 0 : key === "End" ? count - 1 : index;
}

function itemsOf(list: Element): Element[] {
  return [...list.querySelectorAll(ITEMS)];
}
