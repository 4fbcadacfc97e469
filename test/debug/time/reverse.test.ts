import { afterEach, describe, expect, test } from "vitest";
import type {
  TimelineAnswer,
  TravelAnswer,
  WhenMappedAnswer,
  WhoWroteAnswer,
} from "../../../src/debug/protocol/time";
import { DapClient } from "../../support/dapClient";

let client: DapClient;
afterEach(() => client.end());

async function started(filters: readonly string[] = [], launch: Record<string, unknown> = {}) {
  client = new DapClient();
  await client.start(launch, filters);
}

const instructions = async () => (await client.ask<{ instructions: number }>("pagewalk/state")).instructions;

/** What a user sees of a moment. */
async function seen() {
  const names = ["rip", "rsp", "rax", "rdi", "rflags", "cr2", "cr3"];
  const registers = [];
  for (const name of names) registers.push(await client.evaluate(`$${name},x`));
  return { registers, at: await client.here(), instructions: await instructions() };
}

async function breakAt(name: string): Promise<void> {
  await client.ask("setFunctionBreakpoints", { breakpoints: name === "" ? [] : [{ name }] });
}

describe("a step back", () => {
  test("by instruction undoes a step by instruction, through a fault and its handler", async () => {
    await started(["page-fault"]);
    await client.go("continue");
    await client.ask("setExceptionBreakpoints", { filters: [] });
    const states = [await seen()];
    for (let i = 0; i < 12; i++) {
      await client.go("stepIn", { granularity: "instruction" });
      states.push(await seen());
    }
    for (const state of states.slice(1, -1).reverse()) {
      expect(await client.go("stepBack", { granularity: "instruction" })).toMatchObject({ reason: "step" });
      expect(await seen()).toEqual(state);
    }
  });

  test("by line goes to where a step over began, with calls passed over", async () => {
    await started();
    await breakAt("x86_64_start_kernel");
    await client.go("continue");
    await breakAt("");
    const states = [await seen()];
    for (let i = 0; i < 6; i++) {
      await client.go("next");
      states.push(await seen());
    }
    for (const state of states.slice(0, -1).reverse()) {
      await client.go("stepBack");
      expect((await seen()).at).toBe(state.at);
    }
    expect((await seen()).registers[0]).toBe(states[0].registers[0]);
  });

  test("from the first line of a function goes to the line that called it", async () => {
    await started();
    await breakAt("copy_bootdata");
    await client.go("continue");
    await breakAt("");
    const frames = await client.frames();
    const caller = frames[frames.findIndex(({ name }) => name === "copy_bootdata") + 1];
    const inside = async () => (await client.frames()).some(({ name }) => name === "copy_bootdata");
    while (await inside()) await client.go("stepBack");
    const [frame] = await client.frames();
    expect([frame.name, frame.line]).toEqual([caller.name, caller.line]);
  });

  test("over a faulting line comes to the line before the fault", async () => {
    await started(["page-fault"]);
    await client.go("continue");
    await client.ask("setExceptionBreakpoints", { filters: [] });
    const before = await client.here();
    await client.go("next");
    expect(await client.here()).not.toBe(before);
    await client.go("stepBack");
    expect(await client.here()).toBe(before);
    expect(await client.evaluate("early_pgt_faults")).toBe("0");
  });

  test("at the first instruction says that there is nothing before", async () => {
    await started();
    const stop = await client.go("stepBack");
    expect(stop.description).toMatch(/nothing before/);
    expect(await instructions()).toBe(0);
  });

  test("is refused where the launch configuration wants no checkpoints", async () => {
    await started([], { reverseMemory: 0 });
    const response = await client.raw("stepBack", { threadId: 1 });
    expect(response).toMatchObject({ success: false, message: /reverseMemory is 0/ });
  });
});

describe("running backwards", () => {
  test("stops on the events before, from the latest to the first, and then at the start", async () => {
    await started(["page-fault", "reset", "switchover", "exit"]);
    const forwards: string[] = [];
    for (;;) {
      const stop = await client.go("continue");
      forwards.push(`${stop.text} ${await instructions()}`);
      if (stop.description === "Guest exit") break;
    }
    expect(forwards.length).toBeGreaterThan(5);
    for (const stop of forwards.slice(0, -1).reverse()) {
      const { text, reason } = await client.go("reverseContinue");
      expect(reason).toBe("exception");
      expect(`${text} ${await instructions()}`).toBe(stop);
    }
    expect((await client.go("reverseContinue")).description).toMatch(/history begins/);
    const again: string[] = [];
    for (let i = 0; i < 3; i++) again.push(`${(await client.go("continue")).text} ${await instructions()}`);
    expect(again).toEqual(forwards.slice(0, 3));
  });

  test("stops at breakpoints, by their conditions", async () => {
    await started();
    await breakAt("early_make_pgtable");
    const forwards: number[] = [];
    for (let i = 0; i < 4; i++) {
      await client.go("continue");
      forwards.push(await instructions());
    }
    for (const at of forwards.slice(0, -1).reverse()) {
      expect((await client.go("reverseContinue")).reason).toBe("breakpoint");
      expect(await instructions()).toBe(at);
    }
  });

  test("stops on changes of data", async () => {
    await started(["switchover"]);
    await client.go("continue");
    const { dataId } = await client.ask<{ dataId: string }>("dataBreakpointInfo", {
      name: "early_pgt_faults",
    });
    await client.ask("setDataBreakpoints", { breakpoints: [{ dataId }] });
    const faults = Number(await client.evaluate("early_pgt_faults"));
    const stop = await client.go("reverseContinue");
    expect(stop).toMatchObject({ reason: "data breakpoint" });
    expect(Number(await client.evaluate("early_pgt_faults"))).toBe(faults);
    await client.go("reverseContinue");
    expect(Number(await client.evaluate("early_pgt_faults"))).toBe(faults - 1);
  });

  test("tells the debug console nothing twice", async () => {
    await started(["exit"]);
    await client.go("continue");
    const output = () =>
      client.messages.filter((message) => "event" in message && message.event === "output").length;
    const before = output();
    const events = await client.ask("pagewalk/events");
    await client.go("reverseContinue");
    await client.go("continue");
    expect(output()).toBe(before);
    expect(await client.ask("pagewalk/events")).toEqual(events);
  });
});

describe("who wrote this?", () => {
  test("a table entry: goes to the instruction that wrote it", async () => {
    await started(["switchover"]);
    await client.go("continue");
    const rows = await client.ask<{ rows: { entry: string; value: string }[] }>("pagewalk/reveal", {
      symbol: "init_level4_pgt[511]",
    });
    const { entry } = rows.rows.at(-1)!;
    const value = await client.evaluate("init_level4_pgt[511],x");
    const answer = await client.ask<WhoWroteAnswer>("pagewalk/whoWrote", { physical: entry, length: 8 });
    expect(answer.by).toBe("instruction");
    expect(BigInt(answer.new!)).toBe(BigInt(value));
    const stop = await client.event("stopped");
    expect(stop.description).toMatch(/^Who wrote/);
    expect(await client.evaluate("init_level4_pgt[511],x")).not.toBe(value);
    await client.go("stepIn", { granularity: "instruction" });
    expect(await client.evaluate("init_level4_pgt[511],x")).toBe(value);
  });

  test("a variable, by name, and where the loader put it there", async () => {
    await started(["switchover"]);
    await client.go("continue");
    const now = await client.evaluate("early_pgt_faults");
    const answer = await client.ask<WhoWroteAnswer>("pagewalk/whoWrote", { expression: "early_pgt_faults" });
    expect(answer).toMatchObject({ by: "instruction" });
    expect(answer.text).toMatch(/^Instruction \d+ at \w+.* changed early_pgt_faults from 0x\w+ to 0x\w+\.$/);
    expect(Number(BigInt(answer.new!))).toBe(Number(now));
    await client.event("stopped");
    const loaded = await client.ask<WhoWroteAnswer>("pagewalk/whoWrote", { physical: "0x1000000" });
    expect(loaded.by).toBe("loader");
    expect(loaded.text).toMatch(/^The loader put .+ there/);
  });

  test("the user did", async () => {
    await started();
    await breakAt("x86_64_start_kernel");
    await client.go("continue");
    await client.ask("setExpression", { expression: "early_pgt_faults", value: "77", frameId: 1 });
    await breakAt("copy_bootdata");
    await client.go("continue");
    const answer = await client.ask<WhoWroteAnswer>("pagewalk/whoWrote", { expression: "early_pgt_faults" });
    expect(answer).toMatchObject({ by: "user" });
    expect(Number(BigInt(answer.new!))).toBe(77);
    await client.event("stopped");
    expect(await client.here()).toMatch(/^x86_64_start_kernel/);
  });
});

describe("when was this mapped?", () => {
  test("a demand mapping: by the handler of its fault", async () => {
    await started(["page-fault"]);
    const fault = (await client.go("continue")).text as string;
    const address = /0x[0-9a-f]{16}/.exec(fault)![0];
    await client.go("continue");
    const answer = await client.ask<WhenMappedAnswer>("pagewalk/whenMapped", { address });
    expect(answer.by).toBe("write");
    await client.event("stopped");
    expect(await client.ask("pagewalk/walk", { expression: address })).not.toHaveProperty("physical");
    const frames = await client.frames();
    expect(frames.map(({ name }) => name)).toContain("early_make_pgtable");
  });

  test("the kernel's own text: since the boot began, or by its root", async () => {
    await started();
    const answer = await client.ask<WhenMappedAnswer>("pagewalk/whenMapped", { address: "0x1000000" });
    expect(answer.by).toBe("start");
  });
});

describe("other moments", () => {
  test("can be gone to by instruction; the future stays known", async () => {
    await started(["exit"]);
    await client.go("continue");
    const end = await instructions();
    const travel = async (to: number | string) => {
      const answer = await client.ask<TravelAnswer>("pagewalk/travel", { to });
      await client.event("stopped");
      return answer;
    };
    expect((await travel(1000)).moment?.instruction).toBe(1000);
    const timeline = await client.ask<TimelineAnswer>("pagewalk/timeline");
    expect(timeline).toMatchObject({ now: 1000, start: 0, end, lookingBack: true, canGoBack: true });
    expect(timeline.events.map(({ kind }) => kind)).toContain("switchover");
    await travel("end");
    expect(await instructions()).toBe(end);
    const refused = await client.raw("pagewalk/travel", { to: end + 1 });
    expect(refused.message).toMatch(/the run is known from 0 to/);
  });

  test("leave the editor's focus where it is, where that is asked for", async () => {
    await started(["exit"]);
    await client.go("continue");
    const hint = async (command: string, args: object) => {
      await client.ask(command, args);
      return (await client.event("stopped")).preserveFocusHint;
    };
    expect(await hint("pagewalk/travel", { to: 1000, look: true, preserveFocus: true })).toBe(true);
    expect(await hint("pagewalk/travel", { to: 2000 })).toBeUndefined();
    expect(await hint("pagewalk/continueHere", { preserveFocus: true })).toBe(true);
    expect((await client.go("continue")).preserveFocusHint).toBeUndefined();
  });

  test("a change in the past begins another future", async () => {
    await started(["exit"]);
    await client.go("continue");
    await client.ask("pagewalk/travel", { to: 5000 });
    await client.event("stopped");
    await client.ask("setExpression", { expression: "$rax", value: "$rax", frameId: 1 });
    const timeline = await client.ask<TimelineAnswer>("pagewalk/timeline");
    expect(timeline).toMatchObject({ now: 5000, end: 5000, edits: [5000], lookingBack: false });
    expect(timeline.events.every(({ instruction }) => instruction < 5000)).toBe(true);
    expect((await client.go("continue")).description).toBe("Guest exit");
  });

  test("too many events are counted in the window that is asked for", async () => {
    await started(["exit", "table-write"].slice(0, 1));
    await client.go("continue");
    const few = await client.ask<TimelineAnswer>("pagewalk/timeline", { count: 2 });
    expect(few.events).toEqual([]);
    expect(few.total).toBeGreaterThan(2);
    expect(few.counts.reduce((sum, { count }) => sum + count, 0)).toBe(few.total);
    for (const { count, buckets } of few.counts) expect(buckets.reduce((a, b) => a + b, 0)).toBe(count);
    const all = await client.ask<TimelineAnswer>("pagewalk/timeline");
    const [first] = all.events;
    const zoomed = await client.ask<TimelineAnswer>("pagewalk/timeline", {
      from: first.instruction,
      to: first.instruction,
      count: 10,
    });
    expect(zoomed.events[0]).toEqual(first);
  });

  test("restarting a frame goes to where its function began", async () => {
    await started();
    await breakAt("memcpy");
    await client.go("continue");
    await breakAt("");
    const [entry] = await client.frames();
    const registers = await client.evaluate("$rdi,x");
    for (let i = 0; i < 5; i++) await client.go("stepIn", { granularity: "instruction" });
    // By now its access has faulted, and the handler runs.
    const frames = await client.frames();
    const frameId = frames.findIndex(({ name }) => name === entry.name) + 1;
    expect(frameId).toBeGreaterThan(1);
    const stop = await client.go("restartFrame", { frameId });
    expect(stop.reason).toBe("restart");
    expect(await client.evaluate("$rdi,x")).toBe(registers);
  });

  test("a long way can be stopped, and then the debuggee stands where it stood", async () => {
    await started(["exit"]);
    await client.go("continue");
    await client.ask("setExceptionBreakpoints", { filters: ["table-write"] });
    await client.ask("setExceptionBreakpoints", { filters: [] });
    await client.ask("setInstructionBreakpoints", { breakpoints: [{ instructionReference: "0x1" }] });
    const before = await instructions();
    const stopped = client.go("reverseContinue");
    await new Promise((resolve) => setImmediate(resolve));
    await client.raw("pause", { threadId: 1 });
    const { reason } = await stopped;
    if (reason === "pause") expect(await instructions()).toBe(before);
    else expect(await instructions()).toBe(0);
  });
});
