// Writes what of package.json follows from the sources: the attributes of launch configurations.
//   node scripts/manifest.mjs           rewrites package.json
//   node scripts/manifest.mjs --check   fails where it would change
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

const bundle = join(tmpdir(), `pagewalk-launch-${process.pid}.cjs`);
await build({
  entryPoints: ["src/debug/launchAttributes.ts"],
  bundle: true,
  platform: "node",
  format: "cjs",
  outfile: bundle,
  logLevel: "warning",
});
const { LAUNCH_ATTRIBUTES } = createRequire(import.meta.url)(bundle);
const text = readFileSync("package.json", "utf8");
const manifest = JSON.parse(text);
manifest.contributes.debuggers[0].configurationAttributes.launch.properties = LAUNCH_ATTRIBUTES;
const wanted = `${JSON.stringify(manifest, null, 2)}\n`;
if (wanted !== text) {
  if (process.argv.includes("--check")) {
    console.error("package.json does not agree with the launch attributes: run npm run manifest");
    process.exit(1);
  }
  writeFileSync("package.json", wanted);
}
