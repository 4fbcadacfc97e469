/** The .vsix as people install it; and a boot program that its user changed. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT, Workbench, whyNot } from "./workbench";

const reason = await whyNot();
if (reason !== undefined) console.warn(`SKIPPED: the packaged extension in VS Code: ${reason}`);
const compiler = (() => {
  try {
    execFileSync("gcc", ["--version"], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
})();
if (!compiler) console.warn("SKIPPED: a changed copy of a boot program: there is no gcc");

describe.skipIf(reason !== undefined)("the packaged extension", () => {
  let code: Workbench;

  beforeAll(async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    execFileSync("npm", ["run", "package"], { cwd: ROOT, stdio: "pipe" });
    code = await Workbench.open({ extension: join(ROOT, `pagewalk-${version}.vsix`) });
  });

  afterAll(async () => {
    await code?.close();
  });

  test("has the images and sources of every boot program", () => {
    const listed = execFileSync("npx", ["vsce", "ls"], { cwd: ROOT, encoding: "utf8" }).split("\n");
    const { programs } = JSON.parse(readFileSync(join(ROOT, "guests/images.json"), "utf8")) as {
      programs: Record<string, { images: Record<string, string> }>;
    };
    for (const [program, { images }] of Object.entries(programs)) {
      for (const file of [...Object.keys(images), "Makefile", "README.md", "main.c"]) {
        expect(listed).toContain(`guests/${program}/${file}`);
      }
    }
  });

  test("the walkthrough opens from the empty view", async () => {
    await code.showTables();
    await code.page
      .locator(".welcome-view-content .monaco-button", { hasText: "Get Started" })
      .first()
      .click();
    await code.page
      .locator(".getting-started-step", { hasText: "Stop on the first page fault" })
      .first()
      .waitFor();
    await code.picture("walkthrough");
  });

  test("F5 without a launch.json boots with the package's own bundles and images", async () => {
    await code.page.keyboard.press("F5");
    await code.page
      .locator(".quick-input-list .monaco-list-row", { hasText: "Pagewalk: x86 kernel boot" })
      .first()
      .click();
    await code.pick("early-fault (merged)");
    await code.stoppedAt("startup_64");
    await code.step("F5");
    await code.stoppedAt("reset_early_page_tables");
    await code.command("Pagewalk: Show Memory Map");
    await code.map().locator(".item.mapped").first().waitFor();
    expect(await code.map().locator(".slots").getAttribute("aria-label")).toContain("0 of 64 slots used");
    await code.picture("packaged-reset");
    await code.command("Debug: Stop");
  });

  test.skipIf(!compiler)("copies a boot program; changed and rebuilt, F5 boots the change", async () => {
    await code.command("Pagewalk: Copy Boot Program to Workspace");
    await code.pick("early-fault (merged)");
    await code.editorTab("main.c").waitFor();
    const program = join(code.folder, "boot-programs/early-fault");
    expect(existsSync(join(program, "Makefile"))).toBe(true);
    const source = join(program, "main.c");
    const text = readFileSync(source, "utf8");
    const printed = 'print("command line: %s\\n", boot_command_line);';
    expect(text).toContain(printed);
    writeFileSync(source, text.replace(printed, `${printed}\n\tprint("changed by its user\\n");`));
    execFileSync("make", [], { cwd: program, stdio: "pipe" });
    await code.page.waitForTimeout(1000);
    await code.page.keyboard.press("F5");
    await code.stoppedAt("startup_64");
    for (const filter of ["Page fault", "Early table reset", "Switchover"]) await code.filter(filter, false);
    await code.step("F5");
    await code.command("Debug Console: Focus on Debug Console View");
    await code.page.locator(".repl-tree", { hasText: "changed by its user" }).first().waitFor();
    await code.picture("changed-program");
  });
});
