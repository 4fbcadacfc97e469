/** What a user of the debugger waits for, measured through the adapter as a client sees it. */
import { join } from "node:path";
import { Client } from "./client";

export interface DebuggerFigures {
  /** Milliseconds from launch to the stop at the entry. */
  readonly launch: number;
  /** Milliseconds from a step by a line (into what it calls) to its stop: median and 99th percentile. */
  readonly step: { readonly median: number; readonly p99: number };
  /** The same, until the stack, the page tables (opened to their leaves) and the memory map have been asked for again. */
  readonly refreshed: { readonly median: number; readonly p99: number };
  /** Milliseconds for the tree's rows and for the map's data alone: medians. */
  readonly tables: number;
  readonly map: number;
}

const STEPS = 150;

/** Steps through early-fault from its first page fault on. */
export async function debuggerFigures(): Promise<DebuggerFigures> {
  const client = new Client(join(__dirname, ".."));
  await client.ask("initialize", { adapterID: "pagewalk" });
  const launch = await timed(async () => {
    await client.ask("launch", { program: "early-fault" });
    await client.ask("setExceptionBreakpoints", { filters: ["page-fault"] });
    await client.go("configurationDone");
  });
  await client.go("continue");
  await client.ask("setExceptionBreakpoints", { filters: [] });
  const steps: number[] = [];
  const refreshed: number[] = [];
  const tables: number[] = [];
  const map: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    const step = await timed(() => client.go("stepIn"));
    const stack = await timed(() => client.ask("stackTrace", { threadId: 1 }));
    const tree = await timed(() => openTree(client));
    const redraw = await timed(() => client.ask("pagewalk/memoryMap"));
    steps.push(step);
    tables.push(tree);
    map.push(redraw);
    refreshed.push(step + stack + tree + redraw);
  }
  client.end();
  return {
    launch,
    step: spread(steps),
    refreshed: spread(refreshed),
    tables: spread(tables).median,
    map: spread(map).median,
  };
}

/** Every row down to the leaves, as a tree that is opened whole asks for them. */
async function openTree(client: Client, parent?: string): Promise<void> {
  const { rows } = (await client.ask("pagewalk/tables", parent === undefined ? {} : { parent })) as {
    rows: { id: string; kind: string }[];
  };
  for (const { id, kind } of rows) if (kind === "root" || kind === "table") await openTree(client, id);
}

async function timed(action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

function spread(values: readonly number[]): { median: number; p99: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  return { median: at(0.5), p99: at(0.99) };
}
