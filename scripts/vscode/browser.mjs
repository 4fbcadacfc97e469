// Chromium for tests: the one that is installed, or Debian's where we may install it.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  process.env.CHROME_PATH ?? "",
];
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The path of a Chromium. @throws an Error with a sentence where there is none, and none can be installed */
export function findChromium() {
  const found = PLACES.find((path) => path !== "" && existsSync(path));
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) {
    throw new Error("there is no Chromium: install it, or set CHROME_PATH");
  }
  try {
    execFileSync("apt-get", ["update"], { stdio: "pipe" });
    execFileSync("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], { stdio: "pipe" });
  } catch {
    throw new Error("there is no Chromium, and apt-get could not install it");
  }
  return PLACES[0];
}

/** A browser window with a profile of its own. */
export async function openBrowser({ width = 1440, height = 900 } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "pagewalk-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: findChromium(),
    args: ARGUMENTS,
    headless: true,
    viewport: { width, height },
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { page: context.pages()[0] ?? (await context.newPage()), context, close };
}
