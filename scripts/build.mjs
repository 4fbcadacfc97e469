// Bundles everything that runs into dist/: the command line, the bench, the extension, its worker, the webview.
//   --production   minified, without source maps, and only what the extension needs
import { chmodSync, copyFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const require = createRequire(import.meta.url);
rmSync("dist", { recursive: true, force: true });
mkdirSync("dist", { recursive: true });

const production = process.argv.includes("--production");
const common = {
  bundle: true,
  sourcemap: production ? false : "linked",
  minify: production,
  logLevel: "warning",
};
const node = { ...common, platform: "node", target: "node20", format: "cjs" };

const commands = production ? { cli: "src/cli.ts" } : { cli: "src/cli.ts", bench: "bench/main.ts" };
for (const [name, entry] of Object.entries(commands)) {
  await build({
    ...node,
    entryPoints: [entry],
    outfile: `dist/${name}.js`,
    banner: { js: "#!/usr/bin/env node" },
  });
  chmodSync(`dist/${name}.js`, 0o755);
}
await build({
  ...node,
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  external: ["vscode"],
});
await build({ ...node, entryPoints: ["src/debug/worker.ts"], outfile: "dist/debugWorker.js" });
await build({
  ...common,
  platform: "browser",
  target: "es2022",
  format: "iife",
  entryPoints: ["webview/main.ts"],
  outfile: "dist/memoryMap.js",
});

// iced-x86 reads its WebAssembly module from the folder of the script that holds it.
const iced = dirname(require.resolve("iced-x86"));
copyFileSync(join(iced, "iced_x86_bg.wasm"), "dist/iced_x86_bg.wasm");
