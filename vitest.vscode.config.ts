import { defineConfig } from "vitest/config";

/** Tests in a real VS Code: one file after another, since each has a server and a browser of its own. */
export default defineConfig({
  test: {
    include: ["test/vscode/**/*.test.ts"],
    testTimeout: 90_000,
    hookTimeout: 300_000,
    fileParallelism: false,
    sequence: { concurrent: false },
  },
});
