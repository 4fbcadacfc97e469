// A VS Code server of our own on loopback: the workbench in a browser, with the Node extension host of the desktop.
// It comes from the npm package code-server, of which only the VS Code in it is used; nothing of it is compiled.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** Newer ones need a newer Node. */
const PACKAGE = "code-server@4.100.3";
const CACHE = resolve(".vscode-test/code-server");
const VSCODE = join(CACHE, "node_modules/code-server/lib/vscode");
const MAIN = join(VSCODE, "out/server-main.js");
/** Milliseconds that the server may take to answer. */
const PATIENCE = 60_000;

/** Settings of a fresh user: nothing that asks, fetches, or moves. */
const SETTINGS = {
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "extensions.autoCheckUpdates": false,
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.reduceMotion": "on",
  "chat.commandCenter.enabled": false,
  "window.autoDetectColorScheme": false,
};

/** Installs the server where it is not there yet. @throws an Error with a sentence where the registry has it not */
export function installServer() {
  if (existsSync(join(VSCODE, ".complete"))) return;
  mkdirSync(CACHE, { recursive: true });
  if (!existsSync(join(CACHE, "package.json")))
    writeFileSync(join(CACHE, "package.json"), '{"private":true}\n');
  const install = (args, cwd) => {
    try {
      execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...args], {
        cwd,
        stdio: "pipe",
      });
    } catch (error) {
      throw new Error(
        `the npm registry does not give ${PACKAGE}: ${String(error.stderr ?? error)
          .trim()
          .split("\n")
          .at(-1)}`,
      );
    }
  };
  install([PACKAGE], CACHE);
  install(["--omit=dev"], VSCODE);
  writeFileSync(join(VSCODE, ".complete"), "");
}

/**
 * Starts a server with a user of its own.
 * @param options.env added to the environment of the server and its extension host
 * @param options.settings added to the user's settings
 * @param options.extension a .vsix to install first
 * @returns its port, and what stops it
 */
export async function startServer({ env = {}, settings = {}, extension } = {}) {
  installServer();
  const port = await freePort();
  const data = mkdtempSync(join(tmpdir(), "pagewalk-vscode-"));
  for (const place of ["data/User", "data/Machine"]) {
    mkdirSync(join(data, place), { recursive: true });
    writeFileSync(join(data, place, "settings.json"), JSON.stringify({ ...SETTINGS, ...settings }));
  }
  const common = ["--server-data-dir", data, "--accept-server-license-terms"];
  if (extension !== undefined) {
    execFileSync(process.execPath, [MAIN, ...common, "--install-extension", extension, "--force"], {
      stdio: "pipe",
    });
  }
  const child = spawn(
    process.execPath,
    [
      MAIN,
      ...common,
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      "--without-connection-token",
      "--telemetry-level",
      "off",
    ],
    { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      log = (log + chunk).slice(-20_000);
    });
  }
  const stop = () => {
    // The whole group: the server starts extension hosts and watchers.
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {}
    rmSync(data, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    await answers(`http://127.0.0.1:${port}/version`, child);
  } catch (error) {
    stop();
    throw new Error(`the VS Code server did not start: ${error.message}\n${log}`);
  }
  return { port, data, stop, log: () => log };
}

/**
 * The address of a workbench.
 * @param folder the workspace, absolute
 * @param development the extension under development, absolute
 * @param tests a module whose run() is called in the extension host
 */
export function workbenchUrl(port, folder, { development, tests } = {}) {
  const remote = (path) => `vscode-remote://127.0.0.1:${port}${path}`;
  const payload = [];
  if (development !== undefined) payload.push(["extensionDevelopmentPath", remote(development)]);
  if (tests !== undefined) payload.push(["extensionTestsPath", remote(tests)]);
  const query = new URLSearchParams({ folder });
  if (payload.length > 0) query.set("payload", JSON.stringify(payload));
  return `http://127.0.0.1:${port}/?${query}`;
}

function freePort() {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.on("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

async function answers(url, child) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with status ${child.exitCode}`);
    try {
      if ((await fetch(url)).ok) return;
    } catch {}
    if (Date.now() > end) throw new Error("it does not answer");
    await new Promise((next) => setTimeout(next, 200));
  }
}
