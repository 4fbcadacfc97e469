import { describe, expect, test } from "vitest";
import { HandmadeTables, PLAIN, ROOT_TABLE } from "./handmade";

const USER = 4n;
const LARGE = 0x80n;
const GLOBAL = 0x100n;
const NX = 1n << 63n;

/** Entries of consecutive 4 KiB pages. */
function pages(from: number, count: number, flags = PLAIN): Record<number, bigint> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [from + i, BigInt((from + i) * 4096) | flags]),
  );
}

describe("the rows of other paging modes", () => {
  test("with paging off the only row says what CR3 holds", () => {
    const { tables } = new HandmadeTables(0);
    const { rows, total } = tables.rows({ start: 0, count: 10, filter: "none" }, []);
    expect(total).toBe(1);
    expect(rows[0]).toMatchObject({
      label: "Paging is off",
      description: "CR3 holds 0x1000",
      expandable: false,
    });
    expect(tables.rows({ parent: "root", start: 0, count: 10, filter: "none" }, []).rows).toEqual([]);
  });

  test("the PDPT of PAE paging is the registers, wherever CR3 points, and other memory is told of", () => {
    const root = 0x1020;
    const made = new HandmadeTables(3, { root });
    made.state.pdpte.set([0x2001, 0, 0, 0, 0, 0, 0x3001, 0]);
    made.write(root, { 0: 0x2001n, 3: 0x5001n });
    made.write(0x2000, { 1: 0x200000n | PLAIN | LARGE });
    const [first, last] = made.rows("root");
    expect(first).toMatchObject({ label: "PDPTE 0", entry: "0x1020", start: "0x0", end: "0x40000000" });
    expect(first.tooltip).not.toContain("Memory holds");
    expect(last).toMatchObject({ label: "PDPTE 3", start: "0xc0000000", end: "0x0" });
    expect(last.tooltip).toContain("Memory holds `0x0000000000005001`");
    expect(made.rows("root/0")[0]).toMatchObject({
      label: "PDE 1",
      description: "0x00200000 → 0x200000 · 2M RW A D",
    });
  });

  test("a change below a PAE root that is not page aligned marks the way to it", () => {
    const root = 0x1020;
    const made = new HandmadeTables(3, { root });
    made.state.pdpte.set([0x2001, 0]);
    made.write(root, { 0: 0x2001n });
    made.tables.onResume();
    made.memory.write64(0x2000, 0x400000n | PLAIN | LARGE);
    made.tables.onStop();
    expect(made.rows()[0].changedBelow).toBe(true);
    expect(made.rows("root")[0].changedBelow).toBe(true);
    expect(made.rows("root/0")[0].mark).toBe("added");
  });

  test("32-bit paging has tables of 1024 entries of four bytes", () => {
    const made = new HandmadeTables(2);
    made.memory.write32(ROOT_TABLE + 4 * 1023, 0x2000n | PLAIN);
    made.memory.write32(0x2000 + 4 * 5, 0x7000n | PLAIN);
    const [row] = made.rows("root");
    expect(row).toMatchObject({ label: "PDE 1023", entry: "0x1ffc", entrySize: 4, start: "0xffc00000" });
    expect(made.rows("root/1023")[0].description).toBe("0xffc05000 → 0x7000 · 4K RW A D");
  });
});

describe("rows that stand for many entries", () => {
  test("pages that continue each other are one row, opened in pieces", () => {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 0: 0x2000n | PLAIN });
    made.write(0x2000, { 0: 0x3000n | PLAIN });
    made.write(0x3000, { 0: 0x4000n | PLAIN });
    made.write(0x4000, { ...pages(0, 300), ...pages(301, 10, PLAIN | NX) });
    expect(made.labels("root/0/0/0")).toEqual(["PTE 0–299", "PTE 301–310", "202 entries not present"]);
    const { rows, total } = made.tables.rows(
      { parent: "root/0/0/0/0-299", start: 250, count: 100, filter: "none" },
      [],
    );
    expect(total).toBe(300);
    expect(rows).toHaveLength(50);
    expect(rows[0]).toMatchObject({ id: "root/0/0/0/250", label: "PTE 250" });
  });

  test("equal entries are one row, and each below it leads on", () => {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 1: 0x2000n | PLAIN, 2: 0x2000n | PLAIN, 3: 0x2000n | PLAIN });
    made.write(0x2000, { 0: 0x5000n | PLAIN });
    const [row] = made.rows("root");
    expect(row).toMatchObject({ id: "root/1-3", kind: "run", label: "PML4E 1–3" });
    expect(row.description).toContain("3 equal entries");
    const entries = made.rows("root/1-3");
    expect(entries.map(({ id, kind }) => [id, kind])).toEqual([
      ["root/1", "table"],
      ["root/2", "table"],
      ["root/3", "table"],
    ]);
    expect(entries[0].description).toContain("alias: also 0x1000[2], 0x1000[3]");
    expect(made.labels("root/2")[0]).toBe("PDPTE 0");
  });

  test("of a run that changed in part the changed entries are marked, not the run", () => {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 0: 0x2000n | PLAIN });
    made.write(0x2000, { 0: 0x3000n | PLAIN });
    made.write(0x3000, { 0: 0x4000n | PLAIN });
    made.write(0x4000, pages(0, 3));
    made.tables.onResume();
    made.memory.write64(0x4000 + 8 * 3, 0x3000n | PLAIN);
    made.tables.onStop();
    const [run] = made.rows("root/0/0/0");
    expect(run).toMatchObject({ label: "PTE 0–3", changedBelow: true });
    expect(run.mark).toBeUndefined();
    expect(run.tooltip).toContain("1 of 4 entries changed since the last stop");
    expect(made.rows("root/0/0/0/0-3").map(({ mark }) => mark)).toEqual([
      undefined,
      undefined,
      undefined,
      "added",
    ]);
  });

  test("an entry that is gone is listed once more, as cleared", () => {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 7: 0x2000n | PLAIN });
    made.tables.onResume();
    made.memory.write64(ROOT_TABLE + 56, 0n);
    made.tables.onStop();
    expect(made.rows("root")[0]).toMatchObject({ label: "PML4E 7", kind: "not-present", mark: "cleared" });
    made.tables.onResume();
    made.tables.onStop();
    expect(made.labels("root")).toEqual(["512 entries not present"]);
  });
});

describe("tables that refer to themselves", () => {
  test("can be opened level by level, and end", () => {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 511: BigInt(ROOT_TABLE) | PLAIN });
    expect(made.rows("root")[0].kind).toBe("table");
    expect(made.labels("root/511/511/511")).toEqual(["PTE 511", "511 entries not present"]);
    expect(made.rows("root/511/511/511")[0]).toMatchObject({ kind: "page", expandable: false });
    expect(() => made.rows("root/511/511/511/511")).toThrow("there is no row");
  });
});

describe("a filter", () => {
  function twoPages(above: bigint, leaf: bigint): HandmadeTables {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 0: 0x2000n | above, 9: 0x6000n | PLAIN | NX });
    made.write(0x2000, { 0: 0x3000n | above });
    made.write(0x3000, { 0: 0x4000n | above });
    made.write(0x4000, { 0: 0x10000n | leaf, 5: 0x20000n | PLAIN | NX });
    made.write(0x6000, { 0: 0x40000000n | PLAIN | LARGE | GLOBAL });
    return made;
  }

  test("goes by the rights of the whole path", () => {
    const open = twoPages(PLAIN | USER, PLAIN | USER);
    expect(open.labels("root", "user")).toEqual(["PML4E 0"]);
    expect(open.labels("root/0/0/0", "user")).toEqual(["PTE 0"]);
    expect(open.labels("root/0/0/0", "writable-executable")).toEqual(["PTE 0"]);
    const closed = twoPages(PLAIN & ~2n, PLAIN | USER);
    expect(closed.labels("root", "user")).toEqual(["Nothing here passes the filter: user"]);
    expect(closed.labels("root", "writable-executable")).toEqual([
      "Nothing here passes the filter: writable and executable",
    ]);
  });

  test("for global or large pages goes by the page's own entry", () => {
    const made = twoPages(PLAIN, PLAIN);
    expect(made.labels("root", "global")).toEqual(["PML4E 9"]);
    expect(made.labels("root/9", "large")).toEqual(["PDPTE 0"]);
  });

  test("gives up after a bounded search, shows what it did not look into, and says so", () => {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 0: 0x2000n | PLAIN, 1: 0x2000n | PLAIN | USER });
    made.write(0x2000, { 0: 0x3000n | PLAIN });
    made.write(
      0x3000,
      Object.fromEntries(Array.from({ length: 512 }, (_, i) => [i, BigInt(0x100000 + i * 4096) | PLAIN])),
    );
    const rows = made.rows("root", "large");
    expect(rows.at(-1)?.label).toBe("The search stopped after 200,000 entries");
    expect(rows[0].label).toBe("PML4E 0");
  });
});

describe("many tables", () => {
  test("beyond a bound changes are not marked, and the root says so", () => {
    const made = new HandmadeTables(4);
    made.write(ROOT_TABLE, { 0: 0x2000n | PLAIN });
    for (let directory = 0; directory < 9; directory++) {
      const table = 0x10000 + directory * 4096;
      made.memory.write64(0x2000 + 8 * directory, BigInt(table) | PLAIN);
      for (let i = 0; i < 512; i++)
        made.memory.write64(table + 8 * i, BigInt(0x1000000 + (directory * 512 + i) * 4096) | PLAIN);
    }
    made.tables.onResume();
    made.memory.write64(0x1000000, PLAIN);
    made.tables.onStop();
    const [root] = made.rows();
    expect(root.description).toContain("changes are not marked");
    expect(root.changedBelow).toBeUndefined();
  });
});
