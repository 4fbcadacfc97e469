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

  test("Who Wrote This Entry? shows the line that wrote it", async () => {
    await code.showTables();
    const row = code.treeRow("Page Tables", "PML4E 272");
    await code.menu(row, "Who Wrote This Entry?", "who-wrote-menu");
    const told = toast(/changed init_level4_pgt\[272\]|changed .* from 0x0/);
    await told.waitFor();
    await code.picture("who-wrote");
  });
});
