/** Other moments, as a person goes there: the timeline, looking back, comparing, exporting. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import type { FrameLocator, Locator } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT, THEMES, Workbench, whyNot } from "./workbench";

const reason = await whyNot();
if (reason !== undefined) console.warn(`SKIPPED: the timeline in VS Code: ${reason}`);

const POLL = { timeout: 15_000 };

describe.skipIf(reason !== undefined)("the timeline in VS Code", () => {
  let code: Workbench;
  let map: FrameLocator;
  let track: Locator;

  /** The instruction that is looked at. */
  const now = async () => Number(await track.getAttribute("aria-valuenow"));
  const end = async () => Number(await track.getAttribute("aria-valuemax"));
  /** Whether keys go to the slider. */
  const focused = () =>
    track.evaluate((slider: { matches(selector: string): boolean }) => slider.matches(":focus"));
  const banner = () => map.locator("#looking");

  /**
   * Waits until the debuggee stands at the instruction at which the slider stands. The slider goes ahead of it.
   * @param left where the slider stood before
   */
  async function arrived(left?: number): Promise<number> {
    let at = Number.NaN;
    await expect
      .poll(async () => {
        at = await now();
        if (at === left) return `the slider stands at ${at} still`;
        // Of several moments that are gone to the last counts.
        await code.page.waitForTimeout(300);
        const text = await banner().locator("strong").textContent();
        const there = (await now()) === at && text?.includes(`instruction ${at.toLocaleString("en")} of`);
        return there === true ? "there" : `${at} is gone to; ${text}`;
      }, POLL)
      .toBe("there");
    return at;
  }

  /** Clicks the mark of a kind until it is one that stands alone, and the debuggee goes there. */
  async function lookAt(kind: string): Promise<number> {
    const left = await now();
    const whole = map.locator('vscode-button[aria-label="Whole boot"]');
    await whole.click();
    for (let i = 0; i < 8; i++) {
      await drawn();
      const mark = map.locator(`.mark[aria-label^="${kind}"]`).first();
      const isMany = (await mark.getAttribute("aria-label"))?.endsWith("Select to zoom in") === true;
      await mark.click();
      if (!isMany) return arrived(left);
    }
    throw new Error(`${kind} stays among others, however near it is`);
  }

  /** Waits until the marks stay as they are. */
  async function drawn(): Promise<void> {
    const marks = () => map.locator("svg.timeline").innerHTML();
    let last = "";
    await expect
      .poll(async () => {
        const before = last;
        await code.page.waitForTimeout(400);
        last = await marks();
        return last === before;
      }, POLL)
      .toBe(true);
  }

  /** Gives the panel all the height, or leaves some to the editor; an editor that opens takes some by itself. */
  async function maximized(wanted: boolean): Promise<void> {
    const editor = await code.page.locator(".part.editor").boundingBox();
    if ((editor === null || editor.height < 50) !== wanted)
      await code.command("View: Toggle Maximized Panel");
  }

  async function pressed(key: string): Promise<number> {
    const left = await now();
    await track.press(key);
    return arrived(left);
  }

  beforeAll(async () => {
    code = await Workbench.open();
    await code.page.setViewportSize({ width: 1500, height: 1050 });
    await code.showDebug();
    await code.boot();
    await code.filter("Page fault", false);
    await code.filter("Early table reset", false);
    await code.filter("Switchover", false);
    await code.step("F5");
    await code.command("Pagewalk: Show Memory Map");
    map = code.map();
    track = map.locator("#track");
    await track.waitFor();
    await code.command("View: Toggle Maximized Panel");
    await code.page.waitForTimeout(1000);
  });

  afterAll(async () => {
    await code?.close();
  });

  test("shows the whole boot, each kind with its marks and a switch", async () => {
    await map.locator('.kind[data-kind="switchover"]').waitFor();
    await map.locator('.mark[aria-label^="Switchover"]').first().waitFor();
    await expect.poll(async () => (await end()) - (await now()), POLL).toBe(0);
    await banner().waitFor({ state: "hidden" });
    await code.picture("timeline-whole");
    await map.locator('.kind[data-kind="switchover"]').click();
    await map.locator('.mark[aria-label^="Switchover"]').first().waitFor({ state: "detached" });
    await map.locator('.kind[data-kind="switchover"]').click();
    await map.locator('.mark[aria-label^="Switchover"]').first().waitFor();
  });

  test("a mark shows the tables as they were, read-only", async () => {
    const before = await map.locator("#details").innerText();
    const at = await lookAt("Switchover");
    expect(at).toBeLessThan(await end());
    await expect
      .poll(() => banner().innerText(), POLL)
      .toMatch(/Looking at instruction [\d,]+ of [\d,]+\s+Read-only\./);
    await expect.poll(() => map.locator("#details").innerText(), POLL).not.toBe(before);
    await expect.poll(() => map.locator("#details").innerText(), POLL).toContain("early_level4_pgt");
    await code.page.locator(".statusbar-item", { hasText: "Looking at instruction" }).first().waitFor();
    await code.picture("timeline-looking-back");
  });

  test("keys scrub, and zoom to single instructions", async () => {
    await map.locator('vscode-button[aria-label="Whole boot"]').click();
    const first = await now();
    expect(await pressed("ArrowDown")).toBe(first - 1);
    expect(await pressed("ArrowUp")).toBe(first);
    const left = await pressed("ArrowLeft");
    expect(left).toBeLessThan(first);
    for (let i = 0; i < 45; i++) await track.press("+");
    expect(await pressed("ArrowRight")).toBe(left + 1);
    await code.picture("timeline-instructions");
    await track.press("0");
    expect(await pressed("Home")).toBe(0);
  });

  test("keys go to the slider after a scrub's stop, and not into the source that the editor opens", async () => {
    await maximized(false);
    // From where arrows lead somewhere.
    await pressed("End");
    await track.focus();
    const sources = () =>
      execFileSync("git", ["status", "--short", "guests"], { cwd: ROOT, encoding: "utf8" });
    const unchanged = sources();
    // Whoever scrubs presses keys while the debuggee stops here and there.
    for (let i = 0; i < 60; i++) {
      await code.page.keyboard.press(i % 6 === 0 ? "ArrowLeft" : i % 2 === 0 ? "+" : "-");
      await code.page.waitForTimeout(60);
    }
    const before = await arrived();
    // The editor shows the place, which is when it would take the focus.
    await code.page.locator(".debug-top-stack-frame-line").first().waitFor({ state: "attached" });
    await code.page.waitForTimeout(1000);
    expect(await focused()).toBe(true);
    await code.page.keyboard.press("ArrowUp");
    expect(await arrived(before)).toBe(before + 1);
    // The editor saves by itself, a second after what is typed.
    await code.page.waitForTimeout(1500);
    expect(sources()).toBe(unchanged);
    // The place is shown all the same.
    await code.page.locator(".debug-top-stack-frame-line").first().waitFor({ state: "attached" });
    expect(await focused()).toBe(true);
    await maximized(true);
    await track.press("0");
  });

  test("dragging goes along, and the debuggee follows", async () => {
    const box = (await track.boundingBox())!;
    const y = box.y + box.height - 12;
    const left = await now();
    await code.page.mouse.move(box.x + box.width * 0.3, y);
    await code.page.mouse.down();
    await code.page.mouse.move(box.x + box.width * 0.5, y, { steps: 8 });
    await code.page.mouse.move(box.x + box.width * 0.6, y, { steps: 8 });
    await code.page.mouse.up();
    const at = await arrived(left);
    expect(at / (await end())).toBeGreaterThan(0.5);
    expect(at / (await end())).toBeLessThan(0.65);
  });

  test("two moments are compared, with who did it, in every theme", async () => {
    await lookAt("Reset");
    await map.locator('vscode-button[aria-label="Set First Moment"]').click();
    await map.locator(".moment.first").waitFor();
    await lookAt("Switchover");
    await pressed("ArrowUp");
    for (const theme of THEMES) {
      await code.theme(theme);
      await code.page.waitForTimeout(800);
      await code.picture(`timeline-${theme.replaceAll(" ", "-").toLowerCase()}`);
    }
    await map.locator('vscode-button[aria-label="Compare With This Moment"]').click();
    await code.treeRow("Comparison", /^Added/).waitFor();
    // Who did it stands where a narrow side bar still shows it.
    await expect
      .poll(() => code.treeRow("Comparison", /^PML4E 272/).innerText(), POLL)
      .toMatch(/^PML4E 272\s*\w+ · 0xffff880000000000 · /);
    await code.picture("comparison-narrow");
    for (const other of ["Page Tables", "TLB", "Event Log"]) await code.pane(other, false);
    await code.widenSideBar(320);
    for (const theme of THEMES) {
      await code.theme(theme);
      await code.picture(`comparison-${theme.replaceAll(" ", "-").toLowerCase()}`);
    }
    await code.theme(THEMES[1]);
    await code.picture("comparison");
  });

  test("what the comparison lists can be looked at: by its menu, its button, by keyboard", async () => {
    const first = code.treeRow("Comparison", /^First: /);
    const instruction = (text: string) => Number(/[\d,]+/.exec(text)![0].replaceAll(",", ""));
    await code.menu(first, "Look at This Moment", "comparison-menu");
    expect(await arrived()).toBe(instruction((await first.innerText()).slice("First: ".length)));
    const entry = code.treeRow("Comparison", /^PML4E 272/);
    const deed = Number(/instruction (\d+)/i.exec((await entry.getAttribute("aria-label"))!)![1]);
    let left = await now();
    await entry.hover();
    await entry.locator('.actions .action-label[aria-label^="Look at This Moment"]').click();
    expect(await arrived(left)).toBe(deed);
    left = await now();
    await first.click();
    await arrived(left);
    left = await now();
    await code.page.keyboard.press("ArrowDown");
    await code.page.keyboard.press("Enter");
    const second = await code.treeRow("Comparison", /^Second: /).innerText();
    expect(await arrived(left)).toBe(instruction(second.slice("Second: ".length)));
  });

  test("a comparison becomes a file", async () => {
    await code.command("Pagewalk: Export Comparison");
    await code.pick("Markdown as a file");
    const input = code.page.locator(".quick-input-widget input").first();
    await expect.poll(() => input.inputValue(), POLL).toMatch(/page-tables-\d+-\d+\.md$/);
    await code.picture("comparison-save");
    const file = await input.inputValue();
    await code.page.keyboard.press("Enter");
    await expect
      .poll(() => existsSync(file) && readFileSync(file, "utf8"), POLL)
      .toMatch(/^# Page tables from instruction/);
  });

  test("a comparison becomes a document", async () => {
    await code.command("Pagewalk: Export Comparison");
    await code.pick("Markdown in a new editor");
    const lines = code.page.locator(".editor-instance .view-lines").first();
    await expect.poll(() => lines.innerText(), POLL).toMatch(/Page\s+tables\s+from\s+instruction/);
    await code.picture("comparison-markdown");
    await code.command("Pagewalk: Export Comparison");
    await code.pick("CSV in a new editor");
    await expect.poll(() => lines.innerText(), POLL).toMatch(/number,kind,entry,place,path/);
  });

  test("as a table, too", async () => {
    await code.command("Pagewalk: Show Memory Map");
    await map.locator("#as-table").click();
    await map.locator(".timeline-table td", { hasText: "Switchover" }).first().waitFor();
    await code.picture("timeline-table");
    await map.locator("#as-table").click();
    await map.locator("svg.timeline").waitFor();
  });

  test("back to the present, and continuing from the past", async () => {
    const last = await end();
    await map.locator('vscode-button[aria-label="Back to the Present"]').click();
    await expect.poll(now, POLL).toBe(last);
    await banner().waitFor({ state: "hidden" });
    const at = await lookAt("Switchover");
    await map.locator('vscode-button[aria-label="Continue From Here"]').click();
    await expect.poll(end, POLL).toBe(at);
    await banner().waitFor({ state: "hidden" });
    await code.picture("timeline-continued");
  });
});
