import { describe, expect, test } from "vitest";
import { tlbMessage } from "../../../src/views/tlb/message";

const STOPPED = { running: false, summary: "6 entries, none stale" };

describe("what the TLB view says above its rows", () => {
  test("is what is to be said of all of them", () => {
    expect(tlbMessage({ filter: "none" }, STOPPED)).toBe("6 entries, none stale");
  });

  test("names the filter, whichever kind it is", () => {
    expect(tlbMessage({ filter: "stale" }, STOPPED)).toBe("Filter: stale. 6 entries, none stale");
    expect(tlbMessage({ filter: "none", pcid: 5 }, STOPPED)).toMatch(/^Filter: PCID 5 and global\./);
    expect(tlbMessage({ filter: "none", at: "$rip" }, STOPPED)).toMatch(/^Filter: what translates \$rip\./);
  });

  test("is the reason where there is nothing, and that a running program is shown as it was", () => {
    const empty = "Paging is off.";
    expect(tlbMessage({ filter: "none" }, { running: false, summary: "", empty })).toBe(empty);
    expect(tlbMessage({ filter: "none" }, { ...STOPPED, running: true })).toMatch(/^Running\./);
  });
});
