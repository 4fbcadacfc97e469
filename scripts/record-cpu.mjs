// Runs the instruction cases of test/reference/cpu on the processor of this computer (x86-64 Linux, gcc) and writes
// the outcomes to test/reference/cpu/recorded/. With family names as arguments, only those.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const NEEDED = ["bmi1", "bmi2", "abm", "movbe", "adx", "cx16", "popcnt", "sse4_2", "lahf_lm", "fsgsbase"];
const folder = fileURLToPath(new URL("../test/reference/cpu/", import.meta.url));
const temporary = mkdtempSync(join(tmpdir(), "record-cpu-"));

const cpuinfo = readFileSync("/proc/cpuinfo", "utf8");
const field = (name) => cpuinfo.match(new RegExp(`^${name}\\s*: (.*)$`, "m"))?.[1] ?? "unknown";
const missing = NEEDED.filter((feature) => !field("flags").split(" ").includes(feature));
if (missing.length > 0) {
  console.error(`record-cpu: this processor lacks ${missing.join(", ")}; record on one that has them.`);
  process.exit(2);
}
const cpu = `${field("model name")}, family ${field("cpu family")} model ${field("model")} stepping ${field("stepping")}`;

try {
  const recorder = join(temporary, "recorder");
  const flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-no-pie", "-fno-stack-protector"];
  execFileSync("gcc", [...flags, "-o", recorder, join(folder, "recorder.c")], { stdio: "inherit" });
  const bundle = join(temporary, "generator.mjs");
  const entryPoints = [join(folder, "index.ts")];
  await build({
    entryPoints,
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: bundle,
    logLevel: "warning",
  });
  const generator = await import(pathToFileURL(bundle).href);

  mkdirSync(join(folder, "recorded"), { recursive: true });
  const only = process.argv.slice(2);
  let total = 0;
  for (const mode of generator.MODES) {
    for (const family of generator.familiesOf(mode)) {
      if (only.length > 0 && !only.includes(family)) continue;
      const { cases, input } = generator.casesOf(family, mode);
      writeFileSync(join(temporary, "input"), input);
      execFileSync(recorder, [join(temporary, "input"), join(temporary, "output")], { stdio: "inherit" });
      const outcomes = generator.decodeOutput(readFileSync(join(temporary, "output")), cases);
      const recording = { cpu, inputs: generator.hashOf(input), outcomes };
      const file = generator.encodeRecording(recording, cases);
      writeFileSync(join(folder, "recorded", generator.fileName(family, mode)), file);
      total += cases.length;
      console.log(`${mode}-bit ${family}: ${cases.length} cases, ${file.length} bytes`);
    }
  }
  console.log(`${total} cases`);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
