// Bundles a TypeScript file of this repository with what it imports from it, and gives its exports.
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

const require = createRequire(import.meta.url);

/** Packages stay where they are: iced-x86 reads its WebAssembly module from its own folder. */
const packagesInPlace = {
  name: "packages-in-place",
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
      kind === "entry-point" || path.startsWith("node:")
        ? undefined
        : { path: require.resolve(path), external: true },
    );
  },
};

export async function importTypeScript(url) {
  const folder = mkdtempSync(join(tmpdir(), "pagewalk-script-"));
  try {
    const outfile = join(folder, "bundle.cjs");
    await build({
      entryPoints: [url.pathname],
      bundle: true,
      platform: "node",
      target: "node20",
      format: "cjs",
      sourcemap: "inline",
      outfile,
      logLevel: "warning",
      plugins: [packagesInPlace],
    });
    return require(outfile);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
