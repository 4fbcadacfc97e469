import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TableRows } from "../../../src/debug/protocol/tables";
import type { DecodedAnswer, WalkAnswer } from "../../../src/debug/protocol/walk";
import { DapClient } from "../../support/dapClient";

describe("at the second page fault of early-fault", () => {
  const dap = new DapClient();
  beforeAll(async () => {
    await dap.start({}, ["page-fault"]);
    await dap.go("continue");
    await dap.go("continue");
  });
  afterAll(() => dap.end());

  async function hover(text: string): Promise<string | undefined> {
    return (await dap.ask<{ markdown: string } | null>("pagewalk/hover", { text }))?.markdown;
  }

  test("a table's name tells its present entries, joined where they go on", async () => {
    const markdown = await hover("early_level4_pgt");
    expect(markdown).toContain("A table of PML4Es with 2 present entries");
    expect(markdown).toContain("- [272] table early_dynamic_pgts[0] (0x1003000) RW A");
    expect(await hover("early_dynamic_pgts[1]")).toMatch(
      /A table of PDEs with 512 present entries\n- \[0–511\] 2M page/,
    );
  });

  test("an entry expression tells the entry's fields, with the manual's table", async () => {
    const markdown = await hover("early_level4_pgt[511]");
    expect(markdown).toContain("`early_level4_pgt[511]` = `0x1043067`");
    expect(markdown).toContain("**PML4E** table level3_kernel_pgt (0x1043000) RW US A");
    expect(markdown).toContain("| 1 | RW | 1 | writes may be allowed |");
    expect(markdown).toContain("*SDM vol. 3A, table 4-15*");
  });

  test("a linear address tells its walk and who owns the page", async () => {
    const markdown = await hover("0xffff880001002000");
    expect(markdown).toContain("1. PML4E 272 of early_level4_pgt (0x1002000)");
    expect(markdown).toContain(
      "physical 0x0000000001002000, early_level4_pgt (0x1002000), a table of PML4Es",
    );
  });

  test("an address that is not mapped tells where the walk ends", async () => {
    expect(await hover("0xffffc90000000000")).toContain(
      "PML4E 402 of early_level4_pgt (0x0000000001002c90) is not present",
    );
  });

  test("a physical address of a table is told as one", async () => {
    expect(await hover("0x1044008")).toContain(
      "As a physical address: level2_kernel_pgt (0x1044000), a table of PDEs, at its offset 0x8",
    );
  });

  test("a number that can be an entry is decoded at the levels where it says something else", async () => {
    const markdown = await hover("0x80000000000001e3");
    expect(markdown).toContain("As **PTE** 4K page 0x0 RW A D PAT G NX");
    expect(markdown).toContain("2M page 0x0 RW A D G NX");
  });

  test("registers and flags have names in each way of writing them", async () => {
    expect(await hover("%cr0")).toContain("PG");
    expect(await hover("cr3")).toContain("0x1002000");
  });

  test("what is nothing gets no hover", async () => {
    for (const text of ["", "no_such_name", "1 +", "early_level4_pgt["])
      expect(await hover(text)).toBeUndefined();
  });

  test("decodes a value at one level, and refuses a level that the mode has not", async () => {
    const { entries } = await dap.ask<{ entries: DecodedAnswer[] }>("pagewalk/decode", {
      value: "0x1043067",
      level: 4,
    });
    expect(entries).toMatchObject([{ level: 4, name: "PML4E" }]);
    expect(entries[0].text).toBe("table level3_kernel_pgt (0x1043000) RW US A");
    const refused = await dap.raw("pagewalk/decode", { value: "0x1", level: 5 });
    expect(refused).toMatchObject({ success: false });
    expect(refused.message).toContain("there are no entries of level 5: paging has 4 levels");
  });

  test("a walk asks for the rights of an access", async () => {
    const read = await dap.ask<WalkAnswer>("pagewalk/walk", { expression: "0xffff880000010000" });
    expect(read.steps.map(({ rights }) => rights).at(-1)).toBe("supervisor, read and write, no execute");
    expect(read.physical).toBe("0x10000");
    const fetch = await dap.ask<WalkAnswer>("pagewalk/walk", {
      expression: "0xffff880000010000",
      access: "fetch",
    });
    expect(fetch.outcome).toContain("PDE 0 of early_dynamic_pgts");
    expect(fetch.outcome).toContain("forbids execution (XD = 1)");
  });

  test("the tree goes to tables and entries by expressions", async () => {
    const last = async (args: object) => (await dap.ask<TableRows>("pagewalk/reveal", args)).rows.at(-1)?.id;
    expect(await last({ symbol: "early_dynamic_pgts[1]" })).toBe("root/272/0");
    expect(await last({ symbol: "early_level4_pgt" })).toBe("root");
    expect(await last({ symbol: "level3_kernel_pgt[510]" })).toBe("root/511/510");
    expect(await last({ address: "0xffff880000010000" })).toBe("root/272/0/0");
    const both = await dap.raw("pagewalk/reveal", { symbol: "a", address: "0x0" });
    expect(both.message).toContain("give one of address, symbol, entry and table");
  });

  test("watches end wherever they overlap", async () => {
    const watches = async () => (await dap.ask<{ watches: object[] }>("pagewalk/watches")).watches;
    await dap.ask("pagewalk/watch", { physical: "0x1002880", length: 8, label: "early_level4_pgt[272]" });
    expect(await watches()).toEqual([{ physical: "0x1002880", length: 8, label: "early_level4_pgt[272]" }]);
    await dap.ask("pagewalk/unwatch", { physical: "0x1002000", length: 4096 });
    expect(await watches()).toEqual([]);
  });
});
