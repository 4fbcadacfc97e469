import { beforeAll, describe, expect, test } from "vitest";
import { EventLog, KEPT } from "../../../src/debug/eventLog/eventLog";
import type { EventRows } from "../../../src/debug/protocol/events";
import { Sources } from "../../../src/debug/sources";
import type { MachineEvent } from "../../../src/machine/events";
import { DapClient, ROOT } from "../../support/dapClient";
import { BootedTables } from "../pageTables/booted";

const sources = new Sources({ "/pagewalk/guests": `${ROOT}/guests` }, { exists: () => true });

describe("the event log of early-fault", () => {
  let booted: BootedTables;
  let log: EventLog;
  beforeAll(async () => {
    booted = await BootedTables.boot();
    booted.until("switchover");
    log = new EventLog(booted.target);
    for (const event of booted.events) log.record(event);
  });

  test("has the latest first, each with its place in the source", () => {
    const { rows, total, more } = log.rows({ count: 10_000 }, sources);
    expect(total).toBe(booted.events.length);
    expect(more).toBe(false);
    expect(rows.map(({ number }) => number)).toEqual(rows.map((_, i) => total - i));
    expect(rows[0]).toMatchObject({
      kind: "switchover",
      label: "Switchover to the final table",
      text: "CR3 goes from early_level4_pgt (0x1002000) to init_level4_pgt (0x1047000)",
    });
    expect(rows[0].path).toMatch(/\/guests\/common\/paging\.h$/);
    expect(rows[0].line).toBeGreaterThan(0);
  });

  test("says at which address a page fault was, and why", () => {
    const { rows } = log.rows({ count: 10, kinds: ["page-fault"] }, sources);
    expect(rows.at(-1)).toMatchObject({ address: "0xffff880000010000" });
    expect(rows.at(-1)?.text).toMatch(/^#PF read from 0xffff880000010000: PML4E 272 of early_level4_pgt/);
  });

  test("counts all kinds, whichever are shown", () => {
    const { rows, counts } = log.rows({ count: 5, kinds: ["reset"] }, sources);
    expect(new Set(rows.map(({ kind }) => kind))).toEqual(new Set(["reset"]));
    const faults = booted.events.filter(({ event }) => event === "page-fault").length;
    expect(counts.find(({ kind }) => kind === "page-fault")?.count).toBe(faults);
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(booted.events.length);
  });

  test("gives older ones on request", () => {
    const { rows: first, more } = log.rows({ count: 3 }, sources);
    expect(more).toBe(true);
    const { rows: next } = log.rows({ count: 3, before: first[2].number }, sources);
    expect(next[0].number).toBe(first[2].number - 1);
  });
});

describe("an event log of a run that went another way", () => {
  test("has what happened before, and what happens instead", async () => {
    const client = new DapClient();
    try {
      await client.start({}, ["page-fault", "switchover"]);
      const log = () => client.ask<EventRows>("pagewalk/events", { count: 1000 });
      await client.go("continue");
      const first = await log();
      for (let i = 0; i < 3; i++) await client.go("continue");
      const all = await log();
      expect(all.total).toBeGreaterThan(first.total);
      await client.go("reverseContinue");
      await client.ask("pagewalk/travel", { to: first.rows[0].instruction });
      await client.event("stopped");
      expect((await log()).total).toBe(all.total);
      await client.ask("pagewalk/continueHere");
      await client.event("stopped");
      const cut = await log();
      expect(cut.rows.every(({ instruction }) => instruction < first.rows[0].instruction)).toBe(true);
      expect(cut.total).toBe(cut.rows.length);
      expect(cut.counts.reduce((sum, { count }) => sum + count, 0)).toBe(cut.total);
      await client.go("continue");
      expect(await log()).toEqual(first);
    } finally {
      await client.end();
    }
  });
});

describe("an event log of a long run", () => {
  test("keeps the latest, and counts what it forgot", async () => {
    const { target } = await BootedTables.boot();
    const log = new EventLog(target);
    const base = { instruction: 1, rip: 0n, count: 1 };
    const sent = 2 * KEPT + 5;
    for (let i = 0; i < sent; i++)
      log.record({ ...base, event: "serial", text: `line ${i}` } as MachineEvent);
    const { rows, total, more, counts } = log.rows({ count: 2 * KEPT }, sources);
    expect(total).toBe(sent);
    expect(counts).toEqual([{ kind: "serial", label: "Serial output", count: sent }]);
    expect(rows.length).toBeGreaterThanOrEqual(KEPT);
    expect(rows.length).toBeLessThanOrEqual(2 * KEPT);
    expect(rows[0]).toMatchObject({ number: sent, text: `line ${sent - 1}` });
    expect(more).toBe(false);
  });
});
