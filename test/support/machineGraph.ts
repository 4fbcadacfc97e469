/** Every field of a machine and of its parts, by path, so that one that is not restored is found. */
import { R_EPOCH } from "../../src/machine/cpu/registers";
import type { Machine } from "../../src/machine/machine";

/** What makes the machine fast, or says how it is watched, and is no state of it. */
const NO_STATE = new Set([
  "memory",
  "code",
  "fast",
  "recent",
  // Views of the register file, and copies for transfers that fail half way.
  "r8",
  "r16",
  "saved",
  "walk",
  "check",
  "fault",
  "live",
  "dataBreakpoints",
  "wanted",
  "muted",
  "lastEvent",
  "domain",
  // Scratch of the run loop.
  "index",
  "budget",
  "deadline",
  "leave",
  "stopRequested",
  "stopAtReturn",
  "stopAtDiversion",
  // What a listener was told already.
  "told",
  // What was looked up last.
  "last",
  "lastMap",
  "lastPcid",
  // A copy for the next who saves.
  "copy",
  // Which features are in use at all: the model never changes.
  "model",
  "features",
  "mmu.walks",
]);

export function graphOf(machine: Machine): Map<string, string> {
  const leaves = new Map<string, string>();
  const seen = new Set<object>();
  const visit = (value: unknown, path: string): void => {
    if (typeof value === "function") return;
    if (typeof value !== "object" || value === null) {
      leaves.set(path, String(value));
      return;
    }
    if (ArrayBuffer.isView(value)) {
      leaves.set(path, String(value));
      return;
    }
    if (seen.has(value)) return;
    seen.add(value);
    if (value instanceof Map) for (const [key, item] of value) visit(item, `${path}[${String(key)}]`);
    else if (value instanceof Set) for (const [i, item] of [...value].entries()) visit(item, `${path}{${i}}`);
    else {
      for (const [key, item] of Object.entries(value)) {
        if (!NO_STATE.has(key)) visit(key === "r" ? withoutEpoch(item) : item, `${path}.${key}`);
      }
    }
  };
  visit(machine, "machine");
  return leaves;
}

/** The register file without the word that is the code cache's. */
function withoutEpoch(r: Int32Array): Int32Array {
  return r.map((word, index) => (index === R_EPOCH ? 0 : word));
}
