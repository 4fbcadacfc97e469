/** Entry of the tests in the extension host: runs them with mocha, and writes what came of them to a file. */
import { writeFileSync } from "node:fs";
import Mocha from "mocha";
import { activation } from "./activation";

/** VS Code calls it. The results' file is named by PAGEWALK_TEST_RESULTS. */
export async function run(): Promise<void> {
  const mocha = new Mocha({ ui: "tdd", timeout: 30_000, reporter: "min" });
  mocha.suite.emit("pre-require", globalThis, "suite.ts", mocha);
  await import("./suite");
  const results: { title: string; error?: string }[] = [];
  const failures = await new Promise<number>((done) => {
    const runner = mocha.run(done);
    runner.on("pass", (test) => results.push({ title: test.title }));
    runner.on("fail", (test, error: Error) =>
      results.push({ title: test.title, error: error.stack ?? String(error) }),
    );
  });
  const file = process.env.PAGEWALK_TEST_RESULTS;
  if (file !== undefined)
    writeFileSync(file, JSON.stringify({ results, activation: activation.milliseconds }));
  if (failures > 0) throw new Error(`${failures} tests failed`);
}
