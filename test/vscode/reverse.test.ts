/** Backwards, as a person goes there: the toolbar, keys, who wrote this. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT, THEMES, Workbench, whyNot } from "./workbench";

const reason = await whyNot();
if (reason !== undefined) console.warn(`SKIPPED: going backwards in VS Code: ${reason}`);

const POLL = { timeout: 15_000 };
const FILTERS = ["Page fault", "Early table reset", "Switchover"] as const;

describe.skipIf(reason !== undefined)("backwards in VS Code", () => {
  let code: Workbench;

  const toolbar = (label: string) => code.page.locator(`.debug-toolbar [aria-label^="${label}"]`);
  /** What the Call Stack view says of the stop. */
  const said = (text: string | RegExp) =>
    code.page.locator(".debug-pane", { hasText: text }).first().waitFor();
  const toast = (text: string | RegExp) =>
    code.page.locator(".notification-toast", { hasText: text }).first();
  /** Waits for an answer, and reads it. */
  async function told(text: RegExp): Promise<string> {
    const message = toast(text).locator(".notification-list-item-message");
    await message.waitFor();
    return message.innerText();
  }

  /** Waits until every view shows the moment that an answer names. */
  async function lookedAt(answer: string): Promise<void> {
    const at = Number(/instruction (\d+)/i.exec(answer)?.[1]);
    const grouped = at.toLocaleString("en");
    await code.page.locator(".statusbar-item", { hasText: `Looking at instruction ${grouped} of` }).waitFor();
    const running = code.page.locator(".pane .message", { hasText: "Running" });
    await expect.poll(() => running.count(), POLL).toBe(0);
    const track = code.map().locator("#track");
    await expect.poll(() => track.getAttribute("aria-valuenow"), POLL).toBe(String(at));
  }

  const top = (text: RegExp) => expect.poll(() => code.top(), POLL).toMatch(text);

  /** Has only some of the events stop. */
  async function stopOn(...labels: (typeof FILTERS)[number][]): Promise<void> {
    for (const label of FILTERS) await code.filter(label, labels.includes(label));
  }

  /** Goes back to where the run has come so far, from the past or from there. */
  async function present(): Promise<void> {
    const past = code.page.locator(".statusbar-item", { hasText: "Looking at instruction" });
    if ((await past.count()) > 0) await past.first().click();
    await past.first().waitFor({ state: "hidden" });
    await code.page.waitForTimeout(500);
  }

  beforeAll(async () => {
    code = await Workbench.open();
    await code.page.setViewportSize({ width: 1500, height: 950 });
    await code.showDebug();
    await code.boot();
    await stopOn("Early table reset");
    await code.step("F5");
    await code.stoppedAt("reset_early_page_tables");
    await stopOn("Page fault");
    await code.step("F5");
    await code.stoppedAt("memcpy");
    await stopOn("Switchover");
    await code.step("F5");
    await code.stoppedAt("switch_to_init_tables");
    await code.command("Pagewalk: Show Memory Map");
    await code.map().locator("#track").waitFor();
    await code.showDebug();
  });

  afterAll(async () => {
    await code?.close();
  });

  test("Step Back on the toolbar goes one line back, and a step comes forward again", async () => {
    const before = await code.top();
    await toolbar("Step Back").click();
    await expect.poll(() => code.top(), POLL).not.toBe(before);
    await code.picture("reverse-step-back");
    await code.page.locator(".statusbar-item", { hasText: "Looking at instruction" }).first().waitFor();
    await code.step("F10");
    await expect.poll(() => code.top(), POLL).toBe(before);
  });

  test("Step Back and Reverse have keys", async () => {
    const before = await code.top();
    await code.page.keyboard.press("Shift+Alt+F10");
    await expect.poll(() => code.top(), POLL).not.toBe(before);
    await stopOn("Early table reset");
    await code.page.keyboard.press("Shift+Alt+F5");
    await top(/reset_early_page_tables/);
  });

  test.each(THEMES)("Reverse goes to the last page fault, and says why it faulted, in %s", async (theme) => {
    await code.theme(theme);
    await stopOn("Page fault");
    // From the end of what is known on: there is the latest one.
    await present();
    await toolbar("Reverse").click();
    expect(await code.exception()).toMatch(/#PF .* is not present/);
    await code.picture(`reverse-fault-${theme.replaceAll(" ", "-").toLowerCase()}`);
  });

  test("Reverse goes to the reset, and to a breakpoint in the gutter", async () => {
    await code.theme(THEMES[0]);
    await stopOn("Early table reset");
    await present();
    await toolbar("Reverse").click();
    await top(/reset_early_page_tables/);
    await stopOn();
    await code.openFile(`${ROOT}/guests/early-fault/tables.c`);
    await code.gutter(92);
    await present();
    await toolbar("Reverse").click();
    await top(/early_make_pgtable.*tables\.c.*92/);
    await code.picture("reverse-breakpoint");
    await code.openFile(`${ROOT}/guests/early-fault/tables.c`);
    await code.gutter(92);
  });

  test("where the history begins, that is said", async () => {
    await toolbar("Reverse").click();
    await top(/startup_64/);
    await said("There is nothing before this");
    await code.picture("reverse-start");
    await toolbar("Step Back").click();
    await said("There is nothing before this");
  });

  test("the switchover is gone back to from behind it", async () => {
    await stopOn("Switchover");
    await present();
    await stopOn();
    await code.step("F5");
    await stopOn("Switchover");
    await toolbar("Reverse").click();
    await code.stoppedAt("switch_to_init_tables");
    expect(await code.exception()).toMatch(/Switchover to the final table/);
    await code.picture("reverse-switchover");
  });

  test("the palette offers both", async () => {
    await stopOn("Early table reset");
    await present();
    await code.command("Pagewalk: Reverse");
    await top(/reset_early_page_tables/);
    const at = await code.top();
    await code.command("Pagewalk: Step Back");
    await expect.poll(() => code.top(), POLL).not.toBe(at);
    await stopOn();
  });

  test.each(THEMES)(
    "Who Wrote This Entry? shows the line that wrote it, and every view that moment, in %s",
    async (theme) => {
      await code.theme(theme);
      await present();
      await code.showTables();
      await code.menu(code.treeRow("Page Tables", "PML4E 272"), "Who Wrote This Entry?", "who-wrote-menu");
      const text = await told(/changed init_level4_pgt\[272\] from 0x0+ to 0x\w+\./);
      await lookedAt(text);
      await code.editorTab("direct_map.c").waitFor();
      await code.picture(`who-wrote-${theme.replaceAll(" ", "-").toLowerCase()}`);
    },
  );

  test("the way back is in the answer", async () => {
    await toast(/changed .* from 0x0/)
      .getByRole("button", { name: "Back to the Present" })
      .click();
    await code.page
      .locator(".statusbar-item", { hasText: "Looking at instruction" })
      .waitFor({ state: "hidden" });
    await expect
      .poll(() => code.treeRow("Page Tables", "CR3").innerText(), POLL)
      .toContain("init_level4_pgt");
  });

  test("When Was This Mapped? of an entry, by keyboard, and of an address", async () => {
    await code.theme(THEMES[0]);
    await code.showTables();
    // Escape takes away what stands over the views.
    await code.page.keyboard.press("Escape");
    await code.treeRow("Page Tables", "PML4E 272").click();
    await code.page.keyboard.press("Shift+F10");
    await code.page.locator(".monaco-menu .action-label", { hasText: "When Was This Mapped?" }).waitFor();
    // The last of the menu.
    await code.page.keyboard.press("End");
    await code.page.keyboard.press("Enter");
    await lookedAt(await told(/0xffff880000000000 has led to 0x0 since instruction \d+ at \w+/));
    await code.picture("when-mapped-entry");
    await present();
    await code.command("Pagewalk: When Was This Mapped?");
    await code.answer("0xffff880000010000");
    const text = await told(
      /0xffff880000010000 has led to 0x10000 since instruction \d+ at \w+\S* \(\w+\.[ch]:\d+\)/,
    );
    await lookedAt(text);
    await code.picture("when-mapped");
  });

  test("Who Wrote This? of a variable, from the Variables view", async () => {
    await present();
    await code.showDebug();
    const rows = code.page.locator(".debug-variables .monaco-list-row");
    const globals = rows.filter({ hasText: /^Globals/ }).first();
    const variable = rows.filter({ hasText: "boot_params" }).first();
    await expect
      .poll(async () => {
        // A click closes it, too.
        if ((await globals.getAttribute("aria-expanded")) !== "true") await globals.click();
        await code.page.waitForTimeout(700);
        return variable.count();
      }, POLL)
      .toBe(1);
    await code.menu(variable, "Who Wrote This?", "who-wrote-variable-menu");
    await lookedAt(
      await told(/at memcpy\S* \(memory\.c:16\) changed boot_params from byte \d+ on from 0x\w+ to 0x\w+/),
    );
    await top(/memcpy.*memory\.c/);
    await code.picture("who-wrote-variable");
  });

  test("the event log's menu looks at a moment, and sets it for a comparison", async () => {
    await present();
    await code.command("Pagewalk: Focus on Event Log View");
    // Near the top: rows that are out of sight are not there.
    const load = code.treeRow("Event Log", "CR3 load");
    await code.menu(load, "Look at This Moment", "event-menu");
    const at = /[\d,]{4,}/.exec(await load.innerText())![0];
    await code.page.locator(".statusbar-item", { hasText: `Looking at instruction ${at} of` }).waitFor();
    await code.menu(load, "Set First Moment");
    // By keyboard, what came before it.
    await load.click();
    await code.page.keyboard.press("ArrowDown");
    await code.page.keyboard.press("Shift+F10");
    await code.page.locator(".monaco-menu .action-label", { hasText: "Compare With This Moment" }).waitFor();
    await code.page.keyboard.press("End");
    await code.page.keyboard.press("Enter");
    await code.treeRow("Comparison", `Second: ${at}`).waitFor();
    await code.treeRow("Comparison", /^First: \d/).waitFor();
    await code.picture("event-compared");
  });
});
