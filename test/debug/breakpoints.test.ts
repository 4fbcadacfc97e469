import { afterEach, describe, expect, test } from "vitest";
import { HitCondition } from "../../src/debug/breakpoints/hitCondition";
import { DapClient, ROOT } from "../support/dapClient";

let client: DapClient | undefined;
afterEach(() => client?.end());

const TABLES = { path: `${ROOT}/guests/early-fault/tables.c` };
interface Set {
  breakpoints: { id: number; verified: boolean; line?: number; message?: string }[];
}

async function started(): Promise<DapClient> {
  client = new DapClient();
  await client.start();
  return client;
}

describe("breakpoints", () => {
  test("a line without code moves to the next line that has some", async () => {
    const dap = await started();
    const { breakpoints } = await dap.ask<Set>("setBreakpoints", {
      source: TABLES,
      breakpoints: [{ line: 1 }],
    });
    expect(breakpoints[0].verified).toBe(true);
    expect(breakpoints[0].line).toBeGreaterThan(1);
    const { breakpoints: none } = await dap.ask<Set>("setBreakpoints", {
      source: { path: "/nowhere/else.c" },
      breakpoints: [{ line: 3 }],
    });
    expect(none[0]).toMatchObject({
      verified: false,
      message: "no code of the image comes from this line of /nowhere/else.c",
    });
  });

  test("one in assembly that runs before paging is set up is hit at its physical place", async () => {
    const dap = await started();
    await dap.ask("setBreakpoints", {
      source: { path: `${ROOT}/guests/early-fault/head.S` },
      breakpoints: [{ line: 42 }],
    });
    expect((await dap.go("continue")).reason).toBe("breakpoint");
    expect(await dap.here()).toBe("startup_64:42");
    expect(BigInt(await dap.evaluate("$rip,x"))).toBeLessThan(0x2000000n);
  });

  test("a condition decides, and one that cannot be read is refused", async () => {
    const dap = await started();
    const { breakpoints } = await dap.ask<Set>("setFunctionBreakpoints", {
      breakpoints: [
        { name: "early_make_pgtable", condition: "address >= 0xffff880080000000" },
        { name: "early_panic", condition: "1 +" },
        { name: "no_such_function" },
      ],
    });
    expect(breakpoints.map(({ verified }) => verified)).toEqual([true, false, false]);
    expect(breakpoints[2].message).toBe('the image has no function "no_such_function"');
    await dap.go("continue");
    expect(await dap.evaluate("address")).toBe("0xffff8800bffd0000");
  });

  test("hit counts choose the hit, log messages do not stop", async () => {
    const dap = await started();
    await dap.ask("setFunctionBreakpoints", {
      breakpoints: [
        { name: "early_make_pgtable", hitCondition: "== 2" },
        { name: "early_exception", logMessage: "fault {early_pgt_faults} at {$cr2}" },
      ],
    });
    await dap.go("continue");
    expect(await dap.evaluate("early_pgt_faults")).toBe("1");
    const said = dap.messages.flatMap((message) => {
      const event = message as { event?: string; body?: { output?: string } };
      return event.event === "output" ? [event.body?.output ?? ""] : [];
    });
    expect(said.some((line) => line.startsWith("fault 0 at 0xffff880000010000"))).toBe(true);
  });

  test("an instruction breakpoint stops on its address, steps do not count it twice", async () => {
    const dap = await started();
    const at = (await dap.evaluate("&early_make_pgtable")).split(" ")[0];
    await dap.ask("setInstructionBreakpoints", { breakpoints: [{ instructionReference: at }] });
    await dap.go("continue");
    expect((await dap.evaluate("$rip,x")).split(" ")[0]).toBe(at);
    expect((await dap.go("next")).reason).toBe("step");
  });

  test("a variable's change stops behind the instruction that changed it, with both values", async () => {
    const dap = await started();
    const info = await dap.ask<{ dataId: string; accessTypes: string[] }>("dataBreakpointInfo", {
      name: "next_early_pgt",
    });
    expect(info.accessTypes).toEqual(["write"]);
    const { breakpoints } = await dap.ask<Set>("setDataBreakpoints", {
      breakpoints: [{ dataId: info.dataId }],
    });
    expect(breakpoints[0].verified).toBe(true);
    const stopped = await dap.go("continue");
    expect(stopped).toMatchObject({ reason: "data breakpoint", text: "0x00000002 -> 0x00000000" });
    expect((await dap.frames())[0].name).toBe("reset_early_page_tables");
  });

  test("a watched table entry stops when it changes", async () => {
    const dap = await started();
    await dap.ask("pagewalk/watch", { physical: "0x1002880", length: 8, label: "PML4E 272" });
    const stopped = await dap.go("continue");
    expect(stopped).toMatchObject({ reason: "data breakpoint", description: "Changed: PML4E 272" });
    expect(stopped.text).toMatch(/^0x0000000000000000 -> 0x0000000001003063$/);
    expect((await dap.frames())[0].name).toBe("early_make_pgtable");
    await dap.ask("pagewalk/unwatch", { physical: "0x1002880", length: 8 });
  });

  test("what cannot be watched says why", async () => {
    const dap = await started();
    expect(await dap.ask("dataBreakpointInfo", { name: "1 + 1" })).toEqual({
      dataId: null,
      description: "1 + 1 is not in memory, so that its changes cannot be watched",
    });
    const { breakpoints } = await dap.ask<Set>("setDataBreakpoints", {
      breakpoints: [{ dataId: "nonsense" }, { dataId: "physical:0x1000:8", accessType: "read" }],
    });
    expect(breakpoints.map(({ message }) => message)).toEqual([
      '"nonsense" names no data to watch',
      "only changes can be watched, not reads",
    ]);
  });

  test.each([
    ["5", [5, 6, 7]],
    ["== 2", [2]],
    ["> 6", [7]],
    ["% 3", [3, 6]],
    ["<= 2", [1, 2]],
  ])("the hit condition %s holds on the right hits", (text, expected) => {
    const condition = HitCondition.parse(text);
    expect([1, 2, 3, 4, 5, 6, 7].filter((hits) => condition?.holds(hits))).toEqual(expected);
  });

  test.each(["", "x", "% 0", "1.5", "== -1"])("the hit condition %j is none", (text) => {
    expect(HitCondition.parse(text)).toBeUndefined();
  });
});
