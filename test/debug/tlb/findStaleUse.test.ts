/** The TLB of real boots through the debug adapter, and the search for the next use of a stale entry. */
import { afterEach, describe, expect, test } from "vitest";
import type { TlbRows } from "../../../src/debug/protocol/tlb";
import { DapClient } from "../../support/dapClient";

let client: DapClient;
afterEach(() => client?.end());

async function boot(launch: Record<string, unknown>, filters: string[] = []): Promise<DapClient> {
  client = new DapClient();
  await client.start(launch, filters);
  return client;
}

const said = () =>
  client.messages.flatMap((message) => {
    const { event, body } = message as { event?: string; body?: { category?: string; output?: string } };
    return event === "output" && body?.category === "important" ? [body.output?.trim()] : [];
  });

const PARAVIRT = { program: "i386-paravirt", memory: "16M", settings: { variant: "native" } };

describe("Find Stale Use", () => {
  test("stops at the use though no filter is ticked, past breakpoints, and tells the write", async () => {
    const dap = await boot(PARAVIRT);
    await dap.ask("setFunctionBreakpoints", { breakpoints: [{ name: "kernel_physical_mapping_init" }] });
    // The very next instruction is fetched from the page that the changed entry maps.
    const stop = await dap.go("pagewalk/findStaleUse");
    expect(stop).toMatchObject({ reason: "exception", description: "Use of a stale TLB entry" });
    expect(stop.text).toMatch(
      /^instruction fetch .* the TLB still gives 0x100000; made stale at instruction [\d,]+ in write_entry \(native\.c:\d+\): entry swapper_pg_dir\+0xc00 .* goes from 0x207067 to 0x1e3$/,
    );
    expect(dap.messages.some((message) => (message as { event?: string }).event === "continued")).toBe(true);
    const { rows } = await dap.ask<TlbRows>("pagewalk/tlb", { parent: "translations", at: "$esp" });
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ stale: true, cause: { symbol: "write_entry" } });
    expect(rows[0].cause?.path).toMatch(/guests\/i386-paravirt\/native\.c$/);
    expect(said()).toEqual([]);
  });

  test("goes on to other entries, and says so when the run ends", async () => {
    const dap = await boot(PARAVIRT, ["exit"]);
    const stops: unknown[] = [];
    for (
      let stop = await dap.go("pagewalk/findStaleUse");
      stop.description === "Use of a stale TLB entry";
    ) {
      stops.push(stop.text);
      expect(stops.length).toBeLessThan(50);
      stop = await dap.go("pagewalk/findStaleUse");
    }
    expect(stops.length).toBeGreaterThan(2);
    expect(new Set(stops).size).toBe(stops.length);
    expect(said()).toEqual([
      "Find Stale Use: the run came to its end before another stale translation was used.",
    ]);
  });

  test("a boot without stale translations runs to its end, past page faults, and says so", async () => {
    const dap = await boot({ program: "early-fault" }, ["page-fault", "exit"]);
    const stop = await dap.go("pagewalk/findStaleUse");
    expect(stop).toMatchObject({ reason: "exception", description: "Guest exit" });
    expect(said()).toHaveLength(1);
    const { rows, summary } = await dap.ask<TlbRows>("pagewalk/tlb");
    expect(rows[0].stale).toBeUndefined();
    expect(summary).toMatch(/none stale$/);
  });

  test("afterwards breakpoints and filters hold again", async () => {
    const dap = await boot(PARAVIRT, ["cr3-load"]);
    await dap.go("pagewalk/findStaleUse");
    expect(await dap.go("continue")).toMatchObject({ description: "CR3 load" });
  });

  test("is refused while the program runs", async () => {
    const dap = await boot({
      program: "early-fault",
      memory: "64G",
      settings: { ramdisk: "50G", checksum: "on" },
    });
    await dap.ask("continue", { threadId: 1 });
    const answer = await dap.raw("pagewalk/findStaleUse");
    expect(answer).toMatchObject({ success: false, message: "the debuggee is running: pause it first" });
    await dap.ask("pause", { threadId: 1 });
    await dap.event("stopped");
  });
});

describe("the TLB of a boot", () => {
  test("names what the early tables map, and agrees with them at each fault", async () => {
    const dap = await boot({ program: "early-fault" }, ["page-fault"]);
    for (let i = 0; i < 3; i++) await dap.go("continue");
    const { rows } = await dap.ask<TlbRows>("pagewalk/tlb", { parent: "translations" });
    expect(rows.every(({ stale }) => stale === undefined)).toBe(true);
    expect(rows.find(({ start }) => start === "0xffff880000000000")?.description).toMatch(/^2M → 0x0 RW NX/);
    expect(rows.some(({ description }) => /\(\w+/.test(description))).toBe(true);
    const { rows: user } = await dap.ask<TlbRows>("pagewalk/tlb", { filter: "user" });
    expect(user.map(({ id }) => id)).toEqual(["structures"]);
  });

  test("refuses what is no address in words", async () => {
    const dap = await boot({ program: "early-fault" });
    const answer = await dap.raw("pagewalk/tlb", { at: "no_such_name" });
    expect(answer).toMatchObject({ success: false });
    expect(answer.message).toContain("no_such_name");
  });
});
