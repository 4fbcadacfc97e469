/** Runs the tests of `host/` inside the extension host: of a VS Code in a browser, and of the desktop where it can be had. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { openBrowser } from "../../scripts/vscode/browser.mjs";
import { startServer, workbenchUrl } from "../../scripts/vscode/server.mjs";
import { ROOT, whyNot } from "./workbench";

const BUNDLE = join(ROOT, ".vscode-test/host-tests.js");
const PATIENCE = 80_000;

type Results = { title: string; error?: string }[];

beforeAll(async () => {
  await build({
    entryPoints: [join(ROOT, "test/vscode/host/index.ts")],
    bundle: true,
    platform: "node",
    format: "cjs",
    external: ["vscode", "mocha"],
    outfile: BUNDLE,
    logLevel: "warning",
  });
});

const reason = await whyNot();
if (reason !== undefined) console.warn(`SKIPPED: tests in the extension host of a served VS Code: ${reason}`);

describe("in the extension host", () => {
  test.skipIf(reason !== undefined)("of a VS Code in a browser", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pagewalk-host-"));
    const results = join(folder, "results.json");
    const server = await startServer({ env: { PAGEWALK_TEST_RESULTS: results } });
    const browser = await openBrowser();
    try {
      await browser.page.goto(workbenchUrl(server.port, folder, { development: ROOT, tests: BUNDLE }));
      const end = Date.now() + PATIENCE;
      while (!existsSync(results) && Date.now() < end) await browser.page.waitForTimeout(200);
      check(results);
    } finally {
      await browser.close();
      server.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("of the desktop VS Code", async (context) => {
    const folder = mkdtempSync(join(tmpdir(), "pagewalk-desktop-"));
    const results = join(folder, "results.json");
    const { downloadAndUnzipVSCode, runTests } = await import("@vscode/test-electron");
    let program: string;
    try {
      program = await downloadAndUnzipVSCode({
        cachePath: join(ROOT, ".vscode-test/desktop"),
        version: "stable",
        timeout: 10_000,
      });
    } catch (error) {
      console.warn(
        `SKIPPED: tests in the desktop VS Code: it cannot be downloaded here (${(error as Error).message})`,
      );
      context.skip();
      return;
    }
    await runTests({
      vscodeExecutablePath: program,
      extensionDevelopmentPath: ROOT,
      extensionTestsPath: BUNDLE,
      extensionTestsEnv: { PAGEWALK_TEST_RESULTS: results },
      launchArgs: ["--disable-extensions", "--no-sandbox", folder],
    });
    check(results);
  });
});

function check(file: string): void {
  expect(existsSync(file), "the extension host wrote no results").toBe(true);
  const { results, activation } = JSON.parse(readFileSync(file, "utf8")) as {
    results: Results;
    activation: number;
  };
  console.log(`activation of the extension: ${activation.toFixed(1)} ms`);
  expect(results.filter(({ error }) => error !== undefined)).toEqual([]);
  expect(results.length).toBeGreaterThan(5);
}
