/**
 * Golden files: what a test wrote, beside it, to be reviewed as a diff. `UPDATE_GOLDEN=1 npx vitest run` rewrites
 * them; a failing test leaves what it got in `.actual/`.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";

/**
 * @param folder the folder of the test
 * @param name of the golden file, without ".golden.txt"
 */
export function expectGolden(folder: string, name: string, actual: string): void {
  const file = join(folder, `${name}.golden.txt`);
  const left = join(folder, ".actual", `${name}.txt`);
  if (process.env.UPDATE_GOLDEN === "1") writeFileSync(file, actual);
  const golden = read(file);
  if (golden === actual) rmSync(left, { force: true });
  else {
    mkdirSync(join(folder, ".actual"), { recursive: true });
    writeFileSync(left, actual);
  }
  expect(actual, `${file} (UPDATE_GOLDEN=1 rewrites it)`).toBe(golden);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
