// Makes pagewalk-VERSION.vsix: the extension with only what it needs, for people to install.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const file = `pagewalk-${version}.vsix`;
try {
  execFileSync(
    "npx",
    [
      "vsce",
      "package",
      "--no-dependencies",
      "--skip-license",
      "--allow-missing-repository",
      "--no-rewrite-relative-links",
      "--out",
      file,
    ],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, PAGEWALK_PACKAGING: "1" } },
  );
} finally {
  // What is worked with is the build for development.
  execFileSync(process.execPath, ["scripts/build.mjs"], { stdio: "inherit" });
}
console.log(`${file}: ${(statSync(file).size / 1024).toFixed(0)} KiB`);
