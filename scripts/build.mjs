// Bundles the command line and the bench into dist/.
import { chmodSync, copyFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const require = createRequire(import.meta.url);
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist", { recursive: true });

const common = {
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  sourcemap: true,
  logLevel: "warning",
};
const entries = { cli: "src/cli.ts", bench: "src/bench.ts" };
for (const [name, entry] of Object.entries(entries)) {
  await build({
    ...common,
    entryPoints: [entry],
    outfile: `dist/${name}.js`,
    banner: { js: "#!/usr/bin/env node" },
  });
  chmodSync(`dist/${name}.js`, 0o755);
}

// iced-x86 reads its WebAssembly module from the folder of the script that holds it.
const iced = dirname(require.resolve("iced-x86"));
copyFileSync(join(iced, "iced_x86_bg.wasm"), "dist/iced_x86_bg.wasm");
