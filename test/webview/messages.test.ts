import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { MEMORY_MAP_WINDOW } from "../../src/debug/protocol/memoryMap";
import { fromPage, mapMessage, toPage, windowMessage } from "../../webview/messages";

describe("messages between the extension and the page", () => {
  test.each([
    [{ type: "ready" }, true],
    [{ type: "command", command: "viewMemory", argument: "0x1000" }, true],
    [{ type: "command", command: "rm" }, false],
    [{ type: "command", command: "viewMemory", argument: "javascript:" }, false],
    [{ type: "window", start: "0xffff880000000000", end: "0x0" }, true],
    [{ type: "window", start: "0xffff880000000000" }, false],
    [{ type: "window", start: "1", end: "0x0" }, false],
    ["ready", false],
    [null, false],
  ])("from the page %j is taken: %s", (message, taken) => {
    expect(v.safeParse(fromPage, message).success).toBe(taken);
  });

  test.each([
    [{ type: "state", state: "running" }, true],
    [{ type: "state", state: "walking" }, false],
    [{ type: "select", physical: "0x1000" }, true],
    [{ type: "map", map: {} }, false],
    [{ type: "window", start: "0x0", end: "0x1000", mapped: [], unexplored: [] }, true],
    [{ type: "window", start: "0x0", end: "0x1000", mapped: [{}], unexplored: [] }, false],
    [{ type: "window", start: "0x0", end: "0x1000", mapped: [] }, false],
    [undefined, false],
  ])("to the page %j is taken: %s", (message, taken) => {
    expect(v.safeParse(toPage, message).success).toBe(taken);
  });

  const range = { start: "0xffff880000000000", end: "0xffff880000200000" };
  const mapped = [{ ...range, physical: "0x0", pageSize: "2M", flags: ["RW"], pages: 1 }];

  test("what the adapter answers is taken by the page", () => {
    const answer = {
      mode: "4-level",
      root: "0x1000",
      rootName: undefined,
      instructions: 1,
      mapped,
      unexplored: [range],
      owners: [{ kind: "table", label: "PML4", start: "0x1000", end: "0x2000", level: 4, changed: true }],
      moreTables: true,
      changes: [{ ...range, mark: "added" }],
      pools: [{ name: "pool", start: "0x3000", slots: [{ state: "reached", level: 1 }], limit: 1, next: 1 }],
      pointers: [{ name: "RIP", linear: "0x10" }],
    } as const;
    expect(v.safeParse(toPage, mapMessage(answer)).success).toBe(true);
    expect(v.safeParse(toPage, windowMessage(range, { mapped, unexplored: [] })).success).toBe(true);
  });

  test.each([
    ["changes", [{ ...range, mark: "moved" }]],
    ["pools", [{ name: "pool", start: "0x0", slots: [{ state: "lost" }], limit: 1, next: 0 }]],
    ["pointers", [{ name: "RAX", linear: "0x0" }]],
    ["owners", [{ kind: "owner", label: "", start: "0x0", end: "0x1" }]],
  ])("a map with other %s is not", (part, value) => {
    const map = {
      mode: "off",
      root: "0x0",
      instructions: 0,
      mapped: [],
      unexplored: [],
      owners: [],
      moreTables: false,
      changes: [],
      pools: [],
      pointers: [],
    };
    expect(v.safeParse(toPage, { type: "map", map }).success).toBe(true);
    expect(v.safeParse(toPage, { type: "map", map: { ...map, [part]: value } }).success).toBe(false);
  });

  test("the adapter takes what the page asks for, and nothing that is no address", () => {
    const read = v.parse(MEMORY_MAP_WINDOW.schema, range);
    expect(read).toEqual({ start: 0xffff880000000000n, end: 0xffff880000200000n });
    expect(v.safeParse(MEMORY_MAP_WINDOW.schema, { start: "0x0" }).success).toBe(false);
    expect(v.safeParse(MEMORY_MAP_WINDOW.schema, { ...range, end: 5 }).success).toBe(false);
  });
});
