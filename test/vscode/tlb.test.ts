/** The TLB view in a real VS Code: what is stale is marked, and its next use is found. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { THEMES, Workbench, whyNot } from "./workbench";

const reason = await whyNot();
if (reason !== undefined) console.warn(`SKIPPED: the TLB view in VS Code: ${reason}`);

const POLL = { timeout: 15_000 };

describe.skipIf(reason !== undefined)("the TLB view, through the browser", () => {
  let code: Workbench;

  beforeAll(async () => {
    code = await Workbench.open();
    await code.boot("i386-paravirt (native)", "startup_32");
  });

  afterAll(async () => {
    await code?.close();
  });

  const message = () => code.page.locator(".pane:has(.pane-header[aria-label^='TLB']) .message").first();

  test("says in one sentence that paging is off", async () => {
    await code.command("Pagewalk: Focus on TLB View");
    await code.page.getByText("Paging is off: linear addresses are physical ones").first().waitFor();
    await code.picture("tlb-off");
  });

  test("Find Stale Use stops at the use, with the write that made it stale", async () => {
    await code.command("Pagewalk: Find Stale Use");
    await code.showDebug();
    await code.stoppedAt("native_set_pmd");
    expect(await code.exception()).toMatch(
      /the TLB still gives 0x205000; made stale at instruction .* write_entry/,
    );
    await code.picture("stale-use");
  });

  test("marks stale entries, and a screen reader says so", async () => {
    await code.command("Pagewalk: Focus on TLB View");
    const row = code.treeRow("TLB", "0xc0205000");
    await row.waitFor();
    await expect.poll(() => row.innerText(), POLL).toContain("stale: another page size");
    expect(await row.locator(".codicon-warning").count()).toBe(1);
    expect(await row.getAttribute("aria-label")).toMatch(/^0xc0205000, stale: another page size/);
    await expect.poll(() => message().innerText(), POLL).toBe("6 entries, 6 stale");
  });

  test("by keyboard, a run opens to its pages", async () => {
    const row = code.treeRow("TLB", "0xc0205000");
    await row.click();
    await code.page.keyboard.press("ArrowRight");
    await code.treeRow("TLB", "0xc0206000").waitFor();
    await code.picture("tlb-run");
  });

  test.each(THEMES)("can be read in %s", async (theme) => {
    await code.theme(theme);
    await code.command("Pagewalk: Focus on TLB View");
    await code.treeRow("TLB", "0xc0205000").hover();
    await code.page.waitForTimeout(1200);
    await code.picture(`tlb-${theme.replaceAll(" ", "-").toLowerCase()}`);
    if (theme === THEMES[1]) await code.picture("tlb");
    await code.page.keyboard.press("Escape");
  });

  test("Who Made It Stale? shows the write and its source line", async () => {
    await code.theme(THEMES[0]);
    await code.command("Pagewalk: Focus on TLB View");
    const row = code.treeRow("TLB", "0xc0100000");
    await code.menu(row, "Who Made It Stale?", "tlb-menu");
    await code.editorTab("native.c").waitFor();
    const told = code.page.locator(".notification-toast", { hasText: "made stale at instruction" }).first();
    await told.waitFor();
    await expect.poll(() => told.innerText(), POLL).toContain("write_entry (native.c:26)");
    await code.picture("tlb-who");
  });

  test("the filter leaves the entries of an address", async () => {
    await code.command("Pagewalk: Filter the TLB...");
    await code.pick("What translates an address");
    await code.answer("$esp");
    await code.page.getByText("Filter: what translates $esp.").first().waitFor();
    await code.treeRow("TLB", "0xc0100000").first().waitFor({ state: "detached" });
    await code.treeRow("TLB", "0xc0205000").waitFor();
    await code.picture("tlb-filter");
  });

  test("where the run ends without a stale use, that is said", async () => {
    await code.command("Debug: Stop");
    await code.page.locator(".debug-toolbar").waitFor({ state: "hidden" });
    await code.command("Pagewalk: Boot a Program");
    await code.pick("early-fault (merged)");
    await code.showDebug();
    await code.stoppedAt("startup_64");
    await code.command("Pagewalk: Find Stale Use");
    await code.page
      .getByText("the run came to its end before another stale translation was used")
      .first()
      .waitFor();
    await code.picture("stale-none");
  });
});
