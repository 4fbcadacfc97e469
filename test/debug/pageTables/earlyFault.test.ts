import { beforeAll, describe, expect, test } from "vitest";
import { GIB } from "../../support/earlyFault";
import { BootedTables } from "./booted";

const FIRST_FAULT = 0xffff880000010000n;

describe("the tree of early-fault", () => {
  let booted: BootedTables;
  beforeAll(async () => {
    booted = await BootedTables.boot();
  });

  test("at the entry shows the loader's tables", () => {
    expect(booted.row("root").label).toMatch(/^CR3 → 0x/);
    expect(booted.row("root").description).toContain("4-level paging · 3 tables");
  });

  test("names the tables of the image, and those of an array by their index", () => {
    booted.until("page-fault");
    expect(booted.row("root").label).toBe("CR3 → early_level4_pgt (0x1002000)");
    const kernel = booted.row("root/511");
    expect(kernel).toMatchObject({ kind: "table", name: "early_level4_pgt[511]" });
    expect(kernel.description).toContain("→ level3_kernel_pgt (0x1043000)");
    expect(booted.row("root/511/510/0-255").description).toContain("256 × 2M");
  });

  test("marks what the handler of the first fault made, on every level, and what is above it", () => {
    const event = booted.until("page-fault");
    expect(event).toMatchObject({ event: "page-fault" });
    expect(booted.row("root").changedBelow).toBe(true);
    expect(booted.row("root/272")).toMatchObject({ mark: "added", name: "early_level4_pgt[272]" });
    expect(booted.row("root/272").description).toContain("early_dynamic_pgts[0]");
    expect(booted.row("root/272/0").description).toContain("early_dynamic_pgts[1]");
    expect(booted.row("root/272/0/0-511")).toMatchObject({ mark: "added", label: "PDE 0–511" });
    expect(booted.row("root/511").mark).toBeUndefined();
  });

  test("goes to the deepest entry of an address, through the run that holds it", () => {
    const { rows, positions } = booted.tables.reveal(FIRST_FAULT + 0x1400000n, "none", []);
    expect(rows.map(({ id }) => id)).toEqual([
      "root",
      "root/272",
      "root/272/0",
      "root/272/0/0-511",
      "root/272/0/10",
    ]);
    expect(positions).toEqual([0, 0, 0, 0, 10]);
  });

  test("goes to an entry by its physical address, and to a table by its own", () => {
    const root = booted.physicalOf("early_level4_pgt");
    const entry = booted.tables.revealPhysical(root + 8 * 272, "entry", "none", []);
    expect(entry.rows.at(-1)?.id).toBe("root/272");
    const pool = booted.physicalOf("early_dynamic_pgts");
    const table = booted.tables.revealPhysical(pool + 4096, "table", "none", []);
    expect(table.rows.at(-1)?.id).toBe("root/272/0");
    expect(() => booted.tables.revealPhysical(0x7000, "table", "none", [])).toThrow(
      "0x7000 lies in no page table that CR3 leads to",
    );
  });

  test("shows who is watched, also within a run", () => {
    const table = booted.physicalOf("early_dynamic_pgts") + 4096;
    booted.watched.push({ physical: table + 8 * 100, length: 8 });
    expect(booted.row("root/272/0/0-511").watched).toBe(true);
    const entries = booted.rows("root/272/0/0-511", "none", 99, 3);
    expect(entries.map(({ watched }) => watched)).toEqual([undefined, true, undefined]);
    booted.watched.length = 0;
  });

  test("refuses rows that are not there", () => {
    expect(() => booted.rows("root/3")).toThrow('there is no row "root/3" in the page tables now');
    expect(() => booted.rows("root/0-5/3")).toThrow("there is no row");
    expect(() => booted.rows("elsewhere")).toThrow("there is no row");
  });

  test("after the switchover shows the final tables as added, and what both roots share without an alias", () => {
    booted.until("switchover");
    expect(booted.row("root").label).toBe("CR3 → init_level4_pgt (0x1047000)");
    expect(booted.row("root/272").mark).toBe("added");
    expect(booted.row("root/511").description).not.toContain("alias");
  });
});

describe("a reset of the early tables", () => {
  test("leaves the entries that it cleared to be seen, once", async () => {
    const booted = await BootedTables.boot({ pool: "4", ramdisk: "20G" }, 32 * GIB);
    booted.until("page-fault");
    booted.until("page-fault");
    const [before] = booted.rows("root").filter(({ label }) => label === "PML4E 272");
    expect(before.kind).toBe("table");
    booted.until("reset");
    const cleared = booted.rows("root").find(({ label }) => label === "PML4E 272");
    expect(cleared).toMatchObject({ kind: "not-present", mark: "cleared" });
    expect(cleared?.tooltip).toContain("*cleared since the last stop*: was `0x");
  });
});
