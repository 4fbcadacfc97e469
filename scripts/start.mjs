// npm start: builds, and opens VS Code with the extension and a sample folder. An installed `code` where there is
// one, else one that @vscode/test-electron downloads, else a server of our own on loopback, to be opened in a browser.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(".");
execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });
const folder = sampleFolder();

const code = installedCode();
if (code !== undefined) {
  console.log(`Opening VS Code (${code}) with Pagewalk. Press F5 there.`);
  desktop(code);
} else {
  const downloaded = await download();
  if (downloaded !== undefined) {
    console.log("Opening a downloaded VS Code with Pagewalk. Press F5 there.");
    desktop(downloaded);
  } else await serve();
}

/** A folder with a launch configuration for each kind of boot worth trying first. */
function sampleFolder() {
  const made = mkdtempSync(join(tmpdir(), "pagewalk-sample-"));
  mkdirSync(join(made, ".vscode"));
  const boot = (program, about, more) => ({
    type: "pagewalk",
    request: "launch",
    name: `Boot ${program}${about}`,
    program,
    ...more,
  });
  const configurations = [
    boot("early-fault", ""),
    boot("early-fault", ", small pool", { memory: "32G", settings: { pool: 4, ramdisk: "20G" } }),
    boot("early-fault", ", without NX", { cpu: "qemu64,-nx" }),
    boot("early-fault", ", prototype of 2012", { settings: { revision: "prototype" } }),
    boot("i386-paravirt", ", one root page in two formats", { settings: { variant: "native-pae" } }),
    boot("i386-paravirt", " on Xen", { settings: { variant: "xen-pae" } }),
    boot("direct-map", ""),
    boot("direct-map", " on Xen", { memory: "64M", settings: { variant: "xen" } }),
    boot("xen-p2m", "", { memory: "64M" }),
    boot("xen-p2m", ", its tables mapped writable", { memory: "64M", settings: { defect: "no-mask" } }),
  ];
  writeFileSync(
    join(made, ".vscode/launch.json"),
    `${JSON.stringify({ version: "0.2.0", configurations }, null, 2)}\n`,
  );
  return made;
}

function installedCode() {
  for (const name of ["code", "code-insiders", "codium"]) {
    try {
      execFileSync(name, ["--version"], { stdio: "pipe", shell: process.platform === "win32" });
      return name;
    } catch {}
  }
  return undefined;
}

async function download() {
  try {
    const { downloadAndUnzipVSCode } = await import("@vscode/test-electron");
    return await downloadAndUnzipVSCode({ cachePath: resolve(".vscode-test/desktop"), version: "stable" });
  } catch (error) {
    console.log(`No desktop VS Code can be downloaded here (${error.message}).`);
    return undefined;
  }
}

function desktop(program) {
  const profile = mkdtempSync(join(tmpdir(), "pagewalk-profile-"));
  spawn(program, [`--extensionDevelopmentPath=${root}`, `--user-data-dir=${profile}`, folder], {
    stdio: "ignore",
    detached: true,
    shell: process.platform === "win32",
  }).unref();
}

async function serve() {
  const { startServer, workbenchUrl } = await import("./vscode/server.mjs");
  const server = await startServer();
  console.log("VS Code runs on this machine, for this machine only. Open in a browser:\n");
  console.log(`  ${workbenchUrl(server.port, folder, { development: root })}\n`);
  console.log("Press F5 there. Ctrl-C here ends it.");
  const end = () => {
    server.stop();
    process.exit(0);
  };
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
}
