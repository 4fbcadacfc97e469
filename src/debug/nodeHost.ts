/** The world of a session in a process or worker of Node's. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ConnectionHost } from "./connection";

/** The prefix that bundled images' debugging information gives their sources. */
const BUNDLED_PREFIX = "/pagewalk/guests";

/** @param root the folder that holds package.json and guests/ */
export function nodeHost(root: string): ConnectionHost {
  const guests = join(root, "guests");
  return {
    files: {
      readFile: (path) => readFile(path),
      readGuest: (path) => readFile(join(guests, path)),
      exists: (path) => existsSync(path),
    },
    bundledSources: { [BUNDLED_PREFIX]: guests },
    // A turn of the event loop: messages that wait are taken.
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    now: () => performance.now(),
  };
}
