import { afterEach, describe, expect, test } from "vitest";
import type { CompareAnswer, ComparedAnswer, ComparedEntry } from "../../../src/debug/protocol/compare";
import type { TimelineAnswer, TravelAnswer, WhoWroteAnswer } from "../../../src/debug/protocol/time";
import { DapClient } from "../../support/dapClient";

let client: DapClient;
afterEach(() => client.end());

async function booted(launch: Record<string, unknown> = {}): Promise<void> {
  client = new DapClient();
  await client.start(launch, ["exit"]);
  expect((await client.go("continue")).description).toBe("Guest exit");
}

const timeline = () => client.ask<TimelineAnswer>("pagewalk/timeline", { count: 10_000 });

async function travel(to: number | "start" | "end", look = false): Promise<TravelAnswer> {
  const answer = await client.ask<TravelAnswer>("pagewalk/travel", { to, look });
  await client.event("stopped");
  return answer;
}

async function compare(first: number, second?: number): Promise<CompareAnswer> {
  const answer = await client.ask<CompareAnswer>("pagewalk/compare", {
    first,
    ...(second === undefined ? {} : { second }),
  });
  await client.event("stopped");
  return answer;
}

async function entriesOf({ id, listed }: CompareAnswer): Promise<ComparedEntry[]> {
  const entries: ComparedEntry[] = [];
  while (entries.length < listed) {
    const page = await client.ask<ComparedAnswer>("pagewalk/compared", {
      id,
      from: entries.length,
      count: 97,
    });
    expect(page.total).toBe(listed);
    entries.push(...page.entries);
  }
  return entries;
}

/** Every present entry of the present tables by the indexes that lead to it: a walk of its own, on bytes. */
function enumerated(): Map<string, bigint> {
  const { target } = client.connection.session.debuggee;
  const found = new Map<string, bigint>();
  const walk = (table: number, level: number, path: string): void => {
    const view = new DataView(target.memory.readBytes(table, 4096).slice().buffer);
    for (let index = 0; index < 512; index++) {
      const value = view.getBigUint64(8 * index, true);
      if ((value & 1n) === 0n) continue;
      found.set(`${path}${index}`, value);
      if (level > 1 && (value & 0x80n) === 0n)
        walk(Number(value & 0x000f_ffff_ffff_f000n), level - 1, `${path}${index}/`);
    }
  };
  if (target.pagingState.levels === 4) walk(target.pagingState.root, 4, "");
  return found;
}

/** Without what the CPU sets: accessed, and dirty in pages. */
const bare = (value: bigint, path: string) => {
  const isPage = path.split("/").length === 4 || (value & 0x80n) !== 0n;
  return value & ~(isPage ? 0x60n : 0x20n);
};

/** "added 511/510" and so on, by two enumerations. */
function expected(before: Map<string, bigint>, after: Map<string, bigint>): string[] {
  const lines: string[] = [];
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [old, now] = [before.get(path), after.get(path)];
    if (old === undefined) lines.push(`added ${path} 0x0 0x${now!.toString(16)}`);
    else if (now === undefined) lines.push(`cleared ${path} 0x${old.toString(16)} 0x0`);
    else if (bare(old, path) !== bare(now, path))
      lines.push(`changed ${path} 0x${old.toString(16)} 0x${now.toString(16)}`);
  }
  return lines.sort();
}

/** The comparison's rows in the same form: a move is a change, and what was not present counts as empty. */
const told = (entries: readonly ComparedEntry[]) =>
  entries
    .filter(({ path }) => path !== "")
    .map(({ kind, path, old, new: now }) => {
      const of = (value: string, gone: boolean) => (gone ? "0x0" : value);
      const what = kind === "moved" ? "changed" : kind;
      return `${what} ${path} ${of(old, kind === "added")} ${of(now, kind === "cleared")}`;
    })
    .sort();

describe("two moments of a boot", () => {
  test("from before the reset to after the switchover: as two enumerations tell", async () => {
    await booted();
    const { events } = await timeline();
    const reset = events.find(({ kind }) => kind === "reset")!.instruction;
    const switchover = events.find(({ kind }) => kind === "switchover")!.instruction + 1;
    await travel(reset);
    const before = enumerated();
    await travel(switchover);
    const after = enumerated();
    await travel("end");
    const answer = await compare(switchover, reset);
    expect([answer.first.instruction, answer.second.instruction]).toEqual([reset, switchover]);
    const entries = await entriesOf(answer);
    expect(entries.length).toBeGreaterThan(20);
    expect(told(entries)).toEqual(expected(before, after));
    const [root] = entries;
    expect(root).toMatchObject({ label: "CR3", kind: "changed", who: { how: "root" } });
    expect(root.who?.instruction).toBe(switchover - 1);
    for (const kind of ["added", "changed", "cleared", "moved"] as const) {
      expect(entries.filter((entry) => entry.kind === kind)).toHaveLength(answer.counts[kind]);
    }
    expect(entries.map(({ number }) => number)).toEqual(entries.map((_, i) => i + 1));
  });

  test("at many places of the boot", async () => {
    await booted();
    const { events, end } = await timeline();
    const first = events.find(({ kind }) => kind === "page-fault")!.instruction;
    const moments = Array.from({ length: 6 }, (_, i) => Math.floor(first + ((end - first) * i) / 5));
    const images = [];
    for (const moment of moments) {
      await travel(moment);
      images.push(enumerated());
    }
    for (let i = 0; i + 1 < moments.length; i++) {
      const entries = await entriesOf(await compare(moments[i], moments[i + 1]));
      expect(told(entries)).toEqual(expected(images[i], images[i + 1]));
    }
  });

  test("who wrote an entry is whom the search backwards finds", async () => {
    await booted();
    const { events } = await timeline();
    const switchover = events.find(({ kind }) => kind === "switchover")!.instruction;
    const fault = events.find(({ kind }) => kind === "page-fault")!.instruction;
    await travel(switchover);
    const entries = await entriesOf(await compare(fault));
    const written = entries.filter(({ who }) => who?.how === "write");
    expect(written.length).toBeGreaterThan(3);
    for (const { entry, who, new: now } of written.filter(
      (_, i) => i % Math.ceil(written.length / 6) === 0,
    )) {
      await travel(switchover);
      const answer = await client.ask<WhoWroteAnswer>("pagewalk/whoWrote", { physical: entry, length: 8 });
      await client.event("stopped");
      expect(answer.moment).toMatchObject({ instruction: who!.instruction, rip: who!.rip, line: who!.line });
      expect(BigInt(answer.new!) & ~0x60n).toBe(BigInt(now) & ~0x60n);
    }
    // At the moment of each deed the entry is not yet what it became.
    for (const { who } of written) {
      expect(who!.instruction).toBeGreaterThanOrEqual(fault);
      expect(who!.instruction).toBeLessThan(switchover);
    }
  });

  test("a fault's handler alone: what it mapped, and by which lines", async () => {
    client = new DapClient();
    await client.start({}, ["page-fault"]);
    const fault = await client.go("continue");
    const address = BigInt(/0x[0-9a-f]{16}/.exec(fault.text as string)![0]);
    const { now } = await timeline();
    await client.go("continue");
    const answer = await compare(now);
    expect(answer.counts).toMatchObject({ cleared: 0, moved: 0 });
    const entries = await entriesOf(answer);
    const leaf = entries.findLast(({ start, end }) => BigInt(start) <= address && address < BigInt(end));
    expect(leaf).toMatchObject({ kind: "added", who: { how: "write" } });
    expect(leaf?.whoText).toMatch(/ at early_make_pgtable.*\(.+:\d+\) wrote it\.$/);
    const kept = await client.ask<ComparedAnswer>("pagewalk/compared", {
      id: answer.id,
      kind: "added",
      count: 1,
    });
    expect(kept).toMatchObject({ total: answer.counts.added, entries: [{ kind: "added" }] });
  });

  test("the debuggee stands where it stood, and its breakpoints hold", async () => {
    await booted();
    const { events } = await timeline();
    const fault = events.find(({ kind }) => kind === "page-fault")!.instruction;
    await travel(fault);
    const [here, rip] = [await client.here(), await client.evaluate("$rip,x")];
    await compare(0, fault * 2);
    expect([await client.here(), await client.evaluate("$rip,x")]).toEqual([here, rip]);
    expect((await timeline()).lookingBack).toBe(true);
    expect((await client.go("continue")).description).toBe("Guest exit");
  });

  test("the same moment twice has no differences", async () => {
    await booted();
    const answer = await compare(1000, 1000);
    expect(answer).toMatchObject({ listed: 0, counts: { added: 0, changed: 0, cleared: 0, moved: 0 } });
  });

  test("a change of the user's is the user's", async () => {
    client = new DapClient();
    await client.start({}, ["page-fault"]);
    await client.go("continue");
    const { now } = await timeline();
    const entry = "early_level4_pgt[7]";
    await client.ask("setExpression", { expression: entry, value: "0x5001", frameId: 1 });
    await client.go("stepIn", { granularity: "instruction" });
    const entries = await entriesOf(await compare(now - 1));
    expect(entries.find(({ path }) => path === "7")).toMatchObject({ kind: "added", who: { how: "user" } });
  });

  test("what is not known cannot be compared, and an old comparison is not there", async () => {
    await booted();
    const { end } = await timeline();
    expect((await client.raw("pagewalk/compare", { first: end + 1 })).message).toMatch(
      /the run is known from 0/,
    );
    const { id } = await compare(10, 20);
    await compare(10, 30);
    expect((await client.raw("pagewalk/compared", { id })).message).toMatch(/compare again/);
  });

  test("can be stopped on the way", async () => {
    await booted();
    const { end } = await timeline();
    const asked = client.ask<CompareAnswer>("pagewalk/compare", { first: 1, second: end });
    await new Promise((resolve) => setImmediate(resolve));
    await client.raw("cancel", {});
    const { cancelled } = await asked;
    await client.event("stopped");
    expect((await timeline()).now).toBe(end);
    if (!cancelled) expect(await client.raw("pagewalk/compared", { id: 1 })).toMatchObject({ success: true });
  });
});

describe("looking at a moment", () => {
  test("is read-only until the debuggee continues from there", async () => {
    await booted();
    await travel(5000, true);
    expect(await timeline()).toMatchObject({ now: 5000, looking: true, lookingBack: true });
    const write = { expression: "$rax", value: "1", frameId: 1 };
    expect((await client.raw("setExpression", write)).message).toMatch(/only looked at/);
    await client.ask("pagewalk/continueHere", {});
    await client.event("stopped");
    expect(await timeline()).toMatchObject({
      now: 5000,
      end: 5000,
      looking: false,
      lookingBack: false,
      edits: [],
    });
    await client.ask("setExpression", write);
    expect(await client.evaluate("$rax")).toBe("1");
  });

  test("ends when it goes on, and at the present there is nothing to look back at", async () => {
    await booted();
    await travel(5000, true);
    await client.go("stepIn", { granularity: "instruction" });
    expect((await timeline()).looking).toBe(false);
    await travel("end", true);
    expect(await timeline()).toMatchObject({ looking: false, lookingBack: false });
  });
});
