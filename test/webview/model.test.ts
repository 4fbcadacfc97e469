import { describe, expect, test } from "vitest";
import { actionsOf, factsOf, notesOf, poolText, spokenOf, togetherText } from "../../webview/describe";
import type { MapData } from "../../webview/messages";
import { byKey, find, keyOf, modelOf } from "../../webview/model";

const DATA: MapData = {
  mode: "4-level",
  root: "0x2000",
  rootName: "early_level4_pgt",
  instructions: 7,
  mapped: [
    { start: "0x0", end: "0x200000", physical: "0x0", pageSize: "2M", flags: ["RW"], pages: 1 },
    {
      start: "0xffffffff80000000",
      end: "0x0",
      physical: "0x1000000",
      pageSize: "2M",
      flags: ["RW", "NX"],
      pages: 1024,
    },
  ],
  unexplored: [{ start: "0xffff880000000000", end: "0xffff888000000000" }],
  owners: [
    { kind: "ram", label: "usable RAM", start: "0x0", end: "0x8000000" },
    { kind: "data", label: ".data", start: "0x1000", end: "0x9000" },
    {
      kind: "table",
      label: "early_level4_pgt",
      start: "0x2000",
      end: "0x3000",
      level: 4,
      linear: "0x0",
      changed: true,
    },
  ],
  moreTables: true,
  changes: [
    { start: "0x400000", end: "0x600000", mark: "cleared" },
    { start: "0xffffffff80000000", end: "0xffffffff80200000", mark: "added" },
    { start: "0xffffffffffe00000", end: "0x0", mark: "changed" },
  ],
  pools: [
    {
      name: "early_dynamic_pgts",
      start: "0x4000",
      limit: 3,
      next: 2,
      slots: [
        { state: "reached", level: 3, changed: true },
        { state: "used" },
        { state: "free" },
        { state: "beyond" },
      ],
    },
  ],
  pointers: [
    { name: "RIP", linear: "0xffffffff80000010", physical: "0x1000010" },
    { name: "CR2", linear: "0xffff8000deadb000" },
  ],
};
const model = modelOf(DATA);

describe("the map's model", () => {
  test("the end of the address space is 2^64, and each range knows its marks", () => {
    expect(model.mapped.map(({ last }) => last)).toEqual([0x200000n, 1n << 64n]);
    expect(model.mapped.map(({ marks }) => marks)).toEqual([[], ["added", "changed"]]);
  });

  test("what was cleared, is unexplored or pointed to has a place on the scale", () => {
    const { linear } = model;
    expect(linear.position(0x600000n)).toBeGreaterThan(linear.position(0x400000n));
    expect(linear.position(0xffff888000000000n)).toBeGreaterThan(linear.position(0xffff880000000000n));
    const cr2 = linear.position(0xffff8000deadb000n);
    expect(cr2).toBeGreaterThan(linear.position(0x600000n));
    expect(cr2).toBeLessThan(linear.position(0xffff880000000000n));
  });

  test("owners are in lanes, and the finest one is found", () => {
    expect(model.lanes.firmware.map(({ label }) => label)).toEqual(["usable RAM"]);
    const labels = [0x2800n, 0x5000n, 0x20000n].map((physical) => {
      const found = find(model, { physical });
      return found?.kind === "owner" ? found.item.label : undefined;
    });
    expect(labels).toEqual(["early_level4_pgt", ".data", "usable RAM"]);
    expect(find(model, { physical: 1n << 40n })).toBeUndefined();
    expect(find(model, { linear: 0xffff880000001000n })?.kind).toBe("unexplored");
  });

  test("a key leads to the same item of a later map", () => {
    const selection = { kind: "slot" as const, item: model.pools[0].slots[1] };
    expect(byKey(modelOf(DATA), keyOf(selection))).toEqual(selection);
    expect(byKey(model, "slot:none:0")).toBeUndefined();
  });
});

describe("what is said", () => {
  test("of a slot: its state, its level, whether it changed, and where it lies", () => {
    const [{ slots }] = model.pools;
    expect(slots.map((item) => spokenOf({ kind: "slot", item }))).toEqual([
      "early_dynamic_pgts[0], reached from CR3, level 3, changed",
      "early_dynamic_pgts[1], given out, not reached",
      "early_dynamic_pgts[2], free",
      "early_dynamic_pgts[3], beyond the limit",
    ]);
    expect(factsOf({ kind: "slot", item: slots[1] })).toContainEqual(["Physical", "0x5000 – 0x5fff"]);
  });

  test("of a pool: what is used and what comes next, or that none is left", () => {
    expect(poolText(model.pools[0])).toBe("early_dynamic_pgts: 2 of 3 slots used, next is 2");
    expect(poolText({ ...model.pools[0], next: 3 })).toBe(
      "early_dynamic_pgts: 3 of 3 slots used, none is left",
    );
  });

  test("of registers: where they point, and that nothing is mapped there", () => {
    expect(model.pointers.map((item) => spokenOf({ kind: "pointer", item }))).toEqual([
      "RIP 0xffffffff80000010, physical 0x1000010",
      "CR2 0xffff8000deadb000, not mapped",
    ]);
    expect(actionsOf({ kind: "pointer", item: model.pointers[1] })).toEqual([
      ["Walk", "walkAddress", "0xffff8000deadb000"],
    ]);
  });

  test("of changes: one by one with the range, together with their marks", () => {
    const changes = model.changes.map((item) => ({ kind: "change" as const, item }));
    expect(spokenOf(changes[0])).toBe("cleared, linear 0x400000 – 0x5fffff, 2 MiB, since the last stop");
    expect(togetherText(changes)).toBe("3 changes, cleared, added, changed, select to zoom in");
  });

  test("of what is missing: in sentences", () => {
    expect(notesOf(model)).toEqual([
      "Hatched ranges are not looked into yet: select one to explore it.",
      "There are more page tables than the map lists.",
    ]);
    expect(notesOf(modelOf({ ...DATA, mode: "off", mapped: [], unexplored: [], moreTables: false }))).toEqual(
      ["Paging is off: linear addresses are physical ones."],
    );
  });
});
