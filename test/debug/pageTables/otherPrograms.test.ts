/** The tree over what other boot programs make: domains of a hypervisor, and a root page in two formats. */
import { describe, expect, test } from "vitest";
import { MIB } from "../../support/earlyFault";
import { BootedTables } from "./booted";

describe("the tree of a domain", () => {
  test("shows machine frames with the guest's beside them, pins, and what is the hypervisor's", async () => {
    const booted = await BootedTables.boot({}, 64 * MIB, "xen-p2m");
    expect(booted.row("root").label).toMatch(/^CR3 → 0x10[0-9a-f]+ \(pfn 0x[0-9a-f]+\)$/);
    expect(booted.row("root/256").description).toContain("(the hypervisor's)");
    booted.until("base-pointer");
    expect(booted.row("root").label).toMatch(/^CR3 → init_level4_pgt \(0x[0-9a-f]+, pfn 0x[0-9a-f]+\)$/);
    const list = booted.row("root/1");
    expect(list.description).toMatch(/^→ 0x[0-9a-f]+ \(pfn 0x400\) RW US A · 0x0000008000000000/);
    expect(list.tooltip).toContain("The frame is in use as an L3 table (count 2).");
    expect(booted.row("root/511").description).toContain("level3_kernel_pgt (0x");
  });

  test("joins pages that follow each other for the guest, whatever the machine's frames are", async () => {
    const booted = await BootedTables.boot({}, 64 * MIB, "xen-p2m");
    booted.until("base-pointer");
    const kernel = booted.rows("root/511/510/0");
    expect(kernel[0].description).toMatch(/→ pfn 0x0–0x[0-9a-f]+ · \d+ × 4K RW US A/);
    expect(kernel.length).toBeLessThan(10);
    const [first] = booted.rows(kernel[0].id);
    expect(first.description).toMatch(/→ 0x[0-9a-f]+ \(pfn 0x0\)/);
  });

  test("a page that is a table is told by its use, a guest's kernel page by its mark", async () => {
    const booted = await BootedTables.boot({}, 64 * MIB, "xen-p2m");
    booted.until("base-pointer");
    booted.to("copy_p2m");
    const root = booted.physicalOf("init_level4_pgt");
    const pfn = booted.target.xen!.domain.frames.pfnOf(root / 4096);
    const { rows } = booted.tables.reveal(0xffff880000000000n + BigInt(pfn * 4096), "none", []);
    const page = rows.at(-1)!;
    expect(page.description).toContain("· an L4 table");
    expect(page.tooltip).toMatch(/in use as an L4 table \(count \d, pinned\)/);
    expect(page.tooltip).toContain("Bit 52 is the hypervisor's mark");
    expect(booted.row("root/272/0/0").description).toContain("· pinned");
  });
});

describe("the root of i386-paravirt, native-pae", () => {
  test("is shown as PAE reads it, while the CPU reads 2-level entries, with what that clobbers", async () => {
    const booted = await BootedTables.boot({ variant: "native-pae" }, 64 * MIB, "i386-paravirt");
    expect(booted.row("root").expandable).toBe(false);
    booted.to("native_pagetable_setup_start");
    const before = booted.rows("root").at(-1)!;
    expect(before).toMatchObject({ id: "root/pae", label: "The same page as a PAE root" });
    expect(booted.rows("root/pae")[0].description).toContain("takes PDE 0 and 1, linear 0x0 to 0x7fffff");
    booted.to("kernel_physical_mapping_init");
    const entries = booted.rows("root/pae");
    expect(entries).toHaveLength(4);
    expect(entries[0]).toMatchObject({ mark: "changed", entrySize: 8, start: "0x0", end: "0x40000000" });
    expect(entries[0].description).toContain("→ empty_zero_page");
    expect(entries[3].description).toContain(
      "not present · takes PDE 6 and 7, linear 0x1800000 to 0x1ffffff",
    );
    // The kernel's own mapping, far up in the page, is as it was.
    expect(booted.row("root/768").mark).toBeUndefined();
    booted.until("paging-mode");
    booted.until("paging-mode");
    expect(booted.rows("root").some(({ id }) => id === "root/pae")).toBe(false);
  });
});
