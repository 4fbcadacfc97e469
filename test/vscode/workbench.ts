/** VS Code as a person uses it, in a browser: what can be clicked, typed and read. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FrameLocator, Locator, Page } from "playwright-core";
import { openBrowser } from "../../scripts/vscode/browser.mjs";
import { startServer, workbenchUrl } from "../../scripts/vscode/server.mjs";
import { smallPng } from "../../scripts/vscode/smallPng.mjs";

export const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
/** Where the pictures of a run go; with PAGEWALK_SCREENSHOTS=1 also into media/screenshots. */
const PICTURES = join(ROOT, ".vscode-test/screenshots");
const KEPT = join(ROOT, "media/screenshots");

export const THEMES = ["Default Dark Modern", "Default Light Modern", "Default High Contrast"] as const;
/** What the workbench says of the kinds of themes. */
const THEME_CLASSES: readonly (readonly [name: RegExp, kind: string])[] = [
  [/High Contrast/, "hc-black"],
  [/Dark/, "vs-dark"],
  [/Light/, "vs"],
];

/**
 * For the page: counts how often the debugger's toolbar and the call stack become others. A debuggee may go and stand
 * again in less time than a look at the page takes.
 */
const WATCH_DEBUGGER = `
  globalThis.stirring?.disconnect();
  globalThis.stirred = { count: 0, at: performance.now() };
  globalThis.stirring = new MutationObserver(() => {
    stirred = { count: stirred.count + 1, at: performance.now() };
  });
  for (const place of document.querySelectorAll(".debug-toolbar, .debug-call-stack")) {
    stirring.observe(place, {
      childList: true, characterData: true, attributes: true, attributeFilter: ["aria-label"], subtree: true,
    });
  }`;
/** For the page: the debuggee stands, and what shows it has not changed for a while. */
const STANDS = `
  performance.now() - stirred.at > 300 &&
  document.querySelector('.debug-toolbar [aria-label^="Continue"]') !== null`;

/** Waits until something is so. */
async function until(what: string, is: () => Promise<boolean>, timeout = 15_000): Promise<void> {
  const end = Date.now() + timeout;
  while (!(await is())) {
    if (Date.now() > end) throw new Error(`in ${timeout} ms it did not come to this: ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Why VS Code cannot be tried on this machine; undefined where it can. */
export async function whyNot(): Promise<string | undefined> {
  try {
    const { installServer } = await import("../../scripts/vscode/server.mjs");
    const { findChromium } = await import("../../scripts/vscode/browser.mjs");
    installServer();
    findChromium();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Pictures tell nothing of the folder that they were made in. */
const SETTINGS = {
  "git.openRepositoryInParentFolders": "never",
  "breadcrumbs.enabled": false,
};

/** Milliseconds after which a menu that was opened takes clicks. */
const MENU_OPENS = 250;

export class Workbench {
  private constructor(
    readonly page: Page,
    readonly folder: string,
    private readonly end: () => Promise<void>,
  ) {}

  /**
   * Opens VS Code with a new folder.
   * @param options.files copied into the folder
   * @param options.extension a .vsix in place of the extension under development
   */
  static async open(
    options: { settings?: Record<string, unknown>; files?: string; extension?: string } = {},
  ): Promise<Workbench> {
    const folder = mkdtempSync(join(tmpdir(), "pagewalk-folder-"));
    if (options.files !== undefined) cpSync(options.files, folder, { recursive: true });
    const { settings = {}, extension } = options;
    const server = await startServer({
      settings: { ...SETTINGS, ...settings },
      ...(extension === undefined ? {} : { extension }),
    });
    const browser = await openBrowser();
    browser.page.setDefaultTimeout(25_000);
    const end = async () => {
      await browser.close();
      server.stop();
      rmSync(folder, { recursive: true, force: true });
    };
    const development = extension === undefined ? { development: ROOT } : {};
    await browser.page.goto(workbenchUrl(server.port, folder, development));
    await browser.page.waitForSelector(".monaco-workbench .statusbar", { timeout: 60_000 });
    const workbench = new Workbench(browser.page, folder, end);
    await workbench.page.waitForSelector('.activitybar [aria-label="Pagewalk"]', { timeout: 60_000 });
    // Which one VS Code begins with depends on what was there first.
    await workbench.theme(THEMES[1]);
    return workbench;
  }

  close(): Promise<void> {
    return this.end();
  }

  /**
   * Runs a command by its title in the palette. The palette closes by itself where the editor takes the focus, as it
   * does at a stop: then it is opened again.
   */
  async command(title: string): Promise<void> {
    const input = this.page.locator(".quick-input-widget input").first();
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first();
    for (let attempt = 1; ; attempt++) {
      try {
        await this.page.keyboard.press("F1");
        await input.fill(`>${title}`, { timeout: 8000 });
        await row.click({ timeout: 8000 });
        return;
      } catch (error) {
        if (attempt === 4) throw error;
        await this.page.keyboard.press("Escape");
        await this.page.waitForTimeout(500);
      }
    }
  }

  /** Fills the input box that is asked, and accepts it. */
  async answer(text: string): Promise<void> {
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor();
    await input.fill(text);
    await this.page.keyboard.press("Enter");
  }

  async theme(name: string): Promise<void> {
    await this.command("Preferences: Color Theme");
    const input = this.page.locator(".quick-input-widget input").first();
    await input.fill(name);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first().click();
    const kind = THEME_CLASSES.find(([pattern]) => pattern.test(name))?.[1];
    await this.page.locator(`.monaco-workbench.${kind}`).waitFor();
    await this.page.waitForTimeout(500);
  }

  async openFile(path: string): Promise<void> {
    await this.page.keyboard.press("Control+P");
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor();
    await input.fill(path);
    const name = path.slice(path.lastIndexOf("/") + 1);
    await this.page
      .locator(".quick-input-list .monaco-list-row.focused", { hasText: name })
      .first()
      .waitFor();
    await this.page.waitForTimeout(300);
    await this.page.keyboard.press("Enter");
    await this.editorTab(name).waitFor();
  }

  editorTab(name: string): Locator {
    return this.page.locator(".tabs-container .tab", { hasText: name }).first();
  }

  /** Boots a program in a variant; early-fault unless asked otherwise, which then stands at its entry. */
  async boot(program = "early-fault (merged)", entry = "startup_64"): Promise<void> {
    await this.command("Pagewalk: Boot a Program");
    await this.pick(program);
    await this.stoppedAt(entry);
    // The editor opens the source, and the keyboard's focus goes there.
    await this.page.locator(".editor-instance .monaco-editor.focused").first().waitFor();
    await this.page.waitForTimeout(300);
  }

  /** Chooses from the list that is open, by what a row says. */
  async pick(text: string): Promise<void> {
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor();
    const row = this.page.locator(`.quick-input-list .monaco-list-row[aria-label^="${text}"]`).first();
    // Rows that are out of sight are not there.
    await input.fill(text);
    await row.click();
  }

  /** Waits for the innermost frame of the call stack. */
  async stoppedAt(name: string): Promise<void> {
    await this.page
      .locator(".debug-call-stack .monaco-list-row", { hasText: name })
      .first()
      .waitFor({ timeout: 25_000 });
  }

  /** What the editor says of the event that the run stopped on. */
  async exception(): Promise<string> {
    const widget = this.page.locator(".exception-widget");
    try {
      await widget.waitFor({ timeout: 8000 });
    } catch {
      // On a slow machine the Call Stack view and the editor fetch the frames at once, and the editor takes the one that
      // it has focused for another than the innermost. A person selects the frame then.
      await this.page.locator(".debug-call-stack .monaco-list-row").first().click();
      await widget.waitFor();
    }
    return widget.innerText();
  }

  async frames(): Promise<string[]> {
    const rows = await this.page.locator(".debug-call-stack .monaco-list-row").allInnerTexts();
    return rows.map((row) => row.replace(/\s+/g, " ").trim());
  }

  /** The place where the editor says that the run stopped: "memory.c:16". */
  async top(): Promise<string> {
    const row = this.page.locator(".debug-call-stack .monaco-list-row").first();
    return (await row.innerText()).replace(/\s+/g, " ").trim();
  }

  /** Presses a key of the debugger and waits until something changed and stands again. */
  async step(key: "F5" | "F10" | "F11" | "Shift+F11"): Promise<void> {
    await this.page.evaluate(WATCH_DEBUGGER);
    await this.page.keyboard.press(key);
    // What comes back to the very place that it left may show nothing.
    await this.page.waitForFunction("stirred.count > 0", undefined, { timeout: 5000 }).catch(() => undefined);
    await this.page.waitForFunction(STANDS, undefined, { timeout: 25_000 });
  }

  /** Sets or clears a checkbox of the Breakpoints view. */
  async filter(label: string, on: boolean): Promise<void> {
    const row = this.page.locator(".debug-breakpoints .monaco-list-row", { hasText: label }).first();
    const box = row.locator("input[type=checkbox]");
    if ((await box.isChecked()) !== on) await box.click();
    await row.locator(`input[type=checkbox]${on ? ":checked" : ":not(:checked)"}`).waitFor();
    await this.page.waitForTimeout(200);
  }

  /** Clicks into the margin left of a line of the open editor. */
  async gutter(line: number): Promise<void> {
    await this.page.keyboard.press("Control+G");
    await this.answer(`:${line}`);
    const number = this.page
      .locator(".editor-instance .margin-view-overlays .line-numbers")
      .filter({ hasText: new RegExp(`^${line}$`) })
      .first();
    const box = await this.resting(number);
    const marks = this.page.locator('.editor-instance [class*="codicon-debug-breakpoint"]');
    const before = await marks.count();
    await this.page.mouse.click(box.x - 12, box.y + box.height / 2);
    await until(`a breakpoint in line ${line}, or none`, async () => (await marks.count()) !== before);
  }

  /** Where something is once it has stopped moving. */
  private async resting(thing: Locator) {
    await thing.waitFor();
    let last = await thing.boundingBox();
    await until("it rests in sight", async () => {
      await this.page.waitForTimeout(200);
      const box = await thing.boundingBox();
      const rests = box !== null && box.x === last?.x && box.y === last.y;
      last = box;
      return rests;
    });
    return last!;
  }

  /** A row of a custom tree view by what it says. */
  treeRow(view: string, text: string | RegExp): Locator {
    return this.page
      .locator(`.pane:has(.pane-header[aria-label^="${view}"]) .monaco-list-row`)
      .filter({ hasText: text })
      .first();
  }

  /** Opens a row by keyboard. */
  async expand(row: Locator): Promise<void> {
    await row.click();
    // A click opens and closes it.
    if ((await row.getAttribute("aria-expanded")) === "false") await this.page.keyboard.press("ArrowRight");
    await until("the row is open", async () => (await row.getAttribute("aria-expanded")) !== "false");
  }

  /** Chooses from a row's context menu. */
  async menu(row: Locator, label: string, picture?: string): Promise<void> {
    const item = this.page.locator(".monaco-menu .action-label", { hasText: label }).first();
    await row.waitFor();
    for (let attempt = 1; ; attempt++) {
      await row.click({ button: "right" });
      try {
        // A row that is drawn anew takes its menu with it.
        await item.waitFor({ timeout: 4000 });
        if (picture !== undefined) await this.picture(picture);
        // The editor lets clicks pass in a menu that has been open for less than 100 ms.
        await this.page.waitForTimeout(MENU_OPENS);
        await item.click({ timeout: 4000 });
        await item.waitFor({ state: "hidden", timeout: 4000 });
        return;
      } catch (error) {
        if (attempt === 4) throw error;
        await this.page.keyboard.press("Escape");
      }
    }
  }

  /** Opens or closes a view of the side bar. */
  async pane(view: string, open: boolean): Promise<void> {
    const header = this.page.locator(`.sidebar .pane-header[aria-label^="${view}"]`).first();
    if ((await header.getAttribute("aria-expanded")) !== String(open)) await header.click();
    await until(
      `${view} opens or closes`,
      async () => (await header.getAttribute("aria-expanded")) === String(open),
    );
  }

  /** Drags the side bar's edge to the right. */
  async widenSideBar(by: number): Promise<void> {
    const box = await this.resting(this.page.locator(".part.sidebar"));
    const [x, y] = [box.x + box.width, box.y + box.height / 2];
    await this.page.mouse.move(x, y);
    await this.page.mouse.down();
    await this.page.mouse.move(x + by, y, { steps: 5 });
    await this.page.mouse.up();
  }

  /** Shows a view of the Pagewalk container. */
  async showTables(): Promise<void> {
    await this.command("Pagewalk: Focus on Page Tables View");
    await this.page.waitForTimeout(500);
  }

  async showDebug(): Promise<void> {
    await this.command("View: Show Run and Debug");
  }

  /** What a hover over a text in the open editor says. */
  async hover(text: string): Promise<string> {
    const spot = this.page.locator(".editor-instance .view-line span span", { hasText: text }).first();
    const hover = this.page
      .locator(".monaco-hover:not(.hidden), .debug-hover-widget:visible")
      .filter({ hasText: /\S/ });
    for (let attempt = 1; ; attempt++) {
      const box = await this.resting(spot);
      await this.page.mouse.move(box.x + 3, box.y + box.height + 40);
      await this.page.mouse.move(box.x + Math.min(20, box.width / 2), box.y + box.height / 2, { steps: 5 });
      try {
        await hover.first().waitFor({ timeout: 8000 });
        break;
      } catch (error) {
        // The editor was still being drawn, or coloured.
        if (attempt === 3) throw error;
      }
    }
    await until("the hover has loaded", async () => !/^Loading/.test(await hover.first().innerText()));
    await this.page.waitForTimeout(400);
    return (await hover.allInnerTexts()).join("\n");
  }

  /** The Memory Map's page. */
  map(): FrameLocator {
    return this.page.frameLocator("iframe.webview.ready").last().frameLocator("#active-frame");
  }

  /** Colours of the Memory Map's text and of what it stands on. */
  async mapColours(): Promise<{ text: string; background: string }> {
    return this.map()
      .locator("body")
      .evaluate((body) => {
        const window = globalThis as unknown as {
          getComputedStyle(element: unknown): { color: string; getPropertyValue(name: string): string };
        };
        const style = window.getComputedStyle(body);
        return { text: style.color, background: style.getPropertyValue("--vscode-panel-background") };
      });
  }

  async picture(name: string): Promise<void> {
    mkdirSync(PICTURES, { recursive: true });
    const path = join(PICTURES, `${name}.png`);
    await this.page.screenshot({ path });
    if (process.env.PAGEWALK_SCREENSHOTS === undefined || !SHOWN.has(name)) return;
    mkdirSync(KEPT, { recursive: true });
    writeFileSync(join(KEPT, `${name}.png`), smallPng(readFileSync(path)));
  }
}

/** The pictures that documents show. */
const SHOWN = new Set([
  "page-fault",
  "page-tables",
  "switchover",
  "hover-entry",
  "timeline-looking-back",
  "comparison",
  "tlb",
]);
