/** The command as it is installed: the bundle in dist/ (`npm run build`), in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DEMAND } from "./testIo";

const CLI = new URL("../../dist/cli.js", import.meta.url).pathname;
const ENDLESS = ["run", DEMAND, "--cmdline", "endless", "--json"];

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

function start(argv: readonly string[]): ChildProcess {
  expect(existsSync(CLI), "dist/cli.js is missing: npm run build makes it").toBe(true);
  return spawn(process.execPath, [CLI, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
}

function ended(child: ChildProcess, onFirstOutput: () => void = () => {}): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  let first = onFirstOutput;
  child.stdout!.on("data", (chunk) => {
    stdout += String(chunk).slice(-10_000);
    first();
    first = () => {};
  });
  child.stderr!.on("data", (chunk) => {
    stderr += chunk;
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, stdout, stderr })));
}

describe("the built command", () => {
  test("boots a bundled program and exits with its status", async () => {
    const { status, stdout, stderr } = await ended(start(["run", "early-fault", "--json"]));
    expect([status, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1)!)).toMatchObject({ stopped: "exit" });
  });

  test("ends wrong usage with status 2 and one line on stderr", async () => {
    const { status, stdout, stderr } = await ended(start(["run", "early-fault", "--events", "nope"]));
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^pagewalk: [^\n]*\n$/);
  });

  test("ends at Ctrl-C with the stop as its last line and status 130", async () => {
    const child = start(ENDLESS);
    const { status, stdout, stderr } = await ended(child, () => child.kill("SIGINT"));
    expect([status, stderr]).toEqual([130, ""]);
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1)!)).toMatchObject({ stopped: "interrupt" });
  });

  test("ends quietly when nobody reads its output any more", async () => {
    const child = start(ENDLESS);
    const { status, stderr } = await ended(child, () => child.stdout!.destroy());
    expect([status, stderr]).toEqual([141, ""]);
  });
});
