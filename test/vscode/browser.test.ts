/** What a person sees and does, in a real VS Code: through the browser, by mouse and keyboard. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ToPage } from "../../webview/messages";
import { ROOT, THEMES, Workbench, whyNot } from "./workbench";

const reason = await whyNot();
if (reason !== undefined) console.warn(`SKIPPED: VS Code in a browser: ${reason}`);

/** How long what follows a key may take. */
const POLL = { timeout: 15_000 };

/** A map whose direct map is still to be explored: no boot program has as much as that takes. */
const UNEXPLORED: ToPage = {
  type: "map",
  map: {
    mode: "4-level",
    root: "0x1002000",
    instructions: 1,
    mapped: [],
    unexplored: [{ start: "0xffff880000000000", end: "0xffff888000000000" }],
    owners: [{ kind: "ram", label: "usable RAM", start: "0x100000", end: "0x40000000" }],
    moreTables: true,
    changes: [],
    pools: [],
    pointers: [],
  },
};

describe.skipIf(reason !== undefined)("in VS Code, through the browser", () => {
  let code: Workbench;

  beforeAll(async () => {
    code = await Workbench.open();
  });

  afterAll(async () => {
    await code?.close();
  });

  test("empty views say what to do, and their button boots a program", async () => {
    await code.showTables();
    const button = code.page
      .locator(".pane:has-text('Page Tables') .welcome-view-content .monaco-button", {
        hasText: "Boot a Program",
      })
      .first();
    await button.waitFor();
    await code.picture("welcome");
    await button.click();
    await code.page
      .locator(".quick-input-list .monaco-list-row", { hasText: "early-fault" })
      .first()
      .waitFor();
    await code.picture("programs");
    await code.pick("early-fault (merged)");
    await code.showDebug();
    await code.stoppedAt("startup_64");
    await expect.poll(() => code.top(), POLL).toContain("head.S");
    await code.picture("entry");
  });

  test("F5 goes on to the reset, then to the first page fault, whose reason is shown", async () => {
    await code.step("F5");
    await code.stoppedAt("reset_early_page_tables");
    await code.step("F5");
    await code.stoppedAt("memcpy");
    expect(await code.exception()).toMatch(
      /#PF read from 0xffff880000010000: PML4E 272 of early_level4_pgt .* is not present/,
    );
    await code.picture("page-fault");
  });

  test("step into enters the handler, and the stack goes through the exception to the code that faulted", async () => {
    await code.step("F11");
    await code.stoppedAt("#PF read 0xffff880000010000");
    await expect.poll(async () => (await code.frames()).at(-1)).toContain("x86_64_start_kernel");
    const frames = await code.frames();
    expect(frames[0]).toContain("entry.S");
    expect(frames[1]).toContain("#PF read 0xffff880000010000");
    expect(frames[2]).toMatch(/memcpy.*memory\.c/);
    await code.picture("handler");
  });

  test("step out of the handler comes back to the access, and the tree marks what the handler added", async () => {
    await code.step("Shift+F11");
    await expect.poll(() => code.top(), POLL).toMatch(/memcpy.*memory\.c/);
    await code.showTables();
    const added = code.treeRow("Page Tables", "PML4E 272");
    await added.waitFor();
    await expect.poll(() => added.innerText(), POLL).toContain("added");
    await code.expand(added);
    const pdpte = code.treeRow("Page Tables", "PDPTE 0");
    await pdpte.waitFor();
    await code.expand(pdpte);
    const pages = code.treeRow("Page Tables", "PDE 0–511");
    await pages.waitFor();
    await expect.poll(() => pages.innerText(), POLL).toContain("512 × 2M");
    await code.picture("page-tables");
  });

  test("the tree can be read by keyboard and screen reader", async () => {
    await code.treeRow("Page Tables", "PML4E 272").click();
    // A click opens and closes; the arrow key only opens.
    await code.page.keyboard.press("ArrowRight");
    await code.page
      .locator(".monaco-list-row[aria-label^='PML4E 272'][aria-expanded=true]")
      .first()
      .waitFor();
    await code.page.keyboard.press("ArrowDown");
    const focused = code.page
      .locator(".pane:has(.pane-header[aria-label^='Page Tables']) .monaco-list-row.focused")
      .first();
    await expect.poll(() => focused.getAttribute("aria-label"), POLL).toMatch(/PDPTE 0.*added/);
  });

  test("the memory map shows owners, bands and the pool, and a selection tells what it is", async () => {
    await code.command("Pagewalk: Show Memory Map");
    const map = code.map();
    await map.locator(".item.mapped").first().waitFor();
    await expect
      .poll(() => map.locator(".slots").getAttribute("aria-label"), POLL)
      .toBe("early_dynamic_pgts: 2 of 64 slots used, next is 2");
    expect(await map.locator(".slot.reached").count()).toBe(2);
    await map.locator('.item.table[aria-label^="early_level4_pgt"]').first().focus();
    await code.page.keyboard.press("Enter");
    await map.locator("#details h2", { hasText: "early_level4_pgt" }).waitFor();
    await code.picture("memory-map");
  });

  test("the memory map marks what a handler added, and the slots that it took", async () => {
    await code.showDebug();
    await code.step("F5");
    await code.step("F11");
    await code.step("Shift+F11");
    const map = code.map();
    const added = map.locator(".item.change.added");
    await added.first().waitFor();
    expect(await added.first().getAttribute("aria-label")).toMatch(
      /^added, linear 0xffff8800\d+ – .*, 1 GiB/,
    );
    expect(await added.first().textContent()).toContain("+");
    expect(await map.locator(".item.slot.changed .corner").count()).toBeGreaterThan(0);
    const registers = map.getByRole("listbox", { name: "Registers in linear memory" });
    expect(await registers.getByRole("option").count()).toBe(3);
    await code.picture("memory-map-marks");
  });

  test("rows of the memory map are lists: arrows go from slot to slot", async () => {
    const map = code.map();
    await map.locator(".slot").first().focus();
    await code.page.keyboard.press("ArrowRight");
    await code.page.keyboard.press("Enter");
    await map.locator("#details h2", { hasText: "early_dynamic_pgts[1]" }).waitFor();
    expect(await map.locator(".slot.selected").getAttribute("aria-label")).toContain(
      "reached from CR3, level 2",
    );
  });

  test.each(THEMES)("everything can be read in %s", async (theme) => {
    await code.theme(theme);
    await code.picture(`theme-${theme.replaceAll(" ", "-").toLowerCase()}`);
    const colours = await code.mapColours();
    expect(colours.text).not.toBe(colours.background);
  });

  test("what the memory map has not looked into is explored when it is selected", async () => {
    await code.theme(THEMES[0]);
    const map = code.map();
    await map.locator("body").evaluate((_body, data) => {
      const page = globalThis as unknown as {
        dispatchEvent(event: unknown): void;
        MessageEvent: new (type: string, init: object) => unknown;
      };
      page.dispatchEvent(new page.MessageEvent("message", { data }));
    }, UNEXPLORED);
    const range = map.locator(".item.unexplored");
    await range.waitFor();
    await code.picture("memory-map-unexplored");
    await range.focus();
    await code.page.keyboard.press("Enter");
    await map.locator('.item.mapped[aria-label^="linear 0xffff880000000000"]').waitFor();
    expect(await range.count()).toBe(0);
    await code.picture("memory-map-explored");
  });

  test("hovers tell of an entry, a register and a raw number", async () => {
    await code.theme(THEMES[0]);
    writeFileSync(
      join(code.folder, "notes.txt"),
      "early_level4_pgt[511] leads to the kernel\n0x80000000000001e3 is an entry\n",
    );
    await code.openFile(join(code.folder, "notes.txt"));
    const entry = await code.hover("early_level4_pgt");
    expect(entry).toContain("early_level4_pgt[511] = 0x1043067");
    expect(entry).toContain("PML4E table level3_kernel_pgt (0x1043000) RW US A");
    await code.picture("hover-entry");
    await code.page.keyboard.press("Control+G");
    await code.answer(":2");
    const number = await code.hover("0x80000000000001e3");
    expect(number).toContain("NX");
    await code.picture("hover-number");
    await code.openFile(`${ROOT}/guests/early-fault/head.S`);
    const register = await code.hover("rdi");
    expect(register).toMatch(/%rdi = 0x[0-9a-f]+/);
    await code.picture("hover-register");
  });

  test("a breakpoint in the gutter of C is hit, and one in assembly", async () => {
    await code.openFile(`${ROOT}/guests/early-fault/tables.c`);
    await code.gutter(92);
    await code.showDebug();
    await code.filter("Page fault", false);
    await code.step("F5");
    await code.stoppedAt("early_make_pgtable");
    await expect.poll(() => code.top(), POLL).toMatch(/early_make_pgtable.*tables\.c.*92/);
    await code.picture("breakpoint-c");
    await code.openFile(`${ROOT}/guests/early-fault/tables.c`);
    await code.gutter(92);
    await code.openFile(`${ROOT}/guests/early-fault/entry.S`);
    await code.page.keyboard.press("Control+G");
    await code.answer(":95");
    await code.page.keyboard.press("F9");
    await code.step("F5");
    await expect.poll(() => code.top(), POLL).toMatch(/entry\.S.*95/);
    await code.picture("breakpoint-assembly");
    await code.page.keyboard.press("F9");
  });

  test("the disassembly is shown with symbols and source", async () => {
    await code.command("Open Disassembly View");
    const row = code.page
      .locator(".disassembly-view .monaco-list-row, .disassembly-view .monaco-table-tr")
      .first();
    await row.waitFor();
    await expect
      .poll(() => code.page.locator(".disassembly-view").innerText(), POLL)
      .toMatch(/0x[fF]{8}81000/);
    await code.picture("disassembly");
    await code.page.keyboard.press("Control+F4");
  });

  test("memory is shown as entries where it is a table", async () => {
    await code.command("Pagewalk: View Memory at...");
    await code.answer("&early_level4_pgt");
    await code.editorTab("memory 0x1002000").waitFor();
    const lines = code.page.locator(".editor-instance .view-lines").last();
    await expect
      .poll(async () => (await lines.innerText()).replaceAll("\u00a0", " "), POLL)
      .toContain("early_level4_pgt · physical 0x1002000 · table of level 4");
    await code.picture("memory");
    await code.page.keyboard.press("Control+F4");
  });

  test("a watched entry stops the run when it changes", async () => {
    await code.showTables();
    await code.command("Pagewalk: Go to Table or Address...");
    await code.answer("0xffff880000010000");
    // What is gone to is revealed and selected.
    await code.page.locator(".monaco-list-row.selected[aria-label^='PDE 0']").first().waitFor();
    await code.treeRow("Page Tables", "PML4E 272").click();
    await code.command("Pagewalk: Watch This Entry");
    await code.page
      .locator(".monaco-list-row[aria-label*='PML4E 272'][aria-label*='watched']")
      .first()
      .waitFor();
    await code.showDebug();
    await code.filter("Early table reset", false);
    await code.command("Debug: Restart");
    await code.stoppedAt("startup_64");
    await code.step("F5");
    // The handler makes the entry at the first access to the direct map.
    await expect.poll(() => code.top(), POLL).toContain("early_make_pgtable");
    await code.page.locator(".debug-pane", { hasText: "Changed: PML4E 272" }).first().waitFor();
    await code.picture("watched");
    await code.showTables();
    await code.treeRow("Page Tables", "PML4E 272").click();
    await code.command("Pagewalk: Stop Watching This Entry");
  });

  test("the switchover stops with the root renamed", async () => {
    await code.showDebug();
    await code.filter("Page fault", false);
    await code.filter("Switchover", true);
    await code.step("F5");
    await code.stoppedAt("switch_to_init_tables");
    await code.showTables();
    const root = code.treeRow("Page Tables", "CR3 →");
    await expect.poll(() => root.innerText(), POLL).toContain("init_level4_pgt");
    await code.picture("switchover");
  });

  test("stopping ends the session, and the views are empty again", async () => {
    await code.command("Debug: Stop");
    await code.showTables();
    await code.page
      .locator(".welcome-view-content .monaco-button", { hasText: "Boot a Program" })
      .first()
      .waitFor();
  });

  test("a number is decoded without a boot, where somebody asks", async () => {
    await code.openFile(join(code.folder, "notes.txt"));
    await code.page.keyboard.press("Control+G");
    await code.answer(":2:5");
    await code.command("Pagewalk: Decode Number");
    await code.page.locator(".tabs-container .tab", { hasText: "0x80000000000001e3" }).first().waitFor();
    await code.picture("decoded");
  });
});
