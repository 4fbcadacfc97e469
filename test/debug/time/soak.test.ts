import { afterEach, expect, test } from "vitest";
import type { TimelineAnswer } from "../../../src/debug/protocol/time";
import { DapClient } from "../../support/dapClient";

/** Minutes of random debugging: a little in every run of the tests, more where somebody wants it. */
const MINUTES = Number(process.env.PAGEWALK_SOAK_MINUTES ?? 0.4);
const BUDGET_MIB = 8;
const MIB = 2 ** 20;
/** What a process grows by that boots and debugs, apart from checkpoints. */
const GROWTH_MIB = 500;
/** Moments whose looks are kept for comparison, so that a long soak does not measure them. */
const MOST_SEEN = 1000;

let client: DapClient;
afterEach(() => client.end());

/** Numbers that look random, and are the same again with the same seed. */
function randomNumbers(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return Math.floor((x / 2 ** 32) * below);
  };
}

async function look(): Promise<string> {
  const names = ["rip", "rsp", "rax", "rcx", "rdi", "rflags", "cr2", "cr3"];
  const values = [];
  for (const name of names) values.push(await client.evaluate(`$${name},x`));
  // Marks tell of changes since the last stop, and are another matter.
  const { rows } = await client.ask<{ rows: { id: string; value?: string }[] }>("pagewalk/tables");
  const tables = rows.map(({ id, value }) => `${id}=${value}`).join(",");
  const stack = await client.ask<{ data: string }>("readMemory", {
    memoryReference: await client.evaluate("$rsp,x"),
    count: 256,
  });
  return `${values.join(" ")} ${tables} ${stack.data}`;
}

test(
  "random debugging, forwards and backwards, keeps to its budget and gives the same answers at the same moments",
  async () => {
    const seed = Number(process.env.PAGEWALK_SOAK_SEED ?? 4711);
    const random = randomNumbers(seed);
    client = new DapClient();
    await client.start(
      { reverseMemory: BUDGET_MIB, memory: "1G", settings: { ramdisk: "16M", checksum: "on" } },
      ["page-fault", "reset", "switchover", "exit"],
    );
    const seen = new Map<number, string>();
    const timeline = () => client.ask<TimelineAnswer>("pagewalk/timeline", { count: 0 });
    const travel = async (to: number | "start" | "end") => {
      await client.ask("pagewalk/travel", { to });
      await client.event("stopped");
    };
    /** At an instruction, and not between it and the handler of its exception. */
    const compare = async (instruction: number) => {
      await travel(instruction);
      const now = await look();
      const before = seen.get(instruction);
      if (before !== undefined) expect(now, `at instruction ${instruction}, seed ${seed}`).toBe(before);
      seen.set(instruction, now);
      if (seen.size > MOST_SEEN) seen.delete(seen.keys().next().value!);
    };
    const rss = process.memoryUsage().rss;
    const until = performance.now() + MINUTES * 60_000;
    let actions = 0;
    for (; performance.now() < until; actions++) {
      client.forget();
      const { now, start, end } = await timeline();
      switch (random(12)) {
        case 0:
        case 1:
          if ((await client.raw("continue", { threadId: 1 })).success) await client.event("stopped");
          break;
        case 2:
          await client.go("reverseContinue");
          break;
        case 3:
          await client.go("next");
          break;
        case 4:
          await client.go("stepBack");
          break;
        case 5:
          await client.go("stepIn", { granularity: "instruction" });
          break;
        case 6:
          await client.go("stepBack", { granularity: "instruction" });
          break;
        case 7:
          await compare(start + random(end - start + 1));
          break;
        case 8: {
          const old = [...seen.keys()].filter((instruction) => instruction >= start && instruction <= end);
          if (old.length > 0) await compare(old[random(old.length)]);
          break;
        }
        case 9: {
          const answer = await client.raw("pagewalk/whoWrote", { expression: "early_pgt_faults" });
          if (answer.success) await client.event("stopped");
          break;
        }
        case 10:
          // Seldom: it forgets what comes after.
          if (random(4) === 0) {
            await client.ask("setExpression", {
              expression: "$r15",
              value: String(random(1000)),
              frameId: 1,
            });
            for (const instruction of [...seen.keys()]) if (instruction >= now) seen.delete(instruction);
          }
          break;
        default:
          await travel(random(2) === 0 ? "end" : "start");
      }
      const { debuggee } = client.connection.session;
      expect(debuggee.history!.divergences).toBe(0);
      // What was written since the last checkpoint comes on top of the budget.
      expect(debuggee.history!.bytes).toBeLessThan((BUDGET_MIB + 4) * MIB);
      const { ended } = debuggee.control;
      // A session would end with the next continue.
      if (ended !== undefined) await client.go("reverseContinue");
    }
    expect(actions).toBeGreaterThan(20);
    const growth = (process.memoryUsage().rss - rss) / MIB;
    console.info(
      `${actions} actions in ${MINUTES} minutes: the process has grown by ${growth.toFixed(0)} MiB`,
    );
    expect(growth).toBeLessThan(GROWTH_MIB);
  },
  (MINUTES + 2) * 60_000,
);
