import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, it } from "vitest";

const SCRIPT = resolve("scripts/build-guests.mjs");
const copy = mkdtempSync(join(tmpdir(), "pagewalk-images-"));

function check(folder: string) {
  return spawnSync(process.execPath, [SCRIPT, "--check"], { cwd: folder, encoding: "utf8" });
}

afterAll(() => rmSync(copy, { recursive: true }));

it("the images in the repository are built from the sources beside them", () => {
  const result = check(".");
  if (result.stdout !== "") console.log(result.stdout.trim());
  expect(result.stderr).toBe("");
  expect(result.status).toBe(0);
});

it("a changed source without a new image is found out", () => {
  cpSync("guests", join(copy, "guests"), { recursive: true });
  writeFileSync(join(copy, "guests/early-fault/tables.c"), "/* changed */\n");
  const result = check(copy);
  expect(result.status).toBe(1);
  expect(result.stderr).toMatch(/^the sources of early-fault have changed/);
});

it("a changed image is found out", () => {
  cpSync("guests", join(copy, "guests"), { recursive: true });
  writeFileSync(join(copy, "guests/early-fault/early-fault-merged.elf"), "no image");
  const result = check(copy);
  expect(result.status).toBe(1);
  expect(result.stderr).toMatch(/early-fault-merged\.elf is not the image/);
});
