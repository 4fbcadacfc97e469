/** Debian's kernel, untouched, in the editor: to its own page tables, and out of its decompressor. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { skipReason, vmlinuxOf, vmlinuzOf } from "../support/linux/kernels";
import { THEMES, Workbench, whyNot } from "./workbench";

const FLAVOUR = "cloud-amd64";
const [vmlinux, vmlinuz] = [vmlinuxOf(FLAVOUR), vmlinuzOf(FLAVOUR)];
const missing = vmlinux === undefined || vmlinuz === undefined ? skipReason(FLAVOUR) : undefined;
const reason = (await whyNot()) ?? missing;
if (reason !== undefined) console.warn(`SKIPPED: Linux in VS Code: ${reason}`);

const pagewalk = { type: "pagewalk", request: "launch", memory: "4G", cmdline: "nokaslr" };
const CONFIGURATIONS = [
  { ...pagewalk, name: "Linux by PVH", program: vmlinux, cpu: "qemu64" },
  {
    ...pagewalk,
    name: "Linux from its bzImage",
    program: vmlinuz,
    symbols: vmlinux,
    entry: "linux32-compressed",
    cpu: "max",
  },
];

describe.skipIf(reason !== undefined)("Linux in VS Code", () => {
  let code: Workbench;
  const files = mkdtempSync(join(tmpdir(), "pagewalk-linux-"));

  async function start(name: string, place: string): Promise<void> {
    await code.command("Debug: Select and Start Debugging");
    const row = code.page.locator(".quick-input-list .monaco-list-row", { hasText: name }).first();
    await row.click();
    await code.stoppedAt(place);
  }

  beforeAll(async () => {
    mkdirSync(join(files, ".vscode"));
    writeFileSync(
      join(files, ".vscode/launch.json"),
      JSON.stringify({ version: "0.2.0", configurations: CONFIGURATIONS }, undefined, 2),
    );
    code = await Workbench.open({ files });
    await code.page.setViewportSize({ width: 1500, height: 950 });
    await code.showDebug();
  });

  afterEach(async () => {
    await code.command("Debug: Stop");
    await code.page.locator(".debug-toolbar").waitFor({ state: "hidden" });
  });

  afterAll(async () => {
    rmSync(files, { recursive: true, force: true });
    await code?.close();
  });

  test("goes from its entry by page faults and the switchover to its own tables", async () => {
    await start("Linux by PVH", "pvh_start_xen");
    await code.filter("Early table reset", false);
    await code.filter("Switchover", true);
    await code.filter("Page fault", true);
    await code.step("F5");
    expect(await code.exception()).toMatch(/#PF read from 0xf{4}88800.*of early_top_pgt .* is not present/);
    await code.picture("linux-page-fault");
    await code.filter("Page fault", false);
    await code.step("F5");
    await code.stoppedAt("init_mem_mapping");
    await code.showTables();
    await code.treeRow("Page Tables", /CR3 → init_top_pgt/).waitFor();
    for (const theme of THEMES) {
      await code.theme(theme);
      await code.picture(`linux-switchover-${theme.split(" ")[1].toLowerCase()}`);
    }
  });

  test("decompresses itself, on the way over to 5-level paging", async () => {
    await code.showDebug();
    await start("Linux from its bzImage", "0x100000");
    await code.filter("Switchover", false);
    await code.filter("Paging mode change", true);
    for (let stop = 0; stop < 5; stop++) await code.step("F5");
    expect(await code.exception()).toMatch(/\+PG: paging is now 5-level/);
    await code.showTables();
    await code.treeRow("Page Tables", /5-level paging/).waitFor();
    await code.picture("linux-five-levels");
    await code.showDebug();
    await code.filter("Paging mode change", false);
    await code.filter("Page fault", true);
    await code.step("F5");
    await code.stoppedAt("x86_64_start_kernel");
    expect(await code.exception()).toMatch(/PML5E 273 of early_top_pgt .* is not present/);
    await code.picture("linux-five-levels-fault");
  });
});
