/** Each boot program in each variant, booted from the editor: its own stops, and its tables by name. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Workbench, whyNot } from "./workbench";

const reason = await whyNot();
if (reason !== undefined) console.warn(`SKIPPED: boot programs in VS Code: ${reason}`);

interface Tour {
  /** As the list of programs has it. */
  readonly program: string;
  readonly entry: string;
  /** What the call stack shows at each stop. */
  readonly stops: readonly string[];
  /** What the tree shows at the last one. */
  readonly rows: readonly RegExp[];
}

const TOURS: readonly Tour[] = [
  {
    program: "early-fault (prototype)",
    entry: "startup_64",
    stops: ["reset_early_page_tables"],
    rows: [/CR3 → early_level4_pgt/, /PML4E 511.*level3_kernel_pgt/],
  },
  {
    program: "i386-paravirt (native-pae)",
    entry: "startup_32",
    stops: ["native_pagetable_setup_start", "kernel_physical_mapping_init"],
    rows: [/CR3 → swapper_pg_dir.*32-bit paging/, /The same page as a PAE root/],
  },
  {
    program: "i386-paravirt (native)",
    entry: "startup_32",
    stops: ["native_pagetable_setup_start", "kernel_physical_mapping_init", "native_pagetable_setup_done"],
    rows: [/CR3 → swapper_pg_dir.*32-bit paging/, /PDE 768/],
  },
  {
    program: "i386-paravirt (xen-pae)",
    entry: "startup_xen",
    stops: ["xen_pagetable_setup_start", "xen_hypercall_mmuext_op", "kernel_physical_mapping_init"],
    rows: [/CR3 → swapper_pg_dir \(0x[0-9a-f]+, pfn 0x[0-9a-f]+\).*PAE paging/],
  },
  {
    program: "direct-map (native)",
    entry: "startup_64",
    stops: ["drop_trampoline", "init_memory_mapping", "find_early_table_space", "unmap_low_page"],
    rows: [/CR3 → init_level4_pgt/],
  },
  {
    program: "direct-map (native-gbpages)",
    entry: "startup_64",
    stops: ["drop_trampoline", "init_memory_mapping", "find_early_table_space", "unmap_low_page"],
    rows: [/CR3 → init_level4_pgt/],
  },
  {
    program: "direct-map (native-nopse)",
    entry: "startup_64",
    stops: ["drop_trampoline", "init_memory_mapping", "find_early_table_space", "unmap_low_page"],
    rows: [/CR3 → init_level4_pgt/],
  },
  {
    program: "direct-map (xen)",
    entry: "startup_xen",
    stops: [
      "setup_kernel_pagetable",
      "xen_hypercall_mmuext_op",
      "adopt_builders_tables",
      "init_memory_mapping",
      "find_early_table_space",
      "unmap_low_page",
    ],
    rows: [/CR3 → init_level4_pgt \(0x[0-9a-f]+, pfn 0x[0-9a-f]+\)/],
  },
  {
    program: "xen-p2m (inside)",
    entry: "startup_xen",
    stops: ["setup_kernel_pagetable", "xen_hypercall_mmuext_op"],
    rows: [/CR3 → init_level4_pgt \(0x[0-9a-f]+, pfn 0x[0-9a-f]+\)/],
  },
  {
    program: "xen-p2m (outside)",
    entry: "startup_xen",
    stops: [
      "setup_kernel_pagetable",
      "xen_hypercall_mmuext_op",
      "build_direct_map",
      "copy_p2m",
      "pagetable_p2m_free",
      "xen_hypercall_mmu_update",
    ],
    rows: [/CR3 → init_level4_pgt/, /PML4E 1.*cleared|cleared.*0x0000008000000000/],
  },
];

describe.skipIf(reason !== undefined)("boot programs in VS Code", () => {
  let code: Workbench;

  beforeAll(async () => {
    code = await Workbench.open();
  });

  afterEach(async () => {
    await code.command("Debug: Stop");
    await code.page.locator(".debug-toolbar").waitFor({ state: "hidden" });
  });

  afterAll(async () => {
    await code?.close();
  });

  test.each(TOURS)("$program", async ({ program, entry, stops, rows }) => {
    await code.showDebug();
    await code.boot(program, entry);
    for (const stop of stops) {
      await code.step("F5");
      await code.stoppedAt(stop);
    }
    await code.showTables();
    for (const row of rows) await code.treeRow("Page Tables", row).waitFor();
    if (program.includes("xen")) {
      await code.command("Pagewalk: Show Memory Map");
      await code.map().locator("#machine").waitFor();
    }
    await code.picture(`program-${program.replace(/\W+/g, "-").replace(/-$/, "")}`);
  });

  test("a refused hypercall stops with the rule that forbids it", async () => {
    await code.showDebug();
    await code.boot("xen-p2m (outside)", "startup_xen");
    // The root is linked while it is mapped writable.
    await code.command("Debug Console: Focus on Debug Console View");
    await code.page.locator(".repl-input-wrapper .monaco-editor.focused").waitFor();
    await code.page.keyboard.type("boot_settings.defect = 1");
    await code.page.keyboard.press("Enter");
    await code.step("F5");
    await code.stoppedAt("setup_kernel_pagetable");
    await code.step("F5");
    await code.stoppedAt("xen_hypercall_mmuext_op");
    expect(await code.exception()).toMatch(
      /mmuext_op is refused with -EINVAL \(22\): .* is mapped writable \(count 1\), and cannot become an L4 table/,
    );
    await code.picture("hypercall-rejected");
  });
});
